"""import-users: from a file, or straight from another application's table."""

import argparse
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, TextIO

from asgi_token_auth.accounts import ImportOptions, ImportReport, Record
from asgi_token_auth.auth import TokenAuth
from asgi_token_auth.cli.commands import Partly, add_command
from asgi_token_auth.cli.progress import Fraction, Told, printable
from asgi_token_auth.cli.user_files import read_csv, read_json_lines, share_read
from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.storage.users_elsewhere import UsersElsewhere

DESCRIPTION = "take over users with their password hashes, from JSON lines, CSV, or a table by URL"


class Preset(NamedTuple):
    """Another library's table: its name, and its columns' names with ours."""

    table: str
    names: dict[str, str]


PRESETS = {
    "phoenix_token_auth": Preset("users", {}),
    "fastapi-users": Preset("user", {"is_verified": "confirmed_at"}),
    "django": Preset("auth_user", {"password": "hashed_password"}),
}


def add_commands(commands: Any) -> None:
    command = add_command(commands, "import-users", DESCRIPTION, _import)
    command.add_argument("file", nargs="?", default="-", help="- or none: standard input")
    command.add_argument("--format", choices=("jsonl", "csv"), help="else by the file's name")
    source = command.add_mutually_exclusive_group()
    source.add_argument("--from-url", metavar="URL", help="read another database, and no file")
    source.add_argument(
        "--from-url-env", metavar="NAME", help="its URL is in this variable, where ps shows none"
    )
    command.add_argument("--from-table", metavar="TABLE", help="there; with --preset its usual one")
    command.add_argument("--key", default="id", help="of that table, its primary key")
    command.add_argument("--preset", choices=sorted(PRESETS), help="whose columns these are")
    command.add_argument(
        "--map", action="append", default=[], metavar="THEIRS=OURS", help="THEIRS=: leave it out"
    )
    command.add_argument("--keep-ids", action="store_true", help="else the database gives new ones")
    command.add_argument(
        "--assume-confirmed", action="store_true", help="who has no confirmed_at is confirmed"
    )
    command.add_argument("--dry-run", action="store_true", help="write nothing, report everything")
    command.add_argument("--refused", metavar="FILE", help="write refused users here, JSON lines")


async def _import(auth: TokenAuth, options: argparse.Namespace) -> str:
    url = _source_url(options)
    preset = PRESETS[options.preset] if options.preset else Preset("users", {})
    reading = ImportOptions(
        names={**preset.names, **_names(options.map)},
        drop_unknown=bool(url or options.preset),
        assume_confirmed=options.assume_confirmed,
        keep_ids=options.keep_ids,
        dry_run=options.dry_run,
    )
    with contextlib.ExitStack() as stack:
        records, fraction = _records(auth, options, url, preset, stack)
        told = Told(fraction, _open_refused(options.refused, stack))
        stack.callback(told.end)
        report = await auth.accounts.import_users(
            records, reading, on_refused=told.refuse, on_batch=told.progress
        )
    return _text(report, dry_run=options.dry_run)


def _names(given: list[str]) -> dict[str, str]:
    names = dict(each.partition("=")[::2] for each in given)
    if not all("=" in each for each in given) or "" in names:
        raise SettingsError("--map is THEIRS=OURS")
    return names


def _source_url(options: argparse.Namespace) -> str | None:
    name, url = options.from_url_env, options.from_url
    if name is not None and not (url := os.environ.get(name)):
        raise SettingsError(f"--from-url-env: {name} is not set")
    if url is not None and options.file != "-":
        raise SettingsError(f"{options.file} and a database's URL: only one of them can be read")
    return str(url) if url else None


def _records(
    auth: TokenAuth,
    options: argparse.Namespace,
    url: str | None,
    preset: Preset,
    stack: contextlib.ExitStack,
) -> tuple[AsyncIterator[Record], Fraction]:
    """The records, and what tells how many of them were read."""
    if url is not None:
        seconds = auth.settings.database_timeout.total_seconds()
        table = options.from_table or preset.table
        users = UsersElsewhere(url, table, key=options.key, timeout=seconds)
        return _from_table(users, options.key), lambda: users.share_read
    if options.from_table:
        raise SettingsError("--from-table needs --from-url")
    file = stack.enter_context(_open(options.file))
    is_csv = options.format == "csv" or (not options.format and options.file.endswith(".csv"))
    records = read_csv(file) if is_csv else read_json_lines(file)
    return records, lambda: share_read(file)


async def _from_table(users: UsersElsewhere, key: str) -> AsyncIterator[Record]:
    async with contextlib.aclosing(users.rows()) as rows:
        async for row in rows:
            yield Record(f"{key} {row[key]}", row)


def _open(path: str) -> TextIO:
    try:
        # What is no UTF-8 comes as lone surrogates, which no field may hold.
        return open(
            sys.stdin.fileno() if path == "-" else path,
            encoding="utf-8-sig",
            errors="surrogateescape",
            newline="",
            closefd=path != "-",
        )
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from error


def _open_refused(path: str | None, stack: contextlib.ExitStack) -> TextIO | None:
    if path is None:
        return None
    try:
        # Hashes are in it: for nobody else to read.
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror}") from error
    return stack.enter_context(open(number, "w", encoding="utf-8"))


def _text(report: ImportReport, *, dry_run: bool) -> str:
    verb = "would be imported" if dry_run else "imported"
    lines = [f"{report.imported} {verb}", f"{report.already_there} already there"]
    lines += [f"{count} refused: {printable(why)}" for why, count in report.refused.items()]
    return Partly("\n".join(lines)) if report.refused else "\n".join(lines)
