"""create-user."""

import argparse
import getpass
import sys
from typing import Any

from asgi_token_auth.auth import TokenAuth
from asgi_token_auth.cli.commands import add_command


def add_commands(commands: Any) -> None:
    description = "sign a user up; the password is asked for, or read from standard input"
    command = add_command(commands, "create-user", description, _create)
    who = command.add_mutually_exclusive_group(required=True)
    who.add_argument("--email", help="is sent a mail to confirm the address")
    who.add_argument("--username", help="is confirmed at once")


async def _create(auth: TokenAuth, options: argparse.Namespace) -> str:
    given: dict[str, Any] = {"email": options.email, "username": options.username}
    fields = {name: value for name, value in given.items() if value is not None}
    user = await auth.accounts.sign_up(**fields, password=_read_password())
    return "ok" if user is None else f"user {user.id} created"


def _read_password() -> str:
    # Never an argument: every user of the machine can read those.
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\r\n")
