"""How many microseconds does authentication add to a request?

    python -m benchmarks.overhead [--quick] [--postgresql URL]

In process: the ASGI application is called with a hand-made scope, so neither server nor client is
in the figure; the same route in the same framework without authentication is subtracted. Once with
one token, once with 10,000 tokens of 1,001 users in rotation. All stacks run in one process, a few
at a time in turn (see `rounds`), on one database after the other.

A batch is about a tenth of a second of requests, 10,000 at the most, and the same batch ran just
before it untimed: this is the cost of a warm request. What a cache costs besides (the feed that is
read once in `revocation_lag`, the users re-read once in `user_max_age`) does not depend on the
number of requests; the question `queries` counts it.
"""

import asyncio
import contextlib
import functools
import gc
import itertools
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmarks.databases import new_database, reachable
from benchmarks.in_process import drive, in_fresh_process, is_guarded
from benchmarks.peers import open_all
from benchmarks.report import Figures, Options, run, table
from benchmarks.rounds import Pair, differences, interleave
from benchmarks.stacks import Stack

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
SETTLE_SECONDS = 0.01
ONE, ROTATION = "one token", "in rotation"


async def measure(options: Options) -> Figures:
    """Microseconds added to a request, by database and stack."""
    figures: Figures = {}
    for kind in await reachable(options.postgresql):
        async with new_database(kind, options.postgresql) as url:
            figures[kind] = await in_fresh_process(_measure, url, options.quick)
    return figures


def _measure(url: str, quick: bool) -> Figures:
    logging.disable(logging.WARNING)
    return asyncio.run(_measure_all(url, quick))


async def _measure_all(url: str, quick: bool) -> Figures:
    tokens, rounds = (200, 3) if quick else (10_000, 15)
    seconds = 0.01 if quick else 0.1
    async with contextlib.AsyncExitStack() as exits:
        stacks = await open_all(exits, url, tokens)
        pairs: dict[tuple[str, str], Pair[float]] = {}
        for label, stack in stacks.items():
            if not await is_guarded(stack.guarded) or await is_guarded(stack.bare):
                raise RuntimeError(f"{label} is not what it should be")
            size = await _batch_size(stack, seconds)
            pairs[label, ONE] = _pair(stack, itertools.repeat(stack.tokens[0]), size)
            pairs[label, ROTATION] = _pair(stack, itertools.cycle(stack.tokens), size)
        await interleave(pairs, 1)  # a process that just started may remember nothing yet
        gc.collect()
        gc.freeze()  # what was set up is not looked at again
        outcomes = await interleave(pairs, rounds)
    figures: Figures = {"tokens": tokens, "rounds": rounds, "stacks": {}}
    for (label, mode), of_pair in outcomes.items():
        entry = figures["stacks"].setdefault(label, {"kind": stacks[label].kind})
        entry[mode] = {key: value * 1e6 for key, value in differences(of_pair).items()}
    return figures


async def _batch_size(stack: Stack, seconds: float) -> int:
    first = [stack.tokens[0]] * 20
    await drive(stack.guarded, first)
    taken = await drive(stack.guarded, first)
    return max(20, min(len(stack.tokens), int(seconds / taken)))


def _pair(stack: Stack, tokens: Iterator[str], size: int) -> Pair[float]:
    async def trial(app: Any) -> float:
        batch = [*itertools.islice(tokens, size)]
        await drive(app, batch)
        await asyncio.sleep(SETTLE_SECONDS)  # for what that set going beside the requests
        return await drive(app, batch)

    return Pair(functools.partial(trial, stack.guarded), functools.partial(trial, stack.bare))


def describe(figures: Figures) -> str:
    """A table for each database, fastest first."""
    return "\n\n".join(_describe(kind, of_kind) for kind, of_kind in figures.items())


def _describe(kind: str, figures: Figures) -> str:
    ordered = sorted(figures["stacks"].items(), key=lambda item: item[1][ROTATION]["median"])
    rows = [(label, _microseconds(e[ONE]), _microseconds(e[ROTATION])) for label, e in ordered]
    headings = (f"{TITLES[kind]}: microseconds added", ONE, f"{figures['tokens']:,} {ROTATION}")
    return table(headings, rows)


def _microseconds(spread: dict[str, float]) -> str:
    return "{median:.1f} ({lower:.1f} to {upper:.1f})".format(**spread)


def draw(figures: Figures) -> "Figure":
    """Points on a logarithmic axis: the stacks are three orders of magnitude apart."""
    from matplotlib.figure import Figure

    from benchmarks.plots import REVOCABLE, kind_marks, mark

    kinds = [kind for kind in TITLES if kind in figures]
    stacks = [entry for kind in kinds for entry in figures[kind]["stacks"].values()]
    height = 0.3 * len(stacks) + 0.6 * len(kinds) + 0.9
    figure = Figure(figsize=(8.5, height), layout="constrained")
    rows = figure.subplots(len(kinds), squeeze=False, sharex=True)[:, 0]
    for axes, kind in zip(rows, kinds, strict=True):
        _draw_stacks(axes, figures[kind])
        axes.set_title(TITLES[kind])
    rows[-1].set_xlabel("microseconds added to a request (logarithmic; less is better)")
    modes = [
        mark(REVOCABLE, f"{figures[kinds[0]]['tokens']:,} tokens in rotation"),
        mark(REVOCABLE, "one token", fill="white"),
    ]
    colours = kind_marks(entry["kind"] for entry in stacks)
    figure.legend(handles=[*colours, *modes], loc="outside upper left", ncols=3)
    return figure


def _draw_stacks(axes: Any, figures: Figures) -> None:
    from benchmarks.plots import COLOURS, name_rows, plain_log_axis

    ordered = sorted(figures["stacks"].items(), key=lambda item: -item[1][ROTATION]["median"])
    plain_log_axis(axes)
    for row, (_, entry) in enumerate(ordered):
        colour = COLOURS[entry["kind"]]
        for mode, fill in ((ROTATION, colour), (ONE, "none")):
            spread = entry[mode]
            axes.plot([spread["lower"], spread["upper"]], [row, row], color=colour, lw=1.5)
            axes.plot(spread["median"], row, "o", ms=7, mec=colour, mfc=fill)
        median, rightmost = (
            entry[ROTATION]["median"],
            max(entry[m]["upper"] for m in (ONE, ROTATION)),
        )
        text = f"{median:,.1f}" if median < 10 else f"{median:,.0f}"
        place = {"xytext": (8, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(text, (rightmost, row), color=colour, **place)
    axes.margins(x=0.12)
    name_rows(axes, [label for label, _ in ordered], [entry["kind"] for _, entry in ordered])


def main() -> None:
    """Measures and reports."""
    run("overhead", measure, describe)


if __name__ == "__main__":
    main()
