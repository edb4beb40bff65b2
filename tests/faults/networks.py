"""What lies between the service and its database loses packets, is slow, or cuts an answer off."""

import asyncio
import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator

from tests.faults.aftermath import MOST_CONNECTIONS
from tests.faults.database_servers import DatabaseServer, Missing, PostgreSQL
from tests.faults.measures import (
    LONGEST_EXIT_SECONDS,
    answered_in_time,
    ask_until,
    p99_of_open,
    seconds_to_first_answer,
)
from tests.faults.rig import Outcome, Rig, outcome, under_load
from tests.faults.workers import Fleet, create_tables
from tests.server_fleet import Answer
from tests.stalling_proxy import StallingProxy

TIMEOUT = 2.0


@contextlib.contextmanager
def packets_dropped(port: int) -> Iterator[None]:
    """Drops what comes to and from that port of this machine: no refusal, no end, silence.

    Raises:
        Missing: nft, or the right to use it.
    """
    if shutil.which("nft") is None:
        raise Missing("nft")
    table = f"asgi_token_auth_faults_{port}"
    rules = (
        f"add table ip {table}",
        f"add chain ip {table} input {{ type filter hook input priority 0; }}",
        f"add rule ip {table} input tcp dport {port} drop",
        f"add rule ip {table} input tcp sport {port} drop",
    )
    made = subprocess.run(["nft", "-f", "-"], input="\n".join(rules).encode(), capture_output=True)
    if made.returncode != 0:
        raise Missing("the right to drop packets")
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "ip", table], check=True, capture_output=True)


async def packets_lost(rig: Rig) -> Outcome:
    """A black hole under load, for longer than any deadline. Known tokens are believed for the
    bound and no longer; what needs the database is 503 in time; nothing else is slower."""
    return await _dark(rig, rig.postgresql())


async def packets_lost_mariadb(rig: Rig) -> Outcome:
    """The same before MariaDB, whose driver has no cancellation."""
    return await _dark(rig, rig.mariadb())


async def _dark(rig: Rig, database: DatabaseServer) -> Outcome:
    async with rig.fleet(database.url, TOKEN_AUTH_DATABASE_TIMEOUT=str(TIMEOUT)) as fleet:
        quiet = await p99_of_open(fleet, 1)
        async with under_load(fleet) as crowd:
            await asyncio.sleep(1.5)
            fleet.half_open = MOST_CONNECTIONS * len(fleet.workers)
            with packets_dropped(database.port):
                answers, lost = await _ask_and_watch(fleet, 4 if rig.quick else 20)
            healed = await seconds_to_first_answer(fleet)
            await asyncio.sleep(1)
        answered_in_time(fleet, answers, TIMEOUT)
        return await outcome(
            fleet, crowd, healed_s=f"{healed:.2f}", quiet_p99_ms=quiet, dark_p99_ms=lost
        )


async def dark_at_start(rig: Rig) -> Outcome:
    """The workers start in front of a black hole: their first tries to connect must not be what
    everybody waits for once packets pass again."""
    return await _dark_at_start(rig, rig.postgresql())


async def dark_at_start_mariadb(rig: Rig) -> Outcome:
    """The same before MariaDB."""
    return await _dark_at_start(rig, rig.mariadb())


async def _dark_at_start(rig: Rig, database: DatabaseServer) -> Outcome:
    await create_tables(database.url)
    timeout = str(TIMEOUT)
    with packets_dropped(database.port):
        starting = rig.fleet(database.url, TOKEN_AUTH_DATABASE_TIMEOUT=timeout, tables=False)
        fleet = await starting.__aenter__()
        answers, _ = await _ask_and_watch(fleet, 12)
    try:
        healed = await seconds_to_first_answer(fleet)
        answered_in_time(fleet, answers, TIMEOUT)
        return await outcome(fleet, healed_s=f"{healed:.2f}")
    finally:
        await starting.__aexit__(None, None, None)


async def ended_in_the_dark(rig: Rig) -> Outcome:
    """SIGTERM while nothing reaches the database: the process is gone all the same."""
    return await _ended_in_the_dark(rig, rig.postgresql())


async def ended_in_the_dark_mariadb(rig: Rig) -> Outcome:
    """The same before MariaDB."""
    return await _ended_in_the_dark(rig, rig.mariadb())


