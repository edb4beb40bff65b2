"""What both `POST /confirmations` and `POST /password_resets` do: mail a token to an address,
and show nobody whether the address has an account."""

from collections.abc import Callable, Mapping
from typing import Any

from asgi_token_auth.accounts.fields import read_email
from asgi_token_auth.accounts.issuing import MESSAGE, mail_token
from asgi_token_auth.accounts.parts import Client, Parts
from asgi_token_auth.exceptions import InvalidFields
from asgi_token_auth.mail.messages import NOTHING
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.events import EventKind
from asgi_token_auth.storage.tokens import CONFIRMATION, PASSWORD_RESET, Purpose
from asgi_token_auth.storage.users import User
from asgi_token_auth.tokens import new_secret

REQUESTED: dict[Purpose, EventKind] = {
    CONFIRMATION: "confirmation_requested",
    PASSWORD_RESET: "password_reset_requested",
}
NOT_MAILED = "not_mailed"


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
        nobody = parts.users.nobody(email)
        stored = await parts.users.locked(session, found.user.id if found else nobody.id)
        rests = await parts.outbox.rests(session, purpose, email)
        owner = stored.user if stored is not None and stored.user.email == email else None
        mailed = owner is not None and applies(owner) and not rests
        if owner is not None and mailed:
            await mail_token(parts, session, owner, purpose, email, client)
        else:
            await _do_as_much(parts, session, purpose, nobody, email, client)
        detail = None if mailed else NOT_MAILED
        whose = None if owner is None else owner.id
        await parts.events.record(session, REQUESTED[purpose], whose, client, detail=detail)
        return found is not None

    known = await parts.database.write(write)
    parts.sender.wake()
    if not known and parts.settings.disclose_accounts == "always":
        raise InvalidFields({"email": "not known"})


async def _do_as_much(
    parts: Parts, session: Session, purpose: Purpose, nobody: User, email: str, client: Client
) -> None:
    """The work of a mailed token for nobody, or the answer's time would tell who has an account.

    As many statements as `mail_token` has, of the same kinds.
    """
    await parts.tokens.revoke(session, nobody.id, (purpose,), only="nobody's")
    try:
        message = parts.messages.message(MESSAGE[purpose], nobody, new_secret(), client.request)
    except Exception:  # the application's own builder may want a real user
        message = NOTHING
    await parts.outbox.put_and_discard(session, purpose, email, message)
