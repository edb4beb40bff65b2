"""Does a protected request stay cheap as the service grows?

    python -m benchmarks.growth [--quick]

In process, the ASGI application called by hand, on SQLite and PostgreSQL; microseconds a request,
the application's own included ("unguarded" is the application alone). Three ways to grow:

- 1 to 100,000 live tokens in rotation, each used once before;
- 1 to 1,000 users newly logged in every second, each token used for the first time amid a stream
  of warm requests (see `growth_logins` for what a latency is there);
- 1,000 to 10,000,000 rows in the tokens table: warm requests, first uses, logins (with hashing
  that costs nothing) and logouts. The largest takes some minutes to fill, and needs about 8 GB of
  free disk where temporary files go, and as much again where PostgreSQL keeps its data; both are
  given back. `--quick` stops at 100,000.
"""

import argparse
import asyncio
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import report
from benchmarks.databases import DIALECTS
from benchmarks.growth_logins import measure_logins
from benchmarks.growth_rotation import measure_rotation
from benchmarks.growth_rows import measure_rows

STYLES = {"sqlite": "o-", "postgresql": "s--"}
OPERATIONS = ("warm", "first_use", "login", "logout")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Figures by way of growing, then by database, then by size."""
    return {
        name: {dialect: asyncio.run(part(dialect, options.quick)) for dialect in DIALECTS}
        for name, part in (
            ("rotation", measure_rotation),
            ("logins", measure_logins),
            ("rows", measure_rows),
        )
    }


def describe(figures: dict[str, Any]) -> str:
    """Three tables."""
    return "\n\n".join(
        "\n".join(table)
        for table in (
            _describe_rotation(figures["rotation"]),
            _describe_logins(figures["logins"]),
            _describe_rows(figures["rows"]),
        )
    )


def _describe_rotation(rotation: dict[str, Any]) -> list[str]:
    lines = [f"{'tokens in rotation':26}{'median':>10}{'mean':>10}{'p99':>10}   us a request"]
    for dialect, sizes in rotation.items():
        for size, times in sizes.items():
            lines.append(f"{dialect:12}{size:>14}{_columns(times, 'p50', 'mean', 'p99')}")
    return lines


def _describe_logins(logins: dict[str, Any]) -> list[str]:
    lines = [
        f"{'new tokens a second':26}{'warm p50':>10}{'p99':>10}{'first p50':>10}{'p99':>10}"
        f"{'warm/s':>10}{'refused':>10}   us"
    ]
    for dialect, rates in logins.items():
        for rate, found in rates.items():
            times = _columns(found["warm"], "p50", "p99") + _columns(
                found["first_use"], "p50", "p99"
            )
            lines.append(
                f"{dialect:12}{rate:>14}{times}{found['warm_per_second']:>10,}{found['refused']:>10}"
            )
    return lines


def _describe_rows(rows: dict[str, Any]) -> list[str]:
    heads = "".join(f"{name + ' p50':>14}{'p99':>10}" for name in OPERATIONS)
    lines = [f"{'rows in tokens':22}{heads}{'MB':>8}{'fill, s':>9}   us"]
    for dialect, sizes in rows.items():
        for size, found in sizes.items():
            times = "".join(f"    {_columns(found[name], 'p50', 'p99')}" for name in OPERATIONS)
            megabytes = found["bytes_on_disk"] / 1e6
            lines.append(
                f"{dialect:12}{size:>10}{times}{megabytes:>8.0f}{found['seconds_to_fill']:>9}"
            )
    return lines


def _columns(times: dict[str, float], *names: str) -> str:
    return "".join(f"{_number(times[name]) if times else '-':>10}" for name in names)


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def draw(figures: dict[str, Any]) -> Figure:
    """A panel for each way of growing: sizes from left to right, microseconds upwards."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    rotation, logins, rows = figure.subplots(1, 3)
    for dialect, style in STYLES.items():
        _draw_rotation(rotation, figures["rotation"][dialect], style, dialect)
        _draw_logins(logins, figures["logins"][dialect], style, dialect)
        _draw_rows(rows, figures["rows"][dialect], style, dialect)
    _label(rotation, "tokens in rotation", "a warm request")
    _label(logins, "users newly logged in, per second", "amid newcomers")
    _label(rows, "rows in the tokens table", "ever more rows")
    return figure


def _draw_rotation(axes: Axes, sizes: dict[str, Any], style: str, dialect: str) -> None:
    counts = [size for size in sizes if size != "unguarded"]
    medians = [sizes[size]["p50"] for size in counts]
    axes.plot([int(size) for size in counts], medians, style, label=dialect)
    if dialect == "sqlite":
        axes.axhline(sizes["unguarded"]["p50"], color="gray", linewidth=1, label="unguarded")


def _draw_logins(axes: Axes, rates: dict[str, Any], style: str, dialect: str) -> None:
    for kind, color in (("warm", "C0"), ("first_use", "C3")):
        for quantile, shade in (("p50", 1.0), ("p99", 0.4)):
            found = {rate: times[kind] for rate, times in rates.items() if rate != "0"}
            points = [(int(rate), times[quantile]) for rate, times in found.items() if times]
            label = f"{kind.replace('_', ' ')} {quantile}" if dialect == "sqlite" else None
            axes.plot(*zip(*points, strict=True), style, color=color, alpha=shade, label=label)


def _draw_rows(axes: Axes, sizes: dict[str, Any], style: str, dialect: str) -> None:
    for number, name in enumerate(OPERATIONS):
        points = [(int(size), found[name]["p50"]) for size, found in sizes.items()]
        label = name.replace("_", " ") if dialect == "sqlite" else None
        axes.plot(*zip(*points, strict=True), style, color=f"C{number}", label=label)


def _label(axes: Axes, across: str, title: str) -> None:
    axes.set(xscale="log", yscale="log", xlabel=across, title=title)
    axes.set_ylabel("microseconds (solid: SQLite, dashed: PostgreSQL)", fontsize=8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def main() -> None:
    """Measures and prints."""
    report.run("growth", measure, describe)


if __name__ == "__main__":
    main()
