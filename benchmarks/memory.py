"""How many bytes does a cached token take?

    python -m benchmarks.memory [--quick]

In process, on SQLite: distinct tokens of distinct users are each used once. What the process holds
once 100,000 were (`--quick`: 20,000), less what it held after the first 1,000, is what the rest
take, garbage collected before each look. Each time in a new process: by the resident set (Linux),
which is what a machine must have; by the same with a cache that holds 1,000 only, for what SQLite's
page caches and the allocator take, which is subtracted; and by tracemalloc, which counts Python's
objects alone. The JWTs are signed as they are used and not kept here: what remains of them is what
the library keeps.
"""

import argparse
import asyncio
import gc
import multiprocessing
import os
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from matplotlib.figure import Figure

from benchmarks import report
from benchmarks.direct_calls import guarded, use_once
from benchmarks.population import Population, running

FIRST = 1_000
LAST = 100_000
LAST_QUICK = 20_000
LARGEST_SITES = 8
# Times of last use may still be waiting to be written.
SETTLE_SECONDS = 5.0

T = TypeVar("T")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Bytes a token, by either way of counting, and the lines that allocate most of them."""
    last = LAST_QUICK if options.quick else LAST
    with_cache = _in_new_process(measure_resident, last, last)
    without = _in_new_process(measure_resident, last, FIRST)
    return {
        "tokens": last - FIRST,
        "resident": {"bytes_per_token": with_cache - without, "without_cache": without},
        "traced": _in_new_process(measure_traced, last),
    }


def _in_new_process(probe: Callable[..., T], *arguments: int) -> T:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        return executor.submit(probe, *arguments).result()


def measure_resident(last: int, cached_tokens: int) -> int:
    """Bytes of the resident set a token."""
    before, after = asyncio.run(_look_twice(last, cached_tokens, resident_bytes))
    return round((after - before) / (last - FIRST))


def measure_traced(last: int) -> dict[str, Any]:
    """Bytes of Python's objects a token, in all and by the line that made them."""
    tracemalloc.start()
    before, after = asyncio.run(_look_twice(last, last, tracemalloc.take_snapshot))
    differences = after.compare_to(before, "lineno")
    per_token = {
        _place(difference.traceback[0]): round(difference.size_diff / (last - FIRST))
        for difference in differences[:LARGEST_SITES]
    }
    total = sum(difference.size_diff for difference in differences)
    return {"bytes_per_token": round(total / (last - FIRST)), "lines": per_token}


async def _look_twice(last: int, cached_tokens: int, look: Callable[[], T]) -> tuple[T, T]:
    population = Population(last, users=last)
    # Under tracemalloc it takes minutes: what was used first must not be out of date by then.
    chosen = {"cached_tokens": cached_tokens, "user_max_age": timedelta(hours=1)}
    async with running("sqlite", population, **chosen) as (auth, _):
        minter, app = population.minter(auth), guarded(auth)
        await use_once(app, map(minter.token, range(1, FIRST + 1)))
        before = await _settled(look)
        await use_once(app, map(minter.token, range(FIRST + 1, last + 1)))
        return before, await _settled(look)


async def _settled(look: Callable[[], T]) -> T:
    await asyncio.sleep(SETTLE_SECONDS)
    gc.collect()
    return look()


def resident_bytes() -> int:
    """The resident set, as Linux counts it."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _place(frame: tracemalloc.Frame) -> str:
    return f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno}"


def describe(figures: dict[str, Any]) -> str:
    """Two totals, and where the second comes from."""
    lines = [
        f"bytes a cached token, over {figures['tokens']:,} tokens",
        f"  resident set       {figures['resident']['bytes_per_token']:>8,}"
        f"   ({figures['resident']['without_cache']:,} without a cache are subtracted)",
        f"  Python's objects   {figures['traced']['bytes_per_token']:>8,}",
    ]
    lines += [f"{size:>12,}  {place}" for place, size in figures["traced"]["lines"].items()]
    return "\n".join(lines)


def draw(figures: dict[str, Any]) -> Figure:
    """Megabytes for 1,000 to 1,000,000 tokens, at the measured bytes each."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    counts = [10**power for power in range(3, 7)]
    for kind, label in (("resident", "resident set"), ("traced", "Python's objects")):
        each = figures[kind]["bytes_per_token"]
        sizes = [count * each / 1e6 for count in counts]
        axes.plot(counts, sizes, "o-", label=f"{label}: {each:,} bytes a token")
    axes.set(xscale="log", yscale="log", xlabel="cached tokens", ylabel="megabytes")
    axes.set_title("Memory of the token cache")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def main() -> None:
    """Measures and prints."""
    report.run("memory", measure, describe)


if __name__ == "__main__":
    main()