async def _ended_in_the_dark(rig: Rig, database: DatabaseServer) -> Outcome:
    async with rig.fleet(database.url, 1, TOKEN_AUTH_DATABASE_TIMEOUT=str(TIMEOUT)) as fleet:
        async with under_load(fleet) as crowd:
            await asyncio.sleep(1)
        asking = [asyncio.create_task(ask_until(fleet, time.monotonic() + 3.5)) for _ in range(20)]
        await asyncio.sleep(0.2)
        with packets_dropped(database.port):
            await asyncio.sleep(3)
            fleet.workers[0].send(signal.SIGTERM)
            seconds = await fleet.workers[0].ended(60)
        await asyncio.gather(*asking)
        if seconds is None or seconds > LONGEST_EXIT_SECONDS:
            fleet.ledger.breach(f"SIGTERM was obeyed after {seconds} s")
        fleet.half_open = MOST_CONNECTIONS
        fleet.workers[0].kill()
        fleet.workers[0].start()
        await fleet.workers[0].is_up()
        return await outcome(fleet, crowd, sigterm_s=seconds)


async def slow_network(rig: Rig) -> Outcome:
    """Two seconds each way: nothing can be answered in time, and nothing piles up."""
    database = rig.postgresql()
    await create_tables(database.url)
    async with StallingProxy("127.0.0.1", database.port) as proxy:
        url = database.url.replace(str(database.port), str(proxy.port))
        async with _on_network(rig, url, database) as fleet:
            quiet = await p99_of_open(fleet, 1)
            async with under_load(fleet) as crowd:
                await asyncio.sleep(1.5)
                proxy.delay = 2.0
                answers, slow = await _ask_and_watch(fleet, 4 if rig.quick else 20)
                proxy.delay = 0.0
                await asyncio.sleep(2)
                healed = await seconds_to_first_answer(fleet)
            answered_in_time(fleet, answers, TIMEOUT)
            return await outcome(
                fleet, crowd, healed_s=f"{healed:.2f}", quiet_p99_ms=quiet, slow_p99_ms=slow
            )


async def answer_to_commit_lost(rig: Rig) -> Outcome:
    """The database did it, and the network broke before it could say so: the client gets 503 and
    tries again. Nothing is done twice, and nothing is lost."""
    return await _commits_unanswered(rig, kill=False)


async def killed_after_commit(rig: Rig) -> Outcome:
    """The worker is killed between the COMMIT and its answer to the client."""
    return await _commits_unanswered(rig, kill=True)


async def _commits_unanswered(rig: Rig, *, kill: bool) -> Outcome:
    database = rig.postgresql()
    await create_tables(database.url)
    lost = 0
    async with StallingProxy("127.0.0.1", database.port) as proxy:
        url = database.url.replace(str(database.port), str(proxy.port))
        async with _on_network(rig, url, database, count=1 if kill else 2) as fleet:

            def hit() -> None:
                nonlocal lost
                lost += 1
                if kill:
                    fleet.workers[0].process.kill()

            async with under_load(fleet, 4) as crowd:
                for number in range(4 if rig.quick else 30):
                    await asyncio.sleep(0.5)
                    # Not a sender's lease, which its owner would have to sit out for two minutes.
                    proxy.cut_instead_of(b"COMMIT\0", hit, after=b"INSERT 0 1\0")
                    await _until(lambda wanted=number + 1: lost >= wanted)
                    if kill:
                        fleet.workers[0].is_serving = False
                        await fleet.workers[0].ended()
                        fleet.workers[0].start()
                        await fleet.workers[0].is_up()
            return await outcome(fleet, crowd, commits_unanswered=lost)


@contextlib.asynccontextmanager
async def _on_network(
    rig: Rig, url: str, database: PostgreSQL, count: int = 2
) -> AsyncIterator[Fleet]:
    """Workers that reach the database by that URL, looked at without the network between."""
    timeout = str(TIMEOUT)
    async with rig.fleet(url, count, TOKEN_AUTH_DATABASE_TIMEOUT=timeout, tables=False) as fleet:
        fleet.database_url = database.url
        yield fleet


async def _ask_and_watch(fleet: Fleet, seconds: float) -> tuple[list[Answer], str]:
    """What logins come to, and how long a route without a database takes meanwhile."""
    until = time.monotonic() + seconds
    asking = [asyncio.create_task(ask_until(fleet, until)) for _ in range(30)]
    p99 = await p99_of_open(fleet, seconds - 0.5)
    answers = [answer for each in await asyncio.gather(*asking) for answer in each]
    return answers, p99


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
