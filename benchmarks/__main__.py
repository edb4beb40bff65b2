"""Measures all questions, or those named, each in a process of its own; then draws the plots."""

import argparse
import subprocess
import sys

from benchmarks.report import add_options

QUESTIONS = (
    "overhead",
    "throughput",
    "login_storm",
    "growth",
    "queries",
    "memory",
    "fleet",
    "timing",
)


def main() -> int:
    """The number of questions that could not be answered."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("questions", nargs="*", help=f"of: {', '.join(QUESTIONS)}")
    add_options(parser)
    options = parser.parse_args()
    if unknown := set(options.questions) - set(QUESTIONS):
        parser.error(f"not a question: {', '.join(sorted(unknown))}")
    flags = ["--postgresql", options.postgresql]
    quick = ["--quick"] if options.quick else []
    failed = [
        question
        for question in options.questions or QUESTIONS
        if _run(question, *flags, *quick) != 0
    ]
    _run("plots", *quick)
    print(f"could not be answered: {', '.join(failed)}" if failed else "all are answered")
    return len(failed)


def _run(module: str, *flags: str) -> int:
    print(f"\n== {module}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{module}", *flags]
    return subprocess.run(command, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
