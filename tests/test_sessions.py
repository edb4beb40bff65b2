"""Sessions for people: names, an end for what nobody uses, and a limit for each user."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from conftest import Service, ServiceFactory, running_service
from controlled_time import ControlledTime, controlled_time
from databases import Database
from test_live_sockets import App, opened
from test_verification import warm

from asgi_token_auth.accounts import housekeeping, purge
from asgi_token_auth.clock import utc_now
from asgi_token_auth.exceptions import InvalidFields, SessionNotFound
from asgi_token_auth.storage import revocations
from asgi_token_auth.testing import SettableClock
from asgi_token_auth.verification import feed, verifier

ADA = "ada@example.com"
IDLE = timedelta(minutes=30)
ASK = timedelta(
    0
)  # each request asks the database, so a clock that is moved is all the time there is


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed that vouches sooner, and uses that are noted sooner."""
    monkeypatch.setattr(feed, "OVERLAP_SECONDS", 0.15)
    monkeypatch.setattr(revocations, "LATE_SECONDS", 0.07)
    monkeypatch.setattr(verifier, "GATHER_SECONDS", 0.01)


@pytest.fixture
async def start_on_sqlite(sqlite_url: str) -> AsyncIterator[ServiceFactory]:
    """Starts a service where the database makes no difference."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**overrides: Any) -> Service:
            return await stack.enter_async_context(running_service(sqlite_url, **overrides))

        yield start


@pytest.fixture
def time() -> Iterator[ControlledTime]:
    with controlled_time() as time:
        yield time


async def listed(service: Service, token: str) -> list[Any]:
    answer = await service.call("GET", "/api/sessions", token=token)
    return list(answer.json()["sessions"])


async def log_in(service: Service, **more: Any) -> str:
    body = {"email": ADA, "password": "secret", **more}
    answer = await service.call("POST", "/api/sessions", body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


async def send(service: Service, method: str, path: str, body: Any, token: str = "") -> Any:
    """Also what httpx would not encode."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers["Content-Type"] = "application/json"
    return await service.client.request(method, path, content=json.dumps(body), headers=headers)


async def rename(service: Service, token: str, session_id: str, name: Any) -> Any:
    body = {"session": {"name": name}}
    return await send(service, "PUT", f"/api/sessions/{session_id}", body, token)


def own_connection(url: str) -> Database:
    return Database(url.replace("mysql:", "mysql+asyncmy:"))


async def count_tokens(url: str) -> int:
    async with own_connection(url) as own:
        return int(await own.fetch_val("SELECT COUNT(*) FROM tokens"))


async def put_a_row_that_stays(url: str) -> None:
    """A mailed token of long ago that is first in the table: who begins there finds it again."""
    async with own_connection(url) as own:
        await own.execute(
            "INSERT INTO tokens (digest, purpose, user_id, created_at, expires_at)"
            f" VALUES ('{'0' * 64}', 'confirmation', 1, 0, {2**52})"
        )


# Names


async def test_a_session_is_named_where_its_token_is_given(service: Service) -> None:
    """At login, confirmation and reset; without a name it has none."""
    await service.sign_up(ADA)
    confirm = {"confirmation_token": await service.mailbox.token(ADA), "session_name": "Confirm"}
    token = (await service.call("POST", "/api/users/1/confirm", confirm)).json()["token"]
    token = await log_in(service, session_name="  Ada's téléphone ☎ ")
    await log_in(service)

    names = [session["name"] for session in await listed(service, token)]
    assert sorted(names, key=str) == ["Ada's téléphone ☎", "Confirm", None]

    await service.call("POST", "/api/password_resets", {"email": ADA})
    reset = {
        "user_id": 1,
        "password_reset_token": await service.mailbox.token(ADA, "password_reset"),
        "password": "new secret",
        "session_name": "Reset",
    }
    token = (await service.call("POST", "/api/password_resets/reset", reset)).json()["token"]
    assert [session["name"] for session in await listed(service, token)] == ["Reset"]


async def test_a_session_is_renamed_by_its_owner(service: Service) -> None:
    """By its id, twice alike too; and what the application sees of it follows."""
    await service.new_user(ADA)
    token = await log_in(service, session_name="old")
    assert await service.is_good(token)
    (session,) = [each for each in await listed(service, token) if each["current"]]

    for _ in range(2):
        answer = await rename(service, token, session["id"], " new ")
        assert (answer.status_code, answer.json()) == (200, "ok")

    names = {each["id"]: each["name"] for each in await listed(service, token)}
    assert names.pop(session["id"]) == "new"
    assert set(names.values()) == {None}
    verified = await service.auth.verifier.verify(token.encode())
    assert verified.token.name == "new"


