"""Choosing a new password with a mailed token."""

from collections.abc import Mapping
from typing import Any

from asgi_token_auth.accounts.attempts import count_by_account, count_by_address, limited
from asgi_token_auth.accounts.fields import (
    BLANK,
    INVALID,
    Changes,
    is_blank,
    named,
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


@limited
async def reset_password(parts: Parts, fields: Mapping[str, Any], client: Client) -> IssuedToken:
    """Sets the password, confirms the account, ends every token before, and logs the user in.

    Raises:
        InvalidFields: the token is wrong, used or expired, or the password is not acceptable.
        Throttled: too many attempts of the client's address, or too many wrong ones on the user.
        DatabaseUnavailable, HashingOverloaded, BreachedPasswordsUnavailable: try again.
    """
    key, secret, password, client = _read(parts, fields, client)
    await count_by_address(parts, "reset_password", client)
    # Looked at before it is used: without a good token nobody makes us hash.
    user = await parts.database.read(lambda session: _owner(parts, session, key, secret))
    if user is None:
        # Only what was wrong counts for the account, or strangers could keep its owner out.
        await count_by_account(parts, "reset_password", user=key)
        raise InvalidFields({FIELD: INVALID})
    changes = Changes("reset_password", user, {"password": password})
    # Whose names the password must not be is known only now.
    if fault := password_fault(parts, password, user.email, user.username):
        changes.add_error("password", fault)
    values = await validated(parts, changes)
    new_hash = await parts.passwords.hash(values["password"])
    issued = await parts.database.write(
        lambda session: _reset(parts, session, key, secret, new_hash, client)
    )
    parts.sender.wake()
    return issued


def _read(
    parts: Parts, fields: Mapping[str, Any], client: Client
) -> tuple[UserId, str, str, Client]:
    errors: dict[str, str] = {}
    secret = read_secret(fields, FIELD, errors)
    if is_blank(fields.get("user_id")):
        errors["user_id"] = BLANK
    key = parts.users.parse_id(fields.get("user_id"))
    if fault := password_fault(parts, fields.get("password")):
        errors["password"] = fault
    client = named(client, fields, errors)
    if key is None:
        # Which ids there are is nobody's business: an impossible one answers as an unknown one.
        errors.setdefault(FIELD, INVALID)
    if errors or key is None:
        raise InvalidFields(errors)
    return key, secret, fields["password"], client


async def _owner(parts: Parts, session: Session, key: UserId, secret: str) -> User | None:
    token = await parts.tokens.find(session, digest(secret), key, (PASSWORD_RESET,), parts.now())
    stored = await parts.users.by_id(session, key) if token else None
    if token is None or stored is None or token.sent_to != stored.user.email:
        return None
    return stored.user


async def _reset(
    parts: Parts,
    session: Session,
    key: UserId,
    secret: str,
    new_hash: str,
    client: Client,
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
