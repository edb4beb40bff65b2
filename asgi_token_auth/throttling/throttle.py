"""The throttle: counts an attempt before it costs anything, or refuses it."""

import hashlib
import math

from limits import RateLimitItem

from asgi_token_auth.clock import Clock, elapsed, epoch_seconds, utc_now
from asgi_token_auth.exceptions import Throttled
from asgi_token_auth.throttling.counters import MemoryCounters
from asgi_token_auth.throttling.rules import Limits
from asgi_token_auth.throttling.shared import Limiter, SharedCounters, seconds_until


class Throttle:
    """Counts attempts under the names of `Limits`.

    Args:
        limits: how many are let through; None: all, and nothing is counted.
        storage: the URL of a Redis that processes share; None: memory, each process for itself.
        secret_key: keys of counters are digests under it. What is in Redis shows nobody's
            address, and can't be tried out with a list of addresses; and two applications on
            one Redis don't count each other's attempts.
        clock: moves the windows in memory, if it is not the machine's own.

    Raises:
        SettingsError: `storage` is no URL of a Redis, or the package `redis` is missing.
    """

    def __init__(
        self, limits: Limits | None, storage: str | None, secret_key: bytes, clock: Clock
    ) -> None:
        names = Limits.names() if limits else ()
        self._windows = {name: limits.windows(name) for name in names} if limits else {}
        self._key = hashlib.sha256(b"asgi_token_auth throttling\0" + secret_key).digest()
        # Windows run on a clock that nobody sets; a test's own clock moves them.
        now = elapsed if clock is utc_now else epoch_seconds(clock)
        self._memory = Limiter(MemoryCounters(now))
        self._shared = None if storage is None else SharedCounters(storage, self._memory)

    async def count(self, name: str, *who: str) -> None:
        """Counts an attempt under the limit of that name; a refused one is not counted.

        Raises:
            Throttled: there were too many; it says when to try again.
        """
        windows = self._windows.get(name)
        if not windows:
            return
        key = self._digest(who)
        for window in windows:
            wait = await self._hit(window, name, key)
            if wait is not None:
                raise Throttled(math.floor(wait) + 1)

    async def give_back(self, name: str, *who: str) -> None:
        """Takes back an attempt that was counted: it was no guess."""
        for window in self._windows.get(name, ()):
            await self._hit(window, name, self._digest(who), cost=-1)

    async def close(self) -> None:
        """Closes connections to Redis."""
        if self._shared is not None:
            await self._shared.close()

    async def _hit(self, window: RateLimitItem, *key: str, cost: int = 1) -> float | None:
        """None: counted. Else the seconds to wait."""

        async def ask(limiter: Limiter) -> float | None:
            if await limiter.hit(window, *key, cost=cost):
                return None
            return await seconds_until(limiter, window, *key)

        if self._shared is None:
            return await ask(self._memory)
        return await self._shared.run(ask)

    def _digest(self, who: tuple[str, ...]) -> str:
        text = "\0".join(who).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, key=self._key, digest_size=16).hexdigest()
