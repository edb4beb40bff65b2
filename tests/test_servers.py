"""Real server processes, with root paths, without a lifespan, with several workers."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from conftest import running_service
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

TESTS = Path(__file__).parent
REVOCATION_LAG = 1.0
USER = {"username": "ada", "password": "secret"}
SERVERS = {
    "uvicorn": ("uvicorn", "served_app:app", "--port", "{port}"),
    "uvicorn root path": ("uvicorn", "served_app:app", "--port", "{port}", "--root-path", "/v1"),
    "uvicorn no lifespan": ("uvicorn", "served_app:app", "--port", "{port}", "--lifespan", "off"),
    "uvicorn workers": ("uvicorn", "served_app:app", "--port", "{port}", "--workers", "2"),
    "hypercorn": ("hypercorn", "served_app:app", "--bind", "127.0.0.1:{port}"),
    "hypercorn root path": (
        *("hypercorn", "served_app:app", "--bind", "127.0.0.1:{port}", "--root-path", "/v1"),
    ),
    "granian": ("granian", "--interface", "asgi", "--port", "{port}", "served_app:app"),
    "granian root path": (
        *("granian", "--interface", "asgi", "--port", "{port}", "served_app:app"),
        *("--url-path-prefix", "/v1"),
    ),
}


@contextlib.contextmanager
def serving(name: str, database_url: str) -> Iterator[str]:
    """A server's address, from its first answer until SIGTERM, which it must obey."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", *(part.format(port=port) for part in SERVERS[name])]
    environment = {**os.environ, "DATABASE_URL": database_url, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        command, cwd=TESTS.parent, env=environment, start_new_session=True
    ) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/")
            yield f"127.0.0.1:{port}"
            process.send_signal(signal.SIGTERM)
            process.wait(15)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _wait(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            httpx.get(url)
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError(url)


@pytest.mark.parametrize("name", SERVERS)
async def test_the_flow_on_each_server(sqlite_url: str, name: str) -> None:
    """Sign up, log in, be served, log out, be refused; WebSockets too."""
    async with running_service(sqlite_url):
        pass  # the tables
    await asyncio.to_thread(_flow, name, sqlite_url)


def _flow(name: str, database_url: str) -> None:
    with serving(name, database_url) as address:
        root = "/v1" if name == "granian root path" else ""
        url = f"http://{address}{root}"
        assert httpx.post(f"{url}/api/users", json={"user": USER}).json() == "ok"
        token = httpx.post(f"{url}/api/sessions", json=USER).json()["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(f"{url}/api/messages", headers=bearer)
        assert (answer.status_code, answer.json()["user"]) == (200, "ada")
        for path in ("/api/messages", "/v1/api/messages", "//api/messages", "/%61pi/messages"):
            assert httpx.get(f"http://{address}{path}").status_code in (401, 404)
        assert httpx.get(f"{url}/api/messages").status_code == 401
        shown = "/v1/api" if "root path" in name else "/api"
        assert f'<span class="path">{shown}/users</span>' in httpx.get(f"{url}/api/docs").text
        live = f"ws://{address}{root}/api/messages/live"
        assert asyncio.run(_listen(live, bearer)) == "ada"
        with pytest.raises(InvalidStatus) as refused:
            asyncio.run(_listen(live, {}))
        assert refused.value.response.status_code == 401
        stay = f"ws://{address}{root}/api/messages/stay"
        log_out = partial(httpx.delete, f"{url}/api/sessions", headers=bearer)
        assert asyncio.run(_stay(stay, token, log_out)) == 3000
        time.sleep(REVOCATION_LAG)
        for _ in range(20):  # each on a connection of its own, so on each worker
            assert httpx.get(f"{url}/api/messages", headers=bearer).status_code == 401


async def _stay(url: str, token: str, log_out: Callable[[], httpx.Response]) -> int | None:
    """The code that a socket is closed with once its token, offered as browsers do, is revoked."""
    async with connect(url, subprotocols=["bearer", token]) as websocket:  # type: ignore[list-item]
        assert websocket.subprotocol == "bearer"
        await websocket.send("hello")
        assert await asyncio.wait_for(websocket.recv(), 10) == "hello"
        assert (await asyncio.to_thread(log_out)).json() == "ok"
        answered = time.monotonic()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(websocket.recv(), 10)
        assert time.monotonic() - answered < REVOCATION_LAG + 0.5
        return websocket.close_code


async def _listen(url: str, headers: dict[str, str]) -> str:
    async with connect(url, additional_headers=headers) as websocket:
        return str(await asyncio.wait_for(websocket.recv(), 10))


async def test_logout_holds_in_every_worker(database_url: str) -> None:
    """On each database, with two processes."""
    async with running_service(database_url):
        pass
    await asyncio.to_thread(_log_out_everywhere, database_url)


def _log_out_everywhere(database_url: str) -> None:
    with serving("uvicorn workers", database_url) as address:
        url = f"http://{address}"
        httpx.post(f"{url}/api/users", json={"user": USER})
        token = httpx.post(f"{url}/api/sessions", json=USER).json()["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        answers = [httpx.get(f"{url}/api/messages", headers=bearer) for _ in range(60)]
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["process"] for answer in answers}) == 2
        httpx.delete(f"{url}/api/sessions", headers=bearer)
        time.sleep(REVOCATION_LAG)
        after = [httpx.get(f"{url}/api/messages", headers=bearer) for _ in range(60)]
        assert {answer.status_code for answer in after} == {401}
