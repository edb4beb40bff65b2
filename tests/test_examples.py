"""Each framework's example, on a real uvicorn."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from asgi_token_auth.testing import SECRET_KEY

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py") if path.stem[0] != "_")
WITH_WEBSOCKETS = ["fastapi_app", "litestar_app", "quart_app"]
USER = {"username": "ada", "password": "secret"}


@contextlib.contextmanager
def serving(application: str, cwd: Path, **environment: str) -> Iterator[httpx.Client]:
    """A client of the application, from its first answer until SIGTERM, which it must obey."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port)]
    with subprocess.Popen(command, cwd=cwd, env={**os.environ, **environment}) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                _wait(client)
                yield client
            process.send_signal(signal.SIGTERM)
            process.wait(15)
        finally:
            process.kill()


def serving_example(
    example: str, database_url: str
) -> contextlib.AbstractContextManager[httpx.Client]:
    """With accounts in that database."""
    environment = {"DATABASE_URL": database_url, "SECRET_KEY": SECRET_KEY}
    return serving(f"examples.{example}:app", ROOT, **environment)


def _wait(client: httpx.Client) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            client.get("/")
            return
        time.sleep(0.05)
    raise TimeoutError(client.base_url)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_guards_its_messages(example: str, sqlite_url: str) -> None:
    """Its tables are there; the user who logged in is shown, until logged out."""
    with serving_example(example, sqlite_url) as client:
        assert client.get("/api/messages").status_code == 401
        assert client.post("/api/users", json={"user": USER}).json() == "ok"
        token = client.post("/api/sessions", json=USER).json()["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        answer = client.get("/api/messages", headers=bearer)
        shown = "1" if example == "gateway" else "ada"
        assert (answer.status_code, answer.json()) == (200, {"hello": shown})
        assert client.delete("/api/sessions", headers=bearer).json() == "ok"
        assert client.get("/api/messages", headers=bearer).status_code == 401


@pytest.mark.parametrize("example", WITH_WEBSOCKETS)
def test_an_example_guards_its_websocket(example: str, sqlite_url: str) -> None:
    """Refused with a real 401; whoever offers a token as browsers do is greeted."""
    with serving_example(example, sqlite_url) as client:
        client.post("/api/users", json={"user": USER})
        token = client.post("/api/sessions", json=USER).json()["token"]
        url = f"ws://{client.base_url.netloc.decode()}/api/messages/live"

        with pytest.raises(InvalidStatus) as refused:
            connect(url)
        with connect(url, subprotocols=["bearer", token]) as websocket:
            greeting = json.loads(websocket.recv(10))

    assert refused.value.response.status_code == 401
    assert greeting == {"hello": "ada"}


def test_the_gateway_alone_says_who_asks(sqlite_url: str) -> None:
    """A client that writes the header itself is nobody."""
    with serving_example("gateway", sqlite_url) as client:
        for name in ("X-User-Id", "x_user_id"):
            assert client.get("/", headers={name: "1"}).json() == {"hello": "stranger"}


def test_the_document_of_fastapi_has_the_account_endpoints(sqlite_url: str) -> None:
    """Its Swagger page logs in by them."""
    with serving_example("fastapi_app", sqlite_url) as client:
        document = client.get("/openapi.json").json()
        flows = document["components"]["securitySchemes"]["AuthPassword"]["flows"]
        client.post("/api/users", json={"user": USER})
        reply = client.post(flows["password"]["tokenUrl"], data={**USER, "grant_type": "password"})
        bearer = {"Authorization": f"Bearer {reply.json()['access_token']}"}
        assert client.get("/api/messages", headers=bearer).status_code == 200
        assert document["paths"]["/api/messages"]["get"]["security"]
