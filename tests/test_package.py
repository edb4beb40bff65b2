"""What is released: a wheel and an sdist with all that runs, and nothing else."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import asgi_token_auth

ROOT = Path(__file__).parent.parent
NOT_SOURCE = (".*", "build", "dist", "*.egg-info", "__pycache__", "node_modules")
EXAMPLE_IS_SERVED = """
import asyncio
import asgi_token_auth
from app import app
from asgi_token_auth.testing import client_of, running

async def sign_up():
    user = {"email": "ada@example.com", "password": "secret"}
    async with running(app) as served, client_of(served) as client:
        assert (await client.get("/api/messages")).status_code == 401
        return (await client.post("/api/users", json={"user": user})).json()

print(asgi_token_auth.__file__, asyncio.run(sign_up()))
"""
MIGRATES = "from asgi_token_auth.cli import main; main(['migrate'])"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with both: the wheel is made from the sdist, so that has all it takes."""
    source, out = tmp_path_factory.mktemp("source") / "copy", tmp_path_factory.mktemp("dist")
    # A copy, as earlier builds leave files behind that would go into this one.
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_wheel_has_the_whole_package_and_nothing_else(built: Path) -> None:
    """Templates, migrations and py.typed; no tests, no examples."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "asgi_token_auth").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert packed == ours
    assert "asgi_token_auth/py.typed" in packed


def test_the_sdist_has_what_it_takes_to_build_and_no_tests(built: Path) -> None:
    """What people read is there, too."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}

    assert {"README.md", "CHANGELOG.md", "LICENSE", "setup.py", "pyproject.toml"} <= packed
    assert not [name for name in packed if name.startswith(("tests", "examples", "benchmarks"))]


def test_the_wheel_serves_the_readmes_example(built: Path, tmp_path: Path) -> None:
    """From the wheel alone: it mails from its templates, and runs its migrations."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    example = re.search(r"```python\n(.+?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example
    (tmp_path / "app.py").write_text(example[1])
    settings = {
        "SECRET_KEY": "k" * 40,
        "TOKEN_AUTH_SECRET_KEY": "k" * 40,
        "TOKEN_AUTH_DATABASE": "sqlite:///migrated.db",
        "TOKEN_AUTH_EMAIL_SENDER": "app@example.com",
    }
    environment = {**os.environ, **settings, "PYTHONPATH": str(tmp_path / "installed")}

    def run(program: str) -> str:
        command = [sys.executable, "-c", program]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout

    served = run(EXAMPLE_IS_SERVED)

    assert f"{tmp_path}/installed/asgi_token_auth/__init__.py ok" in served
    assert "confirmation_token: " in served  # the mail, on the console
    assert run(MIGRATES).startswith("ok")


def test_the_changelog_begins_with_this_version() -> None:
    """Released or not, what changes is written under the version that has it."""
    newest = re.search(r"^## (\S+), \S+$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert newest
    assert newest[1] == asgi_token_auth.__version__
