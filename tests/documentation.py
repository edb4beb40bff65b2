"""A page of the documentation, run as a reader would: block by block, in the order of the page.

A page has a directory, Python with `await` at the top level, a shell, and servers. What it takes
for granted stands in HTML comments, `<!--- invisible-code-block: python`, with these names:

- `shown`: a dictionary; what stands on the page (`RESET_TOKEN`), and what it stands for here.
- `printed`: what each command of the shell printed.
- `served`: a client of the server that the page started; it is at 127.0.0.1:8000 in its blocks.
- `postgresql_url`: a database of the page's own; None where there is no PostgreSQL.
- `page_path`: the page itself.

A block of Python that begins with the name of a file (`# app.py`) is written to that file.
"""

import ast
import asyncio
import configparser
import contextlib
import doctest
import inspect
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import SkipTest

import httpx
import pytest
import yaml
from conftest import POSTGRESQL, own_database
from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown import SkipParser
from sybil.parsers.markdown.lexers import DirectiveInHTMLCommentLexer, FencedCodeBlockLexer

from asgi_token_auth import TokenAuth
from asgi_token_auth.testing import SECRET_KEY

ROOT = Path(__file__).parent.parent
FILE = re.compile(r"# (\S+\.(?:py|ini))\n")
SERVER = re.compile(r"(?:^|[ /])(?:uvicorn|examples\.messages)\b")
ADDRESS = "127.0.0.1:8000"
END = "\x1e"  # printed after each command, and by none
SECONDS = 120
CHECKER = doctest.OutputChecker()
AS_SHOWN = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# What `pip install` is here: a look whether there is such an extra.
PIP = """#!{python}
import re, sys
from importlib.metadata import metadata
extras = metadata("asgi_token_auth").get_all("Provides-Extra")
for extra in re.findall(r"\\w+", "".join(re.findall(r"\\[(.+?)\\]", " ".join(sys.argv)))):
    if extra not in extras:
        sys.exit(f"asgi_token_auth has no extra {{extra}}")
"""
NGINX = "pid nginx.pid; events {{}} http {{ access_log off; server {{ listen unix:x; {} }} }}"

# What a browser has, and Node has not.
BROWSER = """
const ORIGIN = process.env.ORIGIN, store = new Map();
const fetchAnywhere = fetch;
globalThis.fetch = (url, options) => fetchAnywhere(new URL(url, ORIGIN), options);
globalThis.location = new URL(ORIGIN);
globalThis.token = process.env.TOKEN;
globalThis.sockets = [];
globalThis.WebSocket = class extends WebSocket {
  constructor(...given) { super(...given); sockets.push(this); }
};
globalThis.sessionStorage = {
  getItem: (key) => store.get(key) ?? null,
  setItem: (key, value) => store.set(key, value),
  removeItem: (key) => store.delete(key),
};
"""

# A WebSocket must be accepted; then the program ends.
AND_THEN = """
for (const socket of sockets) {
  if (socket.readyState === 0) await new Promise((opened, refused) => {
    socket.addEventListener("open", opened);
    socket.addEventListener("error", refused);
  });
  console.log(socket.protocol);
  socket.close();
}
"""


