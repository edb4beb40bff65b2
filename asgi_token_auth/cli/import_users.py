"""import-users: from a file, or straight from another application's table."""

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, TextIO

from asgi_token_auth.accounts import ImportOptions, ImportReport, Record
from asgi_token_auth.auth import TokenAuth
from asgi_token_auth.cli.commands import Partly, add_command
from asgi_token_auth.cli.user_files import read_csv, read_json_lines
from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.storage.users_elsewhere import read_users_table

DESCRIPTION = "take over users with their password hashes, from JSON lines, CSV, or a table by URL"
MOST_SHOWN = 20
SECONDS_BETWEEN = {True: 0.5, False: 10.0}  # between two progress lines, on a terminal or not


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
    command.add_argument("--from-url", metavar="URL", help="read another database, and no file")
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
    preset = PRESETS[options.preset] if options.preset else Preset("users", {})
    reading = ImportOptions(
        names={**preset.names, **_names(options.map)},
        drop_unknown=bool(options.from_url or options.preset),
        assume_confirmed=options.assume_confirmed,
        keep_ids=options.keep_ids,
        dry_run=options.dry_run,
    )
    with contextlib.ExitStack() as stack:
        records = _records(auth, options, preset, stack)
        told = _Told(_open_refused(options.refused, stack))
        report = await auth.accounts.import_users(
            records, reading, on_refused=told.refuse, on_batch=told.progress
        )
    told.end()
    return _text(report, dry_run=options.dry_run)


def _names(given: list[str]) -> dict[str, str]:
    names = dict(each.partition("=")[::2] for each in given)
    if not all("=" in each for each in given) or "" in names:
        raise SettingsError("--map is THEIRS=OURS")
    return names


def _records(
    auth: TokenAuth, options: argparse.Namespace, preset: Preset, stack: contextlib.ExitStack
) -> AsyncIterator[Record]:
    if options.from_url:
        return _from_table(auth, options, options.from_table or preset.table)
    if options.from_table:
        raise SettingsError("--from-table needs --from-url")
    file = stack.enter_context(_open(options.file))
    is_csv = options.format == "csv" or (not options.format and options.file.endswith(".csv"))
    return read_csv(file) if is_csv else read_json_lines(file)


async def _from_table(
    auth: TokenAuth, options: argparse.Namespace, table: str
) -> AsyncIterator[Record]:
    seconds = auth.settings.database_timeout.total_seconds()
    rows = read_users_table(options.from_url, table, key=options.key, timeout=seconds)
    async with contextlib.aclosing(rows):
        async for row in rows:
            yield Record(f"{options.key} {row[options.key]}", row)


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


class _Told:
    """What whoever runs the import sees meanwhile, on standard error."""

    def __init__(self, refused: TextIO | None) -> None:
        self._refused = refused
        self._shown = 0
        self._on_terminal = sys.stderr.isatty()
        self._next = time.monotonic()
        self._line_is_open = False

    def refuse(self, record: Record, reason: str) -> None:
        if self._refused is not None:
            fields = {**record.fields, "refused": f"{record.origin} {reason}"}
            self._refused.write(json.dumps(fields, default=str) + "\n")
        self._shown += 1
        if self._shown <= MOST_SHOWN:
            self.end()
            _print(_printable(f"{record.origin} refused: {reason}"))
        elif self._shown == MOST_SHOWN + 1:
            _print("more are refused: --refused FILE has them all")

    def progress(self, report: ImportReport) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS_BETWEEN[self._on_terminal]
        self._line_is_open = self._on_terminal
        refused = sum(report.refused.values())
        line = f"{report.read:,} read, {report.imported:,} imported, {refused:,} refused"
        _print(f"\r{line}" if self._on_terminal else line, end="" if self._on_terminal else "\n")

    def end(self) -> None:
        """Leaves the progress line."""
        if self._line_is_open:
            _print("")
        self._line_is_open = False


def _print(line: str, end: str = "\n") -> None:
    print(line, end=end, file=sys.stderr, flush=True)


def _printable(text: str) -> str:
    """Escaped: what somebody else put into the file must not steer the terminal."""
    return text.encode("unicode_escape").decode()


def _text(report: ImportReport, *, dry_run: bool) -> str:
    verb = "would be imported" if dry_run else "imported"
    lines = [f"{report.imported} {verb}", f"{report.already_there} already there"]
    lines += [f"{count} refused: {_printable(why)}" for why, count in report.refused.items()]
    return Partly("\n".join(lines)) if report.refused else "\n".join(lines)
