"""The verifier: what is known of a token right now, and finding out what is not.

A token that was verified is remembered. It is believed for as long as the revocation feed was
read no longer than `revocation_lag` ago, counted from the start of that read and checked at each
use: a database that hangs, or a process that was stopped, ends the belief and not the bound. The
first use after nine tenths of that time starts the next read, beside the requests.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from asgi_token_auth.clock import elapsed, epoch_seconds, utc_now
from asgi_token_auth.exceptions import DatabaseUnavailable, InvalidToken
from asgi_token_auth.settings import Settings
from asgi_token_auth.storage.database import Database, Session
from asgi_token_auth.storage.revocations import Revocations
from asgi_token_auth.storage.tokens import Tokens
from asgi_token_auth.storage.users import Users
from asgi_token_auth.tokens import TokenSigner, digest
from asgi_token_auth.verification.cache import CachedToken, TokenCache
from asgi_token_auth.verification.feed import OVERLAP_SECONDS, RevocationFeed
from asgi_token_auth.verification.later import Later
from asgi_token_auth.verification.live import LiveTokens
from asgi_token_auth.verification.loader import Found, Load, TokenLoader
from asgi_token_auth.verification.verified import HEADER, VerifiedToken

logger = logging.getLogger("asgi_token_auth.verification")

READ_AHEAD = 0.9  # of revocation_lag
REFRESH_AHEAD = 0.8  # of user_max_age
GATHER_SECONDS = 1.0
RETRY_SECONDS = 0.05  # after a read of the feed that failed
LIVE_SECONDS = 1.0  # between two looks at live sockets, where there is no lag to go by
TRIES = 4
LAST_USED_SECONDS = 60.0  # between two notes of a token's use
IDLE_SHARE = 0.1  # of idle_lifetime, if that is less
MOST_NOTED = 500  # in one statement


class Verifier:
    """Verifies tokens from memory, or else in one indexed query.

    Args:
        database, users, tokens, revocations: where tokens, and news of them, are.
        signer: checks signatures and claims.
        settings: `revocation_lag`, `user_max_age`, `idle_lifetime`, `cached_tokens` and `clock` of
            these.
    """

    def __init__(
        self,
        database: Database,
        users: Users,
        tokens: Tokens,
        revocations: Revocations,
        signer: TokenSigner,
        settings: Settings,
    ) -> None:
        self._database = database
        self._users = users
        self._tokens = tokens
        self._signer = signer
        self._now = epoch_seconds(settings.clock)
        self._machine_clock = settings.clock is utc_now
        self._lag = settings.revocation_lag.total_seconds()
        self._max_age = settings.user_max_age.total_seconds()
        self._note_after = 1000 * _note_after(settings)
        self._cache = TokenCache(settings.cached_tokens)
        self._get = self._cache.get
        self._feed = RevocationFeed(database, revocations, self.forget, self._forget_all)
        self._reading: asyncio.Task[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._news_due_at = -math.inf
        self._loader = TokenLoader(self._read, self._remember)
        gather = min(GATHER_SECONDS, self._max_age / 10)
        self._refreshes: Later[CachedToken] = Later(gather, self._refresh)
        self._uses: Later[str] = Later(GATHER_SECONDS, self._note_uses)
        self.live = LiveTokens(self)
        revocations.subscribe(self.forget)

    def known(self, header: bytes) -> VerifiedToken | None:
        """The row and user of the token in an Authorization header, if they are known without
        asking anybody."""
        cached = self._get(header)
        if cached is None:
            return None
        now = elapsed()
        if now < self._news_due_at and now < cached.look_at:
            return cached.verified
        return self._still_known(cached, now)

    async def verify(self, token: bytes) -> VerifiedToken:
        """The token's row and user.

        Raises:
            InvalidToken: it is forged, expired, revoked, or its user is gone or unconfirmed.
            DatabaseUnavailable: nobody can tell now.
        """
        verified = self.known(HEADER + token)
        if verified is not None:
            return verified
        since = elapsed() - self._lag
        try:
            async with asyncio.timeout(self._database.timeout):
                cached = await self._find_out(token, since)
        except TimeoutError:
            raise DatabaseUnavailable from None
        if self._now() >= cached.expires_at:
            raise InvalidToken
        return cached.verified

    async def catch_up(self) -> float:
        """Reads the feed, if that is due and can be done; when it is due again (`elapsed`)."""
        if not self._lag:
            return elapsed() + LIVE_SECONDS
        if elapsed() >= self._news_due_at:
            with contextlib.suppress(DatabaseUnavailable):
                await asyncio.shield(self._read_feed())
        return max(self._news_due_at, elapsed() + RETRY_SECONDS)

    @property
    def cached(self) -> int:
        """How many verified tokens are remembered."""
        return len(self._cache)

    @property
    def feed_age(self) -> float | None:
        """Seconds since the last complete read of the feed began; None: there was none."""
        started = self._feed.started_at
        return elapsed() - started if started > -math.inf else None

    def forget(self, user_id: Any) -> None:
        """Forgets the user's tokens, and what is just being read of them."""
        self._cache.forget(user_id)
        self._loader.forget(user_id)
        self.live.suspect(user_id)

    def start(self) -> None:
        """Begins to follow the feed, so that it vouches for tokens once there are some."""
        if self._lag:
            self._starting = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """Ends what runs beside the requests."""
        await self.live.stop()
        await self._refreshes.stop()
        await self._uses.stop()
        loop = asyncio.get_running_loop()
        tasks = {
            task for task in (self._reading, self._starting) if task and task.get_loop() is loop
        }
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _follow(self) -> None:
        with contextlib.suppress(DatabaseUnavailable):
            await asyncio.shield(self._read_feed())
            await asyncio.sleep(OVERLAP_SECONDS * 1.05)
            await asyncio.shield(self._read_feed())

    def _still_known(self, cached: CachedToken, now: float) -> VerifiedToken | None:
        """The same, where the feed or the token is to be read again soon, or too old by now."""
        believed_until = min(self._feed.started_at + self._lag, cached.stale_at)
        if now >= believed_until or self._now() >= cached.expires_at:
            return None
        if now >= cached.stale_at - (1 - REFRESH_AHEAD) * self._max_age:
            self._refreshes.add(cached)
        if now >= self._news_due_at:
            self._read_feed()
        return cached.verified

    async def _find_out(self, token: bytes, since: float) -> CachedToken:
        """What is known of the token, from no earlier than `since`."""
        for _ in range(TRIES):
            cached = self._get(HEADER + token)
            if cached is not None and elapsed() < cached.stale_at:
                if max(cached.loaded_at, self._feed.started_at) >= since:
                    return cached
                reading = self._read_feed()
                if self._feed.started_at > -math.inf:
                    await asyncio.shield(reading)
                    continue  # it may have been forgotten
                # The feed vouches for nothing yet: each token is read again meanwhile.
            cached = await self._load(token, cached, since)
            if cached is not None:
                return cached
        raise DatabaseUnavailable

    async def _load(
        self, token: bytes, cached: CachedToken | None, since: float
    ) -> CachedToken | None:
        """Reads a token, and remembers it; None: it was forgotten meanwhile, so look again."""
        if cached is not None:
            known = cached.verified
            load = Load(cached.key, known.token.digest, known.user.id, cached.expires_at)
        else:
            claims = self._signer.check(token.decode("ascii", "replace"))
            user_id = self._users.parse_id(claims.user_id)
            load = Load(HEADER + token, digest(claims.token_id), user_id, claims.expires_at)
        return await self._loader.load(load, since)

    def _remember(self, load: Load, found: Found | None) -> CachedToken:
        if found is None or found[0].user_id != load.user_id or load.started_at is None:
            self._cache.drop(load.key)
            raise InvalidToken
        row, user = found
        expires_at = min(load.expires_at, row.expires_at / 1000)
        cached = CachedToken(
            load.key,
            VerifiedToken(user, row),
            loaded_at=load.started_at,
            look_at=self._look_at(load.started_at, expires_at),
            stale_at=load.started_at + self._max_age,
            expires_at=expires_at,
        )
        if self._lag:
            self._cache.put(cached)
        if self._now() * 1000 - (row.last_used_at or row.created_at) > self._note_after:
            self._uses.add(row.digest)
        return cached

    def _look_at(self, started: float, expires_at: float) -> float:
        """Until when the feed alone decides: the token is not to be read again, nor expires."""
        if not self._machine_clock:
            return -math.inf  # a clock that may be set at any moment is asked at each request
        return started + min(REFRESH_AHEAD * self._max_age, expires_at - self._now())

    def _read_feed(self) -> "asyncio.Task[None]":
        """The read that is under way, or a new one."""
        loop, reading = asyncio.get_running_loop(), self._reading
        if reading is None or reading.done() or reading.get_loop() is not loop:
            reading = self._reading = loop.create_task(self._read_news())
            # Looked at once, or asyncio complains of errors nobody waited for.
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())
        return reading

    async def _read_news(self) -> None:
        # When they are due again is said before the task is done, or the next request begins anew.
        try:
            await self._feed.read()
        except BaseException:
            # Not at each request: a database that is down has enough to do.
            believed_until = self._feed.started_at + self._lag
            self._news_due_at = min(elapsed() + RETRY_SECONDS, believed_until)
            raise
        self._news_due_at = self._feed.started_at + READ_AHEAD * self._lag

    def _forget_all(self) -> None:
        self._cache.clear()
        self._loader.forget_all()
        self.live.suspect_all()

    async def _read(self, digests: Sequence[str]) -> dict[str, Found]:
        now = int(self._now() * 1000)
        return await self._database.read(
            lambda session: self._tokens.with_users(session, digests, now)
        )

    async def _refresh(self, due: list[CachedToken]) -> None:
        """Reads tokens in use again, so that no request has to wait for it."""
        since = elapsed()
        await asyncio.gather(
            *(self._load(cached.key.removeprefix(HEADER), cached, since) for cached in due),
            return_exceptions=True,
        )

    async def _note_uses(self, digests: list[str]) -> None:
        """Notes the time of last use, a token at most once a minute, or ten times in
        `idle_lifetime`.

        Only reading a token notes its use, so what is noted is behind by up to that and
        `user_max_age`; a token is idle by what is noted.
        """
        digests.sort()  # in one order, or two processes would wait for each other's rows
        now = int(self._now() * 1000)
        try:
            for start in range(0, len(digests), MOST_NOTED):
                touch = partial(self._touch, digests[start : start + MOST_NOTED], now)
                self._database.write_later(touch)
        except DatabaseUnavailable:
            logger.info("the time of last use is not noted: the database is busy")

    async def _touch(self, digests: list[str], now: int, session: Session) -> None:
        await self._tokens.touch(session, digests, now)


def _note_after(settings: Settings) -> float:
    """How old the noted use of a token is, in seconds, when the next one is noted."""
    idle = settings.idle_lifetime
    if idle is None:
        return LAST_USED_SECONDS
    return min(LAST_USED_SECONDS, IDLE_SHARE * idle.total_seconds())
