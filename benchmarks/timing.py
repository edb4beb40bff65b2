"""Does an answer's time tell who has an account?

    python -m benchmarks.timing [--quick] [--postgresql URL]

A uvicorn process with `disclose_accounts="never"`, passwords hashed as by default, mails that go
nowhere. To each of log-in (with a wrong password), password reset, confirmation and sign-up, 200
requests for each of three kinds of addresses: known (an account that is confirmed), unconfirmed,
and unknown. One request at a time, over one connection, in one order drawn at random, each address
asked for once a kind; a pause lets the mail of one request be sent before the next comes.

The promise: medians within 10% of those of unknown addresses. Beside them stands p of the
Mann-Whitney test: how likely so different samples are where there is no difference at all. (What is
small enough to be hidden by any network shows in it all the same, with enough samples.)
"""

import asyncio
import itertools
import json
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.databases import mysql_is_reachable, reachable
from benchmarks.http_client import Client, connected, post
from benchmarks.probe import standing_apart
from benchmarks.report import Figures, Options, run, table
from benchmarks.servers import Source, running
from benchmarks.stacks import LogIn

SAMPLES = 200
PAUSE_SECONDS = 0.02
PROMISE = 0.10
KINDS = ("unknown", "known", "unconfirmed")
PATHS = {
    "log-in": ("/api/sessions", 401),
    "password reset": ("/api/password_resets", 200),
    "confirmation": ("/api/confirmations", 200),
    "sign-up": ("/api/users", 200),
}
TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MariaDB"}


async def measure(options: Options) -> Figures:
    """Medians and ratios by database, request and kind of address."""
    samples = 20 if options.quick else SAMPLES
    source = Source("ours", "asgi_token_auth", samples, "open_for_timing")
    figures: Figures = {}
    kinds = await reachable(options.postgresql)
    kinds += ["mysql"] if await mysql_is_reachable() else []
    for kind in kinds:
        async with running(source, "guarded", kind, options.postgresql) as server:
            figures[kind] = _figures(await _sample(server.port, samples))
    return figures


async def _sample(port: int, samples: int) -> dict[tuple[str, str], list[float]]:
    """Milliseconds of each request, by what was asked and for whom."""
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    order = [*itertools.product(PATHS, KINDS, range(samples))]
    random.shuffle(order)
    async with connected(port, 1) as (client,):
        for number in range(20):
            await _take(client, "log-in", f"warm{number}@example.com")
        with standing_apart():
            for name, kind, number in order:
                # Nobody signs up twice: an address is unknown only once.
                address = f"{kind}{number}@example.com"
                if kind == "unknown":
                    address = f"{name.replace(' ', '')}{number}@example.com"
                taken[name, kind].append(await _take(client, name, address))
                await asyncio.sleep(PAUSE_SECONDS)
    return taken


async def _take(client: Client, name: str, address: str) -> float:
    path, expected = PATHS[name]
    fields = {"email": address, "password": "a wrong password"}
    content = {"user": fields} if name == "sign-up" else fields
    raw = post(LogIn(path, "application/json", json.dumps(content).encode()))
    began = time.perf_counter()
    status = await client.status(raw)
    ended = time.perf_counter()
    if status != expected:
        raise RuntimeError(f"{name} for {address} was answered {status}")
    return (ended - began) * 1000


def _figures(taken: dict[tuple[str, str], list[float]]) -> Figures:
    return {
        name: {
            kind: {
                "median": statistics.median(taken[name, kind]),
                "ratio": statistics.median(taken[name, kind])
                / statistics.median(taken[name, "unknown"]),
                "p": mann_whitney(taken[name, kind], taken[name, "unknown"]),
            }
            for kind in KINDS
        }
        for name in PATHS
    }


def mann_whitney(these: Sequence[float], those: Sequence[float]) -> float:
    """The two-sided p of the rank test, by its normal approximation (good from 20 samples on);
    clock readings that are equal by chance are too few to matter."""
    ranked = sorted([*((each, True) for each in these), *((each, False) for each in those)])
    ranks = sum(rank for rank, (_, is_of_these) in enumerate(ranked, 1) if is_of_these)
    n, m = len(these), len(those)
    mean, deviation = n * (n + m + 1) / 2, (n * m * (n + m + 1) / 12) ** 0.5
    return 2 * statistics.NormalDist().cdf(-abs(ranks - mean) / deviation)


def describe(figures: Figures) -> str:
    """A table for each database; what breaks the promise is marked."""
    return "\n\n".join(_describe(TITLES[kind], each) for kind, each in figures.items())


def _describe(title: str, requests: Figures) -> str:
    rows = [
        (
            name,
            f"{kinds['unknown']['median']:.2f}",
            *(_compared(kinds[kind]) for kind in KINDS if kind != "unknown"),
        )
        for name, kinds in requests.items()
    ]
    headings = (f"{title}: medians", "unknown, ms", "known / unknown", "unconfirmed / unknown")
    return table(headings, rows)


def _compared(entry: dict[str, float]) -> str:
    mark = "  " if abs(entry["ratio"] - 1) <= PROMISE else " !"
    return f"{entry['ratio']:.3f}{mark} (p {entry['p']:.3f})"


def main() -> None:
    """Measures and reports."""
    run("timing", measure, describe)


if __name__ == "__main__":
    main()
