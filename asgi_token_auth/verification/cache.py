"""The verified tokens that a process remembers: bounded, and forgotten by user.

A token is found by the whole header it comes in, so that a request need not take that apart.
Only one spelling of each is kept: what is spelled otherwise is no hit, and costs no memory.
"""

from collections import deque
from typing import Any

from asgi_token_auth.verification.verified import VerifiedToken

EVICTIONS = 4  # at a time: no request pays for what thousands left behind


class CachedToken:
    """What is known of a token, and until when.

    Args:
        key: the Authorization header that the token comes in, spelled the one way that is kept.
        verified: the token and its user.
        loaded_at: when the query began that this was read with (`elapsed`).
        look_at: until when nothing but the feed has to be looked at (`elapsed`).
        stale_at: when to believe it no longer (`elapsed`).
        expires_at: when the token ends, in seconds since the epoch.
    """

    __slots__ = ("expires_at", "key", "loaded_at", "look_at", "of_user", "stale_at", "verified")

    def __init__(
        self,
        key: bytes,
        verified: VerifiedToken,
        *,
        loaded_at: float,
        look_at: float,
        stale_at: float,
        expires_at: float,
    ) -> None:
        self.key = key
        self.verified = verified
        self.of_user: CachedToken | None = None  # another of the same user, who seldom has many
        self.loaded_at = loaded_at
        self.look_at = look_at
        self.stale_at = stale_at
        self.expires_at = expires_at


class TokenCache:
    """Verified tokens by their text. Those read longest ago make room.

    Every token in use is read again within `user_max_age`, so the order of reading is close
    enough to that of use, and a look-up need not move anything.

    Args:
        limit: the most tokens remembered.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tokens: dict[bytes, CachedToken] = {}
        self._by_user: dict[Any, CachedToken] = {}
        self._order: deque[CachedToken] = deque()
        self.get = self._tokens.get

    def __len__(self) -> int:
        return len(self._tokens)

    def put(self, token: CachedToken) -> None:
        """Remembers a token, instead of what was known of it before."""
        self.drop(token.key)
        self._tokens[token.key] = token
        user_id = token.verified.user.id
        token.of_user = self._by_user.get(user_id)
        self._by_user[user_id] = token
        self._order.append(token)
        self._evict(token.loaded_at)
        if len(self._order) > 2 * len(self._tokens) + EVICTIONS:
            # Behind one that stays, those that were replaced or forgotten heap up.
            self._order = deque(each for each in self._order if self.get(each.key) is each)

    def drop(self, key: bytes) -> None:
        """Forgets one token."""
        token = self._tokens.pop(key, None)
        if token is None:
            return
        user_id = token.verified.user.id
        first = self._by_user[user_id]
        if first is not token:
            while first.of_user is not token and first.of_user is not None:
                first = first.of_user
            first.of_user = token.of_user
        elif token.of_user is not None:
            self._by_user[user_id] = token.of_user
        else:
            del self._by_user[user_id]

    def forget(self, user_id: Any) -> None:
        """Forgets all tokens of a user."""
        token = self._by_user.pop(user_id, None)
        while token is not None:
            del self._tokens[token.key]
            token = token.of_user

    def clear(self) -> None:
        """Forgets everything."""
        self._tokens.clear()
        self._by_user.clear()
        self._order.clear()

    def _evict(self, now: float) -> None:
        for _ in range(EVICTIONS):
            oldest = self._order[0]
            if self._tokens.get(oldest.key) is oldest:
                if len(self._tokens) <= self._limit and now < oldest.stale_at:
                    return
                self.drop(oldest.key)
            self._order.popleft()
            if not self._order:
                return
