"""The revocation feed: reading what every process revoked, and forgetting it here.

Each revocation is a row with an id. Ids are given in order, but a unit of work with a lower id may
commit after one with a higher. So a reader starts each time from the highest id that it had seen
`OVERLAP_SECONDS` before its last read: what had a lower one was committed by then, and that read
found it, or is told again (see `storage.revocations`). Until it has seen one so long ago, the feed
vouches for nothing.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Any

from asgi_token_auth.clock import elapsed
from asgi_token_auth.storage.database import Database
from asgi_token_auth.storage.revocations import KEPT_SECONDS, LATE_SECONDS, Revocation, Revocations

OVERLAP_SECONDS = 2 * LATE_SECONDS
NONE_YET = Revocation(0, None, 0)
MOST_NEWS = 2000  # beyond that it is cheaper to forget everything


class RevocationFeed:
    """Forgets whom the news are about.

    `started_at` is when the last complete read began (`elapsed`): whatever was committed before
    is known here.

    Args:
        database: where the news are.
        revocations: its queries.
        forget: called with each user's id.
        forget_all: called when nobody can tell whom to forget.
    """

    def __init__(
        self,
        database: Database,
        revocations: Revocations,
        forget: Callable[[Any], None],
        forget_all: Callable[[], None],
    ) -> None:
        self._database = database
        self._revocations = revocations
        self._forget = forget
        self._forget_all = forget_all
        # When which news were the last ones seen; the first of these are where to read from.
        self._seen: deque[tuple[float, Revocation]] = deque()
        self._told: set[int] = set()
        self.started_at = -math.inf

    async def read(self) -> None:
        """Reads the news and forgets.

        Raises:
            DatabaseUnavailable: there is no knowing.
        """
        started = elapsed()
        first = self._first(self.started_at if self.started_at > -math.inf else started)
        if first is None:
            await self._look_ahead(started)
            return
        news = await self._database.read(
            lambda session: self._revocations.since(session, first.id, MOST_NEWS)
        )
        if self._is_complete(first, news) and started - self.started_at < KEPT_SECONDS / 2:
            self._tell(news)
            self._see(news[-1] if news else NONE_YET)
        else:
            await self._restart()
        self.started_at = started

    async def _look_ahead(self, now: float) -> None:
        """Finds out where to read from once that is long enough ago."""
        if not self._seen or now - self._seen[-1][0] > OVERLAP_SECONDS / 10:
            last = await self._database.read(self._revocations.last)
            self._see(last or NONE_YET)

    def _tell(self, news: list[Revocation]) -> None:
        fresh = {revocation.user_id for revocation in news if revocation.id not in self._told}
        self._told = {revocation.id for revocation in news}
        for user_id in fresh:
            self._forget(user_id)

    def _first(self, last_read: float) -> Revocation | None:
        """The last news seen so long before the last read that this read whatever was earlier."""
        seen = self._seen
        while len(seen) > 1 and seen[1][0] <= last_read - OVERLAP_SECONDS:
            seen.popleft()
        return seen[0][1] if seen and seen[0][0] <= last_read - OVERLAP_SECONDS else None

    def _is_complete(self, first: Revocation, news: list[Revocation]) -> bool:
        """Whether nothing is missing: neither cut off, nor gone with the row we start from.

        That row is gone after a purge. It is gone, or another, in a database that was put back
        from a copy: there, ids are given a second time.
        """
        return len(news) < MOST_NEWS and (first is NONE_YET or news[:1] == [first])

    async def _restart(self) -> None:
        last = await self._database.read(self._revocations.last)
        self._forget_all()
        self._told = set()
        self._see(last or NONE_YET)

    def _see(self, last: Revocation) -> None:
        self._seen.append((elapsed(), last))
