"""Choosing a new password with a mailed token."""

from collections.abc import Mapping
from typing import Any

from asgi_token_auth.accounts.fields import (
    BLANK,
    INVALID,
    Changes,
    is_blank,
    password_fault,
    read_secret,
    validated,
)
from asgi_token_auth.accounts.issuing import IssuedToken, issue_token
from asgi_token_auth.accounts.notifying import notify
from asgi_token_auth.accounts.parts import Client, Parts
from asgi_token_auth.exceptions import InvalidFields
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.tokens import AUTHENTICATION, MAILED, PASSWORD_RESET
from asgi_token_auth.storage.users import User, UserId
from asgi_token_auth.tokens import digest

FIELD = "password_reset_token"


async def reset_password(parts: Parts, fields: Mapping[str, Any], client: Client) -> IssuedToken:
    """Sets the password, confirms the account, ends every token before, and logs the user in.

    Raises:
        InvalidFields: the token is wrong, used or expired, or the password is not acceptable.
        DatabaseUnavailable, HashingOverloaded: try again.
    """
    key, secret, password = _read(parts, fields)
    # Looked at before it is used: without a good token nobody makes us hash.
    user = await parts.database.read(lambda session: _owner(parts, session, key, secret))
    values = await validated(parts, Changes("reset_password", user, {"password": password}))
    new_hash = await parts.passwords.hash(values["password"])
    issued = await parts.database.write(
        lambda session: _reset(parts, session, key, secret, new_hash, client)
    )
    parts.sender.wake()
    return issued


def _read(parts: Parts, fields: Mapping[str, Any]) -> tuple[UserId, str, str]:
    errors: dict[str, str] = {}
    secret = read_secret(fields, FIELD, errors)
    if is_blank(fields.get("user_id")):
        errors["user_id"] = BLANK
    key = parts.users.parse_id(fields.get("user_id"))
    if fault := password_fault(parts, fields.get("password")):
        errors["password"] = fault
    if key is None:
        # Which ids there are is nobody's business: an impossible one answers as an unknown one.
        errors.setdefault(FIELD, INVALID)
    if errors or key is None:
        raise InvalidFields(errors)
    return key, secret, fields["password"]


async def _owner(parts: Parts, session: Session, key: UserId, secret: str) -> User:
    token = await parts.tokens.find(session, digest(secret), key, (PASSWORD_RESET,), parts.now())
    stored = await parts.users.by_id(session, key) if token else None
    if token is None or stored is None or token.sent_to != stored.user.email:
        raise InvalidFields({FIELD: INVALID})
    return stored.user


async def _reset(
    parts: Parts, session: Session, key: UserId, secret: str, new_hash: str, client: Client
) -> IssuedToken:
    stored = await parts.users.locked(session, key)
    purpose = (PASSWORD_RESET,)
    token = await parts.tokens.consume(session, digest(secret), key, purpose, parts.now())
    if stored is None or token is None or token.sent_to != stored.user.email:
        raise InvalidFields({FIELD: INVALID})
    # The mailbox is proven. Whoever signed up or logged in before may have been somebody else.
    confirmed_at = stored.user.confirmed_at or parts.now()
    changes = {"hashed_password": new_hash, "confirmed_at": confirmed_at}
    await parts.users.update(session, key, changes)
    await parts.tokens.revoke(session, key, (AUTHENTICATION, *MAILED))
    await notify(parts, session, stored.user, "password_changed", client)
    return await issue_token(parts, session, stored.user, client, "password_reset")
