"""A server that answers as Pwned Passwords' range API does, or fails as servers fail."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Literal

Mood = Literal["well", "error", "moved", "hangs", "drips", "garbage", "empty", "endless", "cut"]
BODIES: dict[str, bytes] = {
    "garbage": b"<html>Welcome to the hotel's network</html>",
    "empty": b"",
    "endless": b"\r\n".join([b"0" * 35 + b":0"] * 80_000),
}


class RangeServer:
    """Knows passwords by how often they were seen; each answer is padded with counts of 0."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}
        self.padding: list[str] = []
        self.mood: Mood = "well"
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.is_idle = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """On the same port as before, if it was started before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Goes away: nothing listens there any more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.is_idle.clear()
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while self._server is not None:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    await self._answer(head, writer)
        finally:
            self.connections -= 1
            self._writers.discard(writer)
            if not self.connections:
                self.is_idle.set()
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        request, *lines = head.strip().split("\r\n")
        path = request.split(" ")[1]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        self.requests.append((path, headers))
        if self.mood == "cut":
            writer.close()
            raise ConnectionError
        if self.mood == "hangs":
            await asyncio.sleep(60)
        status = {"error": "500 Oops", "moved": "302 Found"}.get(self.mood, "200 OK")
        body = BODIES.get(self.mood, self._range(path.removeprefix("/range/")).encode())
        writer.write(
            f"HTTP/1.1 {status}\r\nLocation: {self.url}/range/elsewhere\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        for start in range(0, len(body), 1 if self.mood == "drips" else len(body) or 1):
            writer.write(body[start : start + (1 if self.mood == "drips" else len(body))])
            await writer.drain()
            await asyncio.sleep(0.05 if self.mood == "drips" else 0)

    def _range(self, prefix: str) -> str:
        counts = {sha1(password): count for password, count in self.seen.items()}
        counts |= {sha1(password): 0 for password in self.padding}
        known = [f"{each[5:]}:{n}" for each, n in counts.items() if each.startswith(prefix)]
        padding = [hashlib.sha1(bytes([n])).hexdigest().upper()[5:] + ":0" for n in range(20)]
        return "\r\n".join([*known, *padding])


def sha1(password: str) -> str:
    return hashlib.sha1(password.encode()).hexdigest().upper()


@contextlib.asynccontextmanager
async def range_server() -> AsyncIterator[RangeServer]:
    server = RangeServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
