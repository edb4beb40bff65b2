"""asgi-token-auth, as an operator types it."""

import subprocess
import sys
from pathlib import Path

from forked import Finished, command_line, run_forked


def run(*arguments: str, given: str = "", **environment: str) -> Finished:
    return run_forked(command_line, *arguments, given=given, environment=environment)


def test_a_new_secret_is_good_and_never_the_same() -> None:
    """It is what the settings ask for."""
    one, two = run("generate-secret").stdout.strip(), run("generate-secret").stdout.strip()

    assert one != two
    assert len(one) >= 32


def test_tables_are_created_users_signed_up_and_tokens_purged(database_url: str) -> None:
    """On each database, as often as one likes."""
    settings = {"TOKEN_AUTH_SECRET_KEY": "k" * 40, "TOKEN_AUTH_EMAIL_SENDER": "app@example.com"}
    database = ("--database-url", database_url)

    for _ in range(2):
        created = run("create-tables", *database, **settings)
        assert (created.stdout, created.stderr) == ("ok\n", "")
    ada = ("create-user", "--username", "ada", *database)
    assert run(*ada, given="secret\n", **settings).stdout == "user 1 created\n"
    again = run(*ada, given="secret\n", **settings)
    assert (again.returncode, again.stderr) == (
        1,
        "asgi-token-auth: username has already been taken\n",
    )
    assert run("purge-expired", *database, **settings).stdout == "0 expired tokens deleted\n"


def test_it_is_a_module_that_runs_too() -> None:
    """Where the console script is not on the path."""
    command = [sys.executable, "-m", "asgi_token_auth", "generate-secret"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (result.returncode, len(result.stdout.strip())) == (0, 64), result.stderr


def test_bcrypt_is_loaded_without_a_word() -> None:
    """passlib complains of a version that it can't find, with a traceback; all works."""
    program = (
        "import logging, asyncio; from asgi_token_auth.passwords import *;"
        "hasher = PasswordHasher(CryptContext(['bcrypt'], bcrypt__rounds=4));"
        "logging.getLogger('passlib.handlers.bcrypt').warning('another warning')"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (result.returncode, result.stderr) == (0, "another warning\n")


def test_a_wrong_environment_is_told_in_one_line(tmp_path: Path) -> None:
    """No traceback, which may show secrets."""
    result = run("create-tables", "--database-url", f"sqlite:///{tmp_path}/x.db")

    assert result.returncode == 1
    assert "TOKEN_AUTH_SECRET_KEY is missing" in result.stderr
    assert "--app MODULE:NAME" in result.stderr
    assert "Traceback" not in result.stderr
