"""How many queries reach the database at full load?

    python -m benchmarks.queries [--quick]

In process, on PostgreSQL: sixteen clients call the application without a pause, with 1, 100 and
10,000 tokens in rotation, each used once before; the server counts (see `server_count`). For the
library's defaults, for `revocation_lag` of 5 seconds, and of 0, where every request is to ask.
A measurement takes forty seconds, longer than the default `user_max_age`, so that each cached user
is re-read as in the long run; `--quick` is too short for that. "idle" is what the running
library asks by itself.
"""

import argparse
import asyncio
import itertools
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import asyncpg
from databases import DatabaseURL
from matplotlib.figure import Figure
from starlette.types import ASGIApp

from asgi_token_auth.settings import Settings
from benchmarks import report
from benchmarks.databases import new_database
from benchmarks.direct_calls import guarded, request, settle, use_once
from benchmarks.population import Population, running
from benchmarks.server_count import ServerCount

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "lag 5 s": {"revocation_lag": timedelta(seconds=5)},
    "lag 0": {"revocation_lag": timedelta(0)},
}
TOKENS = (1, 100, 10_000)
TOKENS_QUICK = (1, 100)
SECONDS = 40.0
SECONDS_QUICK = 3.0
CLIENTS = 16
# The library's connections are then idle, and back in their pool.
PAUSE_SECONDS = 3.0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Requests and queries per second, by variant and number of tokens."""
    return asyncio.run(_measure(options.quick))


async def _measure(quick: bool) -> dict[str, Any]:
    variants = {
        name: chosen
        for name, chosen in VARIANTS.items()
        if chosen.keys() <= Settings.__dataclass_fields__.keys()
    }
    return {name: await _measure_variant(chosen, quick) for name, chosen in variants.items()}


async def _measure_variant(chosen: dict[str, Any], quick: bool) -> dict[str, Any]:
    sizes, seconds = (TOKENS_QUICK, SECONDS_QUICK) if quick else (TOKENS, SECONDS)
    population = Population(max(sizes))
    figures: dict[str, Any] = {}
    async with (
        new_database("postgresql") as observer_url,
        running("postgresql", population, send_mail=True, **chosen) as (auth, url),
    ):
        observer = await asyncpg.connect(observer_url)
        count = ServerCount(observer, DatabaseURL(url).database)
        await count.prepare()
        minter = population.minter(auth)
        tokens = [minter.token(number) for number in range(1, max(sizes) + 1)]
        figures["unit"] = count.unit
        await settle(guarded(auth), tokens[0])
        figures["idle"] = await _measure_load(count, guarded(auth), [], seconds)
        for size in sizes:
            await use_once(guarded(auth), tokens[:size])
            load = await _measure_load(count, guarded(auth), tokens[:size], seconds)
            figures[str(size)] = load
        await observer.close()
    return figures


async def _measure_load(
    count: ServerCount, app: ASGIApp, tokens: list[bytes], seconds: float
) -> dict[str, float]:
    await asyncio.sleep(PAUSE_SECONDS)
    before = await count.total()
    begun = time.perf_counter()
    requests = await _load(app, tokens, begun + seconds) if tokens else await _idle(seconds)
    took = time.perf_counter() - begun
    await asyncio.sleep(PAUSE_SECONDS)
    queries = await count.total() - before
    return {
        "requests_per_second": round(requests / took, 1),
        "queries_per_second": round(queries / took, 2),
    }


async def _idle(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return 0


async def _load(app: ASGIApp, tokens: list[bytes], deadline: float) -> int:
    """How many requests all clients made."""
    rotation = itertools.cycle(tokens)
    clients = (_client(app, rotation, deadline) for _ in range(CLIENTS))
    return sum(await asyncio.gather(*clients))


async def _client(app: ASGIApp, rotation: Iterator[bytes], deadline: float) -> int:
    made = 0
    while time.perf_counter() < deadline:
        status = await request(app, next(rotation))
        if status != 200:
            raise RuntimeError(f"a good token got {status}")
        made += 1
        await asyncio.sleep(0)  # a server would let other tasks have their turn, too
    return made


def describe(figures: dict[str, Any]) -> str:
    """A line for each variant and number of tokens."""
    unit = "/".join(sorted({found["unit"] for found in figures.values()}))
    lines = [f"{'':10}{'tokens':>10}{'requests/s':>12}{'queries/s':>12}   counted: {unit}"]
    for variant, found in figures.items():
        for size, rates in found.items():
            if size != "unit":
                lines.append(
                    f"{variant:10}{size:>10}{rates['requests_per_second']:>12,.0f}"
                    f"{rates['queries_per_second']:>12,.2f}"
                )
    return "\n".join(lines)


def draw(figures: dict[str, Any]) -> Figure:
    """Requests and queries per second, by tokens in rotation."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, (variant, found) in enumerate(figures.items()):
        sizes = [size for size in found if size.isdigit()]
        for kind, style in (("requests", "^:"), ("queries", "o-")):
            rates = [found[size][f"{kind}_per_second"] for size in sizes]
            label = f"{variant}: {kind}"
            axes.plot([int(size) for size in sizes], rates, style, color=f"C{number}", label=label)
    axes.set(xscale="log", yscale="log", xlabel="tokens in rotation", ylabel="per second")
    axes.set_title("Requests, and the queries that reach PostgreSQL")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def main() -> None:
    """Measures and prints."""
    report.run("queries", measure, describe)


if __name__ == "__main__":
    main()
