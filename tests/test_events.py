"""What happened to an account: each operation leaves exactly its events, and tells them once."""

import asyncio
import contextlib
import logging
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from conftest import Service, ServiceFactory, running_service
from forked import command_line, run_forked

from asgi_token_auth import Event, InvalidFields, Limits, SettingsError, TokenAuth
from asgi_token_auth.accounts import Client, hooks
from asgi_token_auth.exceptions import Throttled, UnknownCredentials
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.users import User
from asgi_token_auth.testing import SECRET_KEY, Mailbox, settings

ADA = "ada@example.com"
BROWSER = Client(address="203.0.113.7", user_agent="Browser/1.0")
ONE_LOGIN = Limits(log_in_by_account="1/hour")


async def stored(auth: TokenAuth, user_id: Any = ...) -> list[Any]:
    """The rows of the table, oldest first: all, or those of a user."""
    table = auth.metadata.tables["events"]
    statement = table.select().order_by(table.c.id)
    if user_id is not ...:
        statement = statement.where(table.c.user_id == user_id)
    return await auth._database.read(lambda session: session.all(statement))


async def kinds(auth: TokenAuth, user_id: Any = ...) -> list[str]:
    return [row.event for row in await stored(auth, user_id)]


async def settled(auth: TokenAuth, count: int) -> list[Any]:
    """The rows, once there are as many: a refused login is written a moment later."""
    async with asyncio.timeout(10):
        while len(rows := await stored(auth)) < count:  # noqa: ASYNC110 in the database
            await asyncio.sleep(0.005)
    return rows


async def listed(service: Service, token: str, query: str = "") -> list[dict[str, Any]]:
    response = await service.call("GET", f"/api/account/events{query}", token=token)
    assert response.status_code == 200, response.text
    return response.json()["events"]


async def whole_story(service: Service) -> tuple[str, list[str]]:
    """Every operation by HTTP, once; the last token, and all that is secret or an address."""
    new, secrets = "ada@new.example", [ADA, "ada@new.example", "nobody@example.com"]
    await service.sign_up(ADA, "first secret")
    assert (await service.log_in(ADA, "first secret")).status_code == 401
    await service.mailbox.receive(ADA)
    await service.call("POST", "/api/confirmations", {"email": ADA})
    tokens = [(await service.confirm(ADA)).json()["token"]]
    assert (await service.log_in(ADA, "not her secret")).status_code == 401
    assert (await service.log_in("nobody@example.com", "typed secret")).status_code == 401
    for _ in range(4):
        tokens.append((await service.log_in(ADA, "first secret")).json()["token"])
    sessions = (await service.call("GET", "/api/sessions", token=tokens[4])).json()["sessions"]
    other = next(each["id"] for each in sessions if not each["current"])
    await service.call("DELETE", f"/api/sessions/{other}", token=tokens[4])
    await service.call("DELETE", "/api/sessions?scope=others", token=tokens[4])
    account = {"username": "ada", "email": new, "password": "second secret"}
    answer = await service.call("PUT", "/api/account", {"account": account}, tokens[4])
    assert answer.status_code == 200, answer.text
    secret = await service.mailbox.token(new)
    path = "/api/users/1/confirm"
    answer = await service.call("POST", path, {"confirmation_token": secret})
    tokens.append(answer.json()["token"])
    await service.call("DELETE", "/api/session", token=tokens[5])
    await service.call("POST", "/api/password_resets", {"email": new})
    await service.call("POST", "/api/password_resets", {"email": "nobody@example.com"})
    reset = await service.mailbox.token(new, "password_reset")
    body = {"user_id": 1, "password_reset_token": reset, "password": "third secret"}
    answer = await service.call("POST", "/api/password_resets/reset", body)
    tokens.append(answer.json()["token"])
    secrets += ["first secret", "second secret", "third secret", "typed secret", "not her secret"]
    return tokens[-1], [*secrets, secret, reset, *tokens]


STORY = [
    ("signed_up", None),
    ("login_failed", "not_confirmed"),
    ("confirmation_requested", None),
    ("confirmed", None),
    ("login_failed", "wrong_password"),
    *[("logged_in", None)] * 4,
    ("sessions_revoked", "ID"),
    ("sessions_revoked", "others"),
    ("account_updated", "username"),
    ("email_change_requested", None),
    ("password_changed", None),
    ("email_changed", None),
    ("logged_out", None),
    ("password_reset_requested", None),
    ("password_reset", None),
]


