"""FastAPI's own tutorial applications, guarded by the lines of docs/existing_fastapi_app.md."""

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from test_examples import serving

from asgi_token_auth.testing import SECRET_KEY

PAGE = (Path(__file__).parent.parent / "docs/existing_fastapi_app.md").read_text()
BLOCKS = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
RELEASE = "0.165.0"  # which one does not matter; its applications run on the FastAPI that is here
USER = {"username": "ada", "password": "secret"}
HERO = {"name": "Dead Pond", "secret_name": "Dive Wilson"}

HEROES = "docs_src/sql_databases/tutorial002.py"
BIGGER = "docs_src/bigger_applications/app/main.py"
ALL_BUT = BLOCKS[0].replace(
    'protect=["/heroes"]', 'protect=["/"], public=["/auth", "/docs", "/openapi.json"]'
)
ADDED = {HEROES: BLOCKS[0], HEROES.replace("002", "002_non_an"): BLOCKS[0], BIGGER: ALL_BUT}

TAKEN = re.compile(
    r"/(docs_src|tests|tests/test_tutorial)/"
    r"((__init__|utils)\.py|\w*(sql_databases|bigger_applications)/.+)$"
)

LOGGED_IN = """
import functools, os
from fastapi.testclient import TestClient

headers = {"Authorization": os.environ["AUTHORIZATION"]}
TestClient.__init__ = functools.partialmethod(TestClient.__init__, headers=headers)
"""


@pytest.fixture(scope="session")
def release(pytestconfig: pytest.Config) -> Path:
    """FastAPI as it is released in source, with its tutorial and tests: kept from run to run."""
    kept = pytestconfig.cache.mkdir("fastapi")  # type: ignore[union-attr]
    archive = kept / f"fastapi-{RELEASE}.tar.gz"
    if not archive.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", "fastapi", "--dest", str(kept), f"fastapi=={RELEASE}"]
        pip = subprocess.run(command, capture_output=True, text=True, check=False)
        if not archive.exists():
            assert not os.environ.get("REQUIRE_SERVICES"), pip.stderr
            pytest.skip(f"pip can't fetch FastAPI's source release: {pip.stderr[-200:]}")
    return archive


@pytest.fixture
def tutorial(release: Path, tmp_path: Path) -> Path:
    """The applications and their tests, as released; not FastAPI itself, which is installed."""
    with tarfile.open(release) as archive:
        for member in archive:
            if TAKEN.search(member.name):
                archive.extract(member, tmp_path, filter="data")
    return tmp_path / f"fastapi-{RELEASE}"


@pytest.fixture
def guarded(tutorial: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with the page's lines at their end, and tables."""
    for module, lines in ADDED.items():
        with (tutorial / module).open("a") as source:
            source.write("\n" + lines)
    monkeypatch.setenv("TOKEN_AUTH_DATABASE", f"sqlite:///{tutorial}/accounts.db")
    monkeypatch.setenv("TOKEN_AUTH_SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("TOKEN_AUTH_EMAIL_SENDER", "heroes@example.com")
    run(tutorial, "-c", "from asgi_token_auth.cli import main; main()", "create-tables")
    return tutorial


def run(where: Path, *arguments: str, **environment: str) -> str:
    """What Python prints, run there."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=where,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_ten_lines_or_fewer_are_added() -> None:
    for lines in ADDED.values():
        assert 0 < len([line for line in lines.splitlines() if line]) <= 10


def test_the_heroes_are_for_who_is_logged_in(guarded: Path) -> None:
    """Each route of theirs; and again after the logout."""
    routes = [("GET", "/heroes/"), ("POST", "/heroes/")]
    routes += [(method, "/heroes/1") for method in ("GET", "PATCH", "DELETE")]

    with serving("docs_src.sql_databases.tutorial002:app", guarded) as client:
        for method, path in routes:
            assert client.request(method, path, json=HERO).status_code == 401
        assert client.post("/auth/users", json={"user": USER}).json() == "ok"
        token = client.post("/auth/sessions", json=USER).json()["token"]
        bearer = {"Authorization": f"Bearer {token}"}
        made = client.post("/heroes/", json=HERO, headers=bearer)
        assert (made.status_code, made.json()["name"]) == (200, "Dead Pond")
        assert client.get("/heroes/", headers=bearer).json() == [made.json()]
        assert client.get("/docs").status_code == 200
        assert client.delete("/auth/sessions", headers=bearer).json() == "ok"
        assert client.get("/heroes/", headers=bearer).status_code == 401


def test_its_own_document_stays_as_it_was(tutorial: Path, guarded: Path) -> None:
    """/openapi.json, before and after."""
    prints = "from docs_src.sql_databases.{} import app; import json; print(json.dumps({}))"
    client = (
        "__import__('fastapi.testclient').testclient.TestClient(app).get('/openapi.json').json()"
    )
    untouched = tutorial / HEROES.replace("002", "000")
    untouched.write_text((tutorial / HEROES).read_text().removesuffix("\n" + BLOCKS[0]))

    before = run(tutorial, "-c", prints.format("tutorial000", "app.openapi()"))
    after = run(guarded, "-c", prints.format("tutorial002", client))

    assert "/heroes/" in json.loads(before)["paths"]
    assert json.loads(after) == json.loads(before)


def test_fastapis_own_tests_pass_for_who_is_logged_in(guarded: Path) -> None:
    """All but those that compare the document with that of the very same release."""
    (guarded / "conftest.py").write_text(LOGGED_IN)
    tests = ["tests/test_tutorial/test_sql_databases/test_tutorial002.py"]
    tests += ["tests/test_tutorial/test_bigger_applications/test_main.py"]
    command = [
        "-m",
        "pytest",
        "-q",
        "-c",
        os.devnull,
        "--rootdir",
        ".",
        "-k",
        "not openapi",
        *tests,
    ]

    printed = run(guarded, *command, AUTHORIZATION=f"Bearer {_token(guarded)}")

    passed: Any = re.search(r"(\d+) passed", printed)
    assert int(passed[1]) >= 20, printed
    with pytest.raises(AssertionError, match="401"):
        run(guarded, *command, AUTHORIZATION="Bearer nothing")


def _token(guarded: Path) -> str:
    """Of a user who has just signed up."""
    logs_in = f"""
import asyncio
from asgi_token_auth import TokenAuth

async def log_in():
    async with TokenAuth.from_env(send_mail=False) as auth:
        await auth.accounts.sign_up(**{USER})
        return (await auth.accounts.log_in(**{USER})).token

print(asyncio.run(log_in()))
"""
    return run(guarded, "-c", logs_in).splitlines()[-1]
