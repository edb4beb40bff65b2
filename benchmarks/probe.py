"""Latencies of requests that keep to a schedule, whatever the server does meanwhile."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator

from benchmarks.http_client import Client, connected, get

INTERVAL_SECONDS = 0.005
CONNECTIONS = 64
PRIORITY = -10


@contextlib.contextmanager
def standing_apart() -> Iterator[None]:
    """Lets a client go before the server where the system allows it, as if it were on a machine of
    its own: waiting for a core is not the server's doing."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    except PermissionError:
        yield
        return
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


async def latencies(port: int, token: str, seconds: float) -> list[float]:
    """Milliseconds of one GET every 5 ms, counted from the time it was due.

    A server that stalls is charged for all requests that were due meanwhile. They go over 64
    connections, as behind a proxy; who waits for a free one, waits in the figure too.
    """
    taken: list[float] = []
    raw = get(token)

    async def request(due: float) -> None:
        client = await idle.get()
        await client.request(raw)
        taken.append((time.perf_counter() - due) * 1000)
        idle.put_nowait(client)

    async with connected(port, CONNECTIONS) as clients:
        idle: asyncio.LifoQueue[Client] = asyncio.LifoQueue()
        for client in clients:
            idle.put_nowait(client)
        async with asyncio.TaskGroup() as tasks:
            with standing_apart():
                async for due in _schedule(round(seconds / INTERVAL_SECONDS)):
                    tasks.create_task(request(due))
    return taken


async def _schedule(ticks: int) -> AsyncIterator[float]:
    """The times at which requests are due, each when it has come. A thread keeps the time:
    asyncio's own timers are late by up to a millisecond."""
    loop = asyncio.get_running_loop()
    due: asyncio.Queue[float] = asyncio.Queue()
    first = time.perf_counter() + INTERVAL_SECONDS

    def keep_time() -> None:
        for tick in range(ticks):
            at = first + tick * INTERVAL_SECONDS
            time.sleep(max(0.0, at - time.perf_counter()))
            loop.call_soon_threadsafe(due.put_nowait, at)

    threading.Thread(target=keep_time, daemon=True).start()
    for _ in range(ticks):
        yield await due.get()
