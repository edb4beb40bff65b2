"""Counters in memory: sliding, bounded, and quick with any number of keys."""

from collections import OrderedDict
from typing import NoReturn

import pytest
from limits import parse
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from asgi_token_auth.throttling.counters import MemoryCounters


class Now:
    """A time that tests set."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Now:
    return Now()


async def hits(counters: MemoryCounters, limit: str, key: str, times: int) -> list[bool]:
    limiter = SlidingWindowCounterRateLimiter(counters)
    return [await limiter.hit(parse(limit), key) for _ in range(times)]


async def test_attempts_come_back_one_by_one(now: Now) -> None:
    """The window before weighs less and less: no burst at the turn from one to the next."""
    counters = MemoryCounters(now)
    assert await hits(counters, "4/minute", "a", 6) == [True] * 4 + [False] * 2
    now.seconds += 59
    assert await hits(counters, "4/minute", "a", 1) == [False]
    now.seconds += 2
    assert await hits(counters, "4/minute", "a", 2) == [True, False]
    now.seconds += 29
    assert await hits(counters, "4/minute", "a", 2) == [True, False]
    now.seconds += 120
    assert await hits(counters, "4/minute", "a", 5) == [True] * 4 + [False]


async def test_what_is_attempted_goes_on_counting_when_room_is_short(now: Now) -> None:
    """A spray of other keys pushes out what nobody attempts, not what is under attack."""
    counters = MemoryCounters(now, capacity=10)
    await hits(counters, "2/minute", "forgotten", 3)
    for number in range(100):
        assert True not in (await hits(counters, "2/minute", "attacked", 3))[2:]
        await hits(counters, "2/minute", f"spray{number}", 1)

    assert len(counters) == 10
    assert await hits(counters, "2/minute", "attacked", 1) == [False]
    assert await hits(counters, "2/minute", "forgotten", 1) == [True]


async def test_a_clock_that_is_set_back_locks_nobody_out(now: Now) -> None:
    """A window that begins in the future would never end."""
    counters = MemoryCounters(now)
    await hits(counters, "1/minute", "a", 2)
    now.seconds -= 3600

    assert await hits(counters, "1/minute", "a", 2) == [True, False]


class NoWalk(OrderedDict[str, tuple[float, int, int]]):
    """A dictionary that nobody walks through."""

    def __iter__(self) -> NoReturn:
        raise AssertionError("a hit went over all keys")

    keys = values = items = __iter__  # type: ignore[assignment]


async def test_no_hit_goes_over_all_keys(now: Now) -> None:
    """With many addresses that would stall every request."""
    counters = MemoryCounters(now, capacity=3)
    counters._windows = NoWalk()

    assert [(await hits(counters, "1/minute", key, 1))[0] for key in "abcda"] == [True] * 5
