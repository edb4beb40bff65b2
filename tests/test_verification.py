"""Verified tokens are remembered, and a revocation reaches every process within the bound.

Two services on one database are two processes, as far as either can tell.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import Service, ServiceFactory, running_service

from asgi_token_auth import users_table
from asgi_token_auth.clock import utc_now
from asgi_token_auth.exceptions import DatabaseUnavailable
from asgi_token_auth.storage import revocations
from asgi_token_auth.storage.database import Database
from asgi_token_auth.storage.tokens import Tokens
from asgi_token_auth.verification import feed, verifier

ADA = "ada@example.com"
LAG = timedelta(seconds=0.2)
SHORT: dict[str, Any] = {"revocation_lag": LAG, "clock": utc_now}


@pytest.fixture(autouse=True)
def _short_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed that vouches sooner, so that tests are quick."""
    monkeypatch.setattr(feed, "OVERLAP_SECONDS", 0.15)
    monkeypatch.setattr(revocations, "LATE_SECONDS", 0.07)


@pytest.fixture
async def two(start_service: ServiceFactory) -> tuple[Service, Service]:
    """Two processes."""
    return await start_service(**SHORT), await start_service(**SHORT, send_mail=False)


async def warm(service: Service, *tokens: str) -> None:
    """Uses tokens until the feed vouches for them."""
    for _ in range(4):
        for token in tokens:
            assert await service.is_good(token)
        await asyncio.sleep(LAG.total_seconds())
    for token in tokens:
        assert await service.is_good(token)


@contextlib.contextmanager
def counted_reads(monkeypatch: pytest.MonkeyPatch) -> Any:
    """How many reads reach the database."""
    reads: list[float] = []
    read = Database.read

    async def counting(self: Database, work: Any) -> Any:
        reads.append(time.monotonic())
        return await read(self, work)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "read", counting)
        yield reads


