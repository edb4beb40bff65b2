"""Processes of their own, forked from one that has imported what takes long: an interpreter takes
a second of a core to start, and the suite starts hundreds."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# With no thread and no event loop.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["uvicorn", "asgi_token_auth.cli", "pytest", "alembic", "aiosmtplib", "forked", "server_fleet"]
)
TIMEOUT_SECONDS = 120.0

Finished = subprocess.CompletedProcess[str]


class ForkedProcess:
    """A function in a process of its own, as `subprocess.Popen` would have it.

    Args:
        work: what it does: a function of a module, whose result is its exit status.
        arguments: of the function.
        given: its standard input.
        environment: what else is in its environment.
        directory: where it runs.
    """

    def __init__(
        self,
        work: Callable[..., Any],
        *arguments: Any,
        given: str = "",
        environment: dict[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self._streams = tempfile.TemporaryDirectory()
        self._paths = [Path(self._streams.name, name) for name in ("in", "out", "err")]
        for path in self._paths:
            path.touch()
        self._paths[0].write_text(given)
        self.arguments = arguments
        changed = {**os.environ, **(environment or {})}
        self._process = PROCESSES.Process(
            target=_live, args=(work, arguments, self._paths, changed, directory or Path.cwd())
        )
        self._process.start()

    def terminate(self) -> None:
        self._process.terminate()

    def wait(self) -> Finished:
        """What became of it.

        Raises:
            AssertionError: it goes on after two minutes.
        """
        self._process.join(TIMEOUT_SECONDS)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            self._process.join()
        _, out, err = (path.read_text() for path in self._paths)
        self._process.close()
        self._streams.cleanup()
        assert code is not None, f"{self.arguments} goes on and on: {err}"
        return subprocess.CompletedProcess([*map(str, self.arguments)], code, out, err)


def run_forked(work: Callable[..., Any], *arguments: Any, **options: Any) -> Finished:
    """Runs it to its end."""
    return ForkedProcess(work, *arguments, **options).wait()


def command_line(*arguments: str) -> int:
    """asgi-token-auth with these arguments."""
    from asgi_token_auth.cli import main

    sys.argv = ["asgi-token-auth", *arguments]
    return main(arguments)


def _live(
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
    streams: list[Path],
    environment: dict[str, str],
    directory: Path,
) -> None:
    for number, (path, mode) in enumerate(zip(streams, ("r", "w", "w"), strict=True)):
        with open(path, mode) as file:
            os.dup2(file.fileno(), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.exit(work(*arguments))
