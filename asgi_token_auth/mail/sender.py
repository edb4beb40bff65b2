"""The sender: takes due mails out of the outbox and hands them to the transport."""

import asyncio
import contextlib
import logging
import math
import random
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from asgi_token_auth.exceptions import DatabaseUnavailable, MailError, MailRefused
from asgi_token_auth.mail.envelope import Envelope
from asgi_token_auth.mail.messages import Mail
from asgi_token_auth.mail.transports import MailTransport
from asgi_token_auth.storage.database import Database
from asgi_token_auth.storage.outbox import OutboxRow, OutboxRows

logger = logging.getLogger("asgi_token_auth.mail")

CONCURRENCY = 10
SEND_SECONDS = 30.0
# Longer than a send by more than clocks differ: a lease that ends early is a mail sent twice.
LEASE_SECONDS = 120.0
POLL_SECONDS = 5.0
# The answer leaves first: whether there is a mail to send must not show in its time.
LET_THE_ANSWER_GO_SECONDS = 0.01
SHORTEST_REST_SECONDS = 0.05
# A shutdown: how long sends are begun, and when those under way are given up, which a provider that
# took the mail without saying so would get twice. Kubernetes kills after 30 seconds, and the
# database has still to be closed.
DRAIN_SECONDS = 5.0
STOP_SECONDS = 15.0
FAREWELL_SECONDS = 1.0  # for a transport that takes no notice of being cancelled
FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 600.0
LONGEST_WISH_SECONDS = 3600.0
MOST_ATTEMPTS = 400  # at one in ten minutes: close to three days


