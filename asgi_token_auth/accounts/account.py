"""The account of the user who is logged in: changing and deleting it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from asgi_token_auth.accounts.attempts import count_by_account, count_by_address, limited
from asgi_token_auth.accounts.fields import (
    INVALID,
    STILL_REFERRED_TO,
    TAKEN,
    Changes,
    is_blank,
    password_fault,
    read_email,
    read_secret,
    read_username,
    refused_by,
    too_long,
    validated,
)
from asgi_token_auth.accounts.issuing import mail_token
from asgi_token_auth.accounts.notifying import notify, tell_owner
from asgi_token_auth.accounts.parts import Client, Parts
from asgi_token_auth.exceptions import InvalidFields, InvalidToken
from asgi_token_auth.storage.database import ConstraintViolation, Session
from asgi_token_auth.storage.events import EventKind
from asgi_token_auth.storage.tokens import AUTHENTICATION, EMAIL_CHANGE, MAILED, Token
from asgi_token_auth.storage.users import StoredUser, User

CURRENT_PASSWORD = "current_password"


@dataclasses.dataclass(frozen=True, slots=True)
class Login:
    """The user who is logged in, and the token that says so (None in scripts: trusted)."""

    user: User
    token: Token | None

    @property
    def digest(self) -> str | None:
        return self.token.digest if self.token else None


@limited
async def update_account(
    parts: Parts, login: Login, fields: Mapping[str, Any], client: Client
) -> None:
    """Changes what `fields` names; a new e-mail address counts once it is confirmed.

    Raises:
        InvalidFields: fields are wrong or taken, or `current_password` is needed or wrong.
        InvalidToken: the token was revoked meanwhile.
        Throttled: too many present passwords were tried with this token, or from this address; or
            too many new addresses.
        DatabaseUnavailable, HashingOverloaded, BreachedPasswordsUnavailable: try again.
    """
    stored = await _stored(parts, login)
    changes = _read(parts, stored.user, fields)
    sensitive = bool({"password", "email"} & set(changes.values))
    values = await validated(parts, changes)
    if sensitive and _is_stale(parts, login):
        await _prove(parts, login, stored, fields, CURRENT_PASSWORD, client)
    if "email" in values:
        await count_by_account(parts, "change_email", user=stored.user.id)
    events = _events(values)
    password, email = values.pop("password", None), values.pop("email", None)
    claimed = email is not None and await _is_claimed(parts, email, client)
    if password is not None:
        values["hashed_password"] = await parts.passwords.hash(password)
    if events:
        await _write(parts, login, stored, values, email, claimed, events, client)


@limited
async def delete_account(
    parts: Parts, login: Login, fields: Mapping[str, Any], client: Client
) -> None:
    """Deletes the user and all that hangs off it, once the password is proven.

    Raises:
        InvalidFields: the password is missing or wrong; or a row of another table refers to the
            user, and a constraint keeps that from going too.
        InvalidToken: the token was revoked meanwhile.
        Throttled: too many present passwords were tried with this token, or from this address.
        DatabaseUnavailable, HashingOverloaded: try again.
    """
    stored = await _stored(parts, login)
    field = CURRENT_PASSWORD if CURRENT_PASSWORD in fields else "password"
    await _prove(parts, login, stored, fields, field, client)

    async def delete(session: Session) -> None:
        await _still_logged_in(parts, session, login, stored)
        await parts.tokens.revoke(session, stored.user.id, (AUTHENTICATION, *MAILED))
        await session.within_constraints(parts.users.delete(session, stored.user.id))
        await _record(parts, session, login, "account_deleted", client)

    try:
        await parts.database.write(delete)
    except ConstraintViolation as violation:
        raise InvalidFields({"base": STILL_REFERRED_TO}) from violation


async def _stored(parts: Parts, login: Login) -> StoredUser:
    stored = await parts.database.read(lambda session: parts.users.by_id(session, login.user.id))
    if stored is None:
        raise InvalidToken
    return stored


def _read(parts: Parts, user: User, fields: Mapping[str, Any]) -> Changes:
    errors = parts.users.field_faults(fields, new=False)
    values = {name: fields[name] for name in parts.users.writable if name in fields}
    # Clients send both fields of their form, and leave empty what is to stay.
    if not is_blank(fields.get("password")):
        values["password"] = fields["password"]
    if parts.users.has_email and not is_blank(fields.get("email")):
        email = read_email(fields, errors)
        if email != user.email:
            values["email"] = email
    if parts.users.has_username and not is_blank(fields.get("username")):
        username = read_username(fields, errors)
        if username != user.username:
            values["username"] = username
    if "password" in values:
        about = (user.email, user.username, values.get("email"), values.get("username"))
        if fault := password_fault(parts, values["password"], *about):
            errors["password"] = fault
    # Refused where it is not needed, too: by then a client has it wrong for when it will be.
    if not isinstance(fields.get(CURRENT_PASSWORD, ""), str | None):
        errors[CURRENT_PASSWORD] = INVALID
    return Changes("update_account", user, values, errors)


def _events(values: Mapping[str, Any]) -> list[tuple[EventKind, str | None]]:
    """What the change is called. A new address is so called also where it is another's and
    nothing is done: its owner's account must not show in the trail."""
    others = sorted({*values} - {"password", "email"})
    events: list[tuple[EventKind, str | None]] = []
    if others:
        events.append(("account_updated", ",".join(others)))
    if "email" in values:
        events.append(("email_change_requested", None))
    if "password" in values:
        events.append(("password_changed", None))
    return events


