"""Draws the plots from the figures there are.

    python -m benchmarks.plots [--quick]

The same figures give the same files, byte for byte.
"""

import argparse
import importlib
import json

import matplotlib

from benchmarks.report import results_path

STYLE = {
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
IRREVOCABLE = "#94a3b8"
FLOOR = "#15803d"
COLOURS = {"ours": OURS, "revocable": REVOCABLE, "irrevocable": IRREVOCABLE, "floor": FLOOR}


def draw_all(*, quick: bool) -> None:
    """Writes `plots/<question>.svg` for each question that was measured."""
    path = results_path(quick=quick)
    folder = path.parent / "plots"
    folder.mkdir(exist_ok=True)
    for question, result in json.loads(path.read_text()).items():
        module = importlib.import_module(f"benchmarks.{question}")
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
