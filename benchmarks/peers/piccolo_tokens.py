"""piccolo_api's token_auth: the token's row, then the user's.

Its table comes without an index on the token: the more tokens, the slower.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlsplit

from piccolo.apps.user.tables import BaseUser
from piccolo.engine.postgres import PostgresEngine
from piccolo.engine.sqlite import SQLiteEngine
from piccolo.table import Table, create_db_tables
from piccolo_api.token_auth.middleware import TokenAuthBackend
from piccolo_api.token_auth.tables import TokenAuth
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware

from benchmarks.stacks import Stack, owner, owners, starlette_app

LABEL = "piccolo_api token_auth"
NO_PASSWORD = "pbkdf2_sha256$nobody"  # noqa: S105  (a hash is taken as it is)
ROWS_AT_ONCE = 100  # SQLite has a limit on variables in a statement


@contextlib.asynccontextmanager
async def open_stacks(database: str, tokens: int) -> AsyncIterator[dict[str, Stack]]:
    """The stack by its label."""
    async with _connected(database):
        await create_db_tables(BaseUser, TokenAuth)
        users = [
            BaseUser(
                username=f"user{number}",
                email=f"user{number}@example.com",
                password=NO_PASSWORD,
                active=True,
            )
            for number in owners(tokens)
        ]
        await _insert(BaseUser, users)
        rows = [TokenAuth(user=users[owner(number)].id) for number in range(tokens)]
        await _insert(TokenAuth, rows)
        guarded = starlette_app(Middleware(AuthenticationMiddleware, backend=TokenAuthBackend()))
        yield {LABEL: Stack("revocable", starlette_app(), guarded, [row.token for row in rows])}


@contextlib.asynccontextmanager
async def _connected(database: str) -> AsyncIterator[None]:
    """Piccolo's tables know one engine. Without its pool it connects once a query."""
    url = urlsplit(database)
    if url.scheme == "sqlite":
        BaseUser._meta.db = TokenAuth._meta.db = SQLiteEngine(path=url.path.removeprefix("/"))
        yield
        return
    engine = PostgresEngine(config={"dsn": database})
    BaseUser._meta.db = TokenAuth._meta.db = engine
    await engine.start_connection_pool()
    yield
    await engine.close_connection_pool()


async def _insert(table: type[Table], rows: Sequence[Table]) -> None:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        await table.insert(*rows[start : start + ROWS_AT_ONCE])
