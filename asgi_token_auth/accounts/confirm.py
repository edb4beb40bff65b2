"""Confirming an address from its mailbox: a new account's, or one an account changes to."""

from collections.abc import Mapping
from typing import Any, cast

from asgi_token_auth.accounts.attempts import count_by_account, count_by_address, limited
from asgi_token_auth.accounts.fields import INVALID, named, read_secret, refused_by
from asgi_token_auth.accounts.issuing import IssuedToken, issue_token
from asgi_token_auth.accounts.notifying import notify
from asgi_token_auth.accounts.parts import Client, Parts
from asgi_token_auth.exceptions import InvalidFields
from asgi_token_auth.storage.database import Session, UniqueViolation
from asgi_token_auth.storage.events import EventKind
from asgi_token_auth.storage.tokens import CONFIRMATION, EMAIL_CHANGE, MAILED, Token
from asgi_token_auth.storage.users import StoredUser, User, UserId
from asgi_token_auth.tokens import digest

FIELD = "confirmation_token"


@limited
async def confirm(
    parts: Parts, user_id: object, fields: Mapping[str, Any], client: Client
) -> IssuedToken:
    """Uses a confirmation token up, and logs its user in.

    Raises:
        InvalidFields: the token is wrong, used or expired, or the address is by now another's.
        Throttled: too many attempts of the client's address, or too many wrong ones on the user.
        DatabaseUnavailable: try again.
    """
    errors: dict[str, str] = {}
    secret = read_secret(fields, FIELD, errors)
    client = named(client, fields, errors)
    if errors:
        raise InvalidFields(errors)
    key = parts.users.parse_id(user_id)
    if key is None:
        raise InvalidFields({FIELD: INVALID})
    await count_by_address(parts, "confirm", client)
    issued = await _use(parts, key, secret, client)
    if issued is None:
        # Only what was wrong counts for the account, or strangers could keep its owner out; 256
        # random bits need no limit on guesses.
        await count_by_account(parts, "confirm", user=key)
        raise InvalidFields({FIELD: INVALID})
    parts.sender.wake()
    return issued


async def _use(parts: Parts, key: UserId, secret: str, client: Client) -> IssuedToken | None:
    """None: there is no such token, or it is used up."""

    async def use(session: Session) -> IssuedToken | None:
        stored = await parts.users.locked(session, key)
        purposes = (CONFIRMATION, EMAIL_CHANGE)
        token = await parts.tokens.consume(session, digest(secret), key, purposes, parts.now())
        if stored is None or token is None:
            return None
        user = await _apply(parts, session, stored.user, token, client)
        moved = user.email != stored.user.email
        because: EventKind = "email_changed" if moved else "confirmed"
        return await issue_token(parts, session, user, client, because)

    try:
        return await parts.database.write(use)
    except UniqueViolation as violation:
        raise refused_by(parts.users, violation) from violation


async def _apply(parts: Parts, session: Session, user: User, token: Token, client: Client) -> User:
    changes: dict[str, Any] = {}
    if user.confirmed_at is None:
        changes["confirmed_at"] = parts.now()
    if token.purpose == EMAIL_CHANGE and token.sent_to != user.email:
        changes["email"] = token.sent_to
        await _leave_address(parts, session, user, client)
    elif token.purpose == CONFIRMATION and token.sent_to != user.email:
        raise InvalidFields({FIELD: INVALID})
    if changes:
        await parts.users.update(session, user.id, changes)
    fresh = await parts.users.by_id(session, user.id)
    return cast(StoredUser, fresh).user  # locked, so it is still there


async def _leave_address(parts: Parts, session: Session, user: User, client: Client) -> None:
    """Whoever reads the old mailbox learns of the change, and can use nothing sent there before."""
    await parts.tokens.revoke(session, user.id, MAILED)
    await notify(parts, session, user, "email_changed", client)
