"""Counters in this process's memory.

The store that `limits` brings looks at all its keys at each hit, on the event loop: a spray of
addresses would stall every request. This one does a few dictionary operations, is bounded, and
never waits between reading a counter and writing it, so that no two attempts pass as one.
"""

from collections import OrderedDict
from collections.abc import Callable

from limits.aio.storage import SlidingWindowCounterSupport, Storage

CAPACITY = 100_000


class MemoryCounters(Storage, SlidingWindowCounterSupport):
    """Sliding windows for at most `capacity` keys; those attempted longest ago go first.

    A key that is attacked is used all the time, and so can't be pushed out by others.

    Args:
        now: the time in seconds, on any clock.
    """

    STORAGE_SCHEME = None

    def __init__(self, now: Callable[[], float], capacity: int = CAPACITY) -> None:
        super().__init__()
        self._now = now
        self._capacity = capacity
        # key -> when its present window began, attempts in the one before, attempts in this one
        self._windows: OrderedDict[str, tuple[float, int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()

    async def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Counts `amount` attempts, unless they are too many; a negative one takes them back."""
        now = self._now()
        began, before, present = self._window(key, expiry, now)
        weight = before * (1 - (now - began) / expiry)
        allowed = int(weight) + present + amount <= limit
        if not allowed:
            amount = 0
        self._windows[key] = began, before, max(0, present + amount)
        self._windows.move_to_end(key)
        if len(self._windows) > self._capacity:
            self._windows.popitem(last=False)
        return allowed

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Attempts in the window before, how long they count; likewise for the present window."""
        now = self._now()
        began, before, present = self._window(key, expiry, now)
        left = began + expiry - now
        return before, left, present, left + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        await self.clear(key)

    async def clear(self, key: str) -> None:
        self._windows.pop(key, None)

    async def reset(self) -> int | None:
        number = len(self._windows)
        self._windows.clear()
        return number

    async def check(self) -> bool:
        return True

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError("only sliding windows are counted")

    async def get(self, key: str) -> int:
        raise NotImplementedError("only sliding windows are counted")

    async def get_expiry(self, key: str) -> float:
        raise NotImplementedError("only sliding windows are counted")

    def _window(self, key: str, expiry: int, now: float) -> tuple[float, int, int]:
        began, before, present = self._windows.get(key, (now, 0, 0))
        age = now - began
        if age < 0 or age >= 2 * expiry:  # a clock may be set back
            return now, 0, 0
        return (began + expiry, present, 0) if age >= expiry else (began, before, present)
