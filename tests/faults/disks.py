"""The disk is full: on a file system of a few megabytes, filled to the last byte."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from tests.faults.aftermath import ask
from tests.faults.database_servers import PostgreSQL, small_disk
from tests.faults.measures import seconds_to_first_answer
from tests.faults.rig import Outcome, Rig, outcome, under_load
from tests.faults.workers import Fleet

BLOCK = 4096


@contextlib.contextmanager
def filled(directory: Path) -> Iterator[None]:
    """Takes all the space that is left there."""
    ballast = directory / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * BLOCK)
        yield
    finally:
        ballast.unlink()


async def sqlite_disk_full(rig: Rig) -> Outcome:
    """What writes is 503, tokens in use stay good, nothing is corrupt, and space mends it."""
    directory = rig.new_directory()
    with small_disk(directory / "disk", 16) as disk:
        url = f"sqlite:///{disk}/faults.db"
        async with rig.fleet(url) as fleet:
            came = await _fill(rig, fleet, disk)
        with contextlib.closing(sqlite3.connect(disk / "faults.db")) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if found != "ok":
            came.breaches.append(f"the file is corrupt: {found}")
        return came


async def postgresql_disk_full(rig: Rig) -> Outcome:
    """The same where PostgreSQL's tables are, with its log elsewhere, as operators keep it."""
    directory = rig.new_directory()
    with small_disk(directory / "disk", 96) as disk:
        server = PostgreSQL(directory / "server", disk / "data")
        server.start()
        try:
            async with rig.fleet(server.url) as fleet:
                came = await _fill(rig, fleet, disk)
            if await ask(server.url, "SELECT COUNT(*) FROM users") == 0:
                came.breaches.append("no users are left")
            return came
        finally:
            server.end()


async def _fill(rig: Rig, fleet: Fleet, disk: Path) -> Outcome:
    async with under_load(fleet) as crowd:
        await asyncio.sleep(1.5)
        before = fleet.ledger.count(503)
        with filled(disk):
            await asyncio.sleep(4 if rig.quick else 15)
        refused = fleet.ledger.count(503) - before
        healed = await seconds_to_first_answer(fleet)
        await asyncio.sleep(1)
    if not refused:
        fleet.ledger.breach("no 503: the fault did not bite")
    return await outcome(fleet, crowd, healed_s=f"{healed:.2f}", refused=refused)
