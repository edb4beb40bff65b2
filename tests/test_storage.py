"""Units of work: all or nothing, within a deadline, on connections that come back."""

import asyncio
import contextlib
import gc
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import databases
import httpx
import pytest
import sqlalchemy as sa
from conftest import running_service, show_user
from stalling_proxy import StallingProxy
from starlette.applications import Starlette
from starlette.routing import Route

from asgi_token_auth import TokenAuth
from asgi_token_auth.exceptions import DatabaseUnavailable
from asgi_token_auth.storage.database import Database, Session
from asgi_token_auth.storage.dialects import SQLiteConnection
from asgi_token_auth.testing import Mailbox, new_user
from asgi_token_auth.testing import settings as settings_for_tests

LOCAL = "127.0.0.1"
# A driver whose connecting or goodbye is cancelled leaves its socket to the garbage collector.
drivers_leave_sockets = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)
ROWS = sa.Table(
    "rows_",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer),
)


async def database_with_rows(url: str, timeout: float = 5) -> Database:
    database = Database(url, connections=4, timeout=timeout)

    async def fill(session: Session) -> None:
        await session.run("CREATE TABLE rows_ (id INTEGER PRIMARY KEY, n INTEGER)")
        for number in (1, 2):
            await session.insert(ROWS.insert().values(id=number, n=0))

    await database.write(fill)
    return database


async def values(database: Database) -> list[int]:
    rows = await database.read(lambda s: s.all(sa.select(ROWS.c.n).order_by(ROWS.c.id)))
    return [row[0] for row in rows]


async def test_a_unit_that_fails_leaves_nothing(database_url: str) -> None:
    """The error is the caller's own, and the connection is good for the next."""
    database = await database_with_rows(database_url)

    async def fail(session: Session) -> None:
        assert await session.change(ROWS.update().values(n=7)) == 2
        raise LookupError

    for _ in range(10):
        with pytest.raises(LookupError):
            await database.write(fail)
    assert await values(database) == [0, 0]
    await database.disconnect()


async def test_changes_are_counted_truly(database_url: str) -> None:
    """After an INSERT on the same connection too, where `databases` would tell a row id."""
    database = await database_with_rows(database_url)

    async def count(session: Session) -> tuple[int, int]:
        await session.insert(ROWS.insert().values(id=9, n=0))
        none = await session.change(ROWS.delete().where(ROWS.c.id == 77))
        return none, await session.change(ROWS.delete().where(ROWS.c.id == 9))

    assert await database.write(count) == (0, 1)
    await database.disconnect()


async def test_a_deadlock_is_run_again(database_url: str) -> None:
    """Two units that lock two rows in opposite order both succeed."""
    # PostgreSQL looks for a deadlock only after a second, and there may be several.
    database = await database_with_rows(database_url, timeout=30)

    async def add(session: Session, order: tuple[int, int]) -> None:
        for number in order:
            await session.change(ROWS.update().where(ROWS.c.id == number).values(n=ROWS.c.n + 1))
            await asyncio.sleep(0.05)

    orders = ((1, 2), (2, 1)) * 2
    await asyncio.gather(*(database.write(lambda s, o=o: add(s, o)) for o in orders))

    assert await values(database) == [4, 4]
    await database.disconnect()


async def test_a_unit_past_its_deadline_is_given_up(database_url: str) -> None:
    """503 for its caller, and nothing is left in the way of the next."""
    database = await database_with_rows(database_url, timeout=0.5)

    async def hang(session: Session) -> None:
        await session.change(ROWS.update().values(n=7))
        await asyncio.sleep(60)

    with pytest.raises(DatabaseUnavailable):
        await database.write(hang)
    await asyncio.sleep(0.1)
    assert await values(database) == [0, 0]
    assert await database.write(lambda s: s.change(ROWS.update().values(n=1))) == 2
    await database.disconnect()


async def test_waiting_for_a_connection_ends_with_the_deadline(database_url: str) -> None:
    """A queue that moves too slowly serves who came first; the others are told in time."""
    database = await database_with_rows(database_url, timeout=0.5)

    async def take_long(session: Session) -> str:
        await asyncio.sleep(0.2)
        return "done"

    # More than all connections can serve within the deadline, at two each.
    units = (database.write(take_long) for _ in range(20))
    answers = await asyncio.gather(*units, return_exceptions=True)
    assert {answer if answer == "done" else type(answer) for answer in answers} == {
        "done",
        DatabaseUnavailable,
    }
    assert await values(database) == [0, 0]
    await database.disconnect()