async def _record(
    parts: Parts,
    session: Session,
    login: Login,
    kind: EventKind,
    client: Client,
    detail: str | None = None,
) -> None:
    await parts.events.record(
        session, kind, login.user.id, client, token=login.digest, detail=detail
    )


def _is_stale(parts: Parts, login: Login) -> bool:
    """Whether the login is too long ago to stand for its user in what matters most."""
    recent = parts.settings.recent_login
    if recent is None or login.token is None:
        return False
    return parts.now() - login.token.created_at > recent.total_seconds() * 1000


async def _prove(
    parts: Parts,
    login: Login,
    stored: StoredUser,
    fields: Mapping[str, Any],
    field: str,
    client: Client,
) -> None:
    errors: dict[str, str] = {}
    password = read_secret(fields, field, errors)
    if errors or too_long(parts, password):
        raise InvalidFields(errors or {field: INVALID})
    await count_by_address(parts, "current_password", client)
    if login.token is not None:
        # By session: a thief of one must not keep the owner's others from changing the password.
        await parts.throttle.count("current_password_by_session", login.token.digest)
    verification = await parts.passwords.verify(password, stored.hashed_password)
    if not verification.valid:
        parts.events.refused(
            stored.user.id, client, token=login.digest, detail="wrong_current_password"
        )
        raise InvalidFields({field: INVALID})


async def _is_claimed(parts: Parts, email: str, client: Client) -> bool:
    """Whether the new address is another's, where only that other may know: who is told so here."""
    if parts.settings.disclose_accounts == "never":
        return await tell_owner(parts, email, client)
    if await parts.database.read(lambda session: parts.users.by_login(session, email=email)):
        raise InvalidFields({"email": TAKEN})
    return False


async def _write(
    parts: Parts,
    login: Login,
    stored: StoredUser,
    values: dict[str, Any],
    email: str | None,
    claimed: bool,
    events: list[tuple[EventKind, str | None]],
    client: Client,
) -> None:
    async def change(session: Session) -> None:
        await _still_logged_in(parts, session, login, stored)
        if values:
            update = parts.users.update(session, stored.user.id, values)
            await session.within_constraints(update)
        if "hashed_password" in values:
            await _end_what_came_before(parts, session, login, stored.user, client)
        if claimed:
            # As by a mail: a token from before that still worked would tell that none was sent.
            await parts.tokens.revoke(session, stored.user.id, (EMAIL_CHANGE,))
        elif email is not None:
            await mail_token(parts, session, stored.user, EMAIL_CHANGE, email, client)
        for kind, detail in events:
            await _record(parts, session, login, kind, client, detail)

    try:
        await parts.database.write(change)
    except ConstraintViolation as violation:
        raise refused_by(parts.users, violation) from violation
    parts.sender.wake()


async def _still_logged_in(
    parts: Parts, session: Session, login: Login, proven: StoredUser
) -> None:
    """Under the lock: the token is good and the password is the one that was proven."""
    stored = await parts.users.locked(session, proven.user.id)
    if stored is None or stored.hashed_password != proven.hashed_password:
        raise InvalidToken
    if login.token is None:
        return
    purpose, now = (AUTHENTICATION,), parts.now()
    if not await parts.tokens.find(session, login.token.digest, stored.user.id, purpose, now):
        raise InvalidToken


async def _end_what_came_before(
    parts: Parts, session: Session, login: Login, user: User, client: Client
) -> None:
    await parts.tokens.revoke(session, user.id, (AUTHENTICATION,), but=login.digest)
    await parts.tokens.revoke(session, user.id, MAILED)
    await notify(parts, session, user, "password_changed", client)
