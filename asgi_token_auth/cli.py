"""The command line: asgi-token-auth ..."""

import argparse
import asyncio
import getpass
import os
import secrets
import sys
from collections.abc import Sequence
from typing import Any

from asgi_token_auth.auth import TokenAuth
from asgi_token_auth.exceptions import TokenAuthError

SETTINGS = "Settings are read from the environment: TOKEN_AUTH_DATABASE, TOKEN_AUTH_SECRET_KEY, ..."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0 when it is done, 1 when it is refused or fails."""
    options = _parser().parse_args(arguments)
    if options.command == "generate-secret":
        print(secrets.token_urlsafe(48))
        return 0
    try:
        print(asyncio.run(_run(options)))
    except TokenAuthError as error:
        print(f"asgi-token-auth: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asgi-token-auth", description=SETTINGS)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("generate-secret", help="print a new secret key")
    for name, text in (
        ("create-tables", "create the tables that are not there yet"),
        ("create-user", "sign a user up; the password is asked for, or read from standard input"),
        ("purge-expired", "delete expired tokens"),
    ):
        command = commands.add_parser(name, help=text, description=SETTINGS)
        command.add_argument("--database-url", help="instead of TOKEN_AUTH_DATABASE")
        if name == "create-user":
            who = command.add_mutually_exclusive_group(required=True)
            who.add_argument("--email", help="is sent a mail to confirm the address")
            who.add_argument("--username", help="is confirmed at once")
    return parser


async def _run(options: argparse.Namespace) -> str:
    auth = TokenAuth.from_env(_environment(options))
    try:
        if options.command == "create-tables":
            await auth.create_tables()
            return "ok"
        if options.command == "purge-expired":
            return f"{await auth.accounts.purge_expired()} expired tokens deleted"
        return await _create_user(auth, options)
    finally:
        await auth.shutdown()


async def _create_user(auth: TokenAuth, options: argparse.Namespace) -> str:
    given: dict[str, Any] = {"email": options.email, "username": options.username}
    fields = {name: value for name, value in given.items() if value is not None}
    user = await auth.accounts.sign_up(**fields, password=_read_password())
    return "ok" if user is None else f"user {user.id} created"


def _read_password() -> str:
    # Never an argument: every user of the machine can read those.
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\r\n")


def _environment(options: argparse.Namespace) -> dict[str, str]:
    if options.database_url is None:
        return dict(os.environ)
    return {**os.environ, "TOKEN_AUTH_DATABASE": options.database_url}
