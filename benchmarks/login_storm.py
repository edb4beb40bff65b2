"""What happens to everybody's requests while many log in?

    python -m benchmarks.login_storm [--quick] [--postgresql URL]

A uvicorn process; one protected GET every 5 ms on a schedule, its latency counted from the time it
was due; once in quiet, once while eight clients log in without pause, from a third process. Quiet
and storm alternate, the stacks take turns in an order drawn anew, and the latencies of all rounds
are put together.

asgi_token_auth hashes as it does by default: argon2id with 19 MiB, two rounds and one lane.
fastapi-users hashes by default with 64 MiB, three rounds and four lanes, so it is measured with our
parameters too. Beside the log-ins per second stand the hashes per second that the cores can do with
each of the two, as many threads as cores, in the same rounds.
"""

import asyncio
import contextlib
import os
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from argon2 import PasswordHasher

from benchmarks.databases import reachable
from benchmarks.probe import latencies
from benchmarks.report import Figures, Options, run, table
from benchmarks.servers import Server, Source, available, running
from benchmarks.storm import blowing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLIENTS = 8
PEER = "fastapi_users_sqlalchemy"
CANDIDATES = {
    Source("ours", "asgi_token_auth", CLIENTS, "open_for_log_in"): "ours",
    Source(PEER, "fastapi-users, our hash", CLIENTS, "open_for_log_in_same_hash"): "revocable",
    Source(PEER, "fastapi-users, database", CLIENTS, "open_for_log_in"): "revocable",
}
HASHES = {
    "19 MiB, t=2, p=1": PasswordHasher(memory_cost=19_456, time_cost=2, parallelism=1),
    "64 MiB, t=3, p=4": PasswordHasher(memory_cost=65_536, time_cost=3, parallelism=4),
}
TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


class Round(NamedTuple):
    """What one stack did in one round: latencies in milliseconds, and log-ins a second."""

    quiet: list[float]
    storm: list[float]
    log_ins: float


async def measure(options: Options) -> Figures:
    """Latencies in quiet and storm by database and stack, and what the cores can hash."""
    rounds, seconds = (1, 2.0) if options.quick else (3, 8.0)
    databases: Figures = {}
    hashes: dict[str, list[float]] = {policy: [] for policy in HASHES}
    for kind in await reachable(options.postgresql):
        async with contextlib.AsyncExitStack() as exits:
            servers = {
                source: await exits.enter_async_context(
                    running(source, "guarded", kind, options.postgresql)
                )
                for source in CANDIDATES
                if source in available({source})
            }
            databases[kind] = await _rounds(servers, rounds, seconds, hashes)
    capacity = {policy: statistics.median(rates) for policy, rates in hashes.items()}
    return {"databases": databases, "hashes_per_second": capacity, "cores": os.cpu_count()}


async def _rounds(
    servers: dict[Source, Server], rounds: int, seconds: float, hashes: dict[str, list[float]]
) -> Figures:
    done: dict[Source, list[Round]] = {source: [] for source in servers}
    for server in servers.values():
        await latencies(server.port, server.tokens[0], seconds / 2)  # warms it
    for _ in range(rounds):
        for policy, hasher in HASHES.items():
            hashes[policy].append(await asyncio.to_thread(hashes_per_second, hasher, seconds / 4))
        for source in random.sample(list(servers), len(servers)):
            done[source].append(await _round(servers[source], seconds))
    return {
        source.label: {"kind": CANDIDATES[source], **_figures(of_source)}
        for source, of_source in done.items()
    }


async def _round(server: Server, seconds: float) -> Round:
    token = server.tokens[0]
    quiet = await latencies(server.port, token, seconds)
    async with blowing(server.port, server.log_ins) as storm:
        in_storm = await latencies(server.port, token, seconds)
    return Round(quiet, in_storm, storm.log_ins_per_second)


def hashes_per_second(hasher: PasswordHasher, seconds: float) -> float:
    """How many hashes a second as many threads as cores do."""
    started = time.perf_counter()

    def count(_: int) -> float:
        done = 0
        while time.perf_counter() - started < seconds:
            hasher.hash("a password")
            done += 1
        return done / (time.perf_counter() - started)

    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as executor:
        return sum(executor.map(count, range(threads)))


