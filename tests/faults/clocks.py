"""One worker's clock is wrong, by a minute or by hours."""

import asyncio
import glob
import time

from tests.faults.database_servers import Missing
from tests.faults.ledger import BOUND, Revoked
from tests.faults.measures import USER
from tests.faults.rig import Outcome, Rig, outcome, under_load

LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"


def moved_by(seconds: int) -> dict[str, str]:
    """An environment in which the clock says that much more; what measures durations does not.

    Raises:
        Missing: libfaketime.
    """
    found = glob.glob(LIBRARY)
    if not found:
        raise Missing("libfaketime")
    return {
        "LD_PRELOAD": found[0],
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


async def clock_fast(rig: Rig) -> Outcome:
    """A minute ahead: tokens of either worker are good in the other."""
    return await _minute(rig, 60)


async def clock_slow(rig: Rig) -> Outcome:
    """A minute behind."""
    return await _minute(rig, -60)


async def _minute(rig: Rig, seconds: int) -> Outcome:
    async with rig.fleet(rig.postgresql().url, each=[moved_by(seconds)]) as fleet:
        async with under_load(fleet) as crowd:
            await asyncio.sleep(2 if rig.quick else 15)
        return await outcome(fleet, crowd, moved_s=seconds)


async def clock_hours_ahead(rig: Rig) -> Outcome:
    """Five hours: tokens issued there are from the future and refused elsewhere, but a revoked
    token is refused within the bound whoever revoked it."""
    return await _hours(rig, 5 * 3600)


async def clock_hours_behind(rig: Rig) -> Outcome:
    """Five hours behind."""
    return await _hours(rig, -5 * 3600)


async def _hours(rig: Rig, seconds: int) -> Outcome:
    refused = 0
    async with rig.fleet(rig.postgresql().url, each=[moved_by(seconds)]) as fleet:
        await fleet.call("POST", "/api/users", body={"user": USER})
        for number in range(4 if rig.quick else 20):
            at, other = fleet.workers[number % 2], fleet.workers[1 - number % 2]
            answer = await at.call("POST", "/api/sessions", body=USER)
            token = answer.body["token"]
            uses = [await at.call("GET", "/api/messages", token) for _ in range(3)]
            elsewhere = await other.call("GET", "/api/messages", token)
            refused += elsewhere.status == 401
            await asyncio.sleep(0.2)
            gone = await at.call("DELETE", "/api/sessions", token)
            if {answer.status for answer in (*uses, gone)} != {200}:
                fleet.ledger.breach(f"{[answer.status for answer in (*uses, gone)]} at home")
            if (await at.call("GET", "/api/messages", token)).status != 401:
                fleet.ledger.breach("I1 accepted where it was revoked")
            await asyncio.sleep(max(0.0, gone.ended + BOUND + 0.05 - time.monotonic()))
            revoked, late = Revoked(token, gone.ended), other.call("GET", "/api/messages", token)
            fleet.ledger.use_of_revoked(revoked, await late)
        return await outcome(fleet, moved_s=seconds, refused_elsewhere=refused)
