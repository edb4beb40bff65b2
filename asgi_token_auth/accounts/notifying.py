"""Telling owners what happened to their account (ASVS 5, 6.3.7): mails without a token."""

from typing import Literal

from asgi_token_auth.accounts.parts import Client, Parts
from asgi_token_auth.storage.database import Session
from asgi_token_auth.storage.users import User

Notice = Literal["password_changed", "email_changed", "account_exists"]


async def notify(
    parts: Parts, session: Session, user: User, notice: Notice, client: Client
) -> None:
    """Mails the user's present address, with the unit of work at hand."""
    if user.email is not None:
        message = parts.messages.notice(notice, user, client.request)
        await parts.outbox.put(session, notice, user.email, message)


async def tell_owner(parts: Parts, email: str, client: Client) -> bool:
    """Tells the owner of an address, and nobody else, that it has an account already; False: it
    has none.

    Raises:
        DatabaseUnavailable: try again.
    """
    told = await parts.database.write(lambda session: tell_if_taken(parts, session, email, client))
    parts.sender.wake()
    return told


async def tell_if_taken(parts: Parts, session: Session, email: str, client: Client) -> bool:
    """Tells the owner of an address, with the unit of work at hand; False: it has none."""
    owner = await parts.users.by_login(session, email=email)
    stored = await parts.users.locked(session, owner.user.id) if owner else None
    if stored is None or stored.user.email != email:  # deleted or moved, a moment ago
        return False
    if not await parts.outbox.rests(session, "account_exists", email):
        await notify(parts, session, stored.user, "account_exists", client)
    await parts.events.record(session, "address_claimed", stored.user.id, client)
    return True