async def test_each_operation_leaves_its_events(service: Service) -> None:
    """The user reads them, newest first; nothing is missing, nothing is told twice."""
    token, _ = await whole_story(service)
    await settled(service.auth, len(STORY) + 2)

    events = (await listed(service, token))[::-1]

    found = [(each["event"], each["detail"]) for each in events]
    details = [
        (kind, "ID" if detail and re.fullmatch("[0-9a-f]{64}", detail) else detail)
        for kind, detail in found
    ]
    # Refused logins are written beside the requests.
    assert sorted(details, key=str) == sorted(STORY, key=str)
    in_order = [each for each in details if each[0] != "login_failed"]
    assert in_order == [each for each in STORY if each[0] != "login_failed"]
    assert {each["address"] for each in events} == {"198.51.100.77"}
    assert all(each["user_agent"].startswith("python-httpx") for each in events)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z", each["created_at"]) for each in events)


async def test_an_event_names_the_session_it_came_with(service: Service) -> None:
    """The one that was given out or used; `current` is the one that asks."""
    first = (await service.new_user())["token"]
    second = (await service.log_in()).json()["token"]
    await service.call("PUT", "/api/account", {"account": {"username": "ada"}}, first)
    await service.call("DELETE", "/api/session", token=first)

    events = await listed(service, second)

    sessions = (await service.call("GET", "/api/sessions", token=second)).json()["sessions"]
    by_kind = {each["event"]: each for each in events}
    assert by_kind["logged_in"]["session"] == sessions[0]["id"]
    assert [each["event"] for each in events if each["current"]] == ["logged_in"]
    of_first = {by_kind[name]["session"] for name in ("confirmed", "account_updated", "logged_out")}
    assert len(of_first) == 1
    assert by_kind["signed_up"]["session"] is None


async def test_one_session_that_ends_itself_logs_out(service: Service) -> None:
    """By its id in the list as well."""
    token = (await service.new_user())["token"]
    sessions = (await service.call("GET", "/api/sessions", token=token)).json()["sessions"]

    await service.call("DELETE", f"/api/sessions/{sessions[0]['id']}", token=token)

    assert await kinds(service.auth, 1) == ["signed_up", "confirmed", "logged_out"]


async def test_scripts_leave_events_too(service: Service) -> None:
    """From nowhere, unless they say where from."""
    accounts = service.auth.accounts
    ada = await accounts.sign_up(username="ada", password="secret")
    assert ada is not None
    issued = await accounts.log_in(username="ada", password="secret", client=BROWSER)
    await accounts.log_out(ada, client=BROWSER)
    for scope in ("current", "others"):  # a token that somebody else has ended already
        assert await accounts.log_out(ada, "0" * 64, scope) == 0
    with pytest.raises(InvalidFields):
        await accounts.delete_account(ada, password="wrong", client=BROWSER)
    await settled(service.auth, 4)
    await accounts.delete_account(issued.user, password="secret", client=BROWSER)

    rows = await stored(service.auth, ada.id)

    assert [row.event for row in rows] == [
        "signed_up",
        "logged_in",
        "sessions_revoked",
        "login_failed",
        "account_deleted",
    ]
    assert rows[0].address is None
    assert {(row.address, row.user_agent) for row in rows[1:]} == {("203.0.113.7", "Browser/1.0")}
    assert [row.detail for row in rows[2:]] == ["all", "wrong_current_password", None]


async def test_what_is_refused_leaves_no_event(service: Service) -> None:
    """Nothing was done."""
    token = (await service.new_user())["token"]
    before = await kinds(service.auth)
    user = {"email": ADA, "password": "secret"}
    refused = [
        ("POST", "/api/users", {"user": user}),
        ("POST", "/api/users", {"user": {"email": "x"}}),
        ("POST", "/api/users/1/confirm", {"confirmation_token": "wrong"}),
        (
            "POST",
            "/api/password_resets/reset",
            {"user_id": 1, "password_reset_token": "wrong", "password": "secret"},
        ),
        ("POST", "/api/password_resets", {"email": "no address"}),
        ("PUT", "/api/account", {"account": {"password": "x"}}),
        ("DELETE", f"/api/sessions/{'0' * 64}", None),
        ("DELETE", "/api/account", {}),
    ]
    for method, path, body in refused:
        response = await service.call(method, path, body, token)
        assert 400 <= response.status_code < 500, (path, response.text)
    for nothing in ({}, {"email": ""}):
        await service.call("PUT", "/api/account", {"account": nothing}, token)
    await service.call("DELETE", "/api/sessions?scope=others", token=token)

    assert await kinds(service.auth) == before == ["signed_up", "confirmed"]


