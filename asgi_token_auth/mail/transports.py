"""Ways to hand a mail over. An application's own needs one method, `send`."""

import asyncio
import re
import sys
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

from asgi_token_auth.exceptions import MailError, MailRefused, SettingsError
from asgi_token_auth.mail.messages import Mail

MAILGUN_US = "https://api.mailgun.net"
MAILGUN_EU = "https://api.eu.mailgun.net"
TIMEOUT_SECONDS = 10.0
DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


@runtime_checkable
class MailTransport(Protocol):
    """What sends mails."""

    async def send(self, mail: Mail) -> None:
        """Hands `mail` over.

        Raises:
            MailRefused: another try can't succeed.
            MailError: another try may succeed.
        """


class ConsoleTransport:
    """Prints mails to standard output: for development only, as it shows live tokens."""

    async def send(self, mail: Mail) -> None:
        print(as_email_message(mail).as_string(), file=sys.stdout, flush=True)


class FileTransport:
    """Writes each mail as one `.eml` file into a directory: for development and tests."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)

    async def send(self, mail: Mail) -> None:
        await asyncio.to_thread(self._write, mail)

    def _write(self, mail: Mail) -> None:
        # Renamed into place: no reader sees half a mail. One name a mail, however often tried.
        partial = self.directory / f".{mail.id}"
        partial.write_bytes(as_email_message(mail).as_bytes())
        partial.rename(self.directory / f"{mail.id}.eml")


class MemoryTransport:
    """Keeps mails in a list: for tests."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        self.mails.append(mail)


class MailgunTransport:
    """Sends through Mailgun's HTTP API, with tracking off: a tracked link would be rewritten,
    and the token in it logged, by a third party.

    Args:
        domain: the sending domain.
        key: the API key, better a domain sending key.
        base_url: `MAILGUN_US` (the default) or `MAILGUN_EU`; the two share no data.

    Raises:
        SettingsError: the domain or the key can't be one.
    """

    def __init__(self, domain: str, key: str, *, base_url: str = MAILGUN_US) -> None:
        if not DOMAIN.fullmatch(domain):
            raise SettingsError("the Mailgun domain is not a domain name")
        if not key or not key.isascii() or not key.isprintable():
            raise SettingsError("the Mailgun key is missing or not printable ASCII")
        self._url = f"{base_url.rstrip('/')}/v3/{domain}/messages"
        self._key = key
        self._client: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"MailgunTransport({self._url!r})"

    async def send(self, mail: Mail) -> None:
        check_recipient(mail.recipient)
        if self._client is None:  # building one reads the TLS roots: once is enough
            self._client = httpx.AsyncClient(auth=("api", self._key), timeout=TIMEOUT_SECONDS)
        try:
            response = await self._client.post(self._url, data=_mailgun_form(mail))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise MailError(f"Mailgun can't be reached: {type(error).__name__}") from error
        _check_mailgun(response)

    async def aclose(self) -> None:
        """Closes the HTTP client."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def transport_from_url(url: str) -> MailTransport:
    """A transport from its text: `console:`, `file:DIRECTORY`, `mailgun://KEY@DOMAIN?region=eu`.

    Raises:
        SettingsError: it is none of these.
    """
    parts = urlsplit(url)
    if parts.scheme == "console":
        return ConsoleTransport()
    if parts.scheme == "file" and parts.path:
        return FileTransport(unquote(parts.path))
    if parts.scheme == "mailgun":
        region = parse_qs(parts.query).get("region", ["us"])[0]
        base_url = {"us": MAILGUN_US, "eu": MAILGUN_EU}.get(region, MAILGUN_US)
        return MailgunTransport(
            parts.hostname or "", unquote(parts.username or ""), base_url=base_url
        )
    raise SettingsError("mail_transport must be console:, file:DIRECTORY or mailgun://KEY@DOMAIN")


def as_email_message(mail: Mail) -> EmailMessage:
    """The mail as RFC 5322 has it.

    Raises:
        MailRefused: an address or the subject would become more than that.
    """
    check_recipient(mail.recipient)
    message = EmailMessage()
    try:
        message["From"] = mail.sender
        message["To"] = Address(addr_spec=mail.recipient)
        message["Subject"] = mail.subject
        message["Message-ID"] = f"<{mail.id}@{mail.sender.rpartition('@')[2].rstrip('>')}>"
    except Exception as error:
        raise MailRefused("a header of the mail is not acceptable") from error
    message["X-Kind"] = mail.kind
    message.set_content(mail.text, cte="8bit")
    return message


def check_recipient(address: str) -> None:
    """Exactly one address and nothing around it: a comma or line end would make it two.

    Raises:
        MailRefused: it is more, or less, than one.
    """
    if not address.isprintable() or address.count("@") != 1 or set(address) & set(' ,;<>()"\\'):
        raise MailRefused("the recipient is not one plain address")


def _mailgun_form(mail: Mail) -> dict[str, str]:
    if not mail.subject.isprintable():
        raise MailRefused("the subject has control characters")
    return {
        "from": mail.sender,
        "to": mail.recipient,
        "subject": mail.subject,
        "text": mail.text,
        "h:Message-ID": f"<{mail.id}@{mail.sender.rpartition('@')[2].rstrip('>')}>",
        "o:tracking": "no",
        "o:tracking-clicks": "no",
        "o:tracking-opens": "no",
    }


def _check_mailgun(response: httpx.Response) -> None:
    if response.is_success:
        return
    message = f"Mailgun answered {response.status_code}"
    if (
        response.status_code == 429
        or response.status_code >= 500
        or response.status_code in (401, 403, 404)
    ):
        # A wrong key or domain is the operator's to mend: the mail must outlive it.
        raise MailError(message, retry_after=_seconds(response.headers.get("Retry-After")))
    raise MailRefused(message)


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isascii() and value.isdigit() else None
