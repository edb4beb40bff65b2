"""One way to the present schema, run or written down: the door to Alembic."""

import asyncio
import contextlib
import io
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Table, text
from sqlalchemy.exc import DBAPIError

from asgi_token_auth.exceptions import DatabaseUnavailable, MigrationFailed
from asgi_token_auth.storage.database import Database
from asgi_token_auth.storage.migrations.connecting import (
    PATIENCE,
    POLL_SECONDS,
    connected,
    lock,
)
from asgi_token_auth.storage.user_keys import FIND_KEY, found_type, key_of

T = TypeVar("T")

# The one thing here that is the process's and not a TokenAuth's, because Alembic's `op` and
# `context` are: two migrations under way would write each into the other's database.
ALEMBIC = threading.Lock()
VERSION_TABLE = "asgi_token_auth_version"


@dataclass(frozen=True)
class Target:
    """What the scripts know of where they run.

    `connection` is there for looking too when the statements are only written down.
    """

    connection: Connection
    dialect: str
    users: Table
    with_users: bool

    @property
    def user_id(self) -> Any:
        """The type of a column that refers to a user."""
        query = FIND_KEY.get(self.dialect)
        found = query and self.connection.execute(text(query), key_of(self.users)).first()
        return found_type(found) if found else self.users.c.id.type

    @property
    def options(self) -> dict[str, Any]:
        """For Alembic's `context.configure`."""
        return {
            "version_table": VERSION_TABLE,
            "transaction_per_migration": True,
            "transactional_ddl": True if self.dialect == "sqlite" else None,
            "target": self,
        }

    @property
    def before(self) -> str:
        """The SQL that goes before all else, where it is written down."""
        return "\n".join(f"{statement};" for statement in PATIENCE[self.dialect])


class Migration:
    """Brings the tables of one database to the present schema.

    Args:
        database: its URL and options are taken; the connection is another.
        users: the table that the others refer to.
        with_users: whether it is the library's to make.
    """

    def __init__(self, database: Database, users: Table, *, with_users: bool) -> None:
        self._database = database
        self._users = users
        self._with_users = with_users

    async def run(self) -> None:
        """Does what is to be done, one process at a time.

        Raises:
            DatabaseUnavailable: no connection, or it was lost.
            MigrationFailed: the database refuses, or its tables are not this library's.
        """
        await self._with_connection(_upgrade)

    async def sql(self) -> str:
        """What `run` would do to the database as it is now; "" if nothing.

        Raises:
            DatabaseUnavailable: no connection.
            MigrationFailed: its tables are not this library's.
        """
        return await self._with_connection(_write_down)

    async def _with_connection(self, work: Callable[[Target], T]) -> T:
        name = self._database.dialect.name
        async with connected(self._database.url, self._database.options, name) as connection:
            try:
                await lock(connection, name)
                async with _alembic():
                    return await connection.run_sync(
                        lambda sync: work(Target(sync, name, self._users, self._with_users))
                    )
            except DBAPIError as error:
                raise MigrationFailed(f"the database refused: {error.orig}") from error
            except OSError as error:
                raise DatabaseUnavailable from error
            except CommandError as error:
                raise MigrationFailed(str(error)) from error


@contextlib.asynccontextmanager
async def _alembic() -> AsyncIterator[None]:
    # Not waited for in the thread: its holder may be a task of this very loop.
    while not ALEMBIC.acquire(blocking=False):  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        ALEMBIC.release()


def _upgrade(target: Target) -> None:
    command.upgrade(_config(target), "head")


def _write_down(target: Target) -> str:
    options = {"version_table": VERSION_TABLE}
    now = MigrationContext.configure(target.connection, opts=options).get_current_revision()
    written = io.StringIO()
    config = _config(target, written)
    if now == ScriptDirectory.from_config(config).get_current_head():
        return ""
    command.upgrade(config, f"{now or 'base'}:head", sql=True)
    return written.getvalue().strip()


def _config(target: Target, written: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=written, attributes={"target": target})
    config.set_main_option("script_location", "asgi_token_auth:storage/migrations")
    return config