def _figures(rounds: list[Round]) -> dict[str, Any]:
    return {
        "quiet": _percentiles([taken for one in rounds for taken in one.quiet]),
        "storm": _percentiles([taken for one in rounds for taken in one.storm]),
        "log_ins_per_second": statistics.median(one.log_ins for one in rounds),
    }


def _percentiles(taken: list[float]) -> dict[str, float]:
    hundredths = statistics.quantiles(taken, n=100, method="inclusive")
    return {"p50": hundredths[49], "p99": hundredths[98], "max": max(taken)}


def describe(figures: Figures) -> str:
    """A table for each database, and below what the cores can hash."""
    tables = [_describe(TITLES[kind], stacks) for kind, stacks in figures["databases"].items()]
    capacity = [
        f"argon2id {policy}: {rate:.0f} hashes/s in {figures['cores']} threads"
        for policy, rate in figures["hashes_per_second"].items()
    ]
    return "\n\n".join([*tables, "\n".join(capacity)])


def _describe(title: str, stacks: Figures) -> str:
    rows = [
        (
            label,
            _milliseconds(e["quiet"]),
            _milliseconds(e["storm"]),
            f"{e['log_ins_per_second']:.1f}",
        )
        for label, e in stacks.items()
    ]
    headings = (f"{title}: ms, p50 / p99 / max", "in quiet", "in the storm", "log-ins/s")
    return table(headings, rows)


def _milliseconds(taken: dict[str, float]) -> str:
    return "{p50:.1f} / {p99:.1f} / {max:.0f}".format(**taken)


def draw(figures: Figures) -> "Figure":
    """Latencies on a logarithmic axis, since some are a thousand times others."""
    from matplotlib.figure import Figure

    from benchmarks.plots import REVOCABLE, mark

    databases = {
        kind: figures["databases"][kind] for kind in TITLES if kind in figures["databases"]
    }
    rows = sum(map(len, databases.values()))
    figure = Figure(figsize=(8.5, 0.62 * rows + 0.6 * len(databases) + 0.9), layout="constrained")
    all_axes = figure.subplots(len(databases), squeeze=False, sharex=True)[:, 0]
    for axes, (kind, stacks) in zip(all_axes, databases.items(), strict=True):
        _draw_stacks(axes, stacks)
        axes.set_title(TITLES[kind])
    all_axes[-1].set_xlabel(
        "latency of a protected GET in ms: p50 (circle), p99 (diamond), max (bar); logarithmic"
    )
    marks = [
        mark(REVOCABLE, "in quiet", fill="white"),
        mark(REVOCABLE, f"while {CLIENTS} clients log in"),
    ]
    figure.legend(handles=marks, loc="outside upper left", ncols=2)
    return figure


def _draw_stacks(axes: Any, stacks: Figures) -> None:
    from benchmarks.plots import COLOURS, name_rows, plain_log_axis

    plain_log_axis(axes)
    order = [source.label for source in CANDIDATES if source.label in stacks][::-1]
    for row, label in enumerate(order):
        entry = stacks[label]
        colour = COLOURS[entry["kind"]]
        for phase, height, fill in (("quiet", row + 0.17, "white"), ("storm", row - 0.17, colour)):
            points = [entry[phase][name] for name in ("p50", "p99", "max")]
            axes.plot(points, [height] * 3, "-", color=colour, lw=1.2, zorder=1)
            for point, marker in zip(points, "oD|", strict=True):
                axes.plot(point, height, marker, ms=7, mec=colour, mfc=fill)
        place = {"xytext": (10, 0), "textcoords": "offset points", "va": "center"}
        text = f"{entry['log_ins_per_second']:.0f} log-ins/s"
        axes.annotate(text, (entry["storm"]["max"], row - 0.17), color=colour, **place)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.margins(x=0.2)
    name_rows(axes, order, [stacks[label]["kind"] for label in order])


def main() -> None:
    """Measures and reports."""
    run("login_storm", measure, describe)


if __name__ == "__main__":
    main()
