"""asgi-token-auth import-users, as an operator types it, and as its users then log in."""

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from conftest import run_sql, running_service
from passlib.context import CryptContext
from passlib.hash import (
    argon2,
    bcrypt,
    django_argon2,
    django_bcrypt_sha256,
    django_pbkdf2_sha256,
    pbkdf2_sha512,
    scrypt,
)
from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
)
from test_cli import run

from asgi_token_auth import TokenAuth, users_table
from asgi_token_auth.cli import main, progress
from asgi_token_auth.storage.tables import MYSQL
from asgi_token_auth.testing import SECRET_KEY

CONTEXT = CryptContext(
    schemes=[
        "argon2",
        "bcrypt",
        "pbkdf2_sha512",
        "scrypt",
        "django_argon2",
        "django_bcrypt_sha256",
        "django_pbkdf2_sha256",
        "django_disabled",
        "plaintext",
    ],
    deprecated="auto",
    argon2__memory_cost=8,
    argon2__time_cost=1,
    argon2__parallelism=1,
)
APPLICATION = """
import os
from asgi_token_auth import TokenAuth
from asgi_token_auth.testing import SECRET_KEY, Mailbox, settings
from test_import_users import CONTEXT

chosen = {**settings(Mailbox()), "password_context": CONTEXT}
auth = TokenAuth(database=os.environ["DATABASE"], **chosen)
"""
STRONG = argon2.using(memory_cost=8, rounds=1, parallelism=1).hash("secret")
HASHES = {
    "bcrypt of Comeonin": bcrypt.using(rounds=4, ident="2b").hash("secret"),
    "bcrypt of Devise": bcrypt.using(rounds=4, ident="2a").hash("secret"),
    "bcrypt of PHP": bcrypt.using(rounds=4, ident="2y").hash("secret"),
    "argon2": argon2.using(memory_cost=16, rounds=1, parallelism=1).hash("secret"),
    "pbkdf2 of Comeonin": pbkdf2_sha512.using(rounds=10).hash("secret"),
    "scrypt": scrypt.using(rounds=4).hash("secret"),
    "pbkdf2 of Django": django_pbkdf2_sha256.using(rounds=10).hash("secret"),
    "argon2 of Django": django_argon2.using(memory_cost=8, rounds=1, parallelism=1).hash("secret"),
    "bcrypt of Django": django_bcrypt_sha256.using(rounds=4).hash("secret"),
}


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Import = Callable[..., Awaitable[Result]]
chosen = SimpleNamespace()  # .auth is what --app names


def own_users() -> Any:
    columns: list[Any] = [
        Column("name", String(20), nullable=False),
        Column("visits", Integer),
        Column("is_staff", Boolean),
        Column("tags", JSON),
        Column("nick", String(20), unique=True),
        CheckConstraint("visits >= 0"),
    ]
    return users_table(MetaData(), *columns)


@pytest.fixture
async def command(database_url: str, tmp_path: Path) -> Import:
    """The command, on an application with cheap hashes, whose tables are there."""
    return await command_on(database_url, tmp_path)


async def command_on(url: str, directory: Path, **overrides: Any) -> Import:
    """In this process, as Python takes a second to start; what is given comes in a file."""
    common: dict[str, Any] = {"secret_key": SECRET_KEY, "email_sender": "app@example.com"}
    common |= {"database": url, "password_context": CONTEXT, **overrides}
    auth = TokenAuth(**common)
    await auth.create_tables()
    await auth.shutdown()

    def execute(*arguments: str, terminal: io.StringIO | None = None) -> Result:
        chosen.auth = TokenAuth(**common)
        out, err = io.StringIO(), terminal or io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["--app", "test_import_users:chosen.auth", "import-users", *arguments])
        return Result(code, out.getvalue(), err.getvalue())

    async def command(*arguments: str, given: str | None = None, **options: Any) -> Result:
        if given is not None:
            (directory / "given.jsonl").write_text(given)
            arguments = (str(directory / "given.jsonl"), *arguments)
        return await asyncio.to_thread(execute, *arguments, **options)

    return command


def lines(*users: dict[str, Any]) -> str:
    return "".join(json.dumps(user) + "\n" for user in users)


def user(email: str, **fields: Any) -> dict[str, Any]:
    return {"email": email, "hashed_password": STRONG, "confirmed_at": True, **fields}


