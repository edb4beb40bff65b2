"""SMTP servers on loopback: a real one, and one that follows a script."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


class Recorder:
    """Takes every mail, except to recipients it has an answer for."""

    def __init__(self, answers: dict[str, str] | None = None) -> None:
        self.answers = answers or {}
        self.mails: list[Envelope] = []
        self.logins: list[str | None] = []

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := self.answers.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.mails.append(envelope)
        self.logins.append(session.auth_data.login.decode() if session.auth_data else None)
        return self.answers.get("DATA", "250 OK")


def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=data.password == b"pass", handled=False, auth_data=data)


@contextlib.asynccontextmanager
async def smtp_server(
    recorder: Recorder, *, implicit_tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[int]:
    """A real server; gives its port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(recorder, loop=loop, enable_SMTPUTF8=True, **options),
        "127.0.0.1",
        0,
        ssl=implicit_tls,
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def scripted_server(
    script: Sequence[tuple[bytes, bytes | None]],
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers lines that begin with a word of the script; None: hangs up; b"": says nothing.

    Gives the port and what was received.
    """
    received: list[bytes] = []
    open_connections: dict[asyncio.StreamWriter, asyncio.Event] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = open_connections[writer] = asyncio.Event()
        with contextlib.suppress(ConnectionError):
            await follow(reader, writer)
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        steps = dict(script)
        word, in_data = b"CONN", False
        while True:
            answer = steps.get(word, b"250 OK\r\n")
            if answer is None:
                return
            writer.write(answer)
            in_data = word == b"DATA"
            line = await reader.readline()
            while in_data and line not in (b".\r\n", b""):
                line = await reader.readline()
            if not line:
                return
            received.append(line)
            word = line[:4].strip().upper()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], received
    finally:
        server.close()
        for writer, ended in open_connections.items():
            writer.transport.abort()
            await ended.wait()
