"""The command line: asgi-token-auth ..."""

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import Mapping, Sequence

from asgi_token_auth.auth import TokenAuth
from asgi_token_auth.cli import import_users, outbox, tables, users
from asgi_token_auth.cli.application import load
from asgi_token_auth.cli.commands import Partly
from asgi_token_auth.exceptions import SettingsError, TokenAuthError

DESCRIPTION = (
    "Settings are read from the environment (TOKEN_AUTH_DATABASE, TOKEN_AUTH_SECRET_KEY, ...),"
    " or are those of the TokenAuth that --app names."
)
DATABASE = "TOKEN_AUTH_DATABASE"
ROOMS = (tables, users, import_users, outbox)
PARTLY_DONE = 3
INTERRUPTED = 130  # as shells have it: 128, and SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0 when it is done, 1 when it is refused or fails, 3 when an import
    refused some of its users, 130 when it is stopped from the keyboard."""
    options = parser().parse_args(arguments)
    if options.command == "generate-secret":
        print(secrets.token_urlsafe(48))
        return 0
    try:
        report = asyncio.run(_run(options))
    except TokenAuthError as error:
        print(f"asgi-token-auth: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("asgi-token-auth: stopped", file=sys.stderr)
        return INTERRUPTED
    print(report)
    return PARTLY_DONE if isinstance(report, Partly) else 0


def parser() -> argparse.ArgumentParser:
    """Reads the command line."""
    command_line = argparse.ArgumentParser(prog="asgi-token-auth", description=DESCRIPTION)
    command_line.add_argument(
        "--app", help="MODULE:NAME of your TokenAuth, instead of the environment"
    )
    commands = command_line.add_subparsers(dest="command", required=True)
    commands.add_parser("generate-secret", help="print a new secret key")
    for room in ROOMS:
        room.add_commands(commands)
    return command_line


async def _run(options: argparse.Namespace) -> str:
    auth = _token_auth(options)
    try:
        report: str = await options.run(auth, options)
        return report
    finally:
        await auth.shutdown()


def _token_auth(options: argparse.Namespace) -> TokenAuth:
    url: str | None = options.database_url
    if not options.app:
        return _from_environment(os.environ if url is None else os.environ | {DATABASE: url})
    if url is not None:
        raise SettingsError("--app has its own database: leave --database-url out")
    return load(options.app)


def _from_environment(environ: Mapping[str, str]) -> TokenAuth:
    try:
        return TokenAuth.from_env(environ)
    except SettingsError as error:
        if " is missing" not in str(error):
            raise
        hint = "a TokenAuth of your own is named by --app MODULE:NAME"
        raise SettingsError(str(error), hint) from error
