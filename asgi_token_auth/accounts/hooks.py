"""The application's own functions that are told of each event, beside the requests."""

import asyncio
import contextlib
import inspect
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from asgi_token_auth.storage.events import Event

logger = logging.getLogger("asgi_token_auth.events")

MOST_WAITING = 1000
CALL_SECONDS = 30.0
DRAIN_SECONDS = 5.0


class Hook:
    """Calls one function with each event, one after the other and in their order.

    An async function runs in the event loop, another in a thread, since it may block. What it
    raises is logged; a call that takes longer than 30 seconds is given up; once 1,000 events wait,
    further ones are dropped, and that is logged too.

    Args:
        call: takes an `Event`; what it gives is ignored.
    """

    def __init__(self, call: Callable[[Event], Any]) -> None:
        self._call = call
        self._waiting: deque[Event] = deque()
        self._task: asyncio.Task[None] | None = None
        self._dropped = 0

    def put(self, event: Event) -> None:
        """Queues an event, for a task of this event loop."""
        if len(self._waiting) >= MOST_WAITING:
            if not self._dropped:
                logger.error("an event hook can't keep up: events are dropped")
            self._dropped += 1
            return
        self._waiting.append(event)
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._run())

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Waits until all were told, but not longer than that; the rest is dropped."""
        task, loop = self._task, asyncio.get_running_loop()
        if task is not None and task.get_loop() is loop and not task.done():
            await asyncio.wait({task}, timeout=seconds)
            task.cancel()
            await asyncio.wait({task}, timeout=seconds)
        if left := len(self._waiting):
            logger.error("an event hook was not told of %d events", left)
            self._waiting.clear()

    async def _run(self) -> None:
        while self._waiting:
            await self._tell(self._waiting.popleft())
            if self._dropped and not self._waiting:
                logger.warning("an event hook keeps up again: %d were dropped", self._dropped)
                self._dropped = 0

    async def _tell(self, event: Event) -> None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._run_hook(event)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            logger.error("an event hook was cancelled from within")
        except Exception:
            logger.exception("an event hook failed")

    async def _run_hook(self, event: Event) -> None:
        if _is_async(self._call):
            await self._call(event)
            return
        answer = await asyncio.to_thread(self._call, event)
        if inspect.isawaitable(answer):  # a lambda around an async function
            await answer


class Hooks:
    """All the hooks of one TokenAuth: each has its own queue, so none waits for another."""

    def __init__(self, given: Any) -> None:
        several = () if given is None else (given,) if callable(given) else tuple(given)
        self._hooks = [Hook(call) for call in several]

    def put(self, event: Event) -> None:
        """Queues an event for each; never raises, never waits."""
        for hook in self._hooks:
            hook.put(event)

    async def drain(self) -> None:
        """Tells what waits, within a bound."""
        await asyncio.gather(*(hook.drain() for hook in self._hooks))


def _is_async(call: Any) -> bool:
    with contextlib.suppress(AttributeError):
        if inspect.iscoroutinefunction(type(call).__call__):
            return True
    return inspect.iscoroutinefunction(call)
