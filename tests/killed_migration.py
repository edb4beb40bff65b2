"""A program that migrates a database, is killed after its first statement that changes something,
migrates again; then all over with the second, and so on. One process for each, by fork: an
interpreter takes a second to start."""

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from test_migrations import connection_to, differences, token_auth

CHANGES = ("CREATE", "ALTER", "INSERT", "UPDATE", "DROP")


def kill_after(count: int) -> None:
    """Ends this process once so many statements that change something were run."""
    left = count

    def look(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        nonlocal left
        if statement.lstrip().startswith(CHANGES):
            left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(Engine, "after_cursor_execute", look)


async def migrate(url: str) -> None:
    auth = token_auth(url)
    try:
        await auth.migrate()
    finally:
        await auth.shutdown()


async def migrate_and_check(url: str) -> None:
    await migrate(url)
    auth = token_auth(url)
    assert await differences(url, auth) == []
    assert await auth.migration_sql() == ""
    await auth.shutdown()


async def empty(url: str) -> None:
    def drop_all(connection: Any) -> None:
        found = sa.MetaData()
        found.reflect(connection)
        found.drop_all(connection)

    async with connection_to(url) as connection:
        await connection.run_sync(drop_all)


def in_a_process(work: Callable[[str], Awaitable[None]], url: str, *, killed_after: int = 0) -> int:
    """Its exit status; -9, if it was killed."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if killed_after:
        kill_after(killed_after)
    try:
        asyncio.run(work(url))  # type: ignore[arg-type]
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main(url: str) -> None:
    count = 1
    while (status := in_a_process(migrate, url, killed_after=count)) == -signal.SIGKILL:
        assert in_a_process(migrate_and_check, url) == 0, f"after statement {count}"
        assert in_a_process(empty, url) == 0
        count += 1
    assert status == 0
    print(count - 1)


if __name__ == "__main__":
    main(sys.argv[1])
