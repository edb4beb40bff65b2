"""The demo as its users meet it: a process on a port, with a database and mails in files."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse"


class Demo:
    """Starts, stops and restarts it, on one port with the same files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.base_url, timeout=30)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def database(self) -> Path:
        return self.directory / "m.db"

    def start(self) -> None:
        """Returns when it answers."""
        command = [sys.executable, "-m", "examples.messages", "--port", str(self.port)]
        command += ["--database-url", f"sqlite:///{self.database}"]
        command += ["--mail-dir", str(self.directory / "mail")]
        self._process = subprocess.Popen(command, cwd=ROOT)
        self._wait(self._answers)

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)
        self._process = None

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Stops it for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def close(self) -> None:
        if self._process is not None:
            self.stop()
        self.client.close()

    def new_user(self, email: str) -> None:
        """Signs up, confirms and logs out, over the API."""
        user = {"email": email, "password": PASSWORD}
        assert self.client.post("/api/users", json={"user": user}).json() == "ok"
        mail = self.mail(email)
        user_id, token = re.findall(r"(?:user id|_token): (\S+)", mail["body"])
        path, body = f"/api/users/{user_id}/confirm", {"confirmation_token": token}
        token = self.client.post(path, json=body).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert self.client.delete("/api/sessions", headers=headers).json() == "ok"

    def mail(self, email: str) -> dict[str, Any]:
        """The newest mail to that address."""
        return self._wait(lambda: self._mail(email))

    def _mail(self, email: str) -> Any:
        mails = self.client.get("/dev/mailbox.json").json()["mails"]
        return next((mail for mail in mails if mail["to"] == email), None)

    def _answers(self) -> bool:
        try:
            return self.client.get("/").status_code == 200
        except httpx.TransportError:
            return False

    def _wait(self, ask: Any) -> Any:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if answer := ask():
                return answer
            time.sleep(0.05)
        raise TimeoutError(ask)
