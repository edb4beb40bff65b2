"""examples/deployment in processes of its own: nginx, workers and the sender of mails."""

import asyncio
import contextlib
import email
import email.policy
import itertools
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from conftest import POSTGRESQL, own_database, reachable_redis
from smtp_server import Recorder, smtp_server

ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 120.0
PASSWORD = "four quiet words, and 7"
CLIENTS = (f"198.51.100.{number}" for number in itertools.count(1))
NUMBERS = itertools.count(1)
# What a load balancer in front would be told apart by: so tests come from where they like.
DROP_IN = "set_real_ip_from 127.0.0.1;\nreal_ip_header X-Test-Client;\n"
LINK = re.compile(r"https://messages\.example\.com/\S+#user_id=(\d+)&token=([A-Za-z0-9_-]{43})")


class Deployed:
    """A deployment that runs.

    Args:
        directory: its own.
        ports: of nginx, for HTTPS and HTTP.
        mails: what was sent.
        authority: which its certificate is of.
    """

    def __init__(
        self,
        directory: Path,
        process: subprocess.Popen[bytes],
        ports: tuple[int, int],
        mails: Recorder,
        authority: trustme.CA,
    ) -> None:
        self.directory, self.process, self.mails = directory, process, mails
        self.https_port, self.http_port = ports
        self.tls = ssl.create_default_context()
        authority.configure_trust(self.tls)

    def client(self, address: str | None = None, **headers: str) -> httpx.AsyncClient:
        """A client of nginx, by default with an address that no other has."""
        headers["X-Test-Client"] = address or next(CLIENTS)
        url = f"https://localhost:{self.https_port}"
        return httpx.AsyncClient(base_url=url, verify=self.tls, headers=headers, timeout=30)

    def worker(self, number: int) -> httpx.AsyncClient:
        """A client of a worker, past nginx."""
        transport = httpx.AsyncHTTPTransport(uds=str(self.directory / f"run/{number}/web.sock"))
        return httpx.AsyncClient(base_url="http://worker", transport=transport, timeout=30)

    def log(self, name: str) -> str:
        return (self.directory / "log" / name).read_text()

    def answered(self) -> list[dict[str, Any]]:
        """nginx's access log."""
        return [json.loads(line) for line in self.log("messages.access.log").splitlines()]

    @property
    def redis_outages(self) -> tuple[int, int]:
        """How many began, and how many are over: workers wait for Redis for a quarter of a second
        only, which a busy machine may need."""
        log = self.log("services.log")
        return log.count("Redis does not answer"), log.count("Redis answers again")

    def pid(self, unit: str) -> int:
        """Of its newest process."""
        found = re.findall(rf"^{unit} is process (\d+)$", self.log("services.log"), re.MULTILINE)
        return int(found[-1])

    async def until(self, holds: Callable[[], bool | Awaitable[bool]]) -> None:
        """Returns once it holds."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                result = holds()
                if result if isinstance(result, bool) else await result:
                    return
                assert self.process.poll() is None, "the deployment ended"
                await asyncio.sleep(0.1)

    async def is_serving(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            async with self.client("127.0.0.1") as client:
                return (await client.get("/api/messages")).status_code == 401
        return False

    async def all_are_serving(self) -> bool:
        """Each worker, asked past nginx."""
        with contextlib.suppress(httpx.TransportError):
            for number in (1, 2):
                async with self.worker(number) as client:
                    (await client.get("/ready")).raise_for_status()
            return True
        return False

    async def mailed(self, recipient: str) -> tuple[str, str]:
        """The user's id and the token in the mail that was sent there."""

        def found() -> list[str]:
            return [
                mail.original_content.decode()
                for mail in self.mails.mails
                if mail.rcpt_tos == [recipient] and mail.original_content is not None
            ]

        await self.until(lambda: bool(found()))
        message = email.message_from_string(found()[-1], policy=email.policy.default)
        body = message.get_body(("plain",))
        assert body is not None
        link = LINK.search(body.get_content())
        assert link is not None
        return link[1], link[2]


async def new_token(client: httpx.AsyncClient) -> str:
    """Of a user of its own."""
    user = {"username": f"user{next(NUMBERS)}", "password": PASSWORD}
    assert (await client.post("/api/users", json={"user": user})).json() == "ok"
    answer = await client.post("/api/sessions", json=user)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@contextlib.asynccontextmanager
async def deployed(directory: Path) -> AsyncIterator[Deployed]:
    """The deployment, from its first answer until SIGTERM, which it must obey."""
    needs_programs()
    async with contextlib.AsyncExitStack() as stack:
        database_url = await stack.enter_async_context(own_database(POSTGRESQL, "postgresql"))
        redis_url = await reachable_redis()
        mails = Recorder()
        smtp_port = await stack.enter_async_context(smtp_server(mails))
        authority = trustme.CA()
        prepare(directory, authority)
        ports = free_ports()
        command = [sys.executable, "-m", "examples.deployment", "--directory", str(directory)]
        command += ["--database-url", database_url, "--redis-url", redis_url]
        command += ["--mail-transport", f"smtp://127.0.0.1:{smtp_port}?security=none"]
        command += ["--https-port", str(ports[0]), "--http-port", str(ports[1])]
        with (
            (directory / "log/services.log").open("wb") as log,
            subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log) as process,  # noqa: ASYNC220
        ):
            running = Deployed(directory, process, ports, mails, authority)
            try:
                await running.until(running.is_serving)
                yield running
            except BaseException:
                print(running.log("services.log"))
                raise
            finally:
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, PATIENCE_SECONDS) == 0


def prepare(directory: Path, authority: trustme.CA) -> None:
    """What is the site's own: a certificate, and the drop-in."""
    for name in ("log", "etc/tls", "etc/nginx"):
        (directory / name).mkdir(parents=True)
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(directory / "etc/tls/fullchain.pem")
    certificate.private_key_pem.write_to_path(directory / "etc/tls/privkey.pem")
    (directory / "etc/nginx/balancer.conf").write_text(DROP_IN)


def needs_programs() -> None:
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = [name for name in ("nginx", "curl") if shutil.which(name, path=path) is None]
    if missing and os.environ.get("REQUIRE_SERVICES"):
        raise RuntimeError(f"no {missing}")
    if missing:
        pytest.skip(f"no {' and '.join(missing)}: apt install nginx-light curl")


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
