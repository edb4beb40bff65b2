"""Ways to hand a mail over. An application's own needs one method, `send`."""

import asyncio
import dataclasses
import sys
from pathlib import Path
from typing import Protocol, get_args, runtime_checkable
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.mail.formatting import as_email_message
from asgi_token_auth.mail.mailgun import MAILGUN_EU, MAILGUN_US, MailgunTransport
from asgi_token_auth.mail.messages import Mail
from asgi_token_auth.mail.smtp import Security, SMTPTransport

FORMS = (
    "mail_transport must be console:, file:DIRECTORY, mailgun://KEY@DOMAIN,"
    " smtp://USER:PASSWORD@HOST:PORT or smtps://USER:PASSWORD@HOST:PORT"
)


@runtime_checkable
class MailTransport(Protocol):
    """What sends mails. If it has an async method `aclose()`, that is called at shutdown."""

    async def send(self, mail: Mail) -> None:
        """Hands `mail` over. It may be called again with the same `mail.id`, after a fault.

        Raises:
            MailRefused: another try can't succeed.
            MailError: another try may succeed; so may one after any other exception.
        """


class ConsoleTransport:
    """Prints mails to standard output: for development only, as it shows live tokens."""

    async def send(self, mail: Mail) -> None:
        """Prints `mail`, without its HTML."""
        # Without the HTML, which would only say the same again.
        message = as_email_message(dataclasses.replace(mail, html=None), legible=True)
        print(message.as_string(), file=sys.stdout, flush=True)


class FileTransport:
    """Writes each mail's text as one `.eml` file into a directory, and its HTML beside it, for a
    browser to open: for development and tests.

    Args:
        directory: made where it is not there.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)

    async def send(self, mail: Mail) -> None:
        """Writes `mail`; a reader sees all of it or nothing."""
        await asyncio.to_thread(self._write, mail)

    def _write(self, mail: Mail) -> None:
        message = as_email_message(dataclasses.replace(mail, html=None), legible=True)
        if mail.html is not None:
            self._place(f"{mail.id}.html", mail.html.encode())
        self._place(f"{mail.id}.eml", message.as_bytes())

    def _place(self, name: str, content: bytes) -> None:
        # Renamed into place: no reader sees half a mail. One name a mail, however often tried.
        partial = self.directory / f".{name}"
        partial.write_bytes(content)
        partial.rename(self.directory / name)


class MemoryTransport:
    """Keeps mails in the list `mails`: for tests."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        """Adds `mail` to the list."""
        self.mails.append(mail)


def transport_from_url(url: str) -> MailTransport:
    """A transport from its text: `console:`, `file:DIRECTORY`, `mailgun://KEY@DOMAIN?region=eu`,
    `smtp://USER:PASSWORD@HOST:PORT` (STARTTLS; `?security=none` for this machine) or `smtps://...`.

    Raises:
        SettingsError: it is none of these.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError(FORMS) from error
    if parts.scheme == "console":
        return ConsoleTransport()
    if parts.scheme == "file" and parts.path:
        return FileTransport(unquote(parts.path))
    if parts.scheme == "mailgun":
        return _mailgun(parts)
    if parts.scheme in ("smtp", "smtps"):
        return _smtp(parts, port)
    raise SettingsError(FORMS)


def _mailgun(parts: SplitResult) -> MailgunTransport:
    region = _option(parts, "region", "us")
    if region not in ("us", "eu"):
        raise SettingsError("the Mailgun region must be us or eu")
    base_url = MAILGUN_EU if region == "eu" else MAILGUN_US
    return MailgunTransport(parts.hostname or "", unquote(parts.username or ""), base_url=base_url)


def _smtp(parts: SplitResult, port: int | None) -> SMTPTransport:
    given = _option(parts, "security", "tls" if parts.scheme == "smtps" else "starttls")
    for security in get_args(Security):
        if given == security:
            return SMTPTransport(
                parts.hostname or "",
                port,
                username=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password) if parts.password else None,
                security=security,
            )
    raise SettingsError("SMTP security must be starttls, tls or none")


def _option(parts: SplitResult, name: str, default: str) -> str:
    return parse_qs(parts.query).get(name, [default])[0]
