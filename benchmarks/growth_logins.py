"""What newly logged-in users cost those who are there already.

One stream of warm requests, in bursts a millisecond apart. Within a burst, each begins when the
last one is done and the event loop has had its turn: its latency is from the one moment to the
other, so that what the loop does for newcomers in between counts. The rest between bursts is for
SQLite, which answers from threads of this process: beside a loop that never rests they wait for
Python's lock far longer than they work.

The tokens of newcomers, each used for the first time, come in at a steady rate; their latency is
from arrival to answer. Their rows are there before, as a login on another process leaves them.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from starlette.types import ASGIApp

from benchmarks.direct_calls import guarded, request, settle, summary, use_once
from benchmarks.population import Minter, Population, running

RATES = (0, 1, 10, 100, 1_000)
WARM_TOKENS = 1_000
BURST = 20
REST_SECONDS = 0.001
SECONDS = 8.0
SECONDS_QUICK = 2.0


async def measure_logins(dialect: str, quick: bool) -> dict[str, Any]:
    """For each rate of newcomers: microseconds of warm requests and of first uses."""
    seconds = SECONDS_QUICK if quick else SECONDS
    population = Population(WARM_TOKENS + int(sum(RATES) * (seconds + 1)))
    figures: dict[str, Any] = {}
    async with running(dialect, population) as (auth, _):
        app = guarded(auth)
        minter = population.minter(auth)
        numbers = itertools.count(1)
        warm = [minter.token(number) for number in itertools.islice(numbers, WARM_TOKENS)]
        await settle(app, warm[0])
        await use_once(app, warm)
        for rate in RATES:
            fresh = await _mint(minter, numbers, int(rate * seconds))
            figures[str(rate)] = await Stream(app, warm).run(fresh, seconds)
    return figures


async def _mint(minter: Minter, numbers: Iterator[int], count: int) -> list[bytes]:
    """Tokens that nobody has used; signing must not be timed with them."""
    return [minter.token(next(numbers)) for _ in range(count)]


class Stream:
    """Warm requests without end, and newcomers among them."""

    def __init__(self, app: ASGIApp, warm: list[bytes]) -> None:
        self._app = app
        self._warm = warm
        self._warm_times: list[float] = []
        self._first_times: list[float] = []
        self._refused: Counter[int] = Counter()

    async def run(self, fresh: list[bytes], seconds: float) -> dict[str, Any]:
        """Both streams for so many seconds."""
        newcomers = asyncio.create_task(self._admit(fresh, seconds))
        await self._keep_warm(seconds)
        await newcomers
        return {
            "warm": summary(self._warm_times),
            "first_use": summary(self._first_times),
            "warm_per_second": round(len(self._warm_times) / seconds),
            "refused": sum(self._refused.values()),
        }

    async def _keep_warm(self, seconds: float) -> None:
        deadline = time.perf_counter() + seconds
        tokens = itertools.cycle(self._warm)
        while time.perf_counter() < deadline:
            await self._burst(list(itertools.islice(tokens, BURST)))
            await asyncio.sleep(REST_SECONDS)

    async def _burst(self, tokens: list[bytes]) -> None:
        last = time.perf_counter()
        for token in tokens:
            await asyncio.sleep(0)
            if await request(self._app, token) != 200:
                raise RuntimeError("a warm token was refused")
            now = time.perf_counter()
            self._warm_times.append((now - last) * 1e6)
            last = now

    async def _admit(self, fresh: list[bytes], seconds: float) -> None:
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, token in enumerate(fresh):
                due = begun + number * seconds / len(fresh)
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(self._first_use(token, time.perf_counter()))

    async def _first_use(self, token: bytes, arrived: float) -> None:
        status = await request(self._app, token)
        if status == 200:
            self._first_times.append((time.perf_counter() - arrived) * 1e6)
        else:
            self._refused[status] += 1
