"""What whoever runs an import sees meanwhile, on standard error."""

import json
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from asgi_token_auth.accounts import ImportReport, Record

MOST_SHOWN = 20
SECONDS_BETWEEN = {True: 0.5, False: 10.0}  # between two progress lines, on a terminal or not
BAR = 20  # characters

Fraction = Callable[[], float | None]
"""How much of the input is read, 0 to 1; None: nobody knows."""


class Told:
    """Progress, as a line that is written over on a terminal and as one now and then elsewhere, and
    the refused users.

    Args:
        fraction: how far the import is.
        refused: where refused users are written to.
    """

    def __init__(self, fraction: Fraction, refused: TextIO | None) -> None:
        self._fraction = fraction
        self._refused = refused
        self._shown = 0
        self._on_terminal = sys.stderr.isatty()
        self._started = self._next = time.monotonic()
        self._open_line = ""

    def refuse(self, record: Record, reason: str) -> None:
        """Shows the first few, and writes each down."""
        if self._refused is not None:
            fields = {**record.fields, "refused": f"{record.origin} {reason}"}
            self._refused.write(json.dumps(fields, default=str) + "\n")
        self._shown += 1
        if self._shown <= MOST_SHOWN:
            self.end()
            _print(printable(f"{record.origin} refused: {reason}"))
        elif self._shown == MOST_SHOWN + 1:
            self.end()
            _print("more are refused: --refused FILE has them all")

    def progress(self, report: ImportReport) -> None:
        """Shows how far it is, if it is time to."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + SECONDS_BETWEEN[self._on_terminal]
        line = self._line(report, now - self._started)
        if not self._on_terminal:
            _print(line)
            return
        line = line[: shutil.get_terminal_size().columns - 1]  # a line that wraps stays
        _print("\r" + line.ljust(len(self._open_line)), end="")
        self._open_line = line

    def end(self) -> None:
        """Leaves the progress line."""
        if self._open_line:
            _print("")
        self._open_line = ""

    def _line(self, report: ImportReport, seconds: float) -> str:
        refused = sum(report.refused.values())
        counts = f"{report.read:,} read, {report.imported:,} imported, {refused:,} refused"
        if report.already_there:
            counts += f", {report.already_there:,} already there"
        if seconds >= 1:
            counts += f", {report.read / seconds:,.0f}/s"
        fraction = self._fraction()
        if not fraction:
            return counts
        bar = f"[{'#' * int(BAR * fraction):{BAR}}] " if self._on_terminal else ""
        left = f", {_duration(seconds / fraction - seconds)} left" if seconds >= 1 else ""
        return f"{bar}{fraction:4.0%} {counts}{left}"


def printable(text: str) -> str:
    """Escaped: what somebody else put into the file must not steer the terminal."""
    return text.encode("unicode_escape").decode()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min" if minutes >= 2 else f"{minutes * 60 + rest} s"


def _print(line: str, end: str = "\n") -> None:
    print(line, end=end, file=sys.stderr, flush=True)
