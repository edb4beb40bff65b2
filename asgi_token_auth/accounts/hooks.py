"""The application's own functions that are told of each event, beside the requests."""

import asyncio
import contextlib
import contextvars
import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from asgi_token_auth.storage.events import Event

logger = logging.getLogger("asgi_token_auth.events")

Outcome = tuple[Any, BaseException | None]

MOST_WAITING = 1000
CALL_SECONDS = 30.0
DRAIN_SECONDS = 5.0


class Hook:
    """Calls one function with each event, one after the other and in their order.

    An async function runs in the event loop, another in a thread of its own, since it may block.
    What it raises is logged; a call that takes longer than 30 seconds is given up; once 1,000
    events wait, further ones are dropped, and that is logged too.

    Args:
        call: takes an `Event`; what it gives is ignored.
    """

    def __init__(self, call: Callable[[Event], Any]) -> None:
        self._call = call
        self._waiting: deque[Event] = deque()
        self._task: asyncio.Task[None] | None = None
        self._dropped = 0
        self._thread: Future[Outcome] | None = None

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
        answer = await self._run_in_thread(event)
        if inspect.isawaitable(answer):  # a lambda around an async function
            await answer

    async def _run_in_thread(self, event: Event) -> Any:
        """Not in the event loop's own threads, which look names up: a function that never returns
        would take one after the other. So it takes one thread, and no process waits for that."""
        if self._thread is not None:  # of a call that was given up
            await asyncio.wait({asyncio.wrap_future(self._thread)})
        thread = self._thread = Future()
        thread.set_running_or_notify_cancel()  # or giving it up would end what has not ended
        work = (contextvars.copy_context(), self._call, event, thread)
        threading.Thread(target=_work, args=work, name="event-hook", daemon=True).start()
        answer, error = await asyncio.wrap_future(thread)
        if error is not None:
            raise error
        return answer


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


def _work(
    context: contextvars.Context, call: Callable[[Event], Any], event: Event, done: Future[Outcome]
) -> None:
    try:
        done.set_result((context.run(call, event), None))
    except BaseException as error:
        done.set_result((None, error))


def _is_async(call: Any) -> bool:
    with contextlib.suppress(AttributeError):
        if inspect.iscoroutinefunction(type(call).__call__):
            return True
    return inspect.iscoroutinefunction(call)
