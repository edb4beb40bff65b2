"""Clients that leave, that come all at once, and that all want the same rows."""

import asyncio
import contextlib
import random

from tests.faults.measures import USER, ask_until, p99_of_open
from tests.faults.rig import Outcome, Rig, outcome, under_load
from tests.faults.workers import Fleet
from tests.server_fleet import request_bytes

LEAVERS = 300
LONGEST_LAG_SECONDS = 0.05  # p99, as notes of others have it; a busy machine is given more
BUSY_MACHINE = 4


async def clients_disconnect(rig: Rig) -> Outcome:
    """300 clients that hang up at some point of a request, sent whole or not: what began is
    finished or undone, and no connection to the database stays away."""
    async with rig.fleet(rig.postgresql().url, 1) as fleet:
        await fleet.call("POST", "/api/users", body={"user": USER})
        async with under_load(fleet, 2) as crowd:
            for _ in range(1 if rig.quick else 10):
                await asyncio.gather(*(_leave(fleet, number) for number in range(LEAVERS)))
        tasks = (await fleet.workers[0].gauges())["tasks"]
        return await outcome(fleet, crowd, left=LEAVERS, tasks=f"{tasks:.0f}")


async def _leave(fleet: Fleet, number: int) -> None:
    user = {"username": f"leaver{number}-{random.random()}", "password": "secret"}
    body, path = random.choice(
        (({"user": user}, "/api/users"), (USER, "/api/sessions"), (USER, "/api/password_resets"))
    )
    content = request_bytes("POST", path, "", body)
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", fleet.workers[0].port)
        writer.write(content if number % 2 else content[: random.randrange(len(content))])
        await asyncio.sleep(random.uniform(0, 0.3))
        writer.transport.abort()


async def login_storm(rig: Rig) -> Outcome:
    """More wrong logins than two cores can hash, with a short queue: each is answered 401, or 503
    with a time to come again; the event loop stays awake, and memory is bounded."""
    async with rig.fleet(
        rig.sqlite(), 1, FAULTS_HASHES="real", TOKEN_AUTH_HASHING_QUEUE="16"
    ) as fleet:
        before = await fleet.workers[0].gauges()
        loop = asyncio.get_running_loop()
        until = loop.time() + (2 if rig.quick else 15)
        storm = [asyncio.create_task(ask_until(fleet, until)) for _ in range(60)]
        p99 = await p99_of_open(fleet, until - loop.time() - 0.2)
        await asyncio.gather(*storm)
        after = await fleet.workers[0].gauges()
        hashed, refused = fleet.ledger.count(401), fleet.ledger.count(503)
        if not hashed or not refused:
            fleet.ledger.breach("the storm was none")
        if after["lag_p99"] > LONGEST_LAG_SECONDS * BUSY_MACHINE:
            fleet.ledger.breach(f"the event loop was late by {after['lag_p99']:.3f} s")
        grown = (after["rss"] - before["rss"]) / 2**20
        if grown > 200:
            fleet.ledger.breach(f"{grown:.0f} MiB more")
        return await outcome(
            fleet,
            hashed=hashed,
            open_p99_ms=p99,
            lag_p99_ms=f"{after['lag_p99'] * 1000:.1f}",
            grown_mib=f"{grown:.0f}",
        )


async def same_user_postgresql(rig: Rig) -> Outcome:
    """Resets, changes, logins and logouts of one user at once, over two processes."""
    return await _same_user(rig, rig.postgresql().url)


async def same_user_mariadb(rig: Rig) -> Outcome:
    """The same on MariaDB, which finds deadlocks elsewhere."""
    return await _same_user(rig, rig.mariadb().url)


async def _same_user(rig: Rig, url: str) -> Outcome:
    async with rig.fleet(url) as fleet:
        user = {"username": f"popular{random.random()}", "password": "secret"}
        await fleet.call("POST", "/api/users", body={"user": user})
        good = 0
        for _ in range(5 if rig.quick else 60):
            logins = [fleet.call("POST", "/api/sessions", body=user) for _ in range(12)]
            answers = await asyncio.gather(*logins)
            tokens = [answer.body["token"] for answer in answers if answer.status == 200]
            good += len(tokens)
            await asyncio.gather(*(_anything(fleet, token, user) for token in tokens * 2))
        if not good:
            fleet.ledger.breach("nobody could log in")
        return await outcome(fleet, logins=good)


async def _anything(fleet: Fleet, token: str, user: dict[str, str]) -> None:
    account = {"password": user["password"], "current_password": user["password"]}
    method, path, body = random.choice(
        (
            ("PUT", "/api/account", {"account": account}),
            ("DELETE", "/api/sessions", None),
            ("DELETE", "/api/sessions?scope=others", None),
            ("DELETE", "/api/sessions?scope=all", None),
            ("POST", "/api/sessions", user),
        )
    )
    await fleet.call(method, path, token if path != "/api/sessions" or body is None else "", body)