async def test_whoever_comes_with_a_hash_logs_in_and_the_hash_is_upgraded(
    command: Import, database_url: str
) -> None:
    """Of each format that people bring along; nobody has to set a new password."""
    emails = {f"user{number}@example.com": name for number, name in enumerate(HASHES)}
    given = [user(email, hashed_password=HASHES[name]) for email, name in emails.items()]

    result = await command(given=lines(*given))

    assert result.stdout == f"{len(HASHES)} imported\n0 already there\n", result.stderr
    assert result.returncode == 0
    async with running_service(database_url, password_context=CONTEXT) as service:
        users = service.auth.users
        for email, name in emails.items():
            assert (await service.log_in(email, "Secret")).status_code == 401, name
            assert (await service.log_in(email)).status_code == 200, name
        stored = await service.auth._parts.database.read(
            lambda session: session.all(users.select())
        )
        assert {row.hashed_password.split("$")[3] for row in stored} == {"m=8,t=1,p=1"}
        assert not {row.hashed_password for row in stored} & set(HASHES.values())
        assert (await service.log_in("user0@example.com")).status_code == 200
        await service.sign_up("new@example.com")  # the next id is free


REFUSALS = {
    "is not JSON": "{",
    "is no JSON object": "[1]",
    "email can't be blank": user(""),
    "email invalid": user("a@b@c"),
    "username invalid": user("ok@example.com", username="two words"),
    "hashed_password can't be blank": user("ok@example.com", hashed_password=None),
    "hashed_password invalid": user("ok@example.com", hashed_password=5),
    "is no whole hash": user("ok@example.com", hashed_password="secret"),
    "is no whole hash ": user("ok@example.com", hashed_password=STRONG[:-10]),
    "is no whole hash  ": user("ok@example.com", hashed_password="$pbkdf2-sha512$10$c2FsdA"),
    "is no whole hash   ": user("ok@example.com", hashed_password="!unusable"),
    "confirmed_at invalid": user("ok@example.com", confirmed_at="yesterday"),
    "confirmed_at invalid ": user("ok@example.com", confirmed_at=-5),
    "confirmed_at invalid  ": user("ok@example.com", confirmed_at=float("inf")),
    "is_active is false": user("ok@example.com", is_active=False),
    "role has no column": user("ok@example.com", role="admin"),
    "email has already been taken": user("There@Example.com", hashed_password=HASHES["argon2"]),
    "username has already been taken": user("ok@example.com", username="there"),
    "email has already been taken ": user("there@example.com", username="other"),
}


async def test_what_is_wrong_is_refused_with_its_line_and_why(
    command: Import, database_url: str, tmp_path: Path
) -> None:
    """Nothing is guessed, nothing is overwritten, and no hash is shown."""
    there = user("there@example.com", username="there")
    assert (await command(given=lines(there))).returncode == 0
    given = "".join(one + "\n" if isinstance(one, str) else lines(one) for one in REFUSALS.values())
    refused = tmp_path / "refused.jsonl"

    result = await command("--refused", str(refused), given=lines(there) + given)

    assert result.returncode == 3
    assert result.stdout.startswith("0 imported\n1 already there\n")
    written = [json.loads(line) for line in refused.read_text().splitlines()]
    reasons = {one["refused"].split()[1]: one["refused"] for one in written}
    for number, why in enumerate(REFUSALS, 2):
        assert why.strip() in reasons[str(number)]
        assert f"line {number} refused: " in result.stderr
    assert len(written) == len(REFUSALS)
    assert stat.S_IMODE(refused.stat().st_mode) == 0o600
    assert "$argon2" not in result.stdout + result.stderr
    async with running_service(database_url, password_context=CONTEXT) as service:
        assert (await service.log_in("there@example.com")).status_code == 200
        assert (await service.log_in("ok@example.com")).status_code == 401


def test_a_scheme_that_can_not_be_verified_is_named(sqlite_url: str) -> None:
    """Its user could never log in; the settings say what is missing."""
    settings = {"TOKEN_AUTH_SECRET_KEY": "k" * 40, "TOKEN_AUTH_EMAIL_SENDER": "app@example.com"}
    database = ("--database-url", sqlite_url)
    run("create-tables", *database, **settings)
    given = lines(user("a@example.com", hashed_password=HASHES["pbkdf2 of Django"]))

    result = run("import-users", *database, given=given, **settings)

    assert result.returncode == 3
    assert "django_pbkdf2_sha256: add it to password_context's schemes" in result.stdout