async def test_scripts_rename_sessions_too(service: Service) -> None:
    """The same checks behind `auth.accounts`."""
    await service.new_user(ADA)
    user = await service.auth.accounts.get(1)
    assert user is not None
    (token,) = await service.auth.accounts.list_sessions(user)

    await service.auth.accounts.rename_session(user, token.digest, "by script")

    (token,) = await service.auth.accounts.list_sessions(user)
    assert token.name == "by script"
    with pytest.raises(InvalidFields):
        await service.auth.accounts.rename_session(user, token.digest, "")
    with pytest.raises(SessionNotFound):
        await service.auth.accounts.rename_session(user, "0" * 64, "x")


BLANK, INVALID = "can't be blank", "invalid"
LONG = "should be at most 64 characters"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", BLANK),
        (" ", BLANK),
        (None, BLANK),
        ("x" * 65, LONG),
        ("a\nb", INVALID),
        ("a\u202eb", INVALID),
        ("a\0b", INVALID),
        ("\ud800", INVALID),
        (7, INVALID),
        (["x"], INVALID),
    ],
)
async def test_bad_names_are_refused(sqlite_url: str, name: Any, message: str) -> None:
    """Before anything reaches a database, so one will do: everywhere a name is taken."""
    async with running_service(sqlite_url) as service:
        token = (await service.new_user(ADA))["token"]
        (session,) = await listed(service, token)

        answer = await rename(service, token, session["id"], name)

        assert (answer.status_code, answer.json()) == (422, {"errors": {"name": message}})
        if message == BLANK:
            await log_in(service, session_name=name)  # left out is fine there
            return
        for path, more in (
            ("/api/sessions", {"email": ADA, "password": "secret"}),
            ("/api/users/1/confirm", {"confirmation_token": "x"}),
            ("/api/password_resets/reset", {"user_id": 1, "password_reset_token": "x"}),
        ):
            body = {"password": "secret", **more, "session_name": name}
            answer = await send(service, "POST", path, body)
            assert (answer.status_code, answer.json()["errors"]["session_name"]) == (422, message)


async def test_the_longest_name_is_stored(service: Service) -> None:
    """64 characters of any plane."""
    await service.new_user(ADA)
    token = await log_in(service, session_name="🦉" * 64)

    assert "🦉" * 64 in [session["name"] for session in await listed(service, token)]


async def test_a_body_without_a_session_names_nothing(service: Service) -> None:
    """The field is missing, whatever else there is."""
    token = (await service.new_user(ADA))["token"]
    (session,) = await listed(service, token)

    for body in ({}, {"session": None}, {"session": "x"}, {"name": "x"}):
        answer = await service.call("PUT", f"/api/sessions/{session['id']}", body, token)
        assert (answer.status_code, answer.json()) == (422, {"errors": {"name": BLANK}})


async def test_nobody_renames_anothers_session(service: Service) -> None:
    """An id is no permission; nor is one that is ended, or none."""
    ada = (await service.new_user(ADA))["token"]
    eve = (await service.new_user("eve@example.com"))["token"]
    (session,) = await listed(service, ada)

    for session_id in (session["id"], "0" * 64, "nonsense", "%00"):
        assert (await rename(service, eve, session_id, "mine")).status_code == 404
    assert (await listed(service, ada))[0]["name"] is None
    answer = await service.call("PUT", f"/api/sessions/{session['id']}", {"session": {"name": "x"}})
    assert answer.status_code == 401


# Idle lifetime


class Passing:
    """Time that passes for services: what they wait for, and what the clock shows."""

    def __init__(self, time: ControlledTime, clock: SettableClock) -> None:
        self.time = time
        self.clock = clock

    def forward(self, duration: timedelta) -> None:
        self.time.forward(duration.total_seconds())
        self.clock.forward(duration)


async def use(service: Service, token: str) -> bool:
    """Uses a token, and waits until that is noted."""
    good = await service.is_good(token)
    await asyncio.sleep(0.08)
    return good


@pytest.mark.parametrize("lag", [ASK, timedelta(seconds=1)])
async def test_a_token_dies_by_disuse_and_at_the_hard_cap(
    start_service: ServiceFactory, time: ControlledTime, lag: timedelta
) -> None:
    """Used often enough it lasts to its end and no longer; unused, half an hour."""
    service = await start_service(
        idle_lifetime=IDLE, token_lifetime=timedelta(hours=2), revocation_lag=lag
    )
    passing = Passing(time, service.clock)
    used, unused = (await service.new_user(ADA))["token"], await log_in(service)

    for _ in range(5):
        assert await use(service, used)
        passing.forward(timedelta(minutes=20))
    assert await service.is_good(used)
    assert not await service.is_good(unused)
    assert len(await listed(service, used)) == 1
    passing.forward(timedelta(minutes=20))
    assert not await service.is_good(used)


