"""How many queries a PostgreSQL server was asked, by its own account."""

import asyncio

import asyncpg

STATEMENTS = """
    SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = $1)
"""
TRANSACTIONS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1"
CLIENTS = """
    SELECT pid FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'
"""
END_IDLE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND state = 'idle'"
)


class ServerCount:
    """Counts what reaches one database, from a connection to another.

    With pg_stat_statements each statement counts. Without it, each transaction: a query outside
    one is a transaction of its own, and BEGIN, UPDATE, COMMIT are one together. A server process
    adds its transactions up when it ends (else some seconds late), so the clients' idle
    connections are ended first; a pool opens new ones. The server's own vacuuming adds some
    transactions a minute.

    Args:
        observer: a connection to another database of the same server, with a superuser's rights.
        database: the name of the one to be counted.
    """

    def __init__(self, observer: asyncpg.Connection, database: str) -> None:
        self._observer = observer
        self._database = database
        self.unit = "transactions"

    async def prepare(self) -> None:
        """Finds out which way of counting there is."""
        try:
            await self._observer.execute("CREATE EXTENSION pg_stat_statements")
            await self._observer.fetchval(STATEMENTS, self._database)
        except asyncpg.PostgresError:
            return  # not installed, or not among shared_preload_libraries
        self.unit = "statements"

    async def total(self) -> int:
        """The count so far. Nothing may be under way."""
        if self.unit == "statements":
            return int(await self._observer.fetchval(STATEMENTS, self._database))
        await self._end_clients()
        return int(await self._observer.fetchval(TRANSACTIONS, self._database))

    async def _end_clients(self) -> None:
        """Ends those that are there now, when they are idle: the pool replaces them at once."""
        there = {row["pid"] for row in await self._observer.fetch(CLIENTS, self._database)}
        while there:
            for pid in there:
                await self._observer.execute(END_IDLE, pid)
            await asyncio.sleep(0.05)
            left = await self._observer.fetch(CLIENTS, self._database)
            there &= {row["pid"] for row in left}
