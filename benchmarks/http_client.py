"""The least of an HTTP/1.1 client: it must not take the processor from what it measures."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

from benchmarks.stacks import PATH, LogIn

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def get(token: str) -> bytes:
    """A GET of the protected route."""
    return (
        f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )


def post(log_in: LogIn) -> bytes:
    """Somebody's log-in."""
    head = (
        f"POST {log_in.path} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: {log_in.content_type}\r\nContent-Length: {len(log_in.body)}\r\n\r\n"
    )
    return head.encode() + log_in.body


class Client:
    """One connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self, raw: bytes) -> None:
        """Sends it, and reads the answer.

        Raises:
            RuntimeError: it is not 200.
        """
        if (status := await self.status(raw)) != 200:
            raise RuntimeError(f"answered {status}")

    async def status(self, raw: bytes) -> int:
        """Sends it, and reads the answer, whatever that is."""
        self._writer.write(raw)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if length := LENGTH.search(head):
            await self._reader.readexactly(int(length[1]))
        return int(head[9:12])

    def close(self) -> None:
        """Closes the connection."""
        self._writer.close()


@contextlib.asynccontextmanager
async def connected(port: int, connections: int) -> AsyncIterator[list[Client]]:
    """That many clients of a server on this machine."""
    clients = [
        Client(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(connections)
    ]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()
