"""A network between a server and its database that can be made to fail."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self

CHUNK_BYTES = 65_536


class StallingProxy:
    """Forwards TCP connections, until it is told to hold back what comes, or to cut.

    Args:
        host, port: where the connections go.

    `port` is where it listens; `held` counts the bytes that had to wait; `delay` is how many
    seconds everything takes, each way.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._queries, self._answers = asyncio.Event(), asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self.port = 0
        self.held = 0
        self.delay = 0.0
        self._last_words: tuple[bytes, Callable[[], None]] | None = None
        self._after = b""
        self.go_on()

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.go_on()
        self.cut()
        if self._pumps:
            await asyncio.wait(self._pumps)

    def stall(self, *, only_answers: bool = False) -> None:
        """Holds everything back; or lets queries through and holds what the database answers."""
        self._answers.clear()
        if not only_answers:
            self._queries.clear()

    def go_on(self) -> None:
        """Forwards what was held back, in order, and what comes."""
        self._queries.set()
        self._answers.set()

    def cut(self) -> None:
        """Ends every connection, and refuses new ones."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    def cut_instead_of(self, answer: bytes, then: Callable[[], None], *, after: bytes) -> None:
        """The next time that the database says so, and said `after` before it since the last time,
        ends that connection instead of telling it."""
        self._last_words = answer, then
        self._after = after

    async def restore(self) -> None:
        """Listens again, on the same port."""
        if self._server is not None and self._server.is_serving():
            return
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            target_reader, target_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        self._open.add(target_writer)
        self._pump(reader, target_writer, self._queries)
        self._pump(target_reader, writer, self._answers)

    def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event
    ) -> None:
        pump = asyncio.get_running_loop().create_task(self._forward(reader, writer, gate))
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            said = b""
            while chunk := await reader.read(CHUNK_BYTES):
                if self._last_words is not None and gate is self._answers:
                    said += chunk
                    if self._is_last(said):
                        self._cut_off(writer)
                        break
                    said = said[said.rfind(self._last_words[0]) + 1 :]
                self.held += 0 if gate.is_set() else len(chunk)
                await asyncio.sleep(self.delay)
                await gate.wait()
                writer.write(chunk)
                await writer.drain()
        writer.close()
        self._open.discard(writer)

    def _is_last(self, said: bytes) -> bool:
        assert self._last_words is not None
        before, answer, _ = said.rpartition(self._last_words[0])
        return bool(answer) and self._after in before

    def _cut_off(self, writer: asyncio.StreamWriter) -> None:
        assert self._last_words is not None
        then, self._last_words = self._last_words[1], None
        then()
        writer.transport.abort()
