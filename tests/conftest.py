"""Every test that takes `database_url` runs on SQLite, PostgreSQL and MariaDB."""

import asyncio
import contextlib
import dataclasses
import os
import sqlite3
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncmy
import asyncpg
import httpx
import pytest
from databases import DatabaseURL
from redis.asyncio import Redis
from redis.exceptions import RedisError
from served_contract import ServedContract
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from asgi_token_auth import TokenAuth
from asgi_token_auth.testing import Mailbox, SettableClock, settings

POSTGRESQL = os.environ.get("TEST_POSTGRESQL_URL", "postgresql://postgres@127.0.0.1:5432/test")
MYSQL = os.environ.get("TEST_MYSQL_URL", "mysql://root@127.0.0.1:3306/test")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
# PostgreSQL takes long to make a database: they are emptied, and used again.
EMPTY: list[str] = []
TO_EMPTY = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    """DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT nspname FROM pg_namespace
        WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
        LOOP EXECUTE format('DROP SCHEMA %I CASCADE', name); END LOOP;
    END $$""",
    "CREATE SCHEMA public",
)
HOW_TO_GET = {
    "redis": "start Redis, or set TEST_REDIS_URL",
    "postgresql": "start PostgreSQL, or set TEST_POSTGRESQL_URL",
    "mysql": "start MariaDB, or set TEST_MYSQL_URL",
}


async def run_sql(url: str, *statements: str) -> None:
    """Runs statements outside the library, and commits each."""
    parts = DatabaseURL(url)
    if parts.dialect == "sqlite":
        with contextlib.closing(sqlite3.connect(parts.database)) as sqlite:
            for statement in statements:
                sqlite.execute(statement)
                sqlite.commit()
        return
    if parts.dialect in ("postgresql", "postgres"):
        connection = await asyncpg.connect(url)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()
        return
    mysql = await asyncmy.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        db=parts.database,
        autocommit=True,
    )
    async with mysql.cursor() as cursor:
        for statement in statements:
            await cursor.execute(statement)
    await mysql.ensure_closed()


@contextlib.asynccontextmanager
async def own_database(url: str, dialect: str) -> AsyncIterator[str]:
    """A database of the test's own, so that tests can't meet, nor leave anything."""
    try:
        own = EMPTY.pop() if EMPTY and dialect == "postgresql" else await new_database(url, dialect)
    except Exception as error:
        if os.environ.get("REQUIRE_SERVICES"):
            raise
        pytest.skip(f"no {dialect} ({type(error).__name__}): {HOW_TO_GET[dialect]}")
    try:
        yield own
    finally:
        if dialect == "postgresql":
            await run_sql(own, *TO_EMPTY)
            EMPTY.append(own)
        else:
            await run_sql(url, f"DROP DATABASE {DatabaseURL(own).database}")


