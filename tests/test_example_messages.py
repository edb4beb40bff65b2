"""The demo, as a newcomer runs it."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

ROOT = Path(__file__).parent.parent


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[httpx.Client]:
    """The demo in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "examples.messages", "--port", str(port)]
    command += [
        "--database-url",
        f"sqlite:///{tmp_path}/m.db",
        "--mail-dir",
        str(tmp_path / "mail"),
    ]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                _wait_until_it_answers(client)
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) in (0, -signal.SIGTERM)


def _wait_until_it_answers(client: httpx.Client) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            client.get("/")
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise TimeoutError


def _new_user(demo: httpx.Client, email: str) -> dict[str, str]:
    user = {"email": email, "password": "secret"}
    assert demo.post("/api/users", json={"user": user}).json() == "ok"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for mail in demo.get("/dev/mailbox.json").json()["mails"]:
            if mail["to"] == email:
                user_id = re.search(r"user id: (\S+)", mail["body"])
                token = re.search(r"confirmation_token: (\S+)", mail["body"])
                assert user_id
                assert token
                path = f"/api/users/{user_id[1]}/confirm"
                reply = demo.post(path, json={"confirmation_token": token[1]}).json()
                return {"Authorization": f"Bearer {reply['token']}"}
        time.sleep(0.05)
    raise TimeoutError


def test_everyone_sees_their_own_messages(demo: httpx.Client) -> None:
    """Sign up, read the mail, confirm, post, list; a stranger sees nothing."""
    ada, bob = _new_user(demo, "ada@example.com"), _new_user(demo, "bob@example.com")

    posted = demo.post("/api/messages", json={"message": {"text": "hello"}}, headers=ada)

    assert posted.status_code == 200
    texts = [m["text"] for m in demo.get("/api/messages", headers=ada).json()["messages"]]
    assert texts == ["hello"]
    assert demo.get("/api/messages", headers=bob).json() == {"messages": []}
    assert demo.get("/api/messages").status_code == 401
    assert "ada@example.com" in demo.get("/dev/mailbox").text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 422),
        (b'{"message": {"text": " "}}', 422),
        (b'{"message": {"text": "\\u0000"}}', 422),
        (b'{"message": {"text": "\\ud800"}}', 422),
        (json.dumps({"message": {"text": "x" * 2001}}).encode(), 422),
        (b"x" * 20_000, 413),
    ],
)
def test_bad_messages_are_refused(demo: httpx.Client, body: bytes, status: int) -> None:
    """With a 4xx, and nothing is kept."""
    ada = _new_user(demo, "ada@example.com")

    assert demo.post("/api/messages", content=body, headers=ada).status_code == status
    assert demo.get("/api/messages", headers=ada).json() == {"messages": []}


def test_messages_are_live(demo: httpx.Client) -> None:
    """A socket with a token hears what is posted; one without is refused with a real 401."""
    ada = _new_user(demo, "ada@example.com")
    url = str(demo.base_url.join("/api/messages/live")).replace("http", "ws", 1)

    async def listen() -> str:
        async with connect(url, additional_headers=ada) as websocket:
            body = {"message": {"text": "hello"}}
            await asyncio.to_thread(demo.post, "/api/messages", json=body, headers=ada)
            return str(await asyncio.wait_for(websocket.recv(), 10))

    async def without_token() -> None:
        async with connect(url):
            pass

    assert json.loads(asyncio.run(listen()))["text"] == "hello"
    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(without_token())
    assert refused.value.response.status_code == 401
