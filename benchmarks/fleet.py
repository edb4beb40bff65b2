"""What does a fleet of processes cost its one database, and what bends first?

    python -m benchmarks.fleet [--quick]

On paper (`fleet_model`, where every assumption is written down), for 10 to 10,000 processes and
1 to 100 million accounts, at the peak of the day: queries and rows per second, rows and bytes on
disk, cached tokens per process. Each kind of query is timed on PostgreSQL (`fleet_costs`), which
turns rates into cores of the database. A simulation (`fleet_simulation`) checks the rates that are
least obvious. `fleet_outlook` follows a fleet that grows by a process for every 10,000 accounts,
and tries the remedies on its largest.
"""

import argparse
import asyncio
import dataclasses
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import report
from benchmarks.fleet_costs import measure_costs
from benchmarks.fleet_model import Assumptions, load
from benchmarks.fleet_outlook import (
    MOST_PROCESSES,
    PARTS,
    USERS_PER_PROCESS,
    bends,
    memory_shares,
    path,
    point,
    remedies,
)
from benchmarks.fleet_simulation import simulate
from benchmarks.fleet_tables import describe

PROCESSES = (10, 100, 1_000, 10_000)
USERS = (1_000_000, 10_000_000, 100_000_000)
# Rates go with the number of users, so a fraction of them will do. Processes are not scaled.
CHECKED = ((10, False), (100, False), (100, True), (1_000, False))
SIMULATED_USERS = 200_000
SIMULATED_USERS_QUICK = 50_000
SIMULATED_SECONDS = 1_800.0
SIMULATED_SECONDS_QUICK = 300.0
COMPARED = (
    "requests",
    "misses",
    "refreshes",
    "last_used_rows",
    "feed_reads",
    "rows_per_feed_read",
)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Costs, the grid of fleets, the path and where it bends, remedies, the check."""
    assumed = Assumptions()
    costs, times = asyncio.run(measure_costs(options.quick))
    paths = {
        "random": path(assumed, costs),
        "sticky": path(dataclasses.replace(assumed, sticky=True), costs),
    }
    fleets = [(processes, users) for users in USERS for processes in PROCESSES]
    return {
        "assumptions": dataclasses.asdict(assumed),
        "microseconds": times,
        "costs": dataclasses.asdict(costs),
        "fleets": [point(assumed, costs, *fleet) for fleet in fleets],
        "memory_shares": memory_shares(),
        "paths": paths,
        "bends": {routing: bends(along) for routing, along in paths.items()},
        "remedies": remedies(costs),
        "check": [_check(processes, sticky, options.quick) for processes, sticky in CHECKED],
    }


def _check(processes: int, sticky: bool, quick: bool) -> dict[str, Any]:
    """Paper and simulation side by side, for one fleet."""
    assumed = Assumptions(sticky=sticky)
    users = SIMULATED_USERS_QUICK if quick else SIMULATED_USERS
    seconds = SIMULATED_SECONDS_QUICK if quick else SIMULATED_SECONDS
    simulated = simulate(assumed, processes, users, seconds=seconds)
    paper = dataclasses.asdict(load(assumed, processes, users))
    return {
        "processes": processes,
        "users": users,
        "sticky": sticky,
        "rates": {name: [paper[name], simulated[name]] for name in COMPARED},
    }


def draw(figures: dict[str, Any]) -> Figure:
    """Left: cores by part as the fleet grows; right: what the remedies leave of the largest."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    growing, bars = figure.subplots(1, 2)
    _draw_paths(growing, figures["paths"])
    _draw_remedies(bars, figures["remedies"])
    return figure


def _draw_paths(axes: Axes, paths: dict[str, Any]) -> None:
    for routing, style in (("random", "-"), ("sticky", "--")):
        sizes = [fleet["processes"] for fleet in paths[routing]]
        for number, part in enumerate(PARTS):
            if routing == "random" or part == "tokens":  # the rest is the same
                used = [fleet["cores"][part] for fleet in paths[routing]]
                label = f"{part}, {routing} routing" if part == "tokens" else part
                axes.plot(sizes, used, style, color=f"C{number}", label=label)
    axes.set(xscale="log", yscale="log", ylabel="cores of the database", ylim=(1e-3, None))
    axes.set_xlabel(f"processes ({USERS_PER_PROCESS:,} accounts each)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _draw_remedies(axes: Axes, found: dict[str, Any]) -> None:
    names = list(found)[::-1]
    left = [0.0] * len(names)
    for number, part in enumerate(PARTS):
        widths = [found[name][part] for name in names]
        axes.barh(names, widths, left=left, color=f"C{number}", label=part)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_xlabel(f"cores of the database, at {MOST_PROCESSES:,} processes")
    axes.tick_params(axis="y", labelsize=8)
    axes.legend(fontsize=8)


def main() -> None:
    """Measures and prints."""
    report.run("fleet", measure, describe)


if __name__ == "__main__":
    main()