async def new_database(url: str, dialect: str) -> str:
    name = f"token_auth_{uuid.uuid4().hex[:12]}"
    await run_sql(url, f"CREATE DATABASE {name}")
    if dialect == "postgresql":  # what survives a power failure, no test of it asks
        await run_sql(url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    return str(DatabaseURL(url).replace(database=name))


@pytest.fixture(scope="session", autouse=True)
def _no_database_is_left() -> Iterator[None]:
    """Of those that were emptied for the next test."""
    yield

    async def drop_all() -> None:
        for own in EMPTY:
            await run_sql(POSTGRESQL, f"DROP DATABASE {DatabaseURL(own).database} WITH (FORCE)")

    asyncio.run(drop_all())


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/test.db"
        return
    url = POSTGRESQL if request.param == "postgresql" else MYSQL
    async with own_database(url, request.param) as own:
        yield own


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """For tests whose subject is the same on every database."""
    return f"sqlite:///{tmp_path}/test.db"


async def reachable_redis() -> str:
    """A Redis, shared with whoever uses it: counters are kept apart by the secret key."""
    client = Redis.from_url(REDIS)
    try:
        await client.ping()
    except RedisError as error:
        if os.environ.get("REQUIRE_SERVICES"):
            raise
        pytest.skip(f"no redis ({type(error).__name__}): {HOW_TO_GET['redis']}")
    finally:
        await client.aclose()
    return REDIS


@pytest.fixture
async def redis_url() -> str:
    """Its URL."""
    return await reachable_redis()


async def show_user(request: Request) -> JSONResponse:
    user = request.user
    return JSONResponse(
        {"id": user.identity, "email": user.email} if user.is_authenticated else None
    )


@dataclasses.dataclass
class Service:
    """An application with accounts, as its clients and its users' mailboxes see it."""

    auth: TokenAuth
    app: ASGIApp
    client: httpx.AsyncClient
    mailbox: Mailbox
    clock: SettableClock
    transport: httpx.ASGITransport
    contract: ServedContract

    def come_from(self, address: str) -> None:
        """What is called from now on comes from there."""
        self.transport.client = (address, 5000)

    async def call(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        """The response to a JSON request; a path is relative to the host."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        json = {} if body is None else {"json": body}
        return await self.client.request(method, path, headers=headers, **json)

    async def sign_up(self, email: str, password: str = "secret", **fields: Any) -> None:
        user = {"email": email, "password": password, **fields}
        response = await self.call("POST", "/api/users", {"user": user})
        assert (response.status_code, response.json()) == (200, "ok")

    async def confirm(self, email: str) -> Any:
        """Reads the mail and confirms; the answer."""
        mail = await self.mailbox.receive(email)
        lines = mail.text.splitlines()
        user_id = next(line for line in lines if line.startswith("user id: ")).split(": ")[1]
        token = next(line for line in lines if "_token: " in line).split(": ")[1]
        path = f"/api/users/{user_id}/confirm"
        return await self.call("POST", path, {"confirmation_token": token})

    async def new_user(self, email: str = "ada@example.com", password: str = "secret") -> Any:
        """Signs up, reads the mail, confirms; the token reply."""
        await self.sign_up(email, password)
        response = await self.confirm(email)
        assert response.status_code == 200, response.text
        return response.json()

    async def log_in(self, email: str = "ada@example.com", password: str = "secret") -> Any:
        return await self.call("POST", "/api/sessions", {"email": email, "password": password})

    async def is_good(self, token: str) -> bool:
        """Whether a protected path takes the token."""
        response = await self.call("GET", "/api/messages", token=token)
        assert response.status_code in (200, 401), response.text
        return bool(response.status_code == 200)


ServiceFactory = Callable[..., Awaitable[Service]]


@contextlib.asynccontextmanager
async def running_service(database_url: str, **overrides: Any) -> AsyncIterator[Service]:
    """A service under its lifespan, on that database."""
    mailbox, clock = Mailbox(), SettableClock()
    chosen = {"database": database_url, **settings(mailbox, clock), **overrides}
    auth = TokenAuth(**chosen)
    await auth.create_tables()
    app = Starlette(routes=[Route("/api/messages", show_user), Route("/open", show_user)])
    wrapped = auth.wrap(app, mount="/api", protect=["/api/messages"])
    transport = httpx.ASGITransport(wrapped, client=("198.51.100.77", 5000))
    async with auth, httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        # As it is served; not asked for by HTTP, as some tests count what was.
        contract = ServedContract(auth.endpoints.document, mount="/api")
        client.event_hooks = {"response": [contract.check]}  # every answer that a test sees
        yield Service(auth, wrapped, client, mailbox, clock, transport, contract)


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    """A service on each database."""
    async with running_service(database_url) as running:
        yield running


@pytest.fixture
async def start_service(database_url: str) -> AsyncIterator[ServiceFactory]:
    """Starts a service with settings of the test's own."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**overrides: Any) -> Service:
            return await stack.enter_async_context(running_service(database_url, **overrides))

        yield start


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_machine() -> None:
    """A developer's own TOKEN_AUTH_* must not reach the tests."""
    for name in [name for name in os.environ if name.startswith("TOKEN_AUTH_")]:
        del os.environ[name]
