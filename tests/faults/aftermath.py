"""What is left when a run is over, asked of the database itself."""

import asyncio
import time
from typing import Any

import databases

from tests.faults.traffic import Crowd
from tests.faults.workers import Fleet

# As the pool sees it: eight workers, and two to spare; a sender or a session of ours beside them.
MOST_CONNECTIONS = 10
QUIET_SECONDS = 15.0
MAIL_SECONDS = 150.0  # longer than a lease: its owner may have been killed
BUSY = {
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND state <> 'idle'",
    "mysql": "SELECT COUNT(*) FROM information_schema.processlist WHERE db = database()"
    " AND id <> connection_id() AND command <> 'Sleep'",
}
OPEN = {
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid()",
    "mysql": "SELECT COUNT(*) FROM information_schema.processlist WHERE db = database()"
    " AND id <> connection_id()",
}
TRANSACTIONS = {
    "mysql": "SELECT COUNT(*) FROM information_schema.innodb_trx",
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL"
    " AND pid <> pg_backend_pid() AND datname = current_database()",
}


async def ask(url: str, query: str) -> Any:
    """The first value of a query's answer, on a connection of its own."""
    url = url.replace("mysql://", "mysql+asyncmy://")
    pool = {} if url.startswith("sqlite") else {"min_size": 1, "max_size": 1}
    async with databases.Database(url, **pool) as database:
        return await database.fetch_val(query)


async def check(fleet: Fleet, crowd: Crowd | None = None, *, most: int = 400) -> list[str]:
    """Every breach of an invariant: those seen on the way, and what the end shows."""
    if crowd is not None:
        await crowd.check(most)
        if not crowd.people:
            fleet.ledger.breach("nobody lived: the run shows nothing")
    breaches = [*fleet.ledger.breaches, *fleet.unforeseen()]
    breaches += await _mails(fleet)
    return breaches + await _connections(fleet)


async def _mails(fleet: Fleet) -> list[str]:
    """I3: nothing is left in the queue."""
    query = "SELECT COUNT(*) FROM outbox WHERE state = 'queued'"
    queued = await _until_zero(fleet.database_url, query, MAIL_SECONDS)
    return [f"I3 {queued} mails are neither sent nor dead"] if queued else []


async def _connections(fleet: Fleet) -> list[str]:
    """I5: none is at work, none in a transaction, and no more are open than may be."""
    url = fleet.database_url
    dialect = url.partition(":")[0]
    if dialect not in BUSY:
        return []
    breaches = []
    for what, query in (("busy", BUSY[dialect]), ("in a transaction", TRANSACTIONS[dialect])):
        if left := await _until_zero(url, query, QUIET_SECONDS):
            breaches.append(f"I5 {left} connections are {what}")
    most = MOST_CONNECTIONS * len(fleet.workers) + fleet.half_open
    if (number := await ask(url, OPEN[dialect])) > most:
        breaches.append(f"I5 {number} connections are open")
    return breaches


async def _until_zero(url: str, query: str, seconds: float) -> int:
    give_up_at = time.monotonic() + seconds
    while (number := int(await ask(url, query))) and time.monotonic() < give_up_at:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    return number
