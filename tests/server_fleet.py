"""Server processes that share a database, and a client that notes when it asked and what it got.

Every time here is of this process's `time.monotonic`: before the first byte of a request was
sent, and after the last of its answer was read.
"""

import asyncio
import contextlib
import importlib
import json
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple

import uvicorn
from forked import PROCESSES

START_SECONDS = 60.0
PATIENCE_SECONDS = 15.0
PAUSE_SECONDS = 0.004
NO_ANSWER = 0
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)\r\n", re.IGNORECASE)


class Answer(NamedTuple):
    """What came of a request; the status is `NO_ANSWER` where none came in time."""

    started: float
    ended: float
    status: int
    body: Any
    retry_after: str | None = None


class Client:
    """A connection that is kept: thin, so that the machine's time goes to the servers.

    Args:
        port: the server's.
        patience: seconds after which it waits for an answer no longer, and hangs up.
    """

    def __init__(self, port: int, patience: float = PATIENCE_SECONDS) -> None:
        self._port = port
        self.patience = patience
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, token: str = "", body: Any = None) -> Answer:
        """Sends a request and waits for its answer."""
        request = request_bytes(method, path, token, body)
        started = time.monotonic()
        try:
            async with asyncio.timeout(self.patience):
                head, content = await self._exchange(request)
        except (TimeoutError, OSError, EOFError):
            self.close()
            return Answer(started, time.monotonic(), NO_ANSWER, None)
        wish = RETRY_AFTER.search(head)
        return Answer(
            started,
            time.monotonic(),
            int(head[9:12]),
            _read(content),
            wish[1].decode() if wish else None,
        )

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _exchange(self, request: bytes) -> tuple[bytes, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        if length is None:  # a server that failed, and closes
            self.close()
            return head, b""
        return head, await reader.readexactly(int(length[1]))


def _read(content: bytes) -> Any:
    """What it says; the text itself, where a server failed and says so in words."""
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")


def request_bytes(method: str, path: str, token: str, body: Any) -> bytes:
    """A request as it goes over the wire."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: test", f"Content-Length: {len(content)}"]
    if body is not None:
        lines.append("Content-Type: application/json")
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode() + content


def serve(environment: dict[str, str], port: int) -> None:
    """The life of a server process."""
    os.environ.update(environment)
    app = importlib.import_module("served_app").app
    uvicorn.run(app, port=port, access_log=False, log_level="error", timeout_keep_alive=60)


class Server:
    """A process of its own that serves `served_app`, with one worker.

    Args:
        database_url: of its database.
        environment: what else it is started with.
    """

    def __init__(self, database_url: str, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        environment["DATABASE_URL"] = database_url
        self._process = PROCESSES.Process(target=serve, args=(environment, self.port))
        self._process.start()

    async def is_up(self) -> None:
        """Returns once it answers."""
        async with asyncio.timeout(START_SECONDS):
            while (await self.call("GET", "/api/messages")).status == NO_ANSWER:
                assert self._process.is_alive(), "the server ended"
                await asyncio.sleep(0.05)

    async def call(self, method: str, path: str, token: str = "", body: Any = None) -> Answer:
        """A request on a connection of its own."""
        with self.client() as client:
            return await client.call(method, path, token, body)

    @contextlib.contextmanager
    def client(self, patience: float = PATIENCE_SECONDS) -> Iterator[Client]:
        client = Client(self.port, patience)
        try:
            yield client
        finally:
            client.close()

    def stop(self) -> None:
        """Stands still, as on a machine that is paused."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    async def end(self) -> None:
        """Ends as a deployment ends it, with what is under way finished."""
        self._process.terminate()
        await asyncio.to_thread(self._process.join, START_SECONDS)
        assert self._process.exitcode is not None, "the server does not end"

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


@contextlib.asynccontextmanager
async def serving(*database_urls: str, **environment: str) -> AsyncIterator[list[Server]]:
    """A server for each URL, from its first answer on."""
    servers: list[Server] = []
    try:
        servers += [Server(url, **environment) for url in database_urls]
        await asyncio.gather(*(server.is_up() for server in servers))
        yield servers
    finally:
        for server in servers:
            server.kill()


class Use:
    """A token in use in one server, one request after another, and all that was answered."""

    def __init__(self, server: Server, token: str, patience: float) -> None:
        self.server = server
        self.answers: list[Answer] = []
        self.is_ending = False
        self._token = token
        self.patience = patience
        self._warm = asyncio.Event()

    @property
    def accepted(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == 200]

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]

    async def run(self) -> None:
        """Uses the token until the use is to end."""
        with self.server.client(self.patience) as client:
            while not self.is_ending:
                self.answers.append(await client.call("GET", "/api/messages", self._token))
                # The second from memory: the first may have been read from the database.
                if len(self.answers) > 1 and self.answers[-1].status == 200:
                    self._warm.set()
                await asyncio.sleep(PAUSE_SECONDS)

    async def is_warm(self) -> None:
        """Returns once the server knows the token."""
        async with asyncio.timeout(START_SECONDS):
            await self._warm.wait()


@contextlib.asynccontextmanager
async def in_use(
    servers: Sequence[Server], token: str, *, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[list[Use]]:
    """The token in use in each server at once, from when all know it."""
    uses = [Use(server, token, patience) for server in servers]
    async with asyncio.TaskGroup() as group:
        for use in uses:
            group.create_task(use.run())
        try:
            for use in uses:
                await use.is_warm()
            yield uses
        finally:
            for use in uses:
                use.is_ending = True
