"""Draws the plots from the figures there are.

    python -m benchmarks.plots [--quick]

The same figures give the same files, byte for byte.
"""

import argparse
import importlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from benchmarks.report import results_path

STYLE: Any = {
    "svg.hashsalt": "asgi_token_auth",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "figure.facecolor": "white",
}

OURS = "#c2410c"
REVOCABLE = "#334155"
IRREVOCABLE = "#8593a8"
FLOOR = "#15803d"
COLOURS = {"ours": OURS, "revocable": REVOCABLE, "irrevocable": IRREVOCABLE, "floor": FLOOR}


KINDS = {
    "ours": "asgi_token_auth",
    "revocable": "tokens can be revoked",
    "irrevocable": "tokens can't be revoked",
    "floor": "no library: a dictionary",
}


def kind_marks(kinds: Iterable[str]) -> list[Line2D]:
    """For a legend: what the colours mean."""
    present = set(kinds)
    return [mark(COLOURS[kind], text) for kind, text in KINDS.items() if kind in present]


def mark(colour: str, text: str, *, fill: str | None = None) -> Line2D:
    """A point for a legend."""
    return Line2D([], [], ls="", marker="o", mec=colour, mfc=fill or colour, label=text)


def name_rows(axes: Axes, labels: Sequence[str], kinds: Sequence[str]) -> None:
    """Names at the rows of a chart, in the colours of their kinds; ours in bold."""
    axes.set_yticks(range(len(labels)), labels)
    for text, kind in zip(axes.get_yticklabels(), kinds, strict=True):
        text.set_color(COLOURS[kind])
        text.set_fontweight("bold" if kind == "ours" else "normal")
    axes.tick_params("y", length=0)


def plain_log_axis(axes: Axes) -> None:
    """A logarithmic axis that says 1,000 where it would say 10^3."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.xaxis.set_minor_formatter("")
    axes.grid(axis="x")


def draw_all(*, quick: bool) -> None:
    """Writes `plots/<question>.svg` for each question that was measured, and has one."""
    path = results_path(quick=quick)
    folder = path.parent / "plots"
    folder.mkdir(exist_ok=True)
    for question, result in json.loads(path.read_text()).items():
        module = importlib.import_module(f"benchmarks.{question}")
        if not hasattr(module, "draw"):  # its table says it all
            continue
        with matplotlib.rc_context(STYLE):
            figure = module.draw(result["figures"])
            figure.savefig(
                folder / f"{question}.svg",
                metadata={"Date": None, "Creator": None},
                bbox_inches="tight",
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draws the plots from the figures there are.")
    parser.add_argument("--quick", action="store_true", help="from the figures of quick runs")
    draw_all(quick=parser.parse_args().quick)
