"""Asking whether a password is known from data breaches: Pwned Passwords' range API, over httpx.

https://haveibeenpwned.com/API/v3#PwnedPasswords
"""

import asyncio
import hashlib
import logging
import math
import re
import unicodedata

import httpx

from asgi_token_auth.clock import elapsed
from asgi_token_auth.exceptions import BreachedPasswordsUnavailable
from asgi_token_auth.password_policy import BreachedPasswords

logger = logging.getLogger("asgi_token_auth.breached_passwords")

PREFIX = 5  # hexadecimal digits of the SHA-1: all that is told of a password
LINE = re.compile(r"([0-9A-F]{35}):([0-9]{1,12})")
MAXIMUM_BYTES = 1024 * 1024  # a padded range has some 40 KiB
QUIET_SECONDS = 60.0
HEADERS = {"Add-Padding": "true", "User-Agent": "asgi_token_auth", "Accept-Encoding": "identity"}


class Unusable(Exception):
    """The service did not answer, or not as it should."""


class BreachCheck:
    """Asks about new passwords.

    Args:
        choice: whom to ask, and what to do when there is no answer.
    """

    def __init__(self, choice: BreachedPasswords) -> None:
        self._choice = choice
        self._transport: httpx.AsyncHTTPTransport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._logged_at = -math.inf

    async def is_breached(self, password: str) -> bool:
        """Whether the password was seen as often as `minimum_count`.

        Raises:
            BreachedPasswordsUnavailable: there is no knowing, and `fail` is "closed".
        """
        try:
            async with asyncio.timeout(self._choice.timeout):
                count = await self._count(_sha1(password))
        except (httpx.HTTPError, httpx.InvalidURL, Unusable, TimeoutError, OSError) as error:
            if self._choice.fail == "closed":
                raise BreachedPasswordsUnavailable from error
            self._log(error)
            return False
        return count >= self._choice.minimum_count

    async def aclose(self) -> None:
        """Closes the connections."""
        transport, self._transport = self._transport, None
        if transport is not None and self._loop is asyncio.get_running_loop():
            await transport.aclose()

    async def _count(self, sha1: str) -> int:
        counts = _counts(await self._range(sha1[:PREFIX]))
        return counts.get(sha1[PREFIX:], 0)  # those that pad the answer have a count of 0

    async def _range(self, prefix: str) -> str:
        # Not by httpx.AsyncClient, which logs each URL: with the time of a sign-up beside them, the
        # five digits would let a reader of the log try guesses at the password.
        timeout = httpx.Timeout(self._choice.timeout).as_dict()
        url = f"{self._choice.base_url.rstrip('/')}/range/{prefix}"
        request = httpx.Request("GET", url, headers=HEADERS, extensions={"timeout": timeout})
        transport = await self._open()
        response = await transport.handle_async_request(request)
        try:
            if response.status_code != 200:
                raise Unusable(f"it answered {response.status_code}")
            return await _text(response)
        finally:
            await response.aclose()

    async def _open(self) -> httpx.AsyncHTTPTransport:
        """The transport of this event loop. Building one reads the TLS roots, for some tens of
        milliseconds: once, and in a thread."""
        loop = asyncio.get_running_loop()
        if self._transport is None or self._loop is not loop:
            built = await asyncio.to_thread(httpx.AsyncHTTPTransport)
            if self._transport is None or self._loop is not loop:  # none was quicker
                self._transport, self._loop = built, loop
        return self._transport

    def _log(self, error: Exception) -> None:
        if elapsed() - self._logged_at >= QUIET_SECONDS:
            self._logged_at = elapsed()
            why = str(error) if isinstance(error, Unusable) else type(error).__name__
            logger.warning("new passwords are taken without the check for breaches: %s", why)


def _sha1(password: str) -> str:
    # Spelled as it is hashed for storing. SHA-1 is what the service has; it protects nothing here.
    text = unicodedata.normalize("NFC", password).encode()
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().upper()


async def _text(response: httpx.Response) -> str:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAXIMUM_BYTES:
            raise Unusable("its answer is too long")
    return body.decode("ascii", "replace")


def _counts(text: str) -> dict[str, int]:
    """The counts by the rest of each SHA-1. An answer that is anything else vouches for nothing."""
    lines = [LINE.fullmatch(line.strip().upper()) for line in text.splitlines() if line.strip()]
    if not lines or None in lines:
        raise Unusable("its answer is no range of hashes")
    return {line[1]: int(line[2]) for line in lines if line is not None}
