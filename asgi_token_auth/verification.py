"""Which tokens are good right now."""

import dataclasses
import logging

from asgi_token_auth.exceptions import DatabaseUnavailable, InvalidToken
from asgi_token_auth.settings import Clock
from asgi_token_auth.storage.database import Database
from asgi_token_auth.storage.tokens import Token, Tokens
from asgi_token_auth.storage.users import User, Users
from asgi_token_auth.tokens import TokenSigner, digest

logger = logging.getLogger("asgi_token_auth.verification")

LAST_USED_MILLISECONDS = 60_000


@dataclasses.dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A token that is good right now, and its user."""

    user: User
    token: Token


class Verifier:
    """Checks signature and claims, then that the token's row stands, in one indexed query."""

    def __init__(
        self, database: Database, users: Users, tokens: Tokens, signer: TokenSigner, clock: Clock
    ) -> None:
        self._database = database
        self._users = users
        self._tokens = tokens
        self._signer = signer
        self._clock = clock

    async def verify(self, token: str) -> VerifiedToken:
        """The token's row and user.

        Raises:
            InvalidToken: it is forged, expired, revoked, or its user is gone or unconfirmed.
            DatabaseUnavailable: nobody can tell now.
        """
        claims = self._signer.check(token)
        key, now = digest(claims.token_id), int(self._clock().timestamp() * 1000)
        found = await self._database.read(lambda session: self._tokens.with_user(session, key, now))
        if found is None or self._users.parse_id(claims.user_id) != found[0].user_id:
            raise InvalidToken
        row, user = found
        if now - (row.last_used_at or row.created_at) > LAST_USED_MILLISECONDS:
            await self._touch(row, now)
        return VerifiedToken(user, row)

    async def _touch(self, row: Token, now: int) -> None:
        """Notes the use, at most once a minute: it's for people, and must not cost each request."""
        try:
            self._database.write_later(lambda session: self._tokens.touch(session, row.digest, now))
        except DatabaseUnavailable:
            logger.info("the time of last use is not noted: the database is busy")
