"""What keeps itself in order while the application runs."""

import asyncio
import logging
import random

from asgi_token_auth.accounts.parts import Parts
from asgi_token_auth.accounts.purge import BATCH, PURGES, purge_idle
from asgi_token_auth.exceptions import TokenAuthError

logger = logging.getLogger("asgi_token_auth.housekeeping")

PAUSE_SECONDS = 60.0
PAUSE_WHILE_MORE_SECONDS = 1.0


class Housekeeper:
    """Starts the mail sender with the application, and purges what is over, a batch at a
    time."""

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
            if self._parts.settings.idle_lifetime is not None:
                _, self._idle_after = await purge_idle(self._parts, self._idle_after)
            return BATCH in [await batch(self._parts) for batch in PURGES.values()]
        except TokenAuthError:
            logger.info("what expired is purged later: the database is busy or down")
        return False