async def test_an_import_that_was_killed_is_begun_again(
    command: Import, database_url: str, tmp_path: Path
) -> None:
    """What is there counts as done; each batch is there as a whole, or not at all."""
    given = lines(*(user(f"user{number}@example.com") for number in range(3_000)))
    (tmp_path / "application.py").write_text(APPLICATION)
    environment = {**os.environ, "DATABASE": database_url, "PYTHONWARNINGS": "ignore"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), *sys.path])
    process = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-m", "asgi_token_auth", "--app", "application:auth", "import-users"],
        env=environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write("".join(given.splitlines(keepends=True)[:1_200]))
    process.stdin.flush()
    # One batch at least is in, and one is begun.
    assert any("500 read" in line for line in iter(process.stderr.readline, ""))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stderr.close()

    result = await command(given=given)

    imported, there = (int(line.split()[0]) for line in result.stdout.splitlines())
    assert result.returncode == 0
    assert there in (500, 1_000)
    assert imported == 3_000 - there
    assert (await command(given=given)).stdout == "0 imported\n3000 already there\n"


async def test_a_dry_run_tells_all_and_writes_nothing(command: Import, tmp_path: Path) -> None:
    """Its report is that of the import, also where one line stands in another's way."""
    given = lines(
        *(user(f"user{number}@example.com") for number in range(600)),
        user("user0@example.com"),
        user("USER1@example.com", hashed_password=HASHES["argon2"]),
        user("nobody"),
    )

    dry = await command("--dry-run", given=given)
    real = await command(given=given)

    assert dry.returncode == real.returncode == 3
    assert dry.stdout == real.stdout.replace("imported", "would be imported")
    assert real.stdout.startswith("600 imported\n1 already there\n")


async def test_a_csv_file_fills_columns_of_ones_own(database_url: str, tmp_path: Path) -> None:
    """Its text becomes what the columns hold; times come in ISO 8601, seconds, or milliseconds."""
    command = await command_on(database_url, tmp_path, users=own_users())
    file = tmp_path / "users.csv"
    file.write_text(
        "\ufeffmail,hashed_password,confirmed_at,name,visits,is_staff,tags,old\n"
        f'a@example.com,{quoted(STRONG)},2020-01-01T01:00:00+01:00,Ada,3,t,"[""x""]",1\n'
        f"b@example.com,{quoted(STRONG)},1577836800,Bob,,false,,1\n"
        f"c@example.com,{quoted(STRONG)},1577836800000,Carl,,,,1\n"
        f"d@example.com,{quoted(STRONG)},,Dan,,,,1\n"
        f"e@example.com,{quoted(STRONG)},,,,,,1\n"
        f"f@example.com,{quoted(STRONG)},,Fay,three,,,1\n"
        f"g@example.com,{quoted(STRONG)},,Gus\n",
        encoding="utf-8",
    )

    result = await command(str(file), "--map", "mail=email", "--map", "old=")

    assert result.stdout == (
        "4 imported\n0 already there\n"
        "1 refused: name can't be blank\n1 refused: visits invalid\n"
        "1 refused: has fewer fields than the header\n"
    ), result.stderr
    async with running_service(
        database_url, password_context=CONTEXT, users=own_users()
    ) as service:
        users = [await service.auth.accounts.get(number) for number in (1, 2, 3, 4)]
        ada, bob, carl, dan = users
        assert ada is not None
        assert (ada.name, ada.visits, ada.is_staff, ada.tags) == ("Ada", 3, True, ["x"])
        assert bob is not None
        assert (bob.visits, bob.is_staff) == (None, False)
        assert carl is not None
        assert dan is not None
        assert {ada.confirmed_at, bob.confirmed_at, carl.confirmed_at} == {1_577_836_800_000}
        assert dan.confirmed_at is None
        answer = await service.log_in("d@example.com")
        assert (answer.status_code, "not confirmed yet" in answer.text) == (401, True)


async def test_what_only_the_database_refuses_stands_in_nobody_elses_way(
    database_url: str, tmp_path: Path
) -> None:
    """A batch with one bad row is the others' batch too."""
    command = await command_on(database_url, tmp_path, users=own_users())
    given = lines(
        user("a@example.com", name="Ada", nick="x"),
        user("b@example.com", name="Bob", nick="x"),
        user("c@example.com", name="Carl", visits=-1),
        user("d@example.com", name="Dan", nick="y"),
    )

    result = await command(given=given)

    assert result.stdout.splitlines() == [
        "2 imported",
        "0 already there",
        "1 refused: nick has already been taken",
        "1 refused: a constraint of the users table is against it",
    ]


def quoted(stored: str) -> str:
    return '"' + stored + '"'


