"""outbox run, list, retry, purge: mails that wait, that were sent, and dead letters."""

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from asgi_token_auth.auth import TokenAuth
from asgi_token_auth.cli.commands import add_command
from asgi_token_auth.storage.outbox import OutboxRow, State

A_MILLION = 1_000_000
COLUMNS = "id\tstate\tkind\tattempts\twritten\tnext attempt\trecipient\tlast error"


def add_commands(commands: Any) -> None:
    outbox = commands.add_parser("outbox", help="mails: send, list, try again, delete")
    below = outbox.add_subparsers(dest="outbox_command", required=True)
    run = add_command(below, "run", "send mails until stopped by SIGINT or SIGTERM", _run)
    run.add_argument("--once", action="store_true", help="send what is due, then end")
    listing = add_command(below, "list", "list mails, without their text, newest first", _list)
    listing.add_argument("--state", choices=get_args(State))
    listing.add_argument("--limit", type=_positive(int), default=100)
    retry = add_command(below, "retry", "queue dead letters once more", _retry)
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", nargs="*", default=[], metavar="ID")
    which.add_argument("--all", action="store_true")
    purge = add_command(below, "purge", "delete what is over and done with", _purge)
    purge.add_argument("--sent-days", type=_positive(float), default=1.0, metavar="DAYS")
    purge.add_argument("--dead-days", type=_positive(float), default=30.0, metavar="DAYS")


async def _run(auth: TokenAuth, options: argparse.Namespace) -> str:
    if options.once:
        return f"{await auth.sender.deliver_due()} mails tried"
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: SIGINT raises KeyboardInterrupt
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    auth.sender.start()
    print("sending", flush=True)
    await stop.wait()
    return "stopped"


async def _list(auth: TokenAuth, options: argparse.Namespace) -> str:
    rows = await auth.outbox.list(options.state, limit=options.limit)
    return "\n".join([COLUMNS, *map(_line, rows)])


async def _retry(auth: TokenAuth, options: argparse.Namespace) -> str:
    count = await auth.outbox.retry(None if options.all else options.ids)
    return f"{count} mails queued"


async def _purge(auth: TokenAuth, options: argparse.Namespace) -> str:
    sent, dead = timedelta(days=options.sent_days), timedelta(days=options.dead_days)
    return f"{await auth.outbox.purge(sent=sent, dead=dead)} mails deleted"


def _line(row: OutboxRow) -> str:
    times = (_time(row.created_at), _time(row.next_attempt_at) if row.state == "queued" else "-")
    who_and_why = (row.recipient, row.last_error or "-")
    cells = (row.id, row.state, row.kind, row.attempts, *times, *who_and_why)
    # Escaped: what somebody else put into the table must not steer the terminal.
    return "\t".join(str(cell).encode("unicode_escape").decode() for cell in cells)


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "-"
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _positive(number: type) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        value = number(text)
        if not 0 < value <= A_MILLION:  # `not`: nan is neither
            raise ValueError
        return value

    return read
