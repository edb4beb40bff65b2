"""Workers are restarted, told to end, or stand still; many write into one SQLite file."""

import asyncio
import signal
import time

import asyncpg

from tests.faults.measures import LONGEST_EXIT_SECONDS, USER, ask_until
from tests.faults.rig import Outcome, Rig, outcome, under_load
from tests.faults.workers import Fleet
from tests.server_fleet import NO_ANSWER

DATABASE_TIMEOUT = 2.0


async def rolling_restart(rig: Rig) -> Outcome:
    """Each worker is told to end, out of the balancer's sight, and replaced: nobody is logged
    out, and nobody's request fails."""
    async with rig.fleet(rig.postgresql().url, 3) as fleet:
        exits = []
        async with under_load(fleet) as crowd:
            for number in range(2 if rig.quick else 12):
                await asyncio.sleep(0.5)
                exits.append(await _replace(fleet, number % 3))
        if failed := fleet.ledger.count(503):
            fleet.ledger.breach(f"{failed} requests were answered 503")
        return await outcome(fleet, crowd, restarts=len(exits), longest_exit_s=f"{max(exits):.1f}")


async def _replace(fleet: Fleet, number: int) -> float:
    worker = fleet.workers[number]
    worker.is_serving = False
    worker.hang_up()
    worker.send(signal.SIGTERM)
    seconds = await worker.ended()
    if seconds is None:
        fleet.ledger.breach("a worker did not end")
        worker.kill()
        return 60.0
    worker.start()
    await worker.is_up()
    return seconds


async def workers_killed(rig: Rig) -> Outcome:
    """SIGKILL under load, while the balancer still sends requests there."""
    async with rig.fleet(rig.postgresql().url, 2) as fleet:
        async with under_load(fleet) as crowd:
            for number in range(2 if rig.quick else 12):
                await asyncio.sleep(1)
                worker = fleet.workers[number % 2]
                worker.send(signal.SIGKILL)
                await worker.ended()
                worker.start()
                await worker.is_up()
        return await outcome(fleet, crowd)


async def ended_while_database_hangs(rig: Rig) -> Outcome:
    """SIGTERM while requests wait for a lock: they are answered by their deadline, and the process
    is gone soon after. SIGINT after it is uvicorn's word for at once."""
    database = rig.postgresql()
    timeout = str(DATABASE_TIMEOUT)
    async with rig.fleet(database.url, TOKEN_AUTH_DATABASE_TIMEOUT=timeout) as fleet:
        admin = await asyncpg.connect(database.url)
        transaction = admin.transaction()
        await transaction.start()
        await admin.execute("LOCK TABLE users, outbox, tokens IN ACCESS EXCLUSIVE MODE")
        until = time.monotonic() + 0.5
        asking = [asyncio.create_task(ask_until(fleet, until)) for _ in range(20)]
        await asyncio.sleep(0.3)
        patient, impatient = fleet.workers
        patient.send(signal.SIGTERM)
        impatient.send(signal.SIGTERM)
        await asyncio.sleep(0.2)
        patient.send(signal.SIGTERM)  # a second one changes nothing
        impatient.send(signal.SIGINT)
        at_once, soon = await asyncio.gather(impatient.ended(30), patient.ended(30))
        await asyncio.gather(*asking)
        await transaction.rollback()
        await admin.close()
        if soon is None or soon > LONGEST_EXIT_SECONDS:
            fleet.ledger.breach(f"SIGTERM was obeyed after {soon} s")
        if at_once is None or at_once > LONGEST_EXIT_SECONDS:
            fleet.ledger.breach(f"SIGINT was obeyed after {at_once} s")
        return await outcome(fleet, sigterm_s=soon, then_sigint_s=at_once)


async def stopped_and_continued(rig: Rig) -> Outcome:
    """A worker stands still for seconds, under load, as on a machine that is paused."""
    async with rig.fleet(rig.postgresql().url, 2) as fleet:
        async with under_load(fleet) as crowd:
            for _ in range(1 if rig.quick else 6):
                await asyncio.sleep(1)
                fleet.workers[0].send(signal.SIGSTOP)
                await asyncio.sleep(2.5)
                fleet.workers[0].send(signal.SIGCONT)
                await asyncio.sleep(0.5)
        if unanswered := fleet.ledger.count(NO_ANSWER):
            fleet.ledger.breach(f"{unanswered} requests were never answered")
        return await outcome(fleet, crowd)


async def sqlite_many_writers(rig: Rig) -> Outcome:
    """Four processes write into one file without a pause: everybody waits for their turn, and
    nobody for as long as the deadline."""
    async with rig.fleet(rig.sqlite(), 4) as fleet:
        async with under_load(fleet, 16) as crowd:
            await asyncio.sleep(3 if rig.quick else 30)
        if failed := fleet.ledger.count(503):
            fleet.ledger.breach(f"{failed} requests were answered 503: the database was locked")
        return await outcome(fleet, crowd)


async def sqlite_locked(rig: Rig) -> Outcome:
    """Somebody holds SQLite's write lock for longer than the deadline: 503, then all is well."""
    url = rig.sqlite()
    async with rig.fleet(url, TOKEN_AUTH_DATABASE_TIMEOUT="1") as fleet:
        await fleet.call("POST", "/api/users", body={"user": USER})
        locker = await asyncio.create_subprocess_exec(
            "python3", "-c", LOCK, url.removeprefix("sqlite:///"), stdout=asyncio.subprocess.PIPE
        )
        assert locker.stdout is not None
        await locker.stdout.readline()
        asking = [ask_until(fleet, time.monotonic() + 2) for _ in range(5)]
        await asyncio.gather(*asking)
        if not fleet.ledger.count(503):
            fleet.ledger.breach("no 503: the fault did not bite")
        await locker.wait()
        async with under_load(fleet) as crowd:
            await asyncio.sleep(1)
        return await outcome(fleet, crowd)


LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(4)
connection.execute("ROLLBACK")
"""