@pytest.mark.parametrize("option", ["--assume-confirmed", "--keep-ids"])
async def test_confirmed_and_ids_are_as_one_says(
    command: Import, database_url: str, option: str
) -> None:
    """By default nobody is confirmed whom nobody confirmed, and ids are the database's own."""
    given = lines(
        {"id": 70, "username": "ada", "hashed_password": STRONG},
        {"id": "71", "username": "bob", "hashed_password": STRONG, "confirmed_at": None},
    )

    assert (await command(option, given=given)).stdout == "2 imported\n0 already there\n"

    async with running_service(database_url, password_context=CONTEXT) as service:
        ids = (70, 71) if option == "--keep-ids" else (1, 2)
        ada, bob = [await service.auth.accounts.get(number) for number in ids]
        assert ada is not None
        assert bob is not None
        assert (ada.username, bob.username) == ("ada", "bob")
        assert bool(ada.confirmed_at) == (option == "--assume-confirmed")
        assert bob.confirmed_at is None
        carl = await service.auth.accounts.sign_up(username="carl", password="secret")
        assert carl is not None
        assert carl.id == ids[-1] + 1


async def test_ids_that_are_uuids_are_kept(database_url: str, tmp_path: Path) -> None:
    """Whatever the database makes of a UUID; and whoever is there counts as done."""
    columns = users_table().columns
    key = Column("id", Uuid(native_uuid=False), primary_key=True)
    own = [column._copy() for column in columns if column.name != "id"]
    table = Table("people", MetaData(), key, *own, **MYSQL)
    command = await command_on(database_url, tmp_path, users=table)
    ids = [str(uuid.uuid4()) for _ in range(3)]
    given = lines(*(user(f"{number}@example.com", id=key) for number, key in enumerate(ids)))

    first = await command("--keep-ids", given=given)

    assert first.stdout == "3 imported\n0 already there\n", first.stderr
    async with running_service(database_url, password_context=CONTEXT, users=table) as service:
        assert (await service.log_in("1@example.com")).json()["id"] == ids[1]
    again = await command("--keep-ids", given=given.splitlines(keepends=True)[0])
    assert again.stdout == "0 imported\n1 already there\n", again.stderr


TABLES = {
    "phoenix_token_auth": (
        "CREATE TABLE users (id BIGINT PRIMARY KEY, email VARCHAR(99), username VARCHAR(99),"
        " hashed_password VARCHAR(255), hashed_password_reset_token VARCHAR(255),"
        " confirmed_at TIMESTAMP NULL)",
        "INSERT INTO users VALUES ({id}, '{email}', NULL, '{hash}', 'x', {time})",
        HASHES["bcrypt of Comeonin"],
    ),
    "fastapi-users": (
        'CREATE TABLE "user" (id CHAR(36) PRIMARY KEY, email VARCHAR(320),'
        " hashed_password VARCHAR(1024), is_active BOOLEAN, is_superuser BOOLEAN,"
        " is_verified BOOLEAN)",
        "INSERT INTO \"user\" VALUES ('{uuid}', '{email}', '{hash}', {active}, true, {verified})",
        HASHES["argon2"],
    ),
    "django": (
        "CREATE TABLE auth_user (id INTEGER PRIMARY KEY, password VARCHAR(128),"
        " is_superuser BOOLEAN, username VARCHAR(150), email VARCHAR(254), is_active BOOLEAN)",
        "INSERT INTO auth_user VALUES ({id}, '{hash}', true, 'user{id}', '{email}', {active})",
        HASHES["pbkdf2 of Django"],
    ),
}
SOURCE_ROWS = 1_203


