"""A process that migrates, and is killed."""

import asyncio
import os
import signal
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from asgi_token_auth import TokenAuth
from asgi_token_auth.testing import Mailbox, settings

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
    auth = TokenAuth(database=url, **settings(Mailbox()))
    try:
        await auth.migrate()
    finally:
        await auth.shutdown()


async def go_on_and_begin_anew(url: str) -> None:
    """Migrates to the end, looks whether all is there, and drops it."""
    from test_migrations import connection_to, differences  # which imports this module

    await migrate(url)
    auth = TokenAuth(database=url, **settings(Mailbox()))
    assert await differences(url, auth) == []
    assert await auth.migration_sql() == ""
    await auth.shutdown()

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


def migrate_killed(url: str, step: int) -> None:
    """Migrates a database in a process that is killed after its first statement that changes
    something, then in one that is not; then all over, after one `step` further on. Prints after
    which ones it was killed."""
    count, killed = 1, []
    while (status := in_a_process(migrate, url, killed_after=count)) == -signal.SIGKILL:
        assert in_a_process(go_on_and_begin_anew, url) == 0, f"after statement {count}"
        killed.append(count)
        count += step
    assert status == 0
    print(*killed)
