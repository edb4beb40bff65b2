"""Mailgun's HTTP API."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from asgi_token_auth.exceptions import MailError, MailRefused, SettingsError
from asgi_token_auth.mail.formatting import check_subject, message_id, wire_address
from asgi_token_auth.mail.messages import Mail

MAILGUN_US = "https://api.mailgun.net"
MAILGUN_EU = "https://api.eu.mailgun.net"
DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
# A wrong key, domain or plan is the operator's to mend: the mail must outlive it.
OF_THE_OPERATOR = (401, 402, 403, 404, 408, 425, 429)


class MailgunTransport:
    """Sends through Mailgun's HTTP API, with tracking off: a tracked link would be rewritten,
    and the token in it logged, by a third party.

    Args:
        domain: the sending domain.
        key: the API key, better a domain sending key.
        base_url: `MAILGUN_US` (the default) or `MAILGUN_EU`; the two share no data.
        timeout: seconds for each step of a request: to connect, to write, to be answered.

    Raises:
        SettingsError: the domain or the key can't be one.
    """

    def __init__(
        self, domain: str, key: str, *, base_url: str = MAILGUN_US, timeout: float = 10.0
    ) -> None:
        if not DOMAIN.fullmatch(domain):
            raise SettingsError("the Mailgun domain is not a domain name")
        if not key or not key.isascii() or not key.isprintable():
            raise SettingsError("the Mailgun key is missing or not printable ASCII")
        self._url = f"{base_url.rstrip('/')}/v3/{domain}/messages"
        self._key = key
        self._timeout = timeout
        self._client: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"MailgunTransport({self._url!r})"

    async def send(self, mail: Mail) -> None:
        """Hands `mail` over.

        Raises:
            MailRefused: Mailgun takes no such mail.
            MailError: Mailgun can't be reached, is busy, or has a fault; or the key is wrong.
        """
        form = _form(mail)
        if self._client is None:  # building one reads the TLS roots: once is enough
            self._client = httpx.AsyncClient(auth=("api", self._key), timeout=self._timeout)
        try:
            response = await self._client.post(self._url, data=form)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise MailError(f"Mailgun can't be reached: {type(error).__name__}") from error
        _check(response)

    async def aclose(self) -> None:
        """Closes the HTTP client."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _form(mail: Mail) -> dict[str, str]:
    check_subject(mail.subject)
    return {
        "from": mail.sender,
        "to": wire_address(mail.recipient),
        "subject": mail.subject,
        "text": mail.text,
        **({} if mail.html is None else {"html": mail.html}),
        "h:Message-ID": message_id(mail),
        "h:Auto-Submitted": "auto-generated",
        "o:tracking": "no",
        "o:tracking-clicks": "no",
        "o:tracking-opens": "no",
    }


def _check(response: httpx.Response) -> None:
    if response.is_success:
        return
    # The body is not read: it may repeat the mail, and with it the token.
    message = f"Mailgun answered {response.status_code}"
    if response.status_code in OF_THE_OPERATOR or not 400 <= response.status_code < 500:
        raise MailError(message, retry_after=_seconds(response.headers.get("Retry-After", "")))
    raise MailRefused(message)


def _seconds(value: str) -> float | None:
    """Retry-After: seconds or a date (RFC 9110, section 10.2.3)."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
