"""The demo, as a newcomer runs it."""

import asyncio
import contextlib
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from examples.messages.__main__ import default_base_url
from examples.messages.pages import ADDRESSES

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


def test_the_page_runs_nothing_but_its_own_scripts(demo: httpx.Client) -> None:
    """By its policy, on each of its addresses; they are read as what they are."""
    for path in (*ADDRESSES, "/dev/mailbox"):
        response = demo.get(path)
        policy = response.headers["content-security-policy"]
        assert response.status_code == 200
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", response.text)
    script = demo.get("/page/main.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["x-content-type-options"] == "nosniff"


def test_unknown_addresses_are_404(demo: httpx.Client) -> None:
    """As a page for browsers, and as JSON where the API is."""
    page, api = demo.get("/nowhere"), demo.get("/api/nowhere")

    assert (page.status_code, api.status_code) == (404, 404)
    assert page.headers["content-type"].startswith("text/html")
    assert api.json() == {"errors": {"base": "Not found"}}


@pytest.mark.parametrize(
    ("host", "base_url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://localhost:8000"),
        ("::1", "http://[::1]:8000"),
    ],
)
def test_links_lead_to_where_a_browser_finds_the_demo(host: str, base_url: str) -> None:
    """Unless another base URL is given."""
    assert default_base_url(host, 8000) == base_url


def test_messages_go_with_their_account(demo: httpx.Client, tmp_path: Path) -> None:
    """Nothing of them is left in the database."""
    ada = _new_user(demo, "ada@example.com")
    demo.post("/api/messages", json={"message": {"text": "hello"}}, headers=ada)
    body = {"password": "secret"}
    assert demo.request("DELETE", "/api/account", json=body, headers=ada).json() == "ok"

    deadline = time.monotonic() + 20
    with contextlib.closing(sqlite3.connect(tmp_path / "m.db")) as database:
        while database.execute("SELECT count(*) FROM messages").fetchone() != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.05)
