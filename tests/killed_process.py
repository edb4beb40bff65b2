"""A process that signs a user up, sends the mail, and kills itself at a named point."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from asgi_token_auth import Mail, TokenAuth
from asgi_token_auth.passwords import cheapest_context
from asgi_token_auth.storage.outbox import OutboxRows
from asgi_token_auth.testing import SECRET_KEY

fatal = ""


def reach(point: str) -> None:
    if point == fatal:
        os.kill(os.getpid(), signal.SIGKILL)


class Transport:
    def __init__(self, accepted: Path) -> None:
        self._accepted = accepted

    async def send(self, mail: Mail) -> None:
        reach("before send")
        with self._accepted.open("a") as accepted:
            accepted.write(f"{mail.recipient} {mail.id}\n")
        reach("after send")


def around(name: str, point: str) -> None:
    """Points before and after a query on the outbox."""
    query: Callable[..., Awaitable[Any]] = getattr(OutboxRows, name)

    async def watched(*arguments: Any, **values: Any) -> Any:
        reach(f"before {point}")
        result = await query(*arguments, **values)
        reach(f"after {point}")
        return result

    setattr(OutboxRows, name, watched)


async def main(url: str, email: str, accepted: Path) -> None:
    auth = TokenAuth(
        database=url,
        secret_key=SECRET_KEY,
        email_sender="app@example.com",
        mail_transport=Transport(accepted),
        password_context=cheapest_context(),
        send_mail=False,
    )
    await auth.accounts.sign_up(email=email, password="secret")
    reach("after commit")
    print("answered", flush=True)
    await auth.sender.deliver_due()
    reach("after all")


def run(url: str, point: str, email: str, accepted: Path) -> None:
    """Prints `answered` once the sign-up is; the ids of accepted mails are appended to the file."""
    global fatal
    fatal = point
    for name, known_as in (("insert", "put"), ("claim", "claim"), ("finish", "finish")):
        around(name, known_as)
    asyncio.run(main(url, email, accepted))
