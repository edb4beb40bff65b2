"""Sign-up: by e-mail, to be confirmed from its mailbox; or by username, confirmed at once."""

from collections.abc import Mapping
from typing import Any

from asgi_token_auth.accounts.attempts import count_by_account, count_by_address, limited
from asgi_token_auth.accounts.fields import (
    BLANK,
    TAKEN,
    Changes,
    is_blank,
    password_fault,
    read_email,
    read_username,
    refused_by,
    validated,
)
from asgi_token_auth.accounts.issuing import mail_token
from asgi_token_auth.accounts.notifying import tell_if_taken, tell_owner
from asgi_token_auth.accounts.parts import Client, Parts
from asgi_token_auth.exceptions import InvalidFields
from asgi_token_auth.mail.messages import NOTHING
from asgi_token_auth.storage.database import ConstraintViolation, Session
from asgi_token_auth.storage.tokens import CONFIRMATION
from asgi_token_auth.storage.users import User


@limited
async def sign_up(parts: Parts, fields: Mapping[str, Any], client: Client) -> User | None:
    """Creates an account; None: the address has one, and `disclose_accounts` says not to tell.

    Raises:
        InvalidFields: fields are wrong, or the e-mail address or username is taken.
        Throttled: too many attempts of the client's address, or with that e-mail address or
            username.
        DatabaseUnavailable, HashingOverloaded, BreachedPasswordsUnavailable: try again.
    """
    changes = _read(parts, fields)
    # Before the application's own validator, whatever that may cost.
    await count_by_address(parts, "sign_up", client)
    if not changes.errors:
        names = {name: changes[name] for name in ("email", "username") if name in changes}
        await count_by_account(parts, "sign_up", **names)
    values = await validated(parts, changes)
    password = values.pop("password")
    row = {**values, "hashed_password": await parts.passwords.hash(password)}
    row["confirmed_at"] = None if row.get("email") else parts.now()

    async def create(session: Session) -> User | None:
        # One unit of work with as many statements as a sign-up has that succeeds, or the time
        # would tell them apart.
        email = row.get("email") if parts.settings.disclose_accounts == "never" else None
        if email is not None and await tell_if_taken(parts, session, email, client):
            await parts.outbox.put_and_discard(session, "account_exists", email, NOTHING)
            return None
        user = await session.within_constraints(parts.users.insert(session, row))
        if user.email is not None:
            await mail_token(parts, session, user, CONFIRMATION, user.email, client)
        await parts.events.record(session, "signed_up", user.id, client)
        return user

    try:
        user = await parts.database.write(create)
    except ConstraintViolation as violation:
        await _taken(parts, refused_by(parts.users, violation), row, client)
        return None
    parts.sender.wake()
    return user


async def _taken(
    parts: Parts, refused: InvalidFields, row: Mapping[str, Any], client: Client
) -> None:
    if refused.errors != {"email": TAKEN} or parts.settings.disclose_accounts != "never":
        raise refused
    await tell_owner(parts, row["email"], client)


def _read(parts: Parts, fields: Mapping[str, Any]) -> Changes:
    errors = parts.users.field_faults(fields, new=True)
    values = {name: fields[name] for name in parts.users.writable if fields.get(name) is not None}
    # Both: an e-mail sign-up with a name. Only the mailbox can prove that the address is theirs.
    if parts.users.has_email and not is_blank(fields.get("email")):
        values["email"] = read_email(fields, errors)
    if parts.users.has_username and not is_blank(fields.get("username")):
        values["username"] = read_username(fields, errors)
    if not {"email", "username"} & set(values):
        errors["email" if parts.users.has_email else "username"] = BLANK
    values["password"] = fields.get("password")
    about = (values.get("email"), values.get("username"))
    if fault := password_fault(parts, values["password"], *about):
        errors["password"] = fault
    return Changes("sign_up", None, values, errors)
