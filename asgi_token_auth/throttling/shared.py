"""Counters that many processes share, in Redis; and what counts while Redis does not answer.

Redis gone, hanging, full or read-only is no reason to refuse a login, nor to let guessing go
unlimited: meanwhile each process counts in its own memory, and asks Redis again every second,
with one attempt that waits no longer than `TIMEOUT_SECONDS`.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from limits import RateLimitItem
from limits.aio.storage import RedisStorage, SlidingWindowCounterSupport
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from asgi_token_auth.clock import elapsed
from asgi_token_auth.exceptions import SettingsError

logger = logging.getLogger("asgi_token_auth.throttling")

T = TypeVar("T")
Limiter = SlidingWindowCounterRateLimiter

TIMEOUT_SECONDS = 0.25
PAUSE_SECONDS = 1.0
CONNECTIONS = 32
PREFIX = "asgi_token_auth"
SCHEMES = ("redis", "rediss")


class SharedCounters:
    """Redis, while it answers; else `fallback`.

    Args:
        url: `redis://` or, with TLS, `rediss://`.
        fallback: counts while Redis does not.

    Raises:
        SettingsError: the URL is of another form, or the package `redis` is missing.
    """

    def __init__(self, url: str, fallback: Limiter) -> None:
        self._url = _checked(url)
        self._fallback = fallback
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool, self._limiter = self._open()
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._ask_again_at = -math.inf
        self._answers = True

    async def run(self, ask: Callable[[Limiter], Awaitable[T]]) -> T:
        """What Redis answers, or what memory does in its place."""
        limiter, turns = self._of_this_loop()
        async with turns:  # a storm that waits for itself is no Redis that does not answer
            if elapsed() < self._ask_again_at:
                return await ask(self._fallback)
            if not self._answers:
                self._ask_again_at = elapsed() + PAUSE_SECONDS  # one tries; the others don't wait
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    answer = await ask(limiter)
            except Exception as error:
                self._gone(error)
                return await ask(self._fallback)
            self._back()
            return answer

    async def close(self) -> None:
        """Closes the connections."""
        if self._loop is asyncio.get_running_loop():
            await self._pool.aclose()

    def _of_this_loop(self) -> tuple[Limiter, asyncio.Semaphore]:
        """Connections belong to the event loop that made them: in another one, begin anew."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None:
                self._pool, self._limiter = self._open()
            self._loop, self._turns = loop, asyncio.Semaphore(CONNECTIONS)
        return self._limiter, self._turns

    def _gone(self, error: Exception) -> None:
        self._ask_again_at = elapsed() + PAUSE_SECONDS
        if self._answers:
            self._answers = False
            logger.error(
                "throttling: Redis does not answer (%s), counting in this process meanwhile",
                type(error).__name__,
            )

    def _back(self) -> None:
        if not self._answers:
            self._answers, self._ask_again_at = True, -math.inf
            logger.warning("throttling: Redis answers again")

    def _open(self) -> tuple[Any, Limiter]:
        try:
            from redis.asyncio import ConnectionPool
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError as error:
            raise SettingsError(
                "throttle_storage needs redis: pip install 'asgi_token_auth[redis]'"
            ) from error
        try:
            pool = ConnectionPool.from_url(
                self._url,
                # Once more at once: a connection from before Redis was restarted is dead.
                retry=Retry(NoBackoff(), 1),
            )
            own_pool: dict[str, Any] = {"connection_pool": pool}
            storage = RedisStorage(
                self._url, implementation="redispy", key_prefix=PREFIX, **own_pool
            )
        except Exception:  # its message may quote the URL, and with it a password
            raise SettingsError("throttle_storage can't be used as a Redis URL") from None
        return pool, Limiter(storage)


def _checked(url: str) -> str:
    """The URL with its port, which `limits` wants to see."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in SCHEMES and bool(parts.hostname)
        port = parts.port
    except (ValueError, AttributeError, TypeError):
        known, port = False, None
    if not known:
        raise SettingsError("throttle_storage must be a redis:// or rediss:// URL")
    return url if port else parts._replace(netloc=f"{parts.netloc}:6379").geturl()


async def seconds_until(limiter: Limiter, window: RateLimitItem, *key: str) -> float:
    """How long until the window lets one more attempt through, if nobody else comes first."""
    expiry = window.get_expiry()
    storage = cast(SlidingWindowCounterSupport, limiter.storage)
    before, before_ends_in, present, present_ends_in = await storage.get_sliding_window(
        window.key_for(*key), expiry
    )
    room = window.amount - present
    if room > 0:  # what weighs on it is the window before, and fades
        return max(0.0, before_ends_in - room * expiry / before) if before else 0.0
    return max(0.0, present_ends_in - expiry)