async def test_a_token_dies_after_its_last_use(
    start_service: ServiceFactory, time: ControlledTime
) -> None:
    """Not after its first: also one that this process remembers."""
    service = await start_service(idle_lifetime=IDLE)
    passing = Passing(time, service.clock)
    token = (await service.new_user(ADA))["token"]
    passing.forward(timedelta(minutes=20))
    assert await use(service, token)

    passing.forward(IDLE - timedelta(seconds=1))
    user = await service.auth.accounts.get(1)
    assert user is not None
    assert len(await service.auth.accounts.list_sessions(user)) == 1
    passing.forward(timedelta(seconds=1))

    assert await service.auth.accounts.list_sessions(user) == []
    assert not await service.is_good(token)
    assert (await service.log_in()).status_code == 200


@pytest.mark.parametrize("lag", [ASK, timedelta(seconds=1)])
async def test_a_use_in_one_process_counts_in_all(
    start_service: ServiceFactory, time: ControlledTime, lag: timedelta
) -> None:
    """A process that did not see the token for long asks, before it says that it is dead."""
    options = {"idle_lifetime": IDLE, "clock": SettableClock(), "revocation_lag": lag}
    here, there = await start_service(**options), await start_service(**options, send_mail=False)
    passing = Passing(time, options["clock"])  # type: ignore[arg-type]
    token, unused = (await here.new_user(ADA))["token"], await log_in(here)
    for service in (here, there):
        assert await service.is_good(token)
        assert await service.is_good(unused)

    for _ in range(3):
        passing.forward(timedelta(minutes=20))
        assert await use(here, token)

    assert await there.is_good(token)
    assert not await there.is_good(unused)
    assert not await here.is_good(unused)


async def test_a_token_in_constant_use_outlives_the_shortest_idle_lifetime(
    start_on_sqlite: ServiceFactory, time: ControlledTime
) -> None:
    """What is noted lags, by a tenth of it and `user_max_age`, and that is never too much; known
    tokens are not read more often for it."""
    idle, step = timedelta(minutes=1), timedelta(seconds=2)
    service = await start_on_sqlite(idle_lifetime=idle, user_max_age=timedelta(seconds=15))
    passing = Passing(time, service.clock)
    token = (await service.new_user(ADA))["token"]

    for _ in range(50):
        passing.forward(step)
        assert await service.is_good(token)
        await asyncio.sleep(0.01)


async def test_an_open_socket_is_a_use(
    start_on_sqlite: ServiceFactory, time: ControlledTime
) -> None:
    """However silent: who listens is there. Once it is closed, its token dies like any."""
    lag = timedelta(seconds=0.05)
    service = await start_on_sqlite(
        idle_lifetime=timedelta(minutes=1), user_max_age=timedelta(seconds=15), revocation_lag=lag
    )
    passing = Passing(time, service.clock)
    token = (await service.new_user(ADA))["token"]
    async with opened(service, App(), token) as browser:
        for _ in range(18):
            passing.forward(timedelta(seconds=5))
            await asyncio.sleep(0.07)
        browser.say("still here")
        assert (await browser.hear())["text"] == f"{ADA}: still here"

    passing.forward(timedelta(minutes=1))
    assert not await service.is_good(token)


async def test_an_idle_token_is_not_renamed(start_service: ServiceFactory) -> None:
    """It is in no list, so it is not found."""
    service = await start_service(idle_lifetime=IDLE, revocation_lag=ASK)
    token = (await service.new_user(ADA))["token"]
    (session,) = await listed(service, token)
    service.clock.forward(IDLE)
    fresh = await log_in(service)

    assert (await rename(service, fresh, session["id"], "x")).status_code == 404


