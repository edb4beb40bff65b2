"""Logging in with a password."""

from collections.abc import Mapping
from typing import Any

from asgi_token_auth.accounts.attempts import admit, limited
from asgi_token_auth.accounts.fields import (
    named,
    normalised_email,
    normalised_username,
    read_secret,
    text_fault,
    too_long,
)
from asgi_token_auth.accounts.issuing import IssuedToken, issue_token
from asgi_token_auth.accounts.parts import Client, Parts
from asgi_token_auth.exceptions import AccountNotConfirmed, InvalidFields, UnknownCredentials
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.users import StoredUser

TRIES = 5


@limited
async def log_in(parts: Parts, fields: Mapping[str, Any], client: Client) -> IssuedToken:
    """An access token for e-mail address or username and password.

    Raises:
        InvalidFields: a field is missing or not text.
        UnknownCredentials: no such user, or a wrong password.
        AccountNotConfirmed: the password is right, but the account is not confirmed; where
            `disclose_accounts` is "never", that is `UnknownCredentials` too.
        Throttled: too many attempts of the client's address, or on the account.
        DatabaseUnavailable, HashingOverloaded: try again.
    """
    login, password, client = _read(parts, fields, client)
    (name, normalised), *_ = login.items()
    counted = await admit(parts, "log_in", login, normalised or fields[name], client)
    for _ in range(TRIES):
        issued = await _try(parts, login, password, client)
        if issued is not None:
            await parts.throttle.give_back(*counted)
            return issued
    raise UnknownCredentials


def _read(
    parts: Parts, fields: Mapping[str, Any], client: Client
) -> tuple[dict[str, str | None], str, Client]:
    errors: dict[str, str] = {}
    name = "username" if "username" in fields and "email" not in fields else "email"
    if fault := text_fault(fields.get(name)):
        errors[name] = fault
    password = read_secret(fields, "password", errors)
    if password and (fault := too_long(parts, password)):
        errors["password"] = fault
    client = named(client, fields, errors)
    if errors:
        raise InvalidFields(errors)
    normalised = normalised_email if name == "email" else normalised_username
    return {name: normalised(fields[name])}, password, client


async def _try(
    parts: Parts, login: dict[str, str | None], password: str, client: Client
) -> IssuedToken | None:
    """None: the password's hash changed while it was verified, so that proves nothing."""
    stored = await parts.database.read(lambda session: parts.users.by_login(session, **login))
    hashed = stored.hashed_password if stored else None
    verification = await parts.passwords.verify(password, hashed)
    if stored is None:
        parts.events.refused(None, client, detail="unknown_account")
        raise UnknownCredentials
    if not verification.valid:
        parts.events.refused(stored.user.id, client, detail="wrong_password")
        raise UnknownCredentials
    if stored.user.confirmed_at is None:
        parts.events.refused(stored.user.id, client, detail="not_confirmed")
        if parts.settings.disclose_accounts == "never":
            # Or whoever signed up just now would learn whether that made an account, or whether
            # the address had one.
            raise UnknownCredentials
        raise AccountNotConfirmed
    return await parts.database.write(
        lambda session: _issue(parts, session, stored, verification.new_hash, client)
    )


async def _issue(
    parts: Parts,
    session: Session,
    proven: StoredUser,
    new_hash: str | None,
    client: Client,
) -> IssuedToken | None:
    # Under the lock, the hash must still be the one that was verified: a reset that committed in
    # between has ended all tokens, and this one would outlive it.
    stored = await parts.users.locked(session, proven.user.id)
    if stored is None or stored.hashed_password != proven.hashed_password:
        return None
    if new_hash is not None:
        await parts.users.update(session, stored.user.id, {"hashed_password": new_hash})
    return await issue_token(parts, session, stored.user, client, "logged_in")
