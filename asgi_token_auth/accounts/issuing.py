"""Giving tokens out: to a client that proved who it is, or to a mailbox that is to prove it."""

import dataclasses
from datetime import timedelta

from asgi_token_auth.accounts.parts import Client, Parts
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.events import EventKind
from asgi_token_auth.storage.tokens import (
    AUTHENTICATION,
    CONFIRMATION,
    EMAIL_CHANGE,
    PASSWORD_RESET,
    Purpose,
    Token,
)
from asgi_token_auth.storage.users import User
from asgi_token_auth.tokens import digest, new_secret

MESSAGE = {
    CONFIRMATION: "welcome",
    EMAIL_CHANGE: "new_email_address",
    PASSWORD_RESET: "password_reset",
}


@dataclasses.dataclass(frozen=True, slots=True)
class IssuedToken:
    """An access token for its user.

    Args:
        token: the JWT, for the header `Authorization: Bearer ...`.
        expires_in: seconds from now; it may be revoked before.
        user: whose it is.
    """

    token: str = dataclasses.field(repr=False)
    expires_in: int
    user: User


async def issue_token(
    parts: Parts, session: Session, user: User, client: Client, because: EventKind
) -> IssuedToken:
    """A new access token, good once the unit of work is committed; `because` is the event that it
    is given for.

    The unit of work holds the user's row: `tokens_per_user` is counted here.
    """
    now = parts.now()
    lifetime = int(parts.settings.token_lifetime.total_seconds())
    token_id = new_secret()
    row = Token(
        digest=digest(token_id),
        purpose=AUTHENTICATION,
        user_id=user.id,
        created_at=now,
        expires_at=now + lifetime * 1000,
        last_used_at=now,
        user_agent=client.noted_user_agent,
        address=client.noted_address,
        name=client.session_name,
    )
    await parts.tokens.insert(session, row)
    await parts.events.record(session, because, user.id, client, token=row.digest)
    most = parts.settings.tokens_per_user
    if most is not None and await parts.tokens.keep_recent(
        session, user.id, row.digest, most - 1, now
    ):
        # The user may have wondered why.
        await parts.events.record(
            session, "sessions_revoked", user.id, client, token=row.digest, detail="limit"
        )
    issued_at = now // 1000
    claim = user.id if isinstance(user.id, int) else str(user.id)
    signed = parts.signer.issue(claim, token_id, issued_at, issued_at + lifetime)
    return IssuedToken(signed, lifetime, user)


async def mail_token(
    parts: Parts, session: Session, user: User, purpose: Purpose, sent_to: str, client: Client
) -> None:
    """Mails a new token of that purpose; it takes the place of those before it."""
    secret = new_secret()
    now = parts.now()
    expires_at = now + int(_lifetime(parts, purpose) / timedelta(milliseconds=1))
    await parts.tokens.revoke(session, user.id, (purpose,))
    row = Token(digest(secret), purpose, user.id, now, expires_at, sent_to=sent_to)
    await parts.tokens.insert(session, row)
    message = parts.messages.message(MESSAGE[purpose], user, secret, client.request)
    await parts.outbox.put(session, purpose, sent_to, message, expires_at=expires_at)


def _lifetime(parts: Parts, purpose: Purpose) -> timedelta:
    return {
        CONFIRMATION: parts.settings.confirmation_lifetime,
        EMAIL_CHANGE: parts.settings.email_change_lifetime,
        PASSWORD_RESET: parts.settings.password_reset_lifetime,
    }[purpose]
