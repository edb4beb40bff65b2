"""The two clocks: the time of day, which people and machines may set, and the time that passed."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The default clock: the machine's, aware, in UTC."""
    return datetime.now(UTC)


def epoch_seconds(clock: Clock) -> Callable[[], float]:
    """The clock's time in seconds since the epoch; the default one's without a datetime between."""
    return time.time if clock is utc_now else lambda: clock().timestamp()


elapsed: Callable[[], float]
"""Seconds on a clock that nobody sets.

On Linux it goes on while the machine sleeps, which `time.monotonic` does not: what was known an
hour ago must not look fresh when a laptop or a virtual machine wakes up.
"""
if hasattr(time, "CLOCK_BOOTTIME"):
    elapsed = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
else:
    elapsed = time.monotonic
