"""What keeps itself in order while the application runs."""

import asyncio
import logging
import random
from datetime import timedelta

from asgi_token_auth.accounts.parts import Parts
from asgi_token_auth.accounts.purge import BATCH, purge_batch, purge_idle, purge_news
from asgi_token_auth.exceptions import TokenAuthError

logger = logging.getLogger("asgi_token_auth.housekeeping")

PAUSE_SECONDS = 60.0
PAUSE_WHILE_MORE_SECONDS = 1.0
SENT_MAILS_STAY = timedelta(days=1)
DEAD_LETTERS_STAY = timedelta(days=30)


class Housekeeper:
    """Starts the mail sender with the application, and purges a batch at a time: tokens that
    expired or died by disuse, mails sent a day ago, and dead letters of last month."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        # How far the walk that finds unused tokens has come: each process begins somewhere else.
        self._idle_after = f"{random.getrandbits(256):064x}"
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._parts.sender.wake()  # mails that an earlier process left
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _run(self) -> None:
        while True:
            more = await self._purge()
            await asyncio.sleep(PAUSE_WHILE_MORE_SECONDS if more else PAUSE_SECONDS)

    async def _purge(self) -> bool:
        try:
            tokens = await purge_batch(self._parts)
            mails = await self._parts.outbox.purge_batch(
                sent=SENT_MAILS_STAY, dead=DEAD_LETTERS_STAY, limit=BATCH
            )
            news = await purge_news(self._parts)
            if self._parts.settings.idle_lifetime is not None:
                _, self._idle_after = await purge_idle(self._parts, self._idle_after)
            return BATCH in (tokens, mails, news)
        except TokenAuthError:
            logger.info("what expired is purged later: the database is busy or down")
        return False