@pytest.mark.parametrize("preset", TABLES)
async def test_users_come_straight_from_another_table(
    database_url: str,
    sqlite_url: str,
    tmp_path: Path,
    preset: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its URL, page by page; who is not active there is not let in here."""
    create, insert, stored = TABLES[preset]
    statements = [create, *(source_row(insert, stored, n) for n in range(SOURCE_ROWS))]
    if database_url.startswith("mysql"):
        statements.insert(0, "SET sql_mode = 'ANSI_QUOTES'")
    if database_url.startswith("sqlite"):
        database_url = f"sqlite:///{tmp_path}/source.db"
        with sqlite3.connect(tmp_path / "source.db") as source:
            for statement in statements:
                source.execute(statement)
        source.close()
    else:
        await run_sql(database_url, *statements)
    command = await command_on(sqlite_url, tmp_path)
    monkeypatch.setenv("OLD_DATABASE", database_url)
    by_name = preset == "django"
    where = ("--from-url-env", "OLD_DATABASE") if by_name else ("--from-url", database_url)
    where += ("--preset", preset)

    result = await command(*where, *(["--assume-confirmed"] if preset == "django" else []))

    refused = "1 refused: is_active is false: who was shut out there must not get in here\n"
    expected = f"{SOURCE_ROWS} imported\n0 already there\n"
    if preset != "phoenix_token_auth":
        expected = f"{SOURCE_ROWS - 1} imported\n0 already there\n{refused}"
    assert result.stdout == expected, result.stderr
    async with running_service(sqlite_url, password_context=CONTEXT) as service:
        assert (await service.log_in("user0@example.com")).status_code == 200
        assert (await service.log_in("user1@example.com")).status_code == (
            200 if preset == "django" else 401
        )
        assert (await service.log_in(f"user{SOURCE_ROWS - 1}@example.com")).status_code == 200


def source_row(insert: str, stored: str, number: int) -> str:
    """The second is not confirmed, the third is not active."""
    return insert.format(
        id=number + 1 if number < 600 else 2**40 + number if "BIGINT" in insert else number + 1,
        uuid=f"00000000-0000-4000-8000-{number:012}",
        email=f"user{number}@example.com",
        hash=stored,
        time="NULL" if number == 1 else "'2020-01-01 00:00:00'",
        active="false" if number == 2 else "true",
        verified="false" if number == 1 else "true",
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["missing.csv"], "missing.csv can't be read"),
        (["--from-url", "sqlite:////nowhere/x.db"], "there is no such file"),
        (["--from-url", "nonsense"], "must be a URL"),
        (["--from-table", "users"], "--from-table needs --from-url"),
        (["--from-url-env", "NOT_SET"], "--from-url-env: NOT_SET is not set"),
        ([__file__, "--from-url", "sqlite:///x.db"], "only one of them can be read"),
        (["--map", "mail"], "--map is THEIRS=OURS"),
        ([__file__, "--refused", "/nowhere/x"], "/nowhere/x can't be written"),
    ],
)
async def test_wrong_arguments_are_told_in_one_line(
    sqlite_url: str, tmp_path: Path, arguments: list[str], why: str
) -> None:
    """Nothing is imported, and no traceback shows a URL's password."""
    result = await (await command_on(sqlite_url, tmp_path))(*arguments)

    assert result.returncode == 1
    assert why in result.stderr
    assert "Traceback" not in result.stderr


class Terminal(io.StringIO):
    """One that is 60 characters wide."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """What one saw, each time that it changed."""
        return [line.rstrip() for line in self.getvalue().replace("\r", "\n").split("\n")]


@pytest.mark.parametrize("source", ["file", "table", "pipe"])
async def test_a_terminal_shows_a_bar_in_one_line(
    sqlite_url: str, tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How far it is, where anybody can know; what is refused stands in lines of its own."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setitem(progress.SECONDS_BETWEEN, True, 0.0)
    given = [user(f"user{number}@example.com") for number in range(1_199)]
    (tmp_path / "users.jsonl").write_text(lines(*given, user("nobody")))
    command = await command_on(sqlite_url, tmp_path)
    arguments = [str(tmp_path / "users.jsonl")]
    if source == "table":
        with sqlite3.connect(tmp_path / "old.db") as old:
            old.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, hashed_password)")
            rows = [(each["email"], STRONG) for each in [*given, {"email": "nobody"}]]
            old.executemany("INSERT INTO users (email, hashed_password) VALUES (?, ?)", rows)
        old.close()
        arguments = ["--from-url", f"sqlite:///{tmp_path}/old.db"]
    if source == "pipe":
        reader, writer = os.pipe()
        threading.Thread(target=feed, args=(writer, tmp_path / "users.jsonl")).start()
        arguments = [f"/dev/fd/{reader}"]

    result = await command(*arguments, terminal=(terminal := Terminal()))

    assert result.stdout.startswith("1199 imported\n")
    shown = terminal.lines()
    bar = r"\[#{6,9} +\]  \d\d% 500 read, " if source != "pipe" else r"500 read, "
    assert re.match(bar, next(line for line in shown if "500 read" in line))
    assert any("refused: email invalid" in line and "read" not in line for line in shown)
    assert "1,199 imported, 1 refused"[:9] in shown[-2]
    assert max(map(len, shown)) < 60
    assert "100%" in shown[-2] or source == "pipe"


def feed(writer: int, path: Path) -> None:
    with open(writer, "wb") as pipe:
        pipe.write(path.read_bytes())
