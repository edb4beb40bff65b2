"""A stack's application under uvicorn, in a process of its own."""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Literal, NamedTuple

import uvicorn

from benchmarks.databases import new_database
from benchmarks.peers import load
from benchmarks.stacks import LogIn

START_SECONDS = 120.0


class Source(NamedTuple):
    """Where a stack comes from.

    Args:
        module: of `peers`.
        label: the stack's.
        size: how many tokens, or users that log in, `function` is asked for.
        function: of the module.
    """

    module: str
    label: str
    size: int
    function: str = "open_stacks"


def available(sources: Iterable[Source]) -> set[Source]:
    """Those whose packages are installed; says which are left out."""
    found = set()
    for source in sources:
        try:
            load(source.module)
        except ImportError as error:
            print(f"{source.label} is left out: {error}")
        else:
            found.add(source)
    return found


class Server:
    """A server that runs: where it listens and what it takes.

    Raises:
        RuntimeError: it did not start.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        try:
            if not pipe.poll(START_SECONDS):
                raise EOFError
            started: tuple[int, list[str], list[LogIn]] = pipe.recv()
        except EOFError:
            raise RuntimeError("the server did not start") from None
        self.port, self.tokens, self.log_ins = started

    def cpu_seconds(self) -> float:
        """The processor time of all threads of the process until now."""
        self._pipe.send("cpu")
        return float(self._pipe.recv())

    def stop(self) -> None:
        """Lets it end."""
        self._pipe.send("stop")


@contextlib.asynccontextmanager
async def running(
    source: Source, which: Literal["bare", "guarded"], kind: str, postgresql: str
) -> AsyncIterator[Server]:
    """The server, on a database of its own."""
    context = get_context("spawn")
    async with new_database(kind, postgresql) as url:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, source, which, url), daemon=True)
        process.start()
        theirs.close()
        server = await asyncio.to_thread(Server, ours)
        try:
            yield server
        finally:
            server.stop()
            await asyncio.to_thread(process.join, 10)
            process.kill()


def _serve(pipe: Connection, source: Source, which: str, url: str) -> None:
    logging.disable(logging.WARNING)
    asyncio.run(_serve_stack(pipe, source, which, url))


async def _serve_stack(pipe: Connection, source: Source, which: str, url: str) -> None:
    open_stacks = getattr(load(source.module), source.function)
    size = source.size if which == "guarded" else 1
    async with open_stacks(url, size) as stacks:
        stack = stacks[source.label]
        app = stack.guarded if which == "guarded" else stack.bare
        # The stack is open: there is nothing left for a lifespan to do.
        config = uvicorn.Config(
            app, access_log=False, log_level="warning", lifespan="off", timeout_keep_alive=600
        )
        server = uvicorn.Server(config)
        # Without the protocol named, asyncio does not turn Nagle's algorithm off, and each answer
        # waits 40 ms. uvicorn names it too, when it is given host and port.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(2048)
            port = listening.getsockname()[1]
            pipe.send((port, list(stack.tokens), list(stack.log_ins)))
            threading.Thread(target=_answer, args=(pipe, server), daemon=True).start()
            await server.serve(sockets=[listening])


def _answer(pipe: Connection, server: uvicorn.Server) -> None:
    with contextlib.suppress(EOFError, OSError):
        while pipe.recv() == "cpu":
            pipe.send(time.process_time())
    server.should_exit = True
