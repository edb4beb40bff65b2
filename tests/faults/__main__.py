"""Runs the faults and prints a table of what they came to."""

import argparse
import asyncio
import sys
import time
import traceback

from tests.faults.catalogue import ELSEWHERE, FAULTS
from tests.faults.database_servers import Missing
from tests.faults.rig import Outcome, Rig


def main() -> int:
    """The number of faults under which something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="fault", help=f"of: {', '.join(FAULTS)}")
    parser.add_argument("--quick", action="store_true", help="seconds instead of half minutes")
    options = parser.parse_args()
    if unknown := set(options.faults) - set(FAULTS):
        parser.error(f"not a fault: {', '.join(sorted(unknown))}")
    failed = 0
    with Rig(quick=options.quick) as rig:
        for name in options.faults or FAULTS:
            failed += not _run(name, rig)
    for what, where in ELSEWHERE.items():
        print(f"shown elsewhere: {what}: {where}")
    print(f"{failed} faults broke something" if failed else "everything held")
    return failed


def _run(name: str, rig: Rig) -> bool:
    began = time.monotonic()
    try:
        came = asyncio.run(FAULTS[name](rig))
    except Missing as missing:
        print(f"{name:24} left out: this machine lacks {missing}", flush=True)
        return True
    except Exception:
        traceback.print_exc()
        return False
    _print(name, time.monotonic() - began, came)
    return not came.breaches


def _print(name: str, seconds: float, came: Outcome) -> None:
    figures = ", ".join(f"{name} {value}" for name, value in came.figures.items())
    print(f"{name:24}{seconds:5.0f} s  {figures}", flush=True)
    for breach in came.breaches:
        print(f"{'':24}  NOT SO: {breach}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
