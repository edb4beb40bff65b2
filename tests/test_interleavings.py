"""Awkward moments: what is cancelled, overtaken, given up or shut down in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from controlled_time import ControlledTime, controlled_time
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from asgi_token_auth import TokenAuth
from asgi_token_auth.exceptions import DatabaseUnavailable, InvalidToken
from asgi_token_auth.sockets import LiveSocket, read_token
from asgi_token_auth.storage.users import User
from asgi_token_auth.storage.workers import QUEUE_LIMIT, Unit
from asgi_token_auth.testing import Mailbox, settings
from asgi_token_auth.verification.cache import CachedToken, TokenCache
from asgi_token_auth.verification.loader import Load, TokenLoader
from asgi_token_auth.verification.verified import VerifiedToken

ADA, BOB = "ada", "bob"
OUT_OF_ORDER = pytest.mark.parametrize("database_url", ["postgresql", "mysql"], indirect=True)


@pytest.fixture
def time() -> Iterator[ControlledTime]:
    with controlled_time() as time:
        yield time


@contextlib.asynccontextmanager
async def running(database_url: str, **overrides: Any) -> AsyncIterator[TokenAuth]:
    auth = TokenAuth(**{"database": database_url, **settings(Mailbox()), **overrides})
    await auth.create_tables()
    try:
        yield auth
    finally:
        await auth.verifier.stop()
        await auth._database.disconnect()


async def new_token(auth: TokenAuth, username: str = ADA) -> tuple[User, bytes]:
    await auth.accounts.sign_up(username=username, password="secret")
    issued = await auth.accounts.log_in(username=username, password="secret")
    return issued.user, issued.token.encode()


class HeldReads:
    """The verifier's reads of tokens: the answer is there, and comes when `arrive` is set."""

    def __init__(self, auth: TokenAuth) -> None:
        self._read = auth.verifier._loader._read
        auth.verifier._loader._read = self
        self.read = asyncio.Event()
        self.arrive = asyncio.Event()

    async def __call__(self, digests: Any) -> Any:
        found = await self._read(digests)
        self.read.set()
        await self.arrive.wait()
        return found


