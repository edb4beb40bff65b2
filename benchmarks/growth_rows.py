"""What requests, logins and logouts cost with ever more rows in the tokens table."""

import random
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

from starlette.types import ASGIApp

from asgi_token_auth import TokenAuth
from benchmarks.databases import size_on_disk
from benchmarks.direct_calls import guarded, request, settle, summary, time_rotation, use_once
from benchmarks.population import PASSWORD, Minter, Population, running

ROWS = (1_000, 100_000, 1_000_000, 10_000_000)
ROWS_QUICK = (1_000, 100_000)
WARM_TOKENS = 100
SAMPLES = 1_000
SAMPLES_QUICK = 200
SECONDS = 2.0
SECONDS_QUICK = 0.5

T = TypeVar("T")


async def measure_rows(dialect: str, quick: bool) -> dict[str, Any]:
    """For each number of rows, see `measure_size`."""
    sizes = ROWS_QUICK if quick else ROWS
    return {str(rows): await measure_size(dialect, rows, quick) for rows in sizes}


async def measure_size(dialect: str, rows: int, quick: bool) -> dict[str, Any]:
    """Microseconds of warm requests, first uses, logins and logouts; seconds to fill; bytes."""
    population = Population(rows)
    begun = time.perf_counter()
    async with running(dialect, population) as (auth, url):
        filled = round(time.perf_counter() - begun, 1)
        return {
            **await _measure_filled(auth, population, quick),
            "seconds_to_fill": filled,
            "bytes_on_disk": await size_on_disk(url),
        }


async def _measure_filled(auth: TokenAuth, population: Population, quick: bool) -> dict[str, Any]:
    samples, seconds = (SAMPLES_QUICK, SECONDS_QUICK) if quick else (SAMPLES, SECONDS)
    # Seeded, and never the same row twice: each is to be read for the first time.
    count = min(WARM_TOKENS + samples, population.tokens)
    numbers = random.Random(1).sample(range(1, population.tokens + 1), count)
    minter, app = population.minter(auth), guarded(auth)
    warm = [minter.token(number) for number in numbers[:WARM_TOKENS]]
    first_uses = [minter.token(number) for number in numbers[WARM_TOKENS:]]
    await settle(app, warm[0])
    await use_once(app, warm)
    users = random.Random(2).choices(range(1, population.users + 1), k=samples)
    return {
        "warm": await time_rotation(app, warm, seconds),
        "first_use": await _time_first_uses(app, first_uses),
        **await _time_logins(auth, minter, users),
    }


async def _time_first_uses(app: ASGIApp, tokens: list[bytes]) -> dict[str, float]:
    times = []
    for token in tokens:
        microseconds, status = await _timed(request(app, token))
        if status != 200:
            raise RuntimeError(f"a good token got {status}")
        times.append(microseconds)
    return summary(times)


async def _time_logins(auth: TokenAuth, minter: Minter, users: list[int]) -> dict[str, Any]:
    logins, logouts = [], []
    for user_id in users:
        email = f"user{user_id}@example.com"
        microseconds, issued = await _timed(auth.accounts.log_in(email=email, password=PASSWORD))
        logins.append(microseconds)
        revoked = auth.accounts.revoke_session(issued.user, minter.id_of(issued.token))
        logouts.append((await _timed(revoked))[0])
    return {"login": summary(logins), "logout": summary(logouts)}


async def _timed(work: Awaitable[T]) -> tuple[float, T]:
    started = time.perf_counter()
    result = await work
    return (time.perf_counter() - started) * 1e6, result
