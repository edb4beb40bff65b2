"""The README tells the truth: its example runs as pasted, its commands are those that work."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from asgi_token_auth import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def served(command: list[str], cwd: Path, port: int, **env: str) -> Iterator[httpx.Client]:
    """A server process, from its first answer until SIGTERM."""
    environment = {**os.environ, **env}
    with subprocess.Popen([sys.executable, *command], cwd=cwd, env=environment) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                deadline = time.monotonic() + 20
                while time.monotonic() < deadline:
                    with contextlib.suppress(httpx.TransportError):
                        client.get("/")
                        break
                    time.sleep(0.05)
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def test_the_example_runs_as_pasted(tmp_path: Path) -> None:
    """In twenty-odd lines, a protected path and sign-up to login."""
    example = re.search(r"```python\n(.+?)```", README, re.DOTALL)
    assert example
    (tmp_path / "app.py").write_text(example[1])
    port, user = free_port(), {"username": "ada", "password": "secret"}
    command = ["-m", "uvicorn", "app:app", "--port", str(port)]

    with served(command, tmp_path, port, SECRET_KEY="k" * 40) as client:
        assert client.get("/api/messages").status_code == 401
        assert client.post("/api/users", json={"user": user}).json() == "ok"
        token = client.post("/api/sessions", json=user).json()["token"]
        response = client.get("/api/messages", headers={"Authorization": f"Bearer {token}"})
        assert response.json() == {"hello": "ada"}


def test_the_curl_session_goes_from_sign_up_to_reset(tmp_path: Path) -> None:
    """Each line as it stands, placeholders filled in; the answers shown are the real ones."""
    port = free_port()
    command = ["-m", "examples.messages", "--port", str(port), "--mail-dir", str(tmp_path / "mail")]
    command += ["--database-url", f"sqlite:///{tmp_path}/m.db"]
    lines = [line.strip() for line in README.splitlines()]
    session = [
        (line, lines[number + 1].removeprefix("# ") if lines[number + 1].startswith("# ") else "")
        for number, line in enumerate(lines)
        if line.startswith("curl ")
    ]
    found = {"TOKEN": "", "CONFIRMATION_TOKEN": "", "RESET_TOKEN": ""}

    with served(command, ROOT, port) as client:
        for line, shown in session:
            find_tokens(client, line, found)
            for name, value in found.items():
                line = line.replace(f'"{name}"', f'"{value}"').replace(f"${name}", value)
            line = line.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
            answer = subprocess.run(
                [*shlex.split(line), "--silent"], capture_output=True, text=True, check=True
            ).stdout
            assert "errors" not in answer, (line, answer)
            assert re.sub(r"eyJ[^\"]+", "eyJ...", answer) == shown or not shown
            found["TOKEN"] = (
                (json.loads(answer) or {}).get("token") or found["TOKEN"]
                if (answer.startswith("{"))
                else found["TOKEN"]
            )

    assert len(session) >= 10
    assert all(found.values())


def find_tokens(client: httpx.Client, line: str, found: dict[str, str]) -> None:
    """Reads the mail that the next line needs."""
    for placeholder, field in (
        ("CONFIRMATION_TOKEN", "confirmation_token"),
        ("RESET_TOKEN", "password_reset_token"),
    ):
        deadline = time.monotonic() + 10
        while f'"{placeholder}"' in line and not found[placeholder]:
            text = client.get("/dev/mailbox.json").text
            token = re.search(rf"{field}: ([A-Za-z0-9_-]{{43}})", text)
            found[placeholder] = token[1] if token else ""
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_the_settings_table_and_the_settings_are_the_same() -> None:
    """Both ways: nothing undocumented, nothing that isn't there."""
    table = README.split("## Settings")[1].split("The command line")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}

    assert documented == set(Settings.__dataclass_fields__)
