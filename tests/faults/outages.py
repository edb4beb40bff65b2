"""The database is down, restarts, dies, or has no connection left."""

import asyncio
import contextlib
import signal
import time

import asyncpg

from tests.faults.measures import (
    USER,
    answered_in_time,
    ask_until,
    p99_of_open,
    seconds_to_first_answer,
)
from tests.faults.rig import Outcome, Rig, outcome, under_load
from tests.faults.workers import create_tables

OURS = {"application_name": "faults"}
TERMINATE_SERVICE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name <> 'faults'"
)


async def down_at_start(rig: Rig) -> Outcome:
    """The workers start without their database: they serve what needs none, answer 503 to what
    does, and need no help once it is there."""
    database = rig.postgresql()
    await create_tables(database.url)
    database.end()
    async with rig.fleet(database.url, tables=False) as fleet:
        answers = [
            await fleet.call("GET", "/open"),
            await fleet.call("GET", "/api/messages"),
            await fleet.call("POST", "/api/users", body={"user": USER}),
            await fleet.call("POST", "/api/sessions", body=USER),
        ]
        if [answer.status for answer in answers] != [200, 401, 503, 503]:
            fleet.ledger.breach(f"down: {[answer.status for answer in answers]}")
        database.start()
        healed = await seconds_to_first_answer(fleet)
        async with under_load(fleet) as crowd:
            await asyncio.sleep(1 if rig.quick else 5)
        return await outcome(fleet, crowd, healed_s=f"{healed:.2f}")


async def restart_immediate(rig: Rig) -> Outcome:
    """PostgreSQL is ended without a goodbye, under load, and recovers from its log."""
    database = rig.postgresql()
    healed: list[float] = []
    async with rig.fleet(database.url) as fleet:
        async with under_load(fleet) as crowd:
            for _ in range(1 if rig.quick else 4):
                await asyncio.sleep(2)
                database.end()
                await asyncio.sleep(1)
                await asyncio.to_thread(database.start)
                healed.append(await seconds_to_first_answer(fleet))
            await asyncio.sleep(1)
        return await outcome(fleet, crowd, healed_s=f"{max(healed):.2f}", restarts=len(healed))


async def mariadb_killed(rig: Rig) -> Outcome:
    """MariaDB is killed under load, and started again."""
    database = rig.mariadb()
    async with rig.fleet(database.url) as fleet:
        async with under_load(fleet) as crowd:
            await asyncio.sleep(2)
            database.end(signal.SIGKILL)
            await asyncio.sleep(1)
            await asyncio.to_thread(database.start)
            healed = await seconds_to_first_answer(fleet)
            await asyncio.sleep(1 if rig.quick else 10)
        return await outcome(fleet, crowd, healed_s=f"{healed:.2f}")


async def sessions_terminated(rig: Rig) -> Outcome:
    """An administrator ends all sessions of the service, again and again."""
    database = rig.postgresql()
    async with rig.fleet(database.url) as fleet:
        admin = await asyncpg.connect(database.url, server_settings=OURS)
        async with under_load(fleet) as crowd:
            for _ in range(5 if rig.quick else 40):
                await asyncio.sleep(0.4)
                await admin.execute(TERMINATE_SERVICE)
        await admin.close()
        return await outcome(fleet, crowd)


async def pool_exhausted(rig: Rig) -> Outcome:
    """A lock that somebody holds takes each connection that comes by: what needs the database is
    answered within the deadline, what needs none is not held up, and all is well afterwards."""
    database = rig.postgresql()
    timeout, held, askers = 2.0, 5.0, 100
    async with rig.fleet(database.url, 1, TOKEN_AUTH_DATABASE_TIMEOUT=str(timeout)) as fleet:
        quiet = await p99_of_open(fleet, 0.7)
        admin = await asyncpg.connect(database.url)
        async with admin.transaction():
            await admin.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            until = time.monotonic() + held
            asking = [asyncio.create_task(ask_until(fleet, until)) for _ in range(askers)]
            blocked = await p99_of_open(fleet, held - 0.5)
            await asyncio.sleep(max(0, until - time.monotonic()))
        await admin.close()
        answers = [answer for each in await asyncio.gather(*asking) for answer in each]
        answered_in_time(fleet, answers, timeout)
        healed = await seconds_to_first_answer(fleet)
        async with under_load(fleet) as crowd:
            await asyncio.sleep(1)
        return await outcome(
            fleet, crowd, healed_s=f"{healed:.2f}", quiet_p99_ms=quiet, blocked_p99_ms=blocked
        )


async def no_connection_left(rig: Rig) -> Outcome:
    """Others took every connection that PostgreSQL has."""
    database = rig.postgresql()
    async with rig.fleet(database.url, TOKEN_AUTH_DATABASE_TIMEOUT="2") as fleet:
        others = await _take_all(database.url)
        await others[0].execute(TERMINATE_SERVICE)
        others += await _take_all(database.url)
        answers = [await fleet.call("POST", "/api/sessions", body=USER) for _ in range(20)]
        answered_in_time(fleet, answers, 2)
        await asyncio.gather(*(other.close() for other in others))
        healed = await seconds_to_first_answer(fleet)
        async with under_load(fleet) as crowd:
            await asyncio.sleep(1)
        return await outcome(fleet, crowd, healed_s=f"{healed:.2f}", taken=len(others))


async def _take_all(url: str) -> list[asyncpg.Connection]:
    """Connections, until there are no more."""
    taken: list[asyncpg.Connection] = []
    with contextlib.suppress(asyncpg.PostgresError):
        while True:
            taken.append(await asyncpg.connect(url, server_settings=OURS))
    return taken