async def give_up(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.wait({task})


async def test_a_read_whose_reader_left_does_not_outlive_a_logout(sqlite_url: str) -> None:
    """The query goes on without the request that began it; who joins later must learn of what
    was forgotten meanwhile."""
    async with running(sqlite_url) as auth:
        user, token = await new_token(auth)
        reads = HeldReads(auth)
        first = asyncio.create_task(auth.verifier.verify(token))
        await reads.read.wait()
        await give_up(first)
        await auth.accounts.log_out(user)

        second = asyncio.create_task(auth.verifier.verify(token))
        await asyncio.sleep(0.01)
        reads.arrive.set()

        with pytest.raises(InvalidToken):
            await second


async def test_a_read_whose_reader_left_does_not_outlive_the_news(
    sqlite_url: str, time: ControlledTime
) -> None:
    """The feed tells each thing once: what is read before and remembered after stays."""
    async with running(sqlite_url) as auth, running(sqlite_url) as other:
        user, token = await new_token(auth)
        for _ in range(4):  # the feed vouches for something by then
            time.forward(1)
            await auth.verifier.catch_up()
        reads = HeldReads(auth)
        first = asyncio.create_task(auth.verifier.verify(token))
        await reads.read.wait()
        await give_up(first)
        await other.accounts.log_out(user)
        time.forward(0.95)
        await auth.verifier.catch_up()
        second = asyncio.create_task(auth.verifier.verify(token))
        await asyncio.sleep(0.01)
        reads.arrive.set()
        with contextlib.suppress(InvalidToken):
            await second
        time.forward(5)

        with pytest.raises(InvalidToken):
            await auth.verifier.verify(token)


@OUT_OF_ORDER
async def test_news_committed_out_of_order_are_read_however_rare_the_reads(
    database_url: str, time: ControlledTime
) -> None:
    """A reader that comes every few seconds has seen the higher id, and then waits so long that
    the lower one is no longer within the overlap."""
    async with running(database_url) as auth, running(database_url) as other:
        user, token = await new_token(auth)
        bystander, _ = await new_token(auth, BOB)
        for _ in range(4):
            time.forward(1)
            await auth.verifier.catch_up()
        published, commit = _hold_commits(other)
        logout = asyncio.create_task(other.accounts.log_out(user))
        await published.wait()
        await auth.accounts.log_out(bystander)  # a higher id, committed first
        time.forward(0.95)
        await auth.verifier.catch_up()
        await auth.verifier.verify(token)
        commit.set()
        assert await logout == 1
        time.forward(3)

        with pytest.raises(InvalidToken):
            await auth.verifier.verify(token)


def _hold_commits(auth: TokenAuth) -> tuple[asyncio.Event, asyncio.Event]:
    """When news are written, and when their COMMIT may follow."""
    published, commit = asyncio.Event(), asyncio.Event()
    publish = auth._parts.revocations.publish

    async def publish_and_wait(session: Any) -> float:
        began = await publish(session)
        published.set()
        await commit.wait()
        return began

    auth._parts.revocations.publish = publish_and_wait  # type: ignore[method-assign]
    return published, commit


async def hang(session: Any) -> None:
    await asyncio.Event().wait()


QUICK = {"database_timeout": timedelta(seconds=0.5)}


async def test_work_whose_caller_left_is_given_up_like_any_other(sqlite_url: str) -> None:
    """Or one that hangs holds its worker for good; on SQLite there is one writer."""
    async with running(sqlite_url, **QUICK) as auth:
        caller = asyncio.create_task(auth._database.write(hang))
        await asyncio.sleep(0.05)
        await give_up(caller)
        await asyncio.sleep(0.7)
        await new_token(auth)


async def test_work_that_nobody_waits_for_is_given_up_like_any_other(sqlite_url: str) -> None:
    """Or each note of a last use that waits for a lock takes a worker away from the requests."""
    async with running(sqlite_url, **QUICK) as auth:
        await auth._database.connect()
        auth._database.write_later(hang)
        await asyncio.sleep(0.7)
        await new_token(auth)


async def test_a_worker_that_was_given_up_takes_no_more_work(sqlite_url: str) -> None:
    """Its connection may be in the middle of anything: a ROLLBACK that fails must not turn the
    cancellation into an error like any other."""
    async with running(sqlite_url, **QUICK) as auth:

        async def fail_to_roll_back(connection: Any) -> bool:
            return False

        auth._database._roll_back = fail_to_roll_back  # type: ignore[method-assign]
        workers: set[Any] = set()

        async def hang_and_tell(session: Any) -> None:
            workers.add(asyncio.current_task())
            await asyncio.Event().wait()

        with pytest.raises(DatabaseUnavailable):
            await auth._database.write(hang_and_tell)
        await asyncio.sleep(0.05)

        assert all(worker.done() for worker in workers)


async def test_the_shutdown_waits_for_workers_that_were_given_up(sqlite_url: str) -> None:
    """They are rolling back: the connection must not be taken from under them."""
    async with running(sqlite_url, **QUICK) as auth:

        async def roll_back_slowly(connection: Any) -> bool:
            await asyncio.sleep(0.3)
            return False

        auth._database._roll_back = roll_back_slowly  # type: ignore[method-assign]
        with pytest.raises(DatabaseUnavailable):
            await auth._database.write(hang)

        await auth._database.disconnect()

        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_connection_whose_rollback_failed_is_not_used_again(sqlite_url: str) -> None:
    """A transaction may still be open on it, and the next COMMIT would be for both."""
    async with running(sqlite_url) as auth:
        database = auth._database
        connections: list[Any] = []

        async def refuse(session: Any) -> None:
            connections.append(session._connection.raw_connection)
            raise InvalidToken

        async def look(session: Any) -> None:
            connections.append(session._connection.raw_connection)

        async def fail_to_roll_back(connection: Any) -> bool:
            return False

        roll_back, database._roll_back = database._roll_back, fail_to_roll_back  # type: ignore[method-assign]
        with pytest.raises(DatabaseUnavailable):
            await database.write(refuse)
        database._roll_back = roll_back  # type: ignore[method-assign]
        with contextlib.suppress(DatabaseUnavailable):
            await database.write(look)

        assert connections[0] is not connections[1]


async def test_work_for_a_second_try_is_answered_also_when_the_queue_is_full(
    sqlite_url: str,
) -> None:
    """Or nobody ever answers it: its caller waits for the deadline, and the shutdown for good."""
    async with running(sqlite_url) as auth:
        writers = auth._database._writers

        async def lose_connection(session: Any) -> None:
            for _ in range(QUEUE_LIMIT):
                writers._queue.put_nowait(_finished())
            raise ConnectionResetError

        caller = asyncio.create_task(auth._database.write(lose_connection))
        with pytest.raises(DatabaseUnavailable):
            async with asyncio.timeout(1):
                await caller


def _finished() -> Any:
    unit = Unit(hang, writes=True)
    unit.result.cancel()
    return unit


def test_a_loader_serves_a_second_event_loop_whatever_the_first_left() -> None:
    """A test client, a script: each has a loop of its own, and what was queued there is gone."""

    async def read(digests: Any) -> Any:
        return {digest: digest for digest in digests}

    async def leave_at_once() -> None:
        left.append(asyncio.create_task(loader.load(Load(b"a", "a", 1, 0), 0)))

    left: list[Any] = []

    async def load(digest: str) -> Any:
        async with asyncio.timeout(0.5):
            return await loader.load(Load(digest.encode(), digest, 1, 0), 0)

    loader = TokenLoader(read, lambda load, found: found)  # type: ignore[arg-type, return-value]
    asyncio.run(leave_at_once())

    assert asyncio.run(load("b")) == "b"
    assert asyncio.run(load("a")) == "a"


def test_what_the_cache_keeps_is_bounded_while_old_tokens_stay() -> None:
    """A token that is forgotten and read again, all the time, leaves something each time."""
    cache = TokenCache(limit=10)
    cache.put(_cached(b"old", 1))
    for _ in range(1000):
        cache.put(_cached(b"busy", 2))
        cache.forget(2)

    assert len(cache._order) < 100


@given(st.lists(st.tuples(st.sampled_from("pdf"), st.integers(0, 9), st.integers(0, 2))))
def test_the_cache_forgets_a_users_tokens_and_no_others(steps: list[tuple[str, int, int]]) -> None:
    """Whatever was put in, replaced, dropped and forgotten before."""
    cache, kept = TokenCache(limit=100), dict[bytes, int]()
    for step, number, user in steps:
        key = b"%d of %d" % (number, user)
        if step == "p":
            cache.put(_cached(key, user))
            kept[key] = user
        elif step == "d":
            cache.drop(key)
            kept.pop(key, None)
        else:
            cache.forget(user)
            kept = {key: owner for key, owner in kept.items() if owner != user}

    assert {key for key in kept if cache.get(key)} == set(kept)
    assert len(cache) == len(kept)


def _cached(key: bytes, user_id: int) -> CachedToken:
    user = User(user_id, None, None, None)
    verified = VerifiedToken(user, None)  # type: ignore[arg-type]
    return CachedToken(key, verified, loaded_at=0, look_at=9, stale_at=9, expires_at=9)


@pytest.mark.parametrize("root_path", ["", "/api"])
async def test_endpoints_go_before_prefixes_under_a_root_path_too(
    sqlite_url: str, root_path: str
) -> None:
    """Nobody could log in, where the prefix covers the path only as it stands."""
    async with running(sqlite_url) as auth:
        app = auth.wrap(Starlette(), mount="/auth", protect=["/api"])
        transport = httpx.ASGITransport(app, root_path=root_path)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answer = await client.post(f"{root_path}/auth/sessions", json={})

    assert answer.status_code == 422


class Slow:
    """A token whose state is being found out."""

    def __init__(self) -> None:
        self.known = False
        self.go = asyncio.Event()

    def is_known(self) -> bool:
        return self.known

    async def confirm(self) -> None:
        await self.go.wait()
        self.known = True


def socket_of(messages: "asyncio.Queue[Any]", live: Any) -> LiveSocket:
    async def send(message: Any) -> None: ...

    socket = LiveSocket(messages.get, send, by_subprotocol=False)
    socket._live = live
    return socket


async def test_a_message_is_not_lost_when_its_reader_stops_waiting_for_the_token() -> None:
    """Applications wait for a message for a while, do something else, and wait again."""
    messages: asyncio.Queue[Any] = asyncio.Queue()
    live = Slow()
    socket = socket_of(messages, live)
    messages.put_nowait({"type": "websocket.connect"})
    messages.put_nowait({"type": "websocket.receive", "text": "hello"})
    await socket.receive()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await socket.receive()
    live.go.set()

    async with asyncio.timeout(1):
        assert (await socket.receive())["text"] == "hello"


async def test_the_end_wakes_whoever_waits_after_another_was_cancelled() -> None:
    """A wait that is cancelled ends a turn of the loop later, when the next has begun."""
    live = Slow()
    live.known = True
    messages: asyncio.Queue[Any] = asyncio.Queue()
    messages.put_nowait({"type": "websocket.connect"})
    socket = socket_of(messages, live)
    await socket.receive()
    first = asyncio.create_task(socket.receive())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, socket.end, InvalidToken())

    first.cancel()
    async with asyncio.timeout(1):
        assert (await socket.receive())["type"] == "websocket.disconnect"


def test_a_subprotocol_that_is_no_text_is_no_server_error() -> None:
    """Servers decode what clients offer with surrogates; before any token is looked at."""
    offered = ["bearer", "a.b.c", "\udcff"]
    token, scope = read_token({"type": "websocket", "headers": [], "subprotocols": offered})

    assert token == b"a.b.c"
    assert scope["subprotocols"] == ["\udcff"]


@pytest.mark.parametrize("turns", range(4))
async def test_the_watch_over_sockets_stops_at_any_moment(sqlite_url: str, turns: int) -> None:
    """asyncio.wait_for of Python 3.11 swallows a cancellation that comes with the wake-up."""
    async with running(sqlite_url) as auth:
        user, token = await new_token(auth)
        await auth.verifier.verify(token)
        with auth.verifier.live.watching(token, user.id, lambda reason: None):
            await asyncio.sleep(0.1)
            auth.verifier.live.suspect_all()
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(1):
                await auth.verifier.live.stop()
