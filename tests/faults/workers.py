"""Worker processes of one service, as a balancer, an operator and their users see them."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from asgi_token_auth import TokenAuth
from asgi_token_auth.testing import SECRET_KEY
from tests.faults.database_servers import free_port
from tests.faults.ledger import Ledger
from tests.server_fleet import NO_ANSWER, Answer, Client

START_SECONDS = 60.0
EXIT_SECONDS = 60.0
REPOSITORY = Path(__file__).parents[2]
KEPT_CLIENTS = 64


class Worker:
    """A uvicorn process with one event loop.

    Args:
        database_url: where its users are.
        directory: for its log, and for mails.
        environment: what it is started with besides: TOKEN_AUTH_* and others.
    """

    def __init__(self, database_url: str, directory: Path, **environment: str) -> None:
        self.port = free_port()
        self._log = directory / f"worker-{self.port}.log"
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("TOKEN_AUTH_")},
            "TOKEN_AUTH_DATABASE": database_url,
            "TOKEN_AUTH_SECRET_KEY": SECRET_KEY,
            "TOKEN_AUTH_EMAIL_SENDER": "app@example.com",
            "TOKEN_AUTH_MAIL_TRANSPORT": f"file:{directory / 'mails'}",
            **environment,
        }
        self._clients: list[Client] = []
        self.is_serving = False
        self.start()

    def start(self) -> None:
        """Starts the process, or one in the place of one that has ended."""
        options = ("--port", str(self.port), "--no-access-log", "--timeout-keep-alive", "60")
        command = (sys.executable, "-m", "uvicorn", "tests.faults.app:app", *options)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=REPOSITORY, env=self._environment, stdout=log, stderr=log
            )

    async def is_up(self) -> None:
        """Returns once it answers."""
        async with asyncio.timeout(START_SECONDS):
            while (await self.call("GET", "/open")).status != 200:
                if self.process.poll() is not None:
                    raise RuntimeError(self._log.read_text()[-2000:])
                await asyncio.sleep(0.05)
        self.is_serving = True

    async def call(
        self, method: str, path: str, token: str = "", body: Any = None, patience: float = 15.0
    ) -> Answer:
        """A request, on a connection that is kept for another."""
        client = self._clients.pop() if self._clients else Client(self.port, patience)
        client.patience = patience
        answer = await client.call(method, path, token, body)
        if answer.status == NO_ANSWER or len(self._clients) >= KEPT_CLIENTS:
            client.close()
        else:
            self._clients.append(client)
        return answer

    async def gauges(self) -> dict[str, float]:
        """What it takes of the machine."""
        answer = await self.call("GET", "/gauges")
        return dict(answer.body) if answer.status == 200 else {}

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, seconds: float = EXIT_SECONDS) -> float | None:
        """Seconds until it has ended; None, where it has not."""
        began = time.monotonic()
        while self.process.poll() is None:
            if time.monotonic() - began > seconds:
                return None
            await asyncio.sleep(0.02)
        self.is_serving = False
        self.hang_up()
        return round(time.monotonic() - began, 2)

    async def restart(self, how: signal.Signals) -> None:
        """Ends it, out of the balancer's sight, and returns once a new one answers."""
        self.is_serving = False
        self.send(how)
        if await self.ended() is None:
            raise RuntimeError("a worker did not end")
        self.start()
        await self.is_up()

    def hang_up(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    def kill(self) -> None:
        self.hang_up()
        self.process.kill()
        self.process.wait()

    def tracebacks(self) -> Counter[str]:
        """The last lines of what went wrong unforeseen, from its log."""
        parts = self._log.read_text(errors="replace").split("Exception in ASGI application")
        return Counter(_last_line(part) for part in parts[1:])


def _last_line(part: str) -> str:
    lines = part.splitlines()
    ends = [line for line in lines if line and not line.startswith((" ", "Traceback", "  |", "+"))]
    return ends[-1][:200] if ends else "?"


class Fleet:
    """Workers, behind a balancer that asks those that serve, in turn."""

    def __init__(self, database_url: str, directory: Path, workers: list[Worker]) -> None:
        self.database_url = database_url
        self.directory = directory
        self.workers = workers
        self.ledger = Ledger()
        # Connections whose end no packet could tell the database: it finds out by itself, later.
        self.half_open = 0

    async def call(
        self, method: str, path: str, token: str = "", body: Any = None, patience: float = 15.0
    ) -> Answer:
        """A request to one of them, noted in the ledger."""
        answer = await self._any().call(method, path, token, body, patience)
        self.ledger.note(method, path, answer)
        return answer

    def socket_url(self) -> str:
        """Of a WebSocket that says what it is told, at one of them."""
        return f"ws://127.0.0.1:{self._any().port}/api/messages/stay"

    def _any(self) -> Worker:
        serving = [worker for worker in self.workers if worker.is_serving]
        return random.choice(serving or self.workers)

    def unforeseen(self) -> list[str]:
        """Errors in the workers' logs that became a 500."""
        found: Counter[str] = sum((each.tracebacks() for each in self.workers), Counter())
        return [f"I6 {number} times in a log: {line}" for line, number in found.items()]


@contextlib.asynccontextmanager
async def serving(
    database_url: str,
    directory: Path,
    count: int = 2,
    each: Sequence[dict[str, str]] = (),
    *,
    tables: bool = True,
    **environment: str,
) -> AsyncIterator[Fleet]:
    """That many workers on a database, from the first answer of all on."""
    directory.mkdir(parents=True, exist_ok=True)
    if tables:
        await create_tables(database_url)
    workers: list[Worker] = []
    try:
        for number in range(count):
            own = each[number] if number < len(each) else {}
            workers.append(Worker(database_url, directory, **{**environment, **own}))
        await asyncio.gather(*(worker.is_up() for worker in workers))
        yield Fleet(database_url, directory, workers)
    finally:
        for worker in workers:
            worker.kill()


async def create_tables(database_url: str) -> None:
    auth = TokenAuth(database=database_url, secret_key=SECRET_KEY, email_sender="app@example.com")
    await auth.create_tables()
    await auth.shutdown()
