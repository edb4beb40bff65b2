"""The same fleet by simulation, request by request: a check on the paper figures.

Users come and go as `fleet_model.Assumptions` says; each request goes to a process drawn at
random, or to the token's own. A process keeps its cached tokens and how old they are; it reads the
feed when a request finds its last read a tick old. What it reads of a token, it reads with the time
of last use, which another may be about to write.
"""

import dataclasses
import heapq
import random
from collections import OrderedDict
from collections.abc import Iterator

from benchmarks.fleet_model import (
    GATHER_SECONDS,
    LAST_USED_SECONDS,
    OVERLAP_SECONDS,
    REFRESH_SHARE,
    TICK_SHARE,
    Assumptions,
)

LONG_AGO = float("-inf")


@dataclasses.dataclass(slots=True)
class Seen:
    """What happened in the time that was simulated."""

    requests: int = 0
    feed_reads: int = 0
    feed_rows: int = 0
    misses: int = 0
    refreshes: int = 0
    last_used_rows: int = 0


class Process:
    """One process: its cache, and where it is in the feed."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.cache: OrderedDict[int, float] = OrderedDict()  # when each token was read
        self.read_at = LONG_AGO
        self._ids: list[tuple[float, int]] = []  # (read at, largest id seen)

    def cursor(self, now: float) -> int:
        """The largest id seen two seconds ago, or the first."""
        old = [seen for seen in self._ids if seen[0] <= now - OVERLAP_SECONDS]
        self._ids = old[-1:] + [seen for seen in self._ids if seen[0] > now - OVERLAP_SECONDS]
        return old[-1][1] if old else 0

    def note(self, now: float, largest: int) -> None:
        """A feed read that began now."""
        self.read_at = now
        self._ids.append((now, largest))


class Fleet:
    """Processes, and what the database knows."""

    def __init__(self, assumed: Assumptions, processes: int, cached_tokens: int) -> None:
        self._assumed = assumed
        self._processes = [Process(cached_tokens) for _ in range(processes)]
        self._last_used: dict[int, tuple[float, float]] = {}  # the last two writes
        self._revoked: list[int] = []
        self.seen = Seen()

    def request(self, now: float, token: int, chance: float) -> None:
        """One request with that token."""
        count = len(self._processes)
        process = self._processes[token % count if self._assumed.sticky else int(chance * count)]
        self.seen.requests += 1
        if now - process.read_at >= self._assumed.revocation_lag * TICK_SHARE:
            self._read_feed(process, now)
        self._use(process, now, token)

    def revoke(self, token: int) -> None:
        """A logout somewhere."""
        self._revoked.append(token)

    def _read_feed(self, process: Process, now: float) -> None:
        first = max(process.cursor(now) - 1, 0)  # ids count from 1; the cursor's row comes again
        rows = self._revoked[first:]
        self.seen.feed_reads += 1
        self.seen.feed_rows += len(rows)
        for token in rows:
            process.cache.pop(token, None)
        process.note(now, len(self._revoked))

    def _use(self, process: Process, now: float, token: int) -> None:
        age = now - process.cache.get(token, LONG_AGO)
        if age < self._assumed.user_max_age * REFRESH_SHARE:
            return
        if age < self._assumed.user_max_age:
            self.seen.refreshes += 1
        else:
            self.seen.misses += 1
        process.cache[token] = now
        process.cache.move_to_end(token)
        if len(process.cache) > process.capacity:
            process.cache.popitem(last=False)
        self._note_use(now, token)

    def _note_use(self, now: float, token: int) -> None:
        """Writes the time of last use, unless what was read with the token is of this minute."""
        written, before = self._last_used.get(token, (LONG_AGO, LONG_AGO))
        read = written if now - written >= GATHER_SECONDS else before
        if now - read > LAST_USED_SECONDS:
            self.seen.last_used_rows += 1
            self._last_used[token] = now, read


def simulate(
    assumed: Assumptions,
    processes: int,
    users: int,
    *,
    seconds: float,
    cached_tokens: int = 100_000,
    seed: int = 1,
) -> dict[str, float]:
    """Rates per second under the peak's load, from when it has lasted a visit's time."""
    fleet = Fleet(assumed, processes, cached_tokens)
    chances = random.Random(seed)
    begun = assumed.visit_seconds
    for now, token, revokes in events(assumed, users, begun + seconds, random.Random(seed + 1)):
        if fleet.seen.requests and now >= begun:
            fleet.seen, begun = Seen(), float("inf")
        if revokes:
            fleet.revoke(token)
        else:
            fleet.request(now, token, chances.random())
    rates = {name: value / seconds for name, value in dataclasses.asdict(fleet.seen).items()}
    rates["rows_per_feed_read"] = fleet.seen.feed_rows / max(fleet.seen.feed_reads, 1)
    return rates


def events(
    assumed: Assumptions, users: int, until: float, chances: random.Random
) -> Iterator[tuple[float, int, bool]]:
    """When, whose token, and whether it is revoked rather than used; in order of time."""
    visits, revocations = assumed.visits_per_second(users), assumed.revocations_per_second(users)
    pause = assumed.visit_seconds / assumed.requests_per_visit
    # (when, what, token, end of the visit)
    waiting = [
        (chances.expovariate(visits), "visit", 0, 0.0),
        (chances.expovariate(revocations), "revoke", 0, 0.0),
    ]
    while waiting[0][0] < until:
        now, what, token, end = heapq.heappop(waiting)
        if what == "visit":
            heapq.heappush(waiting, (now + chances.expovariate(visits), "visit", 0, 0.0))
            token, end = chances.randrange(users), now + assumed.visit_seconds
        elif what == "revoke":
            heapq.heappush(waiting, (now + chances.expovariate(revocations), "revoke", 0, 0.0))
            yield now, chances.randrange(users), True
            continue
        else:
            yield now, token, False
        if (following := now + chances.expovariate(1 / pause)) < end:
            heapq.heappush(waiting, (following, "use", token, end))
