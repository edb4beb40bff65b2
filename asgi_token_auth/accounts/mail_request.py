"""What both `POST /confirmations` and `POST /password_resets` do: mail a token to an address,
and show nobody whether the address has an account."""

from collections.abc import Callable, Mapping
from typing import Any

from asgi_token_auth.accounts.fields import read_email
from asgi_token_auth.accounts.issuing import mail_token
from asgi_token_auth.accounts.parts import Client, Parts
from asgi_token_auth.exceptions import InvalidFields
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.tokens import CONFIRMATION, PASSWORD_RESET, Purpose
from asgi_token_auth.storage.users import User


async def resend_confirmation(parts: Parts, fields: Mapping[str, Any], client: Client) -> None:
    """Mails a new confirmation token, if the address waits for one.

    Raises:
        InvalidFields: it is no address; or not known, where `disclose_accounts="always"`.
        DatabaseUnavailable: try again.
    """
    await _mail(parts, fields, CONFIRMATION, lambda user: user.confirmed_at is None, client)


async def request_password_reset(parts: Parts, fields: Mapping[str, Any], client: Client) -> None:
    """Mails a password reset token, if the address has an account.

    Raises:
        InvalidFields: it is no address; or not known, where `disclose_accounts="always"`.
        DatabaseUnavailable: try again.
    """
    await _mail(parts, fields, PASSWORD_RESET, lambda user: True, client)


async def _mail(
    parts: Parts,
    fields: Mapping[str, Any],
    purpose: Purpose,
    applies: Callable[[User], bool],
    client: Client,
) -> None:
    errors: dict[str, str] = {}
    email = read_email(fields, errors)
    if errors:
        raise InvalidFields(errors)

    async def write(session: Session) -> bool:
        found = await parts.users.by_login(session, email=email)
        stored = await parts.users.locked(session, found.user.id) if found else None
        if stored is not None and stored.user.email == email and applies(stored.user):
            await mail_token(parts, session, stored.user, purpose, email, client)
        else:
            await _do_as_much(parts, session, email)
        return stored is not None

    known = await parts.database.write(write)
    parts.outbox.wake()
    if not known and parts.settings.disclose_accounts == "always":
        raise InvalidFields({"email": "not known"})


async def _do_as_much(parts: Parts, session: Session, email: str) -> None:
    """The work of a mailed token for nobody, or the answer's time would tell who has an account."""
    await parts.outbox.put_and_discard(session, email)