async def test_what_died_by_disuse_is_purged(
    start_service: ServiceFactory, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In steps through the whole table, past what is in use and what was mailed; a minute later
    than it died, for a use that is just being noted."""
    monkeypatch.setattr(purge, "STRIDE", 1)
    service = await start_service(idle_lifetime=IDLE, revocation_lag=ASK)
    token = (await service.new_user(ADA))["token"]
    for _ in range(5):
        await log_in(service)
    await put_a_row_that_stays(database_url)
    service.clock.forward(IDLE - timedelta(minutes=1))
    assert await use(service, token)
    service.clock.forward(timedelta(minutes=1, seconds=59))

    assert await service.auth.accounts.purge_expired() == 0
    service.clock.forward(timedelta(seconds=1))
    assert await service.auth.accounts.purge_expired() == 5

    assert await count_tokens(database_url) == 2
    assert await service.is_good(token)


async def test_without_an_idle_lifetime_nothing_dies_by_disuse(service: Service) -> None:
    """As ever."""
    token = (await service.new_user(ADA))["token"]
    service.clock.forward(timedelta(days=6))

    assert await service.auth.accounts.purge_expired() == 0
    assert await service.is_good(token)


async def test_a_running_application_purges_by_itself(
    start_service: ServiceFactory, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step at a time, over and over."""
    monkeypatch.setattr(purge, "STRIDE", 1)
    monkeypatch.setattr(housekeeping, "PAUSE_SECONDS", 0.02)
    service = await start_service(idle_lifetime=IDLE, revocation_lag=ASK)
    await service.new_user(ADA)
    for _ in range(4):
        await log_in(service)
    await put_a_row_that_stays(database_url)
    service.clock.forward(IDLE + timedelta(minutes=1))

    async with asyncio.timeout(10):
        left = 6
        while left > 1:
            await asyncio.sleep(0.05)
            left = await count_tokens(database_url)


# Tokens a user


async def test_one_login_too_many_ends_the_token_used_least_recently(
    start_service: ServiceFactory,
) -> None:
    """Not the oldest; and of this user alone."""
    service = await start_service(tokens_per_user=2, revocation_lag=ASK)
    eve = (await service.new_user("eve@example.com"))["token"]
    first = (await service.new_user(ADA))["token"]
    service.clock.forward(timedelta(minutes=5))
    second = await log_in(service)
    service.clock.forward(timedelta(minutes=5))
    assert await use(service, first)
    service.clock.forward(timedelta(minutes=5))

    third = await log_in(service)

    left = [await service.is_good(token) for token in (first, second, third, eve)]
    assert left == [True, False, True, True]
    assert len(await listed(service, first)) == 2


async def test_an_expired_token_takes_no_place_of_a_live_one(
    start_service: ServiceFactory,
) -> None:
    """Though it was used after that, and is not purged yet."""
    service = await start_service(tokens_per_user=2, revocation_lag=ASK)
    expired = (await service.new_user(ADA))["token"]
    service.clock.forward(timedelta(days=3))
    live = await log_in(service)
    service.clock.forward(timedelta(days=3))
    assert await use(service, expired)
    service.clock.forward(timedelta(days=1, seconds=1))
    assert not await service.is_good(expired)

    fresh = await log_in(service)

    assert [await service.is_good(token) for token in (live, fresh)] == [True, True]
    events = (await service.call("GET", "/api/account/events", token=fresh)).json()["events"]
    assert "sessions_revoked" not in [event["event"] for event in events]


async def test_the_limit_ends_nothing_that_was_mailed(start_service: ServiceFactory) -> None:
    """A reset under way goes on; and it leaves its own token alone."""
    service = await start_service(tokens_per_user=1)
    await service.new_user(ADA)
    await service.call("POST", "/api/password_resets", {"email": ADA})
    reset = await service.mailbox.token(ADA, "password_reset")
    await log_in(service)
    token = await log_in(service)

    body = {"user_id": 1, "password_reset_token": reset, "password": "new secret"}
    answer = await service.call("POST", "/api/password_resets/reset", body)

    assert answer.status_code == 200
    assert not await service.is_good(token)
    assert len(await listed(service, answer.json()["token"])) == 1


async def test_the_limit_holds_at_confirmations(start_service: ServiceFactory) -> None:
    """A new address is confirmed: that gives a token too."""
    service = await start_service(tokens_per_user=1, revocation_lag=ASK)
    token = (await service.new_user(ADA))["token"]
    body = {"account": {"email": "new@example.com"}}
    assert (await service.call("PUT", "/api/account", body, token)).status_code == 200

    fresh = (await service.confirm("new@example.com")).json()["token"]

    assert [await service.is_good(each) for each in (token, fresh)] == [False, True]


async def test_what_a_login_ends_ends_in_every_process(start_on_sqlite: ServiceFactory) -> None:
    """At once where the login was; elsewhere within the bound."""
    lag = timedelta(seconds=0.2)
    options: dict[str, Any] = {"tokens_per_user": 1, "revocation_lag": lag, "clock": utc_now}
    here, there = (
        await start_on_sqlite(**options),
        await start_on_sqlite(**options, send_mail=False),
    )
    token = (await here.new_user(ADA))["token"]
    await warm(here, token)
    await warm(there, token)

    await log_in(here)

    assert not await here.is_good(token)
    await asyncio.sleep(lag.total_seconds())
    assert not await there.is_good(token)


async def test_logins_side_by_side_leave_exactly_the_limit(
    start_service: ServiceFactory, database_url: str
) -> None:
    """No two spare what the other ends, nor end what the other spares; in two processes."""
    options: dict[str, Any] = {"tokens_per_user": 3, "clock": utc_now}
    here, there = await start_service(**options), await start_service(**options, send_mail=False)
    await here.new_user(ADA)

    tokens = await asyncio.gather(*(log_in((here, there)[n % 2]) for n in range(20)))

    assert await count_tokens(database_url) == 3
    good = [token for token in tokens if await here.is_good(token)]
    assert len(good) == 3
    assert len(await listed(here, good[0])) == 3