class Page:
    """One page's run; `close` ends what it started."""

    def __init__(self, path: Path, directory: Path) -> None:
        self.path = path
        self.missing: list[str] = []  # what this machine has not, and blocks need
        # A module, as some frameworks look up there what a function's annotations mean.
        self._module = types.ModuleType(f"page_{path.stem}")
        self.namespace: dict[str, Any] = vars(self._module)
        self.namespace.update({"page_path": path, "shown": {}, "printed": []})
        self._directory = directory
        self._files: list[Path] = []
        self._runner = asyncio.Runner()
        self._stack = contextlib.ExitStack()

    def run(self) -> None:
        """All blocks.

        Raises:
            AssertionError: one of them is not as the page says.
        """
        self._prepare()
        document = parse(self.path, self)
        document.namespace = self.namespace
        for example in document:
            with contextlib.suppress(SkipTest):
                example.evaluate()
        for file in self._files:
            assert any(self._directory.rglob(f"__pycache__/{file.stem}.*")), f"{file.name}: unused"

    def close(self) -> None:
        """Ends servers, databases and modules; nothing is left of the page."""
        own = [
            name
            for name, module in sys.modules.items()
            if str(getattr(module, "__file__", "")).startswith(str(self._directory))
        ]
        modules = [self._module, *(sys.modules.pop(name) for name in own)]
        values = [value for module in modules for value in vars(module).values()]
        for auth in {value for value in values if isinstance(value, TokenAuth)}:
            self._runner.run(auth.shutdown())
        self._stack.close()
        self._runner.close()

    def evaluate(self, language: str, example: Example) -> None:
        runs: dict[str, Callable[[Example], None]] = {
            "python": self._python,
            "bash": self._bash,
            "javascript": self._javascript,
            "json": lambda example: json.loads(example.parsed),
            "yaml": lambda example: yaml.safe_load(example.parsed),
            "toml": lambda example: tomllib.loads(example.parsed),
            "ini": self._ini,
            "nginx": self._nginx,
            "sql": self._sql,
        }
        assert language in runs, f"{self.path.name}:{example.line}: nothing runs {language!r}"
        runs[language](example)

    def _prepare(self) -> None:
        text = self.path.read_text()
        self._stack.callback(_restore_environment, dict(os.environ))  # pages set variables
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        patch.setitem(sys.modules, self._module.__name__, self._module)
        patch.chdir(self._directory)
        patch.syspath_prepend(str(self._directory))
        patch.setattr(sys, "dont_write_bytecode", False)
        for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"):
            patch.delenv(name, raising=False)
        (self._directory / ".venv").symlink_to(sys.prefix)
        pip = self._directory / "bin/pip"
        pip.parent.mkdir()
        pip.write_text(PIP.format(python=sys.executable))
        pip.chmod(0o700)
        paths = [str(pip.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
        patch.setenv("PATH", os.pathsep.join(paths))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("SECRET_KEY", SECRET_KEY)
        patch.setenv("TOKEN_AUTH_SECRET_KEY", SECRET_KEY)
        patch.setenv("TOKEN_AUTH_DATABASE", "sqlite:///app.db")
        patch.setenv("TOKEN_AUTH_EMAIL_SENDER", "app@example.com")
        if "postgresql_url" in text:
            self.namespace["postgresql_url"] = self._postgresql()

    def _postgresql(self) -> str | None:
        database = own_database(POSTGRESQL, "postgresql")
        try:
            url = self._runner.run(database.__aenter__())
        except pytest.skip.Exception as reason:
            self.missing.append(str(reason))
            return None
        self._stack.callback(lambda: self._runner.run(database.__aexit__(None, None, None)))
        return url

    def _python(self, example: Example) -> None:
        if name := FILE.match(example.parsed):
            self._write(name[1], self._as_here(example.parsed))
            return
        lines = "\n" * (example.line + example.parsed.line_offset)
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(lines + example.parsed, str(self.path), "exec", flags, dont_inherit=True)
        result = eval(code, self.namespace)
        if inspect.iscoroutine(result):
            self._runner.run(result)

    def _write(self, name: str, content: str) -> None:
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        if path.suffix == ".py":
            self._files.append(path)

    def _ini(self, example: Example) -> None:
        configparser.ConfigParser().read_string(example.parsed)
        if name := FILE.match(example.parsed):
            self._write(name[1], example.parsed)

    def _nginx(self, example: Example) -> None:
        """Directives of a server."""
        nginx = shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
        if nginx is None:
            self.missing.append("no nginx")
            return
        (self._directory / "nginx.conf").write_text(NGINX.format(example.parsed))
        command = [nginx, "-t", "-e", "stderr", "-p", self._directory, "-c", "nginx.conf"]
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr

    def _bash(self, example: Example) -> None:
        steps = list(commands(self._as_here(example.parsed)))
        if SERVER.search(steps[-1][0]):
            self._serve([command for command, _ in steps])
            return
        script = "".join(f"{command}\nprintf '\\x1e%s\\x1e' $?\n" for command, _ in steps)
        process = subprocess.run(
            ["bash", "-uo", "pipefail", "-c", script],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        printed = process.stdout.replace("\r", "").split(END)
        for (command, expected), actual, status in zip(
            steps, printed[::2], printed[1::2], strict=False
        ):
            matches = CHECKER.check_output(expected, f"{actual.strip()}\n", AS_SHOWN)
            # What is shown may be a failure; nothing shown is none.
            good = matches if expected else status == "0" and '"errors"' not in actual
            assert good, (command, status, expected, actual, process.stderr)
            self.namespace["printed"].append(actual.strip())
        assert len(printed) > 2 * len(steps), (self.path.name, example.line, process)

    def _serve(self, script: list[str]) -> None:
        """Starts what serves until it is stopped, on a free port."""
        port = free_port()
        script[-1] += f" --port {port}"
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", "\n".join(script)], start_new_session=True
        )
        self._stack.callback(stop, process)
        client = self._stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}"))
        wait_for(client, process)
        self.namespace["served"] = client
        self.namespace["shown"][ADDRESS] = f"127.0.0.1:{port}"

    def _javascript(self, example: Example) -> None:
        node = shutil.which("node")
        if node is None:
            self.missing.append("no node, for JavaScript")
            return
        source = self._as_here(example.parsed).replace("wss://example.com", "ws://example.com")
        served = self.namespace["served"].base_url
        source = source.replace("example.com", served.netloc.decode())
        environment = {**os.environ, "ORIGIN": str(served)}
        arguments = [node, "--experimental-websocket", "--input-type=module", "-"]
        process = subprocess.run(
            arguments,
            input=BROWSER + source + AND_THEN,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=environment,
            check=False,
        )
        assert process.returncode == 0, (self.path.name, example.line, process)
        self.namespace["printed"].append(process.stdout.strip())

    def _sql(self, example: Example) -> None:
        from test_migrations import run_sql

        url = os.environ["TOKEN_AUTH_DATABASE"]
        statements = [text for text in example.parsed.split(";") if text.strip()]
        self._runner.run(run_sql(url, *statements))

    def _as_here(self, text: str) -> str:
        for there, here in self.namespace["shown"].items():
            text = text.replace(there, here)
        return text


def parse(path: Path, page: Page | None = None) -> Document:
    """The page's blocks, those in comments too."""

    def blocks(document: Document) -> Iterator[Region]:
        hidden = DirectiveInHTMLCommentLexer("invisible-code-block", r"\w+")
        for region in FencedCodeBlockLexer(".*?")(document):
            yield block(region, region.lexemes["language"])
        for region in hidden(document):
            yield block(region, region.lexemes["arguments"])

    def block(region: Region, language: str) -> Region:
        def evaluate(example: Example) -> None:
            assert page is not None
            page.evaluate(language, example)

        return Region(region.start, region.end, region.lexemes["source"], evaluate)

    return Sybil([blocks, SkipParser()]).parse(path)


def commands(script: str) -> Iterator[tuple[str, str]]:
    """Each command with what the comment lines right below it say that it prints."""
    command, expected = "", ""
    for line in [*script.splitlines(), ""]:
        if command and line.startswith("#") and is_complete(command):
            expected += line.removeprefix("#").strip() + "\n"
        elif command and not is_complete(command):
            command += f"\n{line}"
        else:
            if command:
                yield command, expected
            command, expected = "" if line.startswith("#") else line.strip(), ""


def is_complete(command: str) -> bool:
    """Whether the shell would run it, rather than read on."""
    if command.endswith("\\"):
        return False
    look = subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False)
    return look.returncode == 0 and not look.stderr


def _restore_environment(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        with contextlib.suppress(httpx.TransportError):
            client.get("/")
            return
        time.sleep(0.05)
    raise TimeoutError(client.base_url)


def stop(process: subprocess.Popen[bytes]) -> None:
    """With all that its shell started."""
    with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
