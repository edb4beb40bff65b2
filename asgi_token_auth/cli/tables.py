"""create-tables, migrate, purge, purge-expired."""

import argparse
from typing import Any

from asgi_token_auth.auth import TokenAuth
from asgi_token_auth.cli.commands import add_command


def add_commands(commands: Any) -> None:
    add_command(commands, "create-tables", "create the tables that are not there yet", _create)
    present = "bring the tables to the present schema (extra: migrations)"
    migrate = add_command(commands, "migrate", present, _migrate)
    migrate.add_argument("--sql", action="store_true", help="print the statements, run none")
    everything = "delete all that is over: expired tokens, old mails, events and news"
    add_command(commands, "purge", everything, _purge)
    add_command(commands, "purge-expired", "delete expired tokens", _purge_expired)


async def _create(auth: TokenAuth, options: argparse.Namespace) -> str:
    await auth.create_tables()
    return "ok"


async def _migrate(auth: TokenAuth, options: argparse.Namespace) -> str:
    if options.sql:
        return await auth.migration_sql()
    await auth.migrate()
    return "ok"


async def _purge(auth: TokenAuth, options: argparse.Namespace) -> str:
    purged = await auth.accounts.purge()
    return "\n".join(f"{count} {name} deleted" for name, count in purged.items())


async def _purge_expired(auth: TokenAuth, options: argparse.Namespace) -> str:
    return f"{await auth.accounts.purge_expired()} expired tokens deleted"
