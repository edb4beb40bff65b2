"""Database servers of our own, which may die: the machine's are shared with other tests."""

import contextlib
import getpass
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

START_SECONDS = 60.0


class Missing(Exception):
    """This machine can't do that; the text says what it would need."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class DatabaseServer(ABC):
    """A server in a directory of its own.

    Args:
        directory: empty, and kept for as long as the server is.
        data: where the tables are, if not there.

    Raises:
        Missing: it is not installed.
    """

    system_user: str

    def __init__(self, directory: Path, data: Path | None = None) -> None:
        self.directory = directory
        self.data = data or directory / "data"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        for each in {directory, self.data.parent}:
            each.mkdir(parents=True, exist_ok=True)
            self._give_to_server(each)
        self._create()

    @property
    @abstractmethod
    def url(self) -> str:
        """Of an empty database on it."""

    @abstractmethod
    def _create(self) -> None: ...

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _is_up(self) -> bool: ...

    def start(self) -> None:
        """Starts it, and returns once it takes connections."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, user=self._user(), cwd=self.directory
            )
        until = time.monotonic() + START_SECONDS
        while not self._is_up():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((self.directory / "log").read_text()[-2000:])
            time.sleep(0.02)

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends it by that signal, and waits for that."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(START_SECONDS)
            self.process = None

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, user=self._user(), capture_output=True, cwd=self.directory)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]}: {done.stderr.decode()[-2000:]}")

    def _succeeds(self, *command: str) -> bool:
        return subprocess.run(command, capture_output=True).returncode == 0

    def _user(self) -> str | None:
        """Neither server runs as root."""
        if os.getuid() != 0:
            return None
        try:
            pwd.getpwnam(self.system_user)
        except KeyError:
            raise Missing(f"a system user {self.system_user}") from None
        return self.system_user

    def _give_to_server(self, directory: Path) -> None:
        if (user := self._user()) is not None:
            shutil.chown(directory, user)


class PostgreSQL(DatabaseServer):
    system_user = "postgres"

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def end(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT is `pg_ctl stop -m immediate`: no goodbye, and a recovery at the next start."""
        super().end(how)

    def _create(self) -> None:
        self._run(
            _program("initdb"),
            *("-D", str(self.data), "-X", str(self.directory / "wal")),
            *("-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"),
        )

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.directory),
            "fsync": "off",  # what a killed process wrote is kept by the system all the same
            "shared_buffers": "16MB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [_program("postgres"), "-D", str(self.data), "-p", str(self.port), *options]

    def _is_up(self) -> bool:
        address = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres")
        return self._succeeds(_program("pg_isready"), "-q", *address)


class MariaDB(DatabaseServer):
    system_user = "mysql"

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/test"

    def _create(self) -> None:
        self._run(
            _program("mariadb-install-db"),
            *(f"--datadir={self.data}", "--auth-root-authentication-method=normal"),
            *("--skip-name-resolve", "--no-defaults"),
        )
        (self.data / "test").mkdir(exist_ok=True)
        self._give_to_server(self.data / "test")

    def _command(self) -> list[str]:
        return [
            _program("mariadbd"),
            *("--no-defaults", f"--datadir={self.data}", f"--port={self.port}"),
            *("--bind-address=127.0.0.1", f"--socket={self.directory}/socket"),
            *(f"--pid-file={self.directory}/pid", "--innodb-flush-log-at-trx-commit=2"),
        ]

    def _is_up(self) -> bool:
        socket_ = f"--socket={self.directory}/socket"
        return self._succeeds(_program("mariadb-admin"), "--no-defaults", socket_, "-uroot", "ping")


def _program(name: str) -> str:
    """Its path; Debian keeps PostgreSQL's servers where no PATH leads.

    Raises:
        Missing: it is not installed.
    """
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    for path in sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}")):
        found = found or path
    if found is None:
        raise Missing(name)
    return found


@contextlib.contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[Path]:
    """A small file system of its own at that directory."""
    directory.mkdir(parents=True, exist_ok=True)
    mount = ("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=777", "tmpfs", str(directory))
    try:
        made = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        made = False
    if not made:
        raise Missing(f"the right to mount a tmpfs (as {getpass.getuser()})")
    try:
        yield directory
    finally:
        subprocess.run(("umount", "-l", str(directory)), check=True, capture_output=True)
