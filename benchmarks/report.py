"""Runs one question from the command line: measures, prints, keeps the figures."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")


def run(
    name: str,
    measure: Callable[[argparse.Namespace], dict[str, Any]],
    describe: Callable[[dict[str, Any]], str],
) -> None:
    """Measures, prints the table, and merges the figures under `name` into results.json."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--quick", action="store_true", help="small sizes, short runs")
    figures = measure(parser.parse_args())
    print(describe(figures))
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**results, name: figures}, indent=1))
