"""What does counting attempts cost: a login, and a hit with many counters?

    python -m benchmarks.throttling [--redis URL] [--logins N]

A login counts its address and its account, two windows each: microseconds for all four, medians,
in memory and, with `--redis`, in Redis, one login after the other. Then hits a second on one
counter of our store and of the one that `limits` brings, with 1 and with 100,000 others; the
latter's walk over all keys runs on the event loop, as it would beside requests.
"""

import argparse
import asyncio
import statistics
import time
import uuid

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from asgi_token_auth import Limits
from asgi_token_auth.clock import utc_now
from asgi_token_auth.throttling import Throttle
from asgi_token_auth.throttling.counters import MemoryCounters

NEVER = "1000000/minute; 10000000/hour"
KEYS = (1, 100_000)
SECONDS = 2.0
MICROSECONDS = 1e6


async def cost_of_login(storage: str | None, logins: int) -> float:
    """Microseconds of a login that are spent on counting, the median."""
    limits = Limits(log_in_by_address=NEVER, log_in_by_account=NEVER)
    throttle = Throttle(limits, storage, uuid.uuid4().bytes, utc_now)
    times = []
    for number in range(logins):
        started = time.perf_counter()
        await throttle.count("log_in_by_address", "192.0.2.1")
        await throttle.count("log_in_by_account", "email", f"user{number}@example.com")
        times.append(time.perf_counter() - started)
    await throttle.close()
    return statistics.median(times) * MICROSECONDS


async def hits_per_second(counters: MemoryCounters | MemoryStorage, keys: int) -> float:
    """With that many counters in the store."""
    limiter = SlidingWindowCounterRateLimiter(counters)
    window = parse(NEVER)
    if isinstance(counters, MemoryStorage):
        later = time.time() + 3600  # put there: by hits, each looking at all, it would take minutes
        counters.storage.update({str(number): 1 for number in range(keys)})
        counters.expirations.update({str(number): later for number in range(keys)})
    else:
        for number in range(keys):
            await limiter.hit(window, str(number))
    hits, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        await limiter.hit(window, "attacked")
        await asyncio.sleep(0)  # theirs walks in a task
        hits += 1
    return hits / (time.perf_counter() - started)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throttling", description=__doc__)
    parser.add_argument("--redis", help="the URL of a Redis to count in")
    parser.add_argument("--logins", type=int, default=2000)
    options = parser.parse_args()
    for storage in (None, options.redis) if options.redis else (None,):
        cost = await cost_of_login(storage, options.logins)
        print(f"a login, counters in {'Redis' if storage else 'memory'}: {cost:.1f} us")
    for keys in KEYS:
        ours = await hits_per_second(MemoryCounters(time.monotonic, keys + 1), keys)
        theirs = await hits_per_second(MemoryStorage(), keys)
        print(f"of {keys:,} counters: ours {ours:,.0f} hits/s, limits' {theirs:,.0f} hits/s")


if __name__ == "__main__":
    asyncio.run(main())