async def test_a_table_or_a_column_that_is_missing_is_said(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what to run; a statement that is wrong otherwise is not mended by that."""
    database = await database_with_rows(database_url)

    for statement, is_missing in (
        ("SELECT n FROM nowhere", True),
        ("SELECT m FROM rows_", True),
        ("INSERT INTO rows_ (id, m) VALUES (7, 7)", True),
        ("SELECT n FROM rows_ rows_ rows_", False),
    ):
        caplog.clear()
        with pytest.raises(DatabaseUnavailable):
            await database.write(lambda s, statement=statement: s.run(statement))
        assert ("asgi-token-auth create-tables or migrate" in caplog.text) is is_missing
    await database.disconnect()


async def test_a_full_queue_for_the_database_is_refused_at_once(sqlite_url: str) -> None:
    """Nothing waits that could not be served anyway; what had its place is served."""
    database = await database_with_rows(sqlite_url)
    burst = (database.write(lambda s: s.change(ROWS.update().values(n=1))) for _ in range(1200))
    answers = await asyncio.gather(*burst, return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, DatabaseUnavailable)]
    assert refused
    assert {answer for answer in answers if answer not in refused} == {2}
    assert 1000 <= len(answers) - len(refused) < 1200
    await database.disconnect()


async def test_a_database_that_is_down_is_503_and_never_401() -> None:
    """A 401 would make clients drop good tokens."""
    options = settings_for_tests(Mailbox())
    auth = TokenAuth(
        database="postgresql://postgres@127.0.0.1:1/x",
        database_timeout=timedelta(seconds=1),
        **options,
    )
    app = auth.wrap(Starlette(routes=[Route("/api/messages", show_user)]), protect=["/api"])
    now = int(auth.settings.clock().timestamp())
    token = auth.accounts._parts.signer.issue(1, "x", now, now + 60)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        bearer = {"Authorization": f"Bearer {token}"}
        answers = [
            await client.get("/api/messages", headers=bearer),
            await client.post("/api/sessions", json={"username": "ada", "password": "secret"}),
        ]
        assert [answer.status_code for answer in answers] == [503, 503]
        assert {answer.headers["retry-after"] for answer in answers} == {"1"}
        forged = await client.get("/api/messages", headers={"Authorization": "Bearer x.y.z"})
        assert forged.status_code == 401


@drivers_leave_sockets
async def test_a_try_to_connect_that_was_swallowed_is_not_waited_for(database_url: str) -> None:
    """The network took it and was silent: once it is back, the next caller tries anew."""
    parts = databases.DatabaseURL(database_url)
    if parts.dialect == "sqlite":
        return
    port = parts.port or {"postgresql": 5432, "mysql": 3306}[parts.dialect]
    swallowed: list[asyncio.StreamWriter] = []
    silence = await asyncio.start_server(lambda reader, writer: swallowed.append(writer), LOCAL, 0)
    proxy = StallingProxy(str(parts.hostname), port)
    proxy.port = silence.sockets[0].getsockname()[1]
    database = Database(str(parts.replace(port=proxy.port)), connections=4, timeout=1)

    with pytest.raises(DatabaseUnavailable):
        await database.read(lambda session: session.one("SELECT 1"))
    silence.close()
    async with proxy:
        await asyncio.sleep(0.1)
        assert (await database.read(lambda session: session.one("SELECT 1")))[0] == 1
        await database.disconnect()

    assert swallowed
    for writer in swallowed:
        writer.close()
    gc.collect()


@drivers_leave_sockets
async def test_the_shutdown_ends_though_the_network_is_silent(database_url: str) -> None:
    """A driver that says goodbye, or asks to cancel, waits for an answer for ever."""
    parts = databases.DatabaseURL(database_url)
    if parts.dialect == "sqlite":
        return
    port = parts.port or {"postgresql": 5432, "mysql": 3306}[parts.dialect]
    async with StallingProxy(str(parts.hostname), port) as proxy:
        database = Database(str(parts.replace(port=proxy.port)), connections=4, timeout=0.5)
        assert (await database.read(lambda session: session.one("SELECT 1")))[0] == 1
        proxy.stall()
        with pytest.raises(DatabaseUnavailable):
            await database.read(lambda session: session.one("SELECT 1"))
        async with asyncio.timeout(30):
            await database.disconnect()

        proxy.go_on()
        assert (await database.read(lambda session: session.one("SELECT 1")))[0] == 1
        await database.disconnect()
    gc.collect()


async def test_killed_connections_are_replaced(database_url: str) -> None:
    """A server that restarts costs no request that had not been committed."""
    if not database_url.startswith("postgresql"):
        return
    async with running_service(database_url) as service:
        token = (await service.new_user())["token"]
        admin = databases.Database(database_url, min_size=1, max_size=1)
        async with admin:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        for _ in range(10):
            assert await service.is_good(token)


async def test_the_applicationsown_database_is_shared_and_left_open(database_url: str) -> None:
    """Whoever opened it closes it."""
    url = database_url.replace("mysql://", "mysql+asyncmy://")
    async with databases.Database(url) as own:
        async with running_service(database_url, database=own) as service:
            assert await service.is_good((await service.new_user())["token"])
        assert own.is_connected
        assert await own.fetch_val("SELECT COUNT(*) FROM users") == 1


@pytest.mark.parametrize("own", [False, True])
async def test_foreign_keys_hold_on_sqlite(sqlite_url: str, own: bool) -> None:
    """Also where the application gives its `databases.Database`, whose connections know none."""
    given = databases.Database(sqlite_url) if own else sqlite_url
    auth = TokenAuth(database=given, **settings_for_tests(Mailbox()))
    await auth.create_tables()
    orders = "CREATE TABLE orders (user_id INTEGER REFERENCES users(id) ON DELETE SET NULL)"
    ada = await new_user(auth, username="ada")
    for statement in (orders, "INSERT INTO orders VALUES (1)"):
        await auth._database.write(lambda session, sql=statement: session.run(sql))  # type: ignore[misc]

    await auth.accounts.delete_account(ada.user, password=ada.password)

    rows = await auth._database.read(lambda session: session.all("SELECT user_id FROM orders"))
    assert [row[0] for row in rows] == [None]
    await auth.shutdown()


def test_many_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    """As workers do that start together: one of them switches it to WAL."""

    def open_and_write(path: Path, together: threading.Barrier) -> None:
        together.wait()
        with contextlib.closing(sqlite3.connect(path, factory=SQLiteConnection)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t (x)")

    with ThreadPoolExecutor(6) as threads:
        for number in range(150):
            together = threading.Barrier(6)
            path = tmp_path / f"{number}.db"
            for opened in [threads.submit(open_and_write, path, together) for _ in range(6)]:
                opened.result()