async def test_a_warm_token_asks_nobody(
    start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand requests, and no query but the feed's."""
    service = await start_service(**SHORT)
    tokens = [(await service.new_user())["token"], (await service.log_in()).json()["token"]]
    await warm(service, *tokens)

    with counted_reads(monkeypatch) as reads:
        began = time.monotonic()
        for _ in range(500):
            for token in tokens:
                assert await service.is_good(token)
            await asyncio.sleep(0)
        seconds = time.monotonic() - began

    assert len(reads) <= 2 + seconds / (verifier.READ_AHEAD * LAG.total_seconds())


async def test_a_token_with_a_wrong_signature_asks_nobody(
    start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever makes tokens up costs the database nothing."""
    service = await start_service(revocation_lag=timedelta(0), send_mail=False)
    await service.auth.accounts.sign_up(username="ada", password="secret")
    token = (await service.auth.accounts.log_in(username="ada", password="secret")).token
    wrong = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")

    with counted_reads(monkeypatch) as reads:
        for made_up in (wrong, "nonsense", "a.b.c"):
            assert not await service.is_good(made_up)
        assert reads == []
        assert await service.is_good(token)
        assert len(reads) == 1


ENDINGS: dict[str, Callable[[Service, str, str], Any]] = {
    "log out": lambda s, a, b: s.call("DELETE", "/api/sessions", token=a),
    "log out everywhere": lambda s, a, b: s.call("DELETE", "/api/sessions?scope=all", token=a),
    "log out the others": lambda s, a, b: s.call("DELETE", "/api/sessions?scope=others", token=b),
    "password": lambda s, a, b: s.call(
        "PUT", "/api/account", {"account": {"password": "other secret"}}, b
    ),
    "deletion": lambda s, a, b: s.call("DELETE", "/api/account", {"password": "secret"}, b),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_whatever_ends_a_token_ends_it_in_every_process(
    two: tuple[Service, Service], ending: str
) -> None:
    """At once where it was ended; elsewhere within the bound."""
    here, there = two
    ended, other = (await here.new_user())["token"], (await here.log_in()).json()["token"]
    await warm(there, ended, other)

    assert (await ENDINGS[ending](here, ended, other)).status_code == 200
    answered = time.monotonic()

    assert not await here.is_good(ended)
    while time.monotonic() < answered + LAG.total_seconds():
        await there.is_good(ended)
        await asyncio.sleep(0.005)
    assert not await there.is_good(ended)
    survives = ending in ("log out", "log out the others", "password")
    assert await here.is_good(other) == await there.is_good(other) == survives


async def test_a_reset_ends_tokens_in_every_process(two: tuple[Service, Service]) -> None:
    """Whoever had the old password is out, everywhere."""
    here, there = two
    token = (await here.new_user())["token"]
    await warm(there, token)
    await here.call("POST", "/api/password_resets", {"email": ADA})
    secret = await here.mailbox.token(ADA)
    body = {"user_id": 1, "password_reset_token": secret, "password": "new secret"}

    assert (await here.call("POST", "/api/password_resets/reset", body)).status_code == 200

    assert not await here.is_good(token)
    await asyncio.sleep(LAG.total_seconds())
    assert not await there.is_good(token)


async def test_a_change_of_the_user_is_seen_in_every_process(start_service: ServiceFactory) -> None:
    """An application shows the name that its user has."""
    table = users_table(None, sa.Column("name", sa.String(20)), sa.Column("likes", sa.JSON))
    options = {**SHORT, "users": table, "user_fields": ["name", "likes"]}
    here, there = await start_service(**options), await start_service(**options, send_mail=False)
    token = (await here.new_user())["token"]
    await warm(there, token)
    changes = {"name": "Ada", "likes": ["engines"]}

    answer = await here.call("PUT", "/api/account", {"account": changes}, token)
    assert answer.status_code == 200, answer.text

    async def shown(service: Service) -> Any:
        account = (await service.call("GET", "/api/account", token=token)).json()["account"]
        return {name: account[name] for name in changes}

    assert await shown(here) == changes
    await asyncio.sleep(LAG.total_seconds())
    assert await shown(there) == changes


async def test_what_the_application_changes_itself_is_seen_in_time(
    start_service: ServiceFactory,
) -> None:
    """By `forget` within the bound; unannounced, within `user_max_age`."""
    here = await start_service(**SHORT)
    there = await start_service(**SHORT, user_max_age=timedelta(seconds=1.5), send_mail=False)
    token = (await here.new_user())["token"]
    await warm(there, token)
    await warm(here, token)
    users = here.auth.users

    async def rename(email: str) -> None:
        change = users.update().values(email=email)
        await here.auth._database.write(lambda session: session.change(change))

    async def email(service: Service) -> Any:
        return (await service.call("GET", "/api/messages", token=token)).json()["email"]

    await rename("lovelace@example.com")
    assert await email(here) == ADA
    await asyncio.sleep(1.5)
    assert await email(there) == "lovelace@example.com"
    await rename("byron@example.com")
    await here.auth.forget(1)
    assert await email(here) == "byron@example.com"
    await asyncio.sleep(LAG.total_seconds())
    assert await email(there) == "byron@example.com"
    await here.auth.forget("nobody")


async def test_without_a_lag_every_request_asks(start_service: ServiceFactory) -> None:
    """For those who can't wait: the answer in one process is the end in all."""
    options = {**SHORT, "revocation_lag": timedelta(0)}
    here, there = await start_service(**options), await start_service(**options, send_mail=False)
    tokens = [(await here.new_user())["token"]]
    tokens += [(await here.log_in()).json()["token"] for _ in range(20)]

    for token in tokens:
        assert await there.is_good(token)
        await here.call("DELETE", "/api/sessions", token=token)
        assert not await there.is_good(token)


async def test_a_revocation_during_a_look_up_is_not_cached_over(
    two: tuple[Service, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before is not kept, in the own process nor where the feed tells of it."""
    here, there = two
    tokens = [(await here.new_user())["token"]]
    tokens += [(await here.log_in()).json()["token"] for _ in range(3)]
    await warm(there, tokens[0])
    read, hold = Tokens.with_users, asyncio.Event()

    async def held(self: Tokens, *arguments: Any) -> Any:
        found = await read(self, *arguments)
        await hold.wait()
        return found

    for service, token in ((here, tokens[1]), (there, tokens[2])):
        hold.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Tokens, "with_users", held)
            use = asyncio.create_task(service.is_good(token))
            await asyncio.sleep(0.05)
        await here.auth.accounts.revoke_session(_user(1), _token_id(token))
        for _ in range(8):  # in the other process the feed is read meanwhile
            await service.is_good(tokens[0])
            await asyncio.sleep(0.05)
        hold.set()
        assert not await use
        assert not await service.is_good(token)


def _user(key: int) -> Any:
    from asgi_token_auth import User

    return User(key, None, None, None)


def _token_id(token: str) -> str:
    import base64
    import json

    part = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["token_id"])


async def test_a_commit_that_comes_late_is_told_again(
    two: tuple[Service, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids are given in order and committed out of order: a reader may be past the lower one."""
    here, there = two
    slow, quick = (await here.new_user())["token"], (await here.log_in()).json()["token"]
    if here.auth._database.dialect.single_writer:
        return  # SQLite commits in order
    await here.new_user("bob@example.com")
    bob = (await here.log_in("bob@example.com")).json()["token"]
    await warm(there, slow, quick, bob)
    publish = revocations.Revocations.publish
    began = asyncio.Event()

    async def slowly(self: Any, session: Any) -> float:
        written_at = await publish(self, session)
        if session.forgotten == {1} and not began.is_set():
            began.set()
            await asyncio.sleep(1)
        return written_at

    monkeypatch.setattr(revocations.Revocations, "publish", slowly)
    late = asyncio.create_task(here.call("DELETE", "/api/sessions", token=slow))
    await began.wait()
    await here.call("DELETE", "/api/sessions", token=bob)
    while not late.done():
        assert not await _refused(there, quick)
        await asyncio.sleep(0.02)
    await asyncio.sleep(LAG.total_seconds())

    assert not await there.is_good(bob)
    assert not await there.is_good(slow)
    assert await there.is_good(quick)


async def _refused(service: Service, token: str) -> bool:
    return not await service.is_good(token)


async def test_more_news_than_can_be_read_make_a_process_forget_everything(
    two: tuple[Service, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst costs look-ups, and never the bound."""
    here, there = two
    monkeypatch.setattr(feed, "MOST_NEWS", 10)
    ended, good = (await here.new_user())["token"], (await here.log_in()).json()["token"]
    await warm(there, ended, good)

    await asyncio.gather(*(here.auth.forget(1000 + number) for number in range(30)))
    await here.call("DELETE", "/api/sessions", token=ended)
    await asyncio.sleep(LAG.total_seconds())

    assert not await there.is_good(ended)
    assert await there.is_good(good)


async def test_ids_that_are_given_a_second_time_are_found_out(
    two: tuple[Service, Service],
) -> None:
    """A database put back from a copy goes on with ids that readers have passed already."""
    here, there = two
    ended, good = (await here.new_user())["token"], (await here.log_in()).json()["token"]
    for number in range(20):
        await here.auth.forget(1000 + number)
    await warm(there, ended, good)
    await asyncio.sleep(0.3)
    assert await there.is_good(good)
    table = here.auth._parts.revocations.table

    async def put_back(session: Any) -> None:
        await session.change(table.delete().where(table.c.id > 5))
        # As its revocation by another process would be written there.
        await session.change(here.auth.metadata.tables["tokens"].delete().where(sa.true()))
        await session.run(table.insert().values(id=6, user_id=1, created_at=0))

    await here.auth._database.write(put_back)
    await asyncio.sleep(LAG.total_seconds())

    assert not await there.is_good(ended)


async def test_old_news_are_purged_and_readers_stay_right(two: tuple[Service, Service]) -> None:
    """The table stays small, and a reader whose place is gone begins anew."""
    here, there = two
    ended, good = (await here.new_user())["token"], (await here.log_in()).json()["token"]
    for number in range(20):
        await here.auth.forget(1000 + number)
    await warm(there, ended, good)
    purge = here.auth._parts.revocations.purge
    now = int(time.time() * 1000)
    count = await here.auth._database.write(lambda session: purge(session, now + 1000, 10))
    rest = await here.auth._database.write(lambda session: purge(session, now + 1000, 1000))

    assert (count, rest > 10) == (10, True)
    assert await there.is_good(good)
    await here.call("DELETE", "/api/sessions", token=ended)
    await asyncio.sleep(LAG.total_seconds())
    assert not await there.is_good(ended)
    assert await there.is_good(good)
    assert await here.auth._database.write(lambda s: purge(s, now - 60_000, 1000)) == 0


async def test_known_tokens_outlive_the_database_by_no_more_than_the_bound(
    two: tuple[Service, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then 503, never 401 and never a pass; and back by itself."""
    here, there = two
    token = (await here.new_user())["token"]
    await warm(there, token)

    async def down(self: Database, work: Any) -> Any:
        raise DatabaseUnavailable

    async def status() -> int:
        return int((await there.call("GET", "/api/messages", token=token)).status_code)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "read", down)
        gone_at = time.monotonic()
        seen = []
        while time.monotonic() < gone_at + 2 * LAG.total_seconds():
            seen.append((time.monotonic() - gone_at, await status()))
            await asyncio.sleep(0.01)
    assert {code for _, code in seen} == {200, 503}
    assert all(code == 503 for moment, code in seen if moment > LAG.total_seconds())
    assert await status() == 200


async def test_tokens_that_come_together_are_read_together(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One query for a hundred first uses, and for a hundred uses of one."""
    tokens = [(await service.new_user())["token"]]
    tokens += [(await service.log_in()).json()["token"] for _ in range(149)]

    with counted_reads(monkeypatch) as reads:
        assert all(await asyncio.gather(*map(service.is_good, tokens)))
        several = len(reads)
        await service.auth.accounts.log_out(_user(1), scope="all")
        fresh = (await service.log_in()).json()["token"]
        reads.clear()
        assert all(await asyncio.gather(*(service.is_good(fresh) for _ in range(100))))

    assert several <= 6
    assert len(reads) == 1


async def test_the_cache_is_bounded(start_service: ServiceFactory) -> None:
    """Memory is the operator's to say; what does not fit is read again."""
    service = await start_service(**SHORT, cached_tokens=10)
    tokens = [(await service.new_user())["token"]]
    tokens += [(await service.log_in()).json()["token"] for _ in range(40)]

    for _ in range(3):
        for token in tokens:
            assert await service.is_good(token)

    assert len(service.auth.verifier._cache) <= 10


async def test_only_one_spelling_of_a_good_token_is_remembered(service: Service) -> None:
    """jose takes any number of spellings of one signature: they gain nothing."""
    token = (await service.new_user())["token"]
    assert await service.is_good(token)
    cache = service.auth.verifier._cache
    remembered = len(cache)
    spellings = [f"{token}=", f"{token}!!", f"{token[:-1]}", f" {token}", token + "A" * 5000]

    for header in [*(f"Bearer {spelling}" for spelling in spellings), f"bearer {token}"]:
        await service.client.get("/api/messages", headers={"Authorization": header})

    assert len(cache) == remembered
    assert await service.is_good(token)


async def test_a_token_ends_on_time_by_the_machines_clock(start_service: ServiceFactory) -> None:
    """Also while it is remembered."""
    service = await start_service(**SHORT, token_lifetime=timedelta(seconds=2))
    issued = time.time()
    token = (await service.new_user())["token"]

    while time.time() < int(issued) + 1.9:
        assert await service.is_good(token)
        await asyncio.sleep(0.02)
    await asyncio.sleep(1.2)
    assert not await service.is_good(token)


async def test_uses_are_noted_together_and_seldom(service: Service) -> None:
    """The list of sessions shows when each was used last, at the price of a write a minute."""
    tokens = [(await service.new_user())["token"], (await service.log_in()).json()["token"]]

    async def used() -> list[str]:
        answer = await service.call("GET", "/api/sessions", token=tokens[0])
        return [session["last_used_at"] for session in answer.json()["sessions"]]

    before = await used()
    service.clock.forward(timedelta(minutes=5))
    await service.auth.forget(1)
    for token in tokens:
        assert await service.is_good(token)
    await asyncio.sleep(verifier.GATHER_SECONDS + 0.3)

    assert all(later > earlier for later, earlier in zip(await used(), before, strict=True))


async def test_tokens_in_use_are_read_again_beside_the_requests(
    start_service: ServiceFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request waits because the news or a user's row have aged. Each is read again a tenth of
    its time before: so long, here, that a busy machine does it in time."""
    lag, age = timedelta(seconds=2), timedelta(seconds=4)
    service = await start_service(revocation_lag=lag, user_max_age=age, clock=utc_now)
    token = (await service.new_user())["token"]
    await asyncio.sleep(lag.total_seconds() * 1.1)  # until the feed vouches
    await warm(service, token)
    waited = 0
    verify = verifier.Verifier.verify

    async def waiting(self: Any, token: bytes) -> Any:
        nonlocal waited
        waited += 1
        return await verify(self, token)

    monkeypatch.setattr(verifier.Verifier, "verify", waiting)
    with counted_reads(monkeypatch) as reads:
        for _ in range(500):
            assert await service.is_good(token)
            await asyncio.sleep(0.01)

    assert waited <= 2
    assert 3 <= len(reads) <= 12  # the feed's, and one or two of the token's


async def test_one_token_auth_serves_one_event_loop_after_another(tmp_path: Any) -> None:
    """As scripts and test clients do; nothing waits for a loop that is gone."""
    url = f"sqlite:///{tmp_path}/x.db"
    seen: list[bool] = []

    async def use() -> None:
        async with running(url) as service:
            token = (await service.new_user(f"{len(seen)}@example.com"))["token"]
            seen.append(await service.is_good(token))

    @contextlib.asynccontextmanager
    async def running(url: str) -> AsyncIterator[Service]:
        async with running_service(url, **SHORT) as service:
            yield service

    for _ in range(2):
        await asyncio.to_thread(lambda: asyncio.run(use()))
    assert seen == [True, True]