async def test_an_unknown_account_leaves_a_row_without_a_user(service: Service) -> None:
    """An operator sees the attempt, and it costs what one at a known account costs."""
    await service.log_in("nobody@example.com")
    await service.call("POST", "/api/password_resets", {"email": "nobody@example.com"})

    rows = await settled(service.auth, 2)

    found = {(row.event, row.user_id, row.detail) for row in rows}
    assert found == {
        ("login_failed", None, "unknown_account"),
        ("password_reset_requested", None, "not_mailed"),
    }


@pytest.mark.parametrize("path", ["/api/password_resets", "/api/confirmations"])
async def test_known_and_unknown_addresses_take_as_many_statements(
    service: Service, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the mailbox that rests, and the account that is confirmed already."""
    await service.new_user()
    await service.sign_up("waiting@example.com")
    await service.auth.sender.stop()
    monkeypatch.setattr(service.auth.sender, "wake", lambda: None)  # it asks the database too
    statements: list[str] = []
    for name in ("one", "all", "run_compiled", "insert", "change", "run"):
        monkeypatch.setattr(Session, name, counted(getattr(Session, name), statements))
    seen = []
    for email in (ADA, "waiting@example.com", "nobody@example.com", *[ADA] * 3):
        statements.clear()
        await service.call("POST", path, {"email": email})
        seen.append(len(statements))

    assert len(set(seen)) == 1, seen


def counted(real: Callable[..., Awaitable[Any]], statements: list[str]) -> Any:
    async def count(*arguments: Any, **values: Any) -> Any:
        statements.append(str(arguments[1]))
        return await real(*arguments, **values)

    return count


async def test_a_claimed_address_is_told_to_its_owner_alone(start_service: ServiceFactory) -> None:
    """Where nobody is to learn who has an account, the trail of who asks must not tell either."""
    service = await start_service(disclose_accounts="never")
    await service.new_user()
    other = (await service.new_user("bob@example.com"))["token"]
    await service.sign_up(ADA)
    for email in (ADA, "free@example.com"):
        answer = await service.call("PUT", "/api/account", {"account": {"email": email}}, other)
        assert answer.status_code == 200

    assert await kinds(service.auth, 1) == [
        "signed_up",
        "confirmed",
        "address_claimed",
        "address_claimed",
    ]
    asked = [each for each in await listed(service, other) if "email" in each["event"]]
    assert [each["event"] for each in asked] == ["email_change_requested"] * 2
    assert asked[0] | {"id": 0} == asked[1] | {"id": 0}


async def test_the_trail_outlives_the_account_and_is_nobody_elses(service: Service) -> None:
    """SQLite gives a deleted user's id to the next one."""
    token = (await service.new_user())["token"]
    last = (await listed(service, token))[0]["id"]
    await service.call("DELETE", "/api/account", {"password": "secret"}, token)
    assert await kinds(service.auth, 1) == ["signed_up", "confirmed", "account_deleted"]
    users, events = service.auth.users, service.auth.metadata.tables["events"]
    row = {"id": 1, "username": "eve", "hashed_password": "", "confirmed_at": 1}
    copy = {"event": "logged_in", "user_id": 1, "created_at": 5}

    async def reuse(session: Session) -> None:
        await session.insert(users.insert().values(**row))
        await session.insert(events.insert().values(**copy))

    await service.auth._database.write(reuse)

    eve = User(1, None, "eve", 1)
    assert [each.event for each in await service.auth.accounts.list_events(eve)] == ["logged_in"]
    assert await service.auth.accounts.list_events(eve, before=last + 1) == []


async def test_events_come_in_pages(service: Service) -> None:
    """At most 100, newest first, on from an id."""
    token = (await service.new_user())["token"]
    events = service.auth.metadata.tables["events"]

    async def fill(session: Session) -> None:
        for number in range(150):
            values = {"event": "logged_in", "user_id": 1, "created_at": number}
            await session.insert(events.insert().values(**values))
        await session.insert(events.insert().values(event="logged_in", user_id=2, created_at=1))

    await service.auth._database.write(fill)
    first = await listed(service, token)
    second = await listed(service, token, f"?before={first[-1]['id']}")

    ids = [each["id"] for each in first + second]
    assert (len(first), len(second)) == (100, 52)
    assert ids == sorted(ids, reverse=True)
    assert await listed(service, token, f"?before={2**63 - 1}") == first
    assert await listed(service, token, "?before=0") == []


async def test_a_wrong_before_is_422(service: Service) -> None:
    """Never a 5xx, on no database."""
    token = (await service.new_user())["token"]

    for before in ("", "x", "-1", "1.5", "1e3", "%00", "٣", "9" * 20, str(2**63), "1 or 1"):
        response = await service.call("GET", f"/api/account/events?before={before}", token=token)
        assert (response.status_code, [*response.json()["errors"]]) == (422, ["before"]), before


async def test_events_need_a_token(service: Service) -> None:
    response = await service.call("GET", "/api/account/events")

    assert response.status_code == 401


TRANSIENT = {
    "postgresql": "DO $$ BEGIN RAISE EXCEPTION 'once more' USING ERRCODE = '40001'; END $$",
    "mysql": "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'once more'",
}


async def test_a_unit_of_work_that_is_run_again_is_told_once(
    start_service: ServiceFactory, database_url: str
) -> None:
    """The database itself asks for it, after the event was written."""
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite's only writer meets nobody")
    told: list[Event] = []
    service = await start_service(on_event=told.append)
    await service.new_user()
    revocations = service.auth._parts.revocations
    publish, attempts = revocations.publish, []

    async def fail_once(session: Session) -> float:
        attempts.append(len(session.told))
        if len(attempts) == 1:
            await session.run(TRANSIENT[database_url.partition(":")[0]])
        return await publish(session)

    revocations.publish = fail_once  # type: ignore[method-assign]
    assert (await service.log_in()).status_code == 200
    await service.auth._parts.events.stop()

    assert attempts == [1, 1]
    assert await kinds(service.auth, 1) == ["signed_up", "confirmed", "logged_in"]
    assert [event.event for event in told] == ["signed_up", "confirmed", "logged_in"]


async def test_what_is_rolled_back_is_not_told(start_service: ServiceFactory) -> None:
    """Neither stored, nor logged, nor told to a hook."""
    told: list[Event] = []

    async def publish(session: Session) -> float:
        assert session.told
        raise InvalidFields({"base": "changed its mind"})

    service = await start_service(on_event=told.append)
    service.auth._parts.revocations.publish = publish  # type: ignore[method-assign]
    response = await service.call(
        "POST", "/api/users", {"user": {"username": "ada", "password": "secret"}}
    )
    await service.auth._parts.events.stop()

    assert response.status_code == 422
    assert (told, await stored(service.auth)) == ([], [])


async def test_hooks_hear_of_each_event_after_its_commit(start_service: ServiceFactory) -> None:
    """Async or not, one or several, in order; what one raises harms nobody."""
    first: list[str] = []
    second: list[Event] = []

    async def note(event: Event) -> None:
        rows = await stored(service.auth, event.user_id)
        assert event.event in [row.event for row in rows]
        first.append(event.event)

    def fail(event: Event) -> None:
        raise RuntimeError("of the application")

    class Subscriber:
        async def __call__(self, event: Event) -> None:
            second.append(event)

    service = await start_service(on_event=[note, fail, Subscriber(), lambda event: note(event)])
    token = (await service.new_user())["token"]
    await service.call("DELETE", "/api/session", token=token)
    await service.auth._parts.events.stop()

    expected = ["signed_up", "confirmed", "logged_out"]
    assert sorted(first) == sorted(expected * 2)
    assert [event.event for event in second] == expected
    with pytest.raises(AttributeError):
        second[0].event = "confirmed"  # type: ignore[misc]


async def test_a_hook_that_hangs_delays_nobody(
    start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """Not the answer, not the other hook; a bounded number waits, and shutdown is not held up."""
    monkeypatch.setattr(hooks, "MOST_WAITING", 3)
    monkeypatch.setattr(hooks.Hook.drain, "__defaults__", (0.05,))
    told: list[Event] = []
    hanging: list[Event] = []

    async def hang(event: Event) -> None:
        hanging.append(event)
        await asyncio.Event().wait()

    service = await start_service(on_event=[hang, told.append])
    await service.new_user()
    for _ in range(5):
        assert (await service.log_in()).status_code == 200
    async with asyncio.timeout(10):
        while len(told) < 7:  # noqa: ASYNC110 sync hooks run in threads
            await asyncio.sleep(0.005)
    await service.auth.shutdown()

    assert len(hanging) == 1
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("an event hook can't keep up: events are dropped") == 1
    assert "an event hook was not told of 3 events" in messages


async def test_a_hook_that_is_too_slow_is_given_up(
    start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """The next event is told all the same; likewise where a hook is cancelled from within."""
    monkeypatch.setattr(hooks, "CALL_SECONDS", 0.02)
    told: list[str] = []

    async def slow(event: Event) -> None:
        told.append(event.event)
        if event.event == "signed_up":
            await asyncio.sleep(60)
        if event.event == "confirmed":
            raise asyncio.CancelledError

    service = await start_service(on_event=slow)
    await service.new_user()
    await service.log_in()
    await service.auth._parts.events.stop()

    assert told == ["signed_up", "confirmed", "logged_in"]
    messages = [record.getMessage() for record in caplog.records]
    assert "an event hook failed" in messages
    assert "an event hook was cancelled from within" in messages


async def test_log_and_meter_that_fail_fail_no_request(
    start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """An application's log records may have a `user_id` already, which `extra` must not name."""
    caplog.set_level(logging.INFO)
    told: list[str] = []
    service = await start_service(on_event=lambda event: told.append(event.event))
    first = (await service.new_user())["token"]
    make = logging.getLogRecordFactory()

    def with_user_id(*arguments: Any, **fields: Any) -> logging.LogRecord:
        record = make(*arguments, **fields)
        record.user_id = None
        return record

    def fail(event: str) -> None:
        raise RuntimeError(event)

    logging.setLogRecordFactory(with_user_id)
    monkeypatch.setattr(service.auth._parts.telemetry, "count", fail)
    try:
        assert (await service.log_in(password="wrong!")).status_code == 401
        token = (await service.log_in()).json()["token"]
        assert await service.is_good(first)
        response = await service.call("DELETE", "/api/sessions?scope=all", token=token)
    finally:
        logging.setLogRecordFactory(make)
    await service.auth._parts.events.stop()

    assert response.status_code == 200
    assert not await service.is_good(first)
    assert told[2:] == ["login_failed", "logged_in", "sessions_revoked"]
    complaints = [record.getMessage() for record in caplog.records]
    assert "an event is told in part only: KeyError" in complaints
    assert "an event is told in part only: RuntimeError" in complaints


async def test_a_hook_that_never_returns_takes_one_thread(
    start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none of the event loop's own, in which names are looked up. Once it returns, it is told
    of what came meanwhile."""
    monkeypatch.setattr(hooks, "CALL_SECONDS", 0.01)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    released = threading.Event()
    told: list[str] = []
    threads: list[threading.Thread] = []

    def hang(event: Event) -> None:
        told.append(event.event)
        threads.append(threading.current_thread())
        assert released.wait(20)

    service = await start_service(on_event=hang)
    await service.new_user()
    for _ in range(3):
        assert (await service.log_in()).status_code == 200
    hook = service.auth._parts.events._hooks._hooks[0]
    async with asyncio.timeout(10):
        while hook._waiting:  # noqa: ASYNC110 each is given up
            await asyncio.sleep(0.005)
        await asyncio.to_thread(lambda: None)
    assert (len(threads), threads[0].daemon) == (1, True)

    monkeypatch.setattr(hooks, "CALL_SECONDS", 30)
    released.set()
    await service.call("POST", "/api/password_resets", {"email": ADA})
    await service.auth._parts.events.stop()
    assert told[-1] == "password_reset_requested"


async def test_what_is_told_at_shutdown_is_told(database_url: str) -> None:
    """A hook that takes its time is waited for, within a bound."""
    told: list[str] = []

    async def note(event: Event) -> None:
        await asyncio.sleep(0.01)
        told.append(event.event)

    async with running_service(database_url, on_event=note) as service:
        await service.new_user()
        await service.log_in(password="wrong")

    assert sorted(told) == ["confirmed", "login_failed", "signed_up"]


async def test_nothing_secret_is_written_or_logged(
    start_service: ServiceFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """No token, no password, no address of a mailbox: the whole story leaves none, anywhere."""
    caplog.set_level(logging.DEBUG)
    told: list[Event] = []
    service = await start_service(on_event=told.append)
    _, secrets = await whole_story(service)
    rows = await settled(service.auth, len(STORY) + 2)
    await service.auth._parts.events.stop()

    ours = [record for record in caplog.records if record.name.startswith("asgi_token_auth")]
    written = [str(dict(row._mapping)) for row in rows]
    spoken = [str(vars(record)) for record in ours] + [record.getMessage() for record in ours]
    everything = "\n".join([*written, *spoken, *map(repr, told)])
    assert len(written) == len(told) == len(STORY) + 2
    assert "logged_in" in everything
    for secret in secrets:
        assert secret not in everything, secret


async def test_the_log_has_one_line_for_each_event(
    start_service: ServiceFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a client says of itself; with fields for loggers that write JSON."""
    service = await start_service(limits=ONE_LOGIN)
    caplog.set_level(logging.INFO, logger="asgi_token_auth.events")
    forged = Client(address="::1", user_agent='x"\r\nlogged_in user_id="1"\x1b[2J\u2028')
    await service.auth.accounts.sign_up(username="ada", password="secret", client=forged)
    for refused in (UnknownCredentials, Throttled):
        with pytest.raises(refused):
            await service.auth.accounts.log_in(username="ada", password="wrong", client=forged)

    lines = [each for each in caplog.records if each.name == "asgi_token_auth.events"]
    assert [each.levelname for each in lines] == ["INFO", "WARNING", "WARNING"]
    agent = r'user_agent="x\"??logged_in user_id=\"1\"?[2J?"'
    assert lines[0].getMessage() == f'signed_up user_id="1" address="::1" {agent}'
    assert lines[2].getMessage() == f'throttled address="::1" {agent} detail="log_in"'
    fields = vars(lines[1])
    found = (fields["event"], fields["user_id"], fields["address"], fields["detail"])
    assert found == ("login_failed", 1, "::1", "wrong_password")


async def test_what_is_throttled_is_told_but_not_written(start_service: ServiceFactory) -> None:
    """Whoever is refused for asking too often must not be able to fill a table."""
    told: list[Event] = []
    service = await start_service(on_event=told.append, limits=ONE_LOGIN)

    for refused in (UnknownCredentials, Throttled, Throttled):
        with pytest.raises(refused):
            await service.auth.accounts.log_in(username="ada", password="wrong", client=BROWSER)
    await service.auth._parts.events.stop()

    assert [(each.event, each.detail, each.address) for each in told] == [
        ("login_failed", "unknown_account", "203.0.113.7"),
        *[("throttled", "log_in", "203.0.113.7")] * 2,
    ]
    assert {each.event for each in await stored(service.auth)} <= {"login_failed"}


async def test_sessions_beyond_the_limit_leave_an_event(start_service: ServiceFactory) -> None:
    """Nobody asked for their end, so the trail says why they ended."""
    service = await start_service(tokens_per_user=2)
    await service.new_user()
    for _ in range(2):
        token = (await service.log_in()).json()["token"]

    events = [(each["event"], each["detail"]) for each in await listed(service, token)]

    assert events[:3] == [
        ("sessions_revoked", "limit"),
        ("logged_in", None),
        ("logged_in", None),
    ]


async def test_old_events_are_purged_by_the_application(
    start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those older than `events_lifetime`; None keeps them all."""
    service = await start_service(events_lifetime=timedelta(days=1))
    forever = await start_service(events_lifetime=None)
    await service.auth.accounts.sign_up(username="ada", password="secret")
    service.clock.forward(timedelta(days=1))
    forever.clock.forward(timedelta(days=1000))
    await service.auth.accounts.sign_up(username="bob", password="secret")
    assert (await forever.auth.accounts.purge())["events"] == 0
    assert (await service.auth.accounts.purge())["events"] == 0
    service.clock.forward(timedelta(milliseconds=1))

    await service.auth._housekeeper._purge()

    assert [row.user_id for row in await stored(service.auth)] == [2]


ROWS = 1500
TABLES = {"tokens": "tokens", "mails": "outbox", "events": "events"}


@contextlib.asynccontextmanager
async def filled(database_url: str) -> AsyncIterator[TokenAuth]:
    """Three tables with rows that are over, and one or two in each that are not."""
    patience = {"database_timeout": timedelta(seconds=60), "send_mail": False}
    auth = TokenAuth(database=database_url, **patience, **settings(Mailbox()))
    await auth.create_tables()
    await auth.accounts.sign_up(username="ada", password="secret")
    await auth.accounts.log_in(username="ada", password="secret")
    await auth._database.write(lambda session: fill(auth, session))
    try:
        yield auth
    finally:
        await auth.shutdown()


async def fill(auth: TokenAuth, session: Session) -> None:
    tables, now = auth.metadata.tables, auth.accounts._parts.now()
    token = {"purpose": "authentication", "user_id": 1, "created_at": 1}
    mail = {"kind": "x", "recipient": "x", "payload": "", "attempts": 1, "created_at": 1}
    young = {**mail, "id": "young", "state": "sent", "next_attempt_at": now}
    await session.insert(tables["outbox"].insert().values(**young))
    for number in range(ROWS):
        key, moment = f"{number:032}", 1_000_000_000_000 + number * 7919 % ROWS
        for table, values in (
            ("tokens", {**token, "digest": key, "expires_at": moment}),
            ("outbox", {**mail, "id": key, "state": "sent", "next_attempt_at": moment}),
            ("events", {"event": "x", "user_id": 1, "created_at": moment}),
        ):
            await session.insert(tables[table].insert().values(**values))


async def count_rows(auth: TokenAuth, name: str) -> int:
    table = auth.metadata.tables[name]
    return len(await auth._database.read(lambda session: session.all(table.select())))


async def test_processes_that_purge_side_by_side_share_the_work(database_url: str) -> None:
    """Nothing is counted twice, nothing that is young is lost, and none of them fails."""
    async with filled(database_url) as auth:
        reports = await asyncio.gather(*(asyncio.to_thread(purge, database_url) for _ in range(2)))
        total: dict[str, int] = {}
        for report in reports:
            for count, name in re.findall(r"(\d+) (\w+) deleted", report):
                total[name] = total.get(name, 0) + int(count)
        left = [await count_rows(auth, table) for table in TABLES.values()]

    assert total == {**dict.fromkeys(TABLES, ROWS), "revocations": 0}, reports
    assert left == [1, 1, 2]


async def test_a_purge_passes_by_what_another_has_locked(database_url: str) -> None:
    """It waits for nobody: not for a process that hangs amid its own purge."""
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite has one writer")
    async with filled(database_url) as auth:
        parts = auth.accounts._parts
        begun, release = asyncio.Event(), asyncio.Event()

        async def hang(session: Session) -> None:
            now = parts.now()
            await parts.tokens.purge_expired(session, now, 100)
            await parts.outbox._rows.purge(session, {"sent": now - 1000}, 100)
            await parts.events._rows.purge(session, now - 1000, 100)
            begun.set()
            await release.wait()

        hanging = asyncio.create_task(auth._database.write(hang))
        await begun.wait()
        async with asyncio.timeout(30):
            purged = await auth.accounts.purge()
        release.set()
        await hanging
        left = [await count_rows(auth, table) for table in TABLES.values()]

    assert purged == {**dict.fromkeys(TABLES, ROWS - 100), "revocations": 0}
    assert left == [1, 1, 2]


def purge(url: str) -> str:
    """`asgi-token-auth purge` in a process of its own, and nothing on standard error."""
    environment = {
        "TOKEN_AUTH_SECRET_KEY": SECRET_KEY,
        "TOKEN_AUTH_EMAIL_SENDER": "app@example.com",
        "TOKEN_AUTH_DATABASE": url,
        "TOKEN_AUTH_DATABASE_TIMEOUT": "60",
    }
    result = run_forked(command_line, "purge", environment=environment)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.parametrize(
    "wrong", [{"on_event": 1}, {"on_event": [print, None]}, {"events_lifetime": timedelta(0)}]
)
def test_wrong_settings_are_named(sqlite_url: str, wrong: dict[str, Any]) -> None:
    """At construction."""
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        TokenAuth(database=sqlite_url, **settings(Mailbox()), **wrong)
