"""How many of its requests per second does an application keep behind authentication?

    python -m benchmarks.throughput [--quick] [--postgresql URL]

Under uvicorn (one process, no access log), loaded by wrk from 64 connections. Guarded and bare
servers run side by side, and are loaded one at a time in interleaved rounds of a few seconds; the
figures are ratios within a round (see `rounds`). Bare beside bare shows what is noise. The server's
processor time per request is the steadier figure: another process that takes the processor away
does not count.

The stacks with a database have PostgreSQL if it answers, else SQLite.
"""

import contextlib
import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from benchmarks import wrk
from benchmarks.databases import reachable
from benchmarks.report import Figures, Options, run, table
from benchmarks.rounds import Outcome, Pair, differences, interleave, ratios, spread
from benchmarks.servers import Server, Source, available, running

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOKENS = 1000
OURS = Source("ours", "asgi_token_auth, Starlette", TOKENS)
PYJWT = Source("starlette_pyjwt", "Starlette + PyJWT", 1)


class Candidate(NamedTuple):
    """A stack that is loaded with the first so many of its tokens."""

    kind: str
    source: Source
    tokens: int


CANDIDATES = {
    "a dictionary of tokens": Candidate("floor", Source("floor", "a dictionary of tokens", 1), 1),
    "asgi_token_auth, one token": Candidate("ours", OURS, 1),
    "asgi_token_auth, 1,000 tokens": Candidate("ours", OURS, TOKENS),
    "Starlette + PyJWT": Candidate("irrevocable", PYJWT, 1),
    "fastapi-users, database": Candidate(
        "revocable", Source("fastapi_users_sqlalchemy", "fastapi-users, database", 1), 1
    ),
}
NOISE = "bare beside bare"


class Sample(NamedTuple):
    """What a server did under load."""

    requests_per_second: float
    cpu_microseconds: float


async def measure(options: Options) -> Figures:
    """Shares of the bare application's requests per second, and processor time per request."""
    if not wrk.installed():
        sys.exit(wrk.HOW_TO_GET_IT)
    kind = (await reachable(options.postgresql))[-1]
    seconds, rounds = (1, 2) if options.quick else (3, 6)
    async with contextlib.AsyncExitStack() as exits:
        servers = await _start(exits, kind, options.postgresql)
        pairs = _pairs(exits, servers, seconds)
        await interleave(pairs, 1)  # warms the servers
        outcomes = await interleave(pairs, rounds)
    noise = _shares(outcomes.pop(NOISE))
    stacks = {
        name: {"kind": CANDIDATES[name].kind, **_figures(of_pair)}
        for name, of_pair in outcomes.items()
    }
    return {"database": kind, "rounds": rounds, "noise": noise, "stacks": stacks}


Which = Literal["bare", "guarded"]
Servers = dict[tuple[Source, Which], Server]


async def _start(exits: contextlib.AsyncExitStack, kind: str, postgresql: str) -> Servers:
    servers: Servers = {}
    for source in available({candidate.source for candidate in CANDIDATES.values()}):
        both: tuple[Which, Which] = ("bare", "guarded")
        for which in both:
            server = running(source, which, kind, postgresql)
            servers[source, which] = await exits.enter_async_context(server)
    return servers


def _pairs(
    exits: contextlib.AsyncExitStack, servers: Servers, seconds: int
) -> dict[str, Pair[Sample]]:
    pairs = {}
    for name, (_, source, tokens) in CANDIDATES.items():
        if (source, "guarded") in servers:
            guarded, bare = servers[source, "guarded"], servers[source, "bare"]
            lua = exits.enter_context(wrk.script(guarded.tokens[:tokens]))
            pairs[name] = _pair(guarded, bare, lua, seconds)
            if source == OURS and tokens == 1 and (PYJWT, "bare") in servers:
                # Both are the same Starlette application.
                pairs[NOISE] = _pair(servers[PYJWT, "bare"], bare, lua, seconds)
    return pairs


