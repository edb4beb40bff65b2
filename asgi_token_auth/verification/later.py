"""Work that requests leave behind, done together a moment later."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Later(Generic[T]):
    """Gathers items, each once, and handles them together, beside the requests.

    Args:
        seconds: how long after the first item.
        handle: called with all of them; it raises nothing.
    """

    def __init__(self, seconds: float, handle: Callable[[list[T]], Awaitable[None]]) -> None:
        self._seconds = seconds
        self._handle = handle
        self._items: set[T] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Future[None]] = set()

    def add(self, item: T) -> None:
        """Leaves an item; in whichever event loop runs now."""
        loop = asyncio.get_running_loop()
        if not self._items or self._loop is not loop:
            self._loop = loop
            loop.call_later(self._seconds, self._start)
        self._items.add(item)

    def _start(self) -> None:
        items, self._items = list(self._items), set()
        task = asyncio.ensure_future(self._handle(items))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Drops what is left and under way."""
        self._items = set()
        tasks = {task for task in self._tasks if task.get_loop() is asyncio.get_running_loop()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
