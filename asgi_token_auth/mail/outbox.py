"""The outbox: mails are written with the change they tell of, and sent after it."""

import asyncio
import contextlib
import json
import logging
import random
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from asgi_token_auth.exceptions import DatabaseUnavailable, MailError, MailRefused
from asgi_token_auth.mail.messages import Mail
from asgi_token_auth.mail.transports import MailTransport
from asgi_token_auth.storage.database import Database, Session
from asgi_token_auth.storage.outbox import DEAD, QUEUED, SENT, OutboxRow, OutboxRows

logger = logging.getLogger("asgi_token_auth.mail")

BATCH = 10
LEASE_MILLISECONDS = 60_000
POLL_SECONDS = 5.0
FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 600.0
SEND_SECONDS = 30.0


class Envelope:
    """Seals a mail's text: it holds a live token, and the database is dumped and backed up."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._fernet = MultiFernet([Fernet(_derived(key)) for key in keys])

    def seal(self, subject: str, text: str) -> str:
        return self._fernet.encrypt(json.dumps([subject, text]).encode()).decode()

    def open(self, sealed: str) -> tuple[str, str]:
        """Subject and text.

        Raises:
            MailRefused: no key we have opens it.
        """
        try:
            subject, text = json.loads(self._fernet.decrypt(sealed.encode()))
        except (InvalidToken, ValueError) as error:
            raise MailRefused("the sealed mail can't be opened with the secret keys") from error
        return subject, text


class Outbox:
    """Puts mails in, and sends them out.

    Args:
        database: where the outbox table is.
        rows: its queries.
        transport: what sends.
        keys: the secret keys; the first seals, all open.
        sender: the address the mails come from.
        clock: the time now, aware.
        sends: whether this process sends; if not, another does.
    """

    def __init__(
        self,
        database: Database,
        rows: OutboxRows,
        transport: MailTransport,
        *,
        keys: tuple[bytes, ...],
        sender: str,
        clock: Callable[[], datetime],
        sends: bool = True,
    ) -> None:
        self._database = database
        self._rows = rows
        self._transport = transport
        self._envelope = Envelope(keys)
        self._sender = sender
        self._clock = clock
        self._sends = sends
        self._owner = secrets.token_hex(16)
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._stopping = False

    async def put(
        self,
        session: Session,
        kind: str,
        recipient: str,
        subject: str,
        text: str,
        *,
        expires_at: int | None = None,
    ) -> None:
        """Adds a mail to the unit of work at hand; `expires_at` is when its token dies (ms)."""
        payload = self._envelope.seal(subject, text)
        row = OutboxRow(
            secrets.token_hex(16), kind, recipient, payload, self._now(), expires_at=expires_at
        )
        await self._rows.insert(session, row)

    async def put_and_discard(self, session: Session, recipient: str) -> None:
        """The work of `put`, for a mail that nobody gets."""
        payload = self._envelope.seal("", "x" * 500)
        row = OutboxRow(secrets.token_hex(16), "none", recipient, payload, self._now())
        await self._rows.insert(session, row)
        await self._rows.delete(session, row.id)
        await self._rows.delete(session, row.id)

    def wake(self) -> None:
        """Mails were committed: send them now, from a task of this event loop."""
        if not self._sends:
            return
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._wake = asyncio.Event()
            self._stopping = False
            self._task = loop.create_task(self._run())
        self._wake.set()

    async def stop(self) -> None:
        """Sends what is due once more, then ends the sender."""
        task, self._task = self._task, None
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            return
        self._stopping = True
        self._wake.set()
        done, _ = await asyncio.wait({task}, timeout=SEND_SECONDS)
        if not done:
            task.cancel()
            await asyncio.wait({task})
        if close := getattr(self._transport, "aclose", None):
            await close()

    async def deliver_due(self) -> int:
        """Tries each mail whose turn it is, once; how many were tried.

        Raises:
            DatabaseUnavailable: the outbox can't be read.
        """
        due = await self._database.read(lambda session: self._rows.due(session, self._now(), BATCH))
        for row in due:
            await self._deliver(row)
        return len(due)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                while await self.deliver_due():
                    pass
            except DatabaseUnavailable:
                logger.warning("the outbox waits for the database")
            except Exception as error:
                logger.error("the outbox failed: %s", type(error).__name__)
            if self._stopping:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)

    async def _deliver(self, row: OutboxRow) -> None:
        now = self._now()
        until = now + LEASE_MILLISECONDS
        claim = lambda session: self._rows.claim(session, row, self._owner, now, until)  # noqa: E731
        if not await self._database.write(claim):
            return
        try:
            await self._send(row, now)
        except MailRefused as error:
            await self._finish(row, state=DEAD, last_error=str(error)[:200])
            logger.error("mail %s (%s) is refused: %s", row.id, row.kind, error)
        except Exception as error:
            await self._retry_later(row, error)
        else:
            await self._finish(row, state=SENT, payload="", sent_at=self._now())

    async def _send(self, row: OutboxRow, now: int) -> None:
        if row.expires_at is not None and row.expires_at <= now:
            raise MailRefused("its token died before it could be sent")
        subject, text = self._envelope.open(row.payload)
        mail = Mail(row.id, row.kind, self._sender, row.recipient, subject, text)
        async with asyncio.timeout(SEND_SECONDS):
            await self._transport.send(mail)

    async def _retry_later(self, row: OutboxRow, error: Exception) -> None:
        delay = _delay(row.attempts, getattr(error, "retry_after", None))
        # Only our own errors' texts are known to hold nothing secret.
        reason = str(error) if isinstance(error, MailError) else type(error).__name__
        later = self._now() + int(delay * 1000)
        await self._finish(
            row, state=QUEUED, next_attempt_at=later, lease_owner=None, last_error=reason[:200]
        )
        logger.warning("mail %s (%s) is tried again later: %s", row.id, row.kind, reason)

    async def _finish(self, row: OutboxRow, **values: object) -> None:
        await self._database.write(
            lambda session: self._rows.finish(session, row, self._owner, **values)
        )

    def _now(self) -> int:
        return int(self._clock().timestamp() * 1000)


def _delay(attempts: int, wished: float | None) -> float:
    """Seconds until the next try: doubling, with jitter, and no sooner than the provider wishes."""
    longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(attempts, 20))
    return max(random.uniform(longest / 2, longest), wished or 0.0)


def _derived(key: bytes) -> bytes:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"asgi_token_auth outbox 1")
    return urlsafe_b64encode(derivation.derive(key))
