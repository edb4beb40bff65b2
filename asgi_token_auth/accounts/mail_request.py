"""What both `POST /confirmations` and `POST /password_resets` do: mail a token to an address,
and show nobody whether the address has an account."""

from collections.abc import Callable, Mapping
from typing import Any

from asgi_token_auth.accounts.attempts import admit, count_by_account, count_by_address, limited
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


@limited
async def resend_confirmation(parts: Parts, fields: Mapping[str, Any], client: Client) -> None:
    """Mails a new confirmation token, if the address waits for one.

    Raises:
        InvalidFields: it is no address; or not known, where `disclose_accounts="always"`.
        Throttled: too many requests of the client's address, or for that mailbox.
        DatabaseUnavailable: try again.
    """
    email = _read(fields)
    await count_by_address(parts, "resend_confirmation", client)
    # No device can be known of an account that waits for its first token. What strangers ask
    # for, its owner is mailed: the last mail before the limit stays good for days.
    await count_by_account(parts, "resend_confirmation", email=email)
    await _mail(parts, email, CONFIRMATION, lambda user: user.confirmed_at is None, client)


@limited
async def request_password_reset(parts: Parts, fields: Mapping[str, Any], client: Client) -> None:
    """Mails a password reset token, if the address has an account.

    Raises:
        InvalidFields: it is no address; or not known, where `disclose_accounts="always"`.
        Throttled: too many requests of the client's address, or for that mailbox.
        DatabaseUnavailable: try again.
    """
    email = _read(fields)
    await admit(parts, "request_password_reset", {"email": email}, email, client)
    await _mail(parts, email, PASSWORD_RESET, lambda user: True, client)


def _read(fields: Mapping[str, Any]) -> str:
    errors: dict[str, str] = {}
    email = read_email(fields, errors)
    if errors:
        raise InvalidFields(errors)
    return email


async def _mail(
    parts: Parts,
    email: str,
    purpose: Purpose,
    applies: Callable[[User], bool],
    client: Client,
) -> None:
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