class Sender:
    """Sends what is due, several mails at once, and writes down how it went.

    Any number of senders work side by side: each mail is leased to one of them for a while, and a
    sender that dies leaves it to the next. A mail is sent twice only if a sender, its database or
    the provider fails between its acceptance and the note of it.

    Args:
        database: where the outbox table is.
        rows: its queries.
        transport: what sends.
        envelope: opens what was sealed.
        from_address: what the mails come from.
        clock: the time now, aware.
        enabled: whether `wake` starts this sender; if not, another process sends.
    """

    def __init__(
        self,
        database: Database,
        rows: OutboxRows,
        transport: MailTransport,
        envelope: Envelope,
        *,
        from_address: str,
        clock: Callable[[], datetime],
        enabled: bool = True,
    ) -> None:
        self._database = database
        self._rows = rows
        self._transport = transport
        self._envelope = envelope
        self._from_address = from_address
        self._clock = clock
        self._enabled = enabled
        self._owner = secrets.token_hex(16)
        self._task: asyncio.Task[None] | None = None
        self._starting: tuple[asyncio.AbstractEventLoop, asyncio.TimerHandle] | None = None
        self._wake = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._stop_at: float | None = None
        self._paused_until = 0
        self._complained = False
        self._next_due: int | None = None

    @property
    def overdue(self) -> float:
        """For how many seconds the mail that waits longest has been due, as of the last look."""
        return 0.0 if self._next_due is None else max(self._now() - self._next_due, 0) / 1000

    def wake(self) -> None:
        """Mails may have been committed: send them, from a task of this event loop."""
        loop = asyncio.get_running_loop()
        if self._enabled and not (self._starting and self._starting[0] is loop):
            self._starting = loop, loop.call_later(LET_THE_ANSWER_GO_SECONDS, self.start)

    def start(self) -> None:
        """Sends from now on, until `stop`."""
        loop = asyncio.get_running_loop()
        self._starting = None
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._wake = asyncio.Event()
            self._sending = set()
            self._stop_at = None
            self._task = loop.create_task(self._run())
        self._wake.set()

    async def stop(self) -> None:
        """Sends what is due for a few seconds more, then ends, within some 15 seconds whatever the
        provider does; the rest is for the next sender."""
        loop = asyncio.get_running_loop()
        if self._starting and self._starting[0] is loop:
            self._starting[1].cancel()
            self.start()
        if (task := self._task) is not None and task.get_loop() is loop:
            self._stop_at = loop.time() + DRAIN_SECONDS
            self._wake.set()
            await asyncio.wait({task}, timeout=STOP_SECONDS)
            for unfinished in {task, *self._sending}:
                unfinished.cancel()
            await asyncio.wait({task, *self._sending}, timeout=FAREWELL_SECONDS)
            self._task = None
        if close := getattr(self._transport, "aclose", None):
            await _within(FAREWELL_SECONDS, close())

    async def deliver_due(self) -> int:
        """Tries each mail whose turn it is, once; how many were tried.

        Raises:
            DatabaseUnavailable: the outbox can't be read.
        """
        tried = 0
        while not await self._until_due() and (rows := await self._lease(CONCURRENCY)):
            await asyncio.gather(*(self._deliver(row) for row in rows))
            tried += len(rows)
        return tried

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            stopping = self._stop_at is not None
            rest = POLL_SECONDS
            try:
                if self._stop_at is None or loop.time() < self._stop_at:
                    rest = await self._fill()
                self._complained = False
            except DatabaseUnavailable:
                self._complain("the outbox waits for the database")
            except Exception as error:
                self._complain(f"the outbox failed: {type(error).__name__}")
            if stopping and not self._sending:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), rest)

    async def _fill(self) -> float:
        """Starts as many sends as may run at once; seconds until there may be more to do."""
        while len(self._sending) < CONCURRENCY:
            seconds = await self._until_due()
            if seconds:  # an idle sender takes no locks
                return min(max(seconds, SHORTEST_REST_SECONDS), POLL_SECONDS)
            rows = await self._lease(CONCURRENCY - len(self._sending))
            for row in rows:
                task = asyncio.get_running_loop().create_task(self._deliver(row))
                self._sending.add(task)
                task.add_done_callback(self._sent)
            if not rows:  # other senders have them
                return SHORTEST_REST_SECONDS
        return POLL_SECONDS  # the next one to finish wakes us

    def _sent(self, task: "asyncio.Task[None]") -> None:
        self._sending.discard(task)
        self._wake.set()

    async def _until_due(self) -> float:
        """Seconds until a mail may be tried: 0, now; endless, where none waits."""
        due = self._next_due = await self._database.read(self._rows.next_due)
        if due is None:
            return math.inf
        return max(max(due, self._paused_until) - self._now(), 0) / 1000

    async def _lease(self, limit: int) -> list[OutboxRow]:
        now = self._now()
        until = now + int(LEASE_SECONDS * 1000)
        return await self._database.write(
            lambda session: self._rows.claim(session, self._owner, now, until, limit)
        )

    async def _deliver(self, row: OutboxRow) -> None:
        """Tries a mail once. Whatever happens is written down, so nothing is raised."""
        try:
            await self._send(row)
        except MailRefused as error:
            logger.error("mail %s (%s) is refused: %s", row.id, row.kind, error)
            await self._finish(row, state="dead", last_error=str(error)[:200])
        except Exception as error:
            await self._retry_later(row, error)
        else:
            await self._finish(row, state="sent", payload="", sent_at=self._now(), last_error=None)

    async def _send(self, row: OutboxRow) -> None:
        if row.expires_at is not None and row.expires_at <= self._now():
            raise MailRefused("its token died before it could be sent")
        message = self._envelope.open(row.payload, row.recipient)
        mail = Mail(
            row.id,
            row.kind,
            self._from_address,
            row.recipient,
            message.subject,
            message.text,
            message.html,
            datetime.fromtimestamp(row.created_at / 1000, UTC),
        )
        async with asyncio.timeout(SEND_SECONDS):
            await self._transport.send(mail)

    async def _retry_later(self, row: OutboxRow, error: Exception) -> None:
        # Only our own errors' texts are known to hold nothing secret.
        reason = str(error) if isinstance(error, MailError) else type(error).__name__
        if row.attempts >= MOST_ATTEMPTS:
            logger.error("mail %s (%s) is given up: %s", row.id, row.kind, reason)
            await self._finish(row, state="dead", last_error=f"given up: {reason}"[:200])
            return
        wish = min(getattr(error, "retry_after", None) or 0.0, LONGEST_WISH_SECONDS)
        # A provider that asks for patience asks for all mails, not for this one.
        self._paused_until = max(self._paused_until, self._now() + int(wish * 1000))
        delay = max(retry_delay(row.attempts), wish)
        logger.warning("mail %s (%s) is tried again later: %s", row.id, row.kind, reason)
        later = self._now() + int(delay * 1000)
        await self._finish(
            row, state="queued", next_attempt_at=later, lease_owner=None, last_error=reason[:200]
        )

    async def _finish(self, row: OutboxRow, **values: object) -> None:
        """Writes down how it went, for as long as the lease is ours: the database may be away."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + LEASE_SECONDS - SEND_SECONDS
        while True:
            try:
                await self._database.write(
                    lambda session: self._rows.finish(session, row, self._owner, **values)
                )
            except DatabaseUnavailable:
                if loop.time() > give_up_at:
                    logger.error("how mail %s went can't be written down", row.id)
                    return
                await asyncio.sleep(random.uniform(0.5, 1.0))
            else:
                return

    def _complain(self, message: str) -> None:
        if not self._complained:
            logger.warning(message)
        self._complained = True

    def _now(self) -> int:
        return int(self._clock().timestamp() * 1000)


async def _within(seconds: float, farewell: Awaitable[None]) -> None:
    """Waits for it for so long: a provider that hangs must not hold up the shutdown."""
    try:
        async with asyncio.timeout(seconds):
            await farewell
    except TimeoutError:
        logger.warning("the mail transport could not be closed in time")


def retry_delay(attempts: int) -> float:
    """Seconds until the next try: doubling up to ten minutes, with jitter."""
    longest = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(max(attempts - 1, 0), 20))
    return random.uniform(longest / 2, longest)
