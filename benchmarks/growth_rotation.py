"""What a request costs with more and more tokens in rotation."""

from typing import Any

from benchmarks.direct_calls import guarded, messages, settle, time_rotation, use_once
from benchmarks.population import Population, running

LIVE = (1, 100, 10_000, 100_000)
LIVE_QUICK = (1, 100, 1_000)
SECONDS = 3.0
SECONDS_QUICK = 1.0


async def measure_rotation(dialect: str, quick: bool) -> dict[str, Any]:
    """For each number of tokens, microseconds a request once each was used; and without guard."""
    sizes, seconds = (LIVE_QUICK, SECONDS_QUICK) if quick else (LIVE, SECONDS)
    population = Population(max(sizes))
    figures: dict[str, Any] = {}
    async with running(dialect, population) as (auth, _):
        app = guarded(auth)
        minter = population.minter(auth)
        tokens = [minter.token(number) for number in range(1, max(sizes) + 1)]
        await settle(app, tokens[0])
        figures["unguarded"] = await time_rotation(messages, tokens, seconds)
        for size in sizes:
            await use_once(app, tokens[:size])
            figures[str(size)] = await time_rotation(app, tokens[:size], seconds)
    return figures