def _pair(guarded: Server, bare: Server, lua: Path, seconds: int) -> Pair[Sample]:
    async def trial(server: Server) -> Sample:
        before = server.cpu_seconds()
        done = await wrk.load(server.port, lua, seconds)
        cpu = (server.cpu_seconds() - before) / done.requests
        return Sample(done.requests / done.seconds, cpu * 1e6)

    return Pair(functools.partial(trial, guarded), functools.partial(trial, bare))


def _shares(outcomes: list[Outcome[Sample]]) -> dict[str, float]:
    return ratios(Outcome(*(side.requests_per_second for side in pair)) for pair in outcomes)


def _figures(outcomes: list[Outcome[Sample]]) -> dict[str, Any]:
    cpu = [Outcome(*(side.cpu_microseconds for side in pair)) for pair in outcomes]
    return {
        "share": _shares(outcomes),
        "requests_per_second": spread(pair.guarded.requests_per_second for pair in outcomes),
        "cpu_bare": spread(pair.bare for pair in cpu),
        "cpu_added": differences(cpu),
    }


def describe(figures: Figures) -> str:
    """A table, and the noise below it."""
    rows = [
        (
            name,
            _percent(entry["share"]),
            f"{entry['requests_per_second']['median']:,.0f}",
            f"{entry['cpu_bare']['median']:.0f}",
            "{median:.0f} ({lower:.0f} to {upper:.0f})".format(**entry["cpu_added"]),
        )
        for name, entry in figures["stacks"].items()
    ]
    headings = ("", "share of bare", "requests/s", "CPU us bare", "CPU us added")
    return f"{table(headings, rows)}\n{NOISE}: {_percent(figures['noise'])}"


def _percent(share: dict[str, float]) -> str:
    return "{median:.0%} ({lower:.0%} to {upper:.0%})".format(**share)


def draw(figures: Figures) -> "Figure":
    """Bars from zero: shares of the bare application's throughput, and processor time."""
    from matplotlib.figure import Figure

    from benchmarks.plots import name_rows

    entries = [figures["stacks"][name] for name in CANDIDATES if name in figures["stacks"]][::-1]
    names = [name for name in CANDIDATES if name in figures["stacks"]][::-1]
    figure = Figure(figsize=(8.5, 0.4 * len(names) + 1.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_shares(left, entries, figures["noise"])
    _draw_cpu(right, entries)
    name_rows(left, names, [entry["kind"] for entry in entries])
    return figure


def _draw_shares(axes: Any, entries: list[dict[str, Any]], noise: dict[str, float]) -> None:
    from benchmarks.plots import COLOURS

    axes.axvspan(noise["lower"] * 100, noise["upper"] * 100, color="#e5e7eb", lw=0)
    for row, entry in enumerate(entries):
        percent = {key: value * 100 for key, value in entry["share"].items()}
        axes.barh(row, percent["median"], 0.6, color=COLOURS[entry["kind"]])
        axes.plot([percent["lower"], percent["upper"]], [row, row], color="black", lw=1)
        end = (max(percent["upper"], percent["median"]), row)
        place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(f"{percent['median']:.0f}%", end, **place)
    axes.set_xlim(0, 125)
    axes.set_title("requests per second")
    axes.set_xlabel("% of the bare app's (grey: noise)")


def _draw_cpu(axes: Any, entries: list[dict[str, Any]]) -> None:
    from benchmarks.plots import COLOURS

    for row, entry in enumerate(entries):
        bare, added = entry["cpu_bare"]["median"], entry["cpu_added"]["median"]
        axes.barh(row, bare, 0.6, color="#d1d5db")
        axes.barh(row, added, 0.6, left=bare, color=COLOURS[entry["kind"]])
        place = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(f"{bare:,.0f} + {added:,.0f}", (bare + max(added, 0), row), **place)
    axes.margins(x=0.3)
    axes.tick_params("y", length=0)
    axes.set_title("processor time of the server")
    axes.set_xlabel("\u00b5s a request: bare (grey) + added")


def main() -> None:
    """Measures and reports."""
    run("throughput", measure, describe)


if __name__ == "__main__":
    main()
