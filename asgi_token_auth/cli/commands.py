"""What all commands have in common."""

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

from asgi_token_auth.auth import TokenAuth


class Partly(str):
    """What is printed when some of the work was refused: the exit status tells, too."""

    __slots__ = ()


Run = Callable[[TokenAuth, argparse.Namespace], Awaitable[str]]


def add_command(commands: Any, name: str, description: str, run: Run) -> argparse.ArgumentParser:
    """Adds a command that works with a TokenAuth; `run` gives what is printed."""
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=description, description=description
    )
    command.add_argument("--database-url", help="instead of TOKEN_AUTH_DATABASE")
    command.set_defaults(run=run)
    return command
