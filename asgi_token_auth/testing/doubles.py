"""What stands in for the world: a mailbox, a clock that is set, and settings that are quick."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from asgi_token_auth.mail.messages import Mail
from asgi_token_auth.mail.transports import MemoryTransport
from asgi_token_auth.passwords import cheapest_context

SECRET_KEY = "only for tests, and 32 bytes at the least"  # noqa: S105
TOKEN = re.compile(r"(?:_token: |token=|/)([A-Za-z0-9_-]{43})\b")
LINK = re.compile(r'https?://[^\s<>"]+')
WAIT_SECONDS = 10.0


class SettableClock:
    """A clock that stands still until it is moved.

    >>> clock = SettableClock(datetime(2030, 1, 1, tzinfo=UTC))
    >>> clock.forward(timedelta(days=8))
    >>> clock()
    datetime.datetime(2030, 1, 9, 0, 0, tzinfo=datetime.timezone.utc)

    Args:
        now: where it stands, aware; by default the time of day.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or datetime.now(UTC)

    def __call__(self) -> datetime:
        """The time it shows, aware."""
        return self.now

    def forward(self, duration: timedelta) -> None:
        """Moves the clock ahead."""
        self.now += duration


class Mailbox(MemoryTransport):
    """What was mailed, and the tokens in it: the setting `mail_transport` of a test."""

    async def receive(self, recipient: str, kind: str | None = None) -> Mail:
        """Waits for a mail, and takes it out: the oldest one first.

        Args:
            recipient: to whom.
            kind: of which kind (see `Mail`); None: of any.

        Raises:
            TimeoutError: none comes within ten seconds.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    for mail in self.mails:
                        if mail.recipient == recipient and kind in (None, mail.kind):
                            self.mails.remove(mail)
                            return mail
                    await asyncio.sleep(0.005)
        except TimeoutError:
            there = [(mail.recipient, mail.kind) for mail in self.mails]
            raise TimeoutError(f"no {kind or 'mail'} to {recipient}; there is {there}") from None

    async def token(self, recipient: str, kind: str | None = None) -> str:
        """Waits for a mail as `receive` does, and gives the token in it.

        Raises:
            TimeoutError: none comes within ten seconds.
            ValueError: there is no token in it.
        """
        return token_in(await self.receive(recipient, kind))

    async def link(self, recipient: str, kind: str | None = None) -> str:
        """Waits for a mail as `receive` does, and gives the link in it.

        Raises:
            TimeoutError: none comes within ten seconds.
            ValueError: there is no link in it.
            ValueError: there is no link in it.
        """
        return link_in(await self.receive(recipient, kind))


def token_in(mail: Mail) -> str:
    """The token in a mail's text.

    Raises:
        ValueError: there is none.
    """
    found = TOKEN.search(mail.text)
    if found is None:
        raise ValueError(f"the mail {mail.kind!r} holds no token")
    return found[1]


def link_in(mail: Mail) -> str:
    """The link in a mail's text, made from `confirmation_url` and its like.

    Raises:
        ValueError: there is none.
    """
    found = LINK.search(mail.text)
    if found is None:
        raise ValueError(f"the mail {mail.kind!r} holds no link")
    return found[0]


def settings(mailbox: Mailbox, clock: SettableClock | None = None) -> dict[str, Any]:
    """Settings for a `TokenAuth` under test: a secret key, hashes that cost nothing, no limits on
    attempts.

    Args:
        mailbox: where its mails go.
        clock: its clock; None: the time of day.
    """
    return {
        "secret_key": SECRET_KEY,
        "email_sender": "app@example.com",
        "mail_transport": mailbox,
        "password_context": cheapest_context(),
        "limits": None,
        **({"clock": clock} if clock else {}),
    }
