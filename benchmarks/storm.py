"""Clients that log in without pause, in a process of their own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection

from benchmarks.http_client import Client, connected, post
from benchmarks.probe import standing_apart
from benchmarks.stacks import LogIn


class Storm:
    """A storm that blows: the number of log-ins a second is known when it is over."""

    log_ins_per_second = 0.0


@contextlib.asynccontextmanager
async def blowing(port: int, log_ins: Sequence[LogIn]) -> AsyncIterator[Storm]:
    """One client for each of the requests, from here until the block is left."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_blow, args=(theirs, port, log_ins), daemon=True)
    process.start()
    theirs.close()
    try:
        await asyncio.to_thread(ours.recv)  # all have logged in once
        storm = Storm()
        yield storm
        ours.send("stop")
        storm.log_ins_per_second = await asyncio.to_thread(ours.recv)
    finally:
        await asyncio.to_thread(process.join, 60)
        process.kill()


def _blow(pipe: Connection, port: int, log_ins: Sequence[LogIn]) -> None:
    with standing_apart():
        asyncio.run(_log_in_until_told(pipe, port, log_ins))


async def _log_in_until_told(pipe: Connection, port: int, log_ins: Sequence[LogIn]) -> None:
    stopped = asyncio.Event()
    done = 0

    async def repeat(client: Client, raw: bytes) -> None:
        nonlocal done
        while not stopped.is_set():
            await client.request(raw)
            done += 1

    async with connected(port, len(log_ins)) as clients:
        requests = [post(log_in) for log_in in log_ins]
        pairs = [*zip(clients, requests, strict=True)]
        await asyncio.gather(*(client.request(raw) for client, raw in pairs))
        started = time.perf_counter()
        repeating = asyncio.gather(*(repeat(client, raw) for client, raw in pairs))
        pipe.send("blowing")
        await asyncio.to_thread(pipe.recv)
        stopped.set()
        counted, seconds = done, time.perf_counter() - started
        await repeating
    pipe.send(counted / seconds)
