"""A process that signs a user up, sends the mail, and kills itself at a named point.

Arguments: database URL, point, e-mail address, file to which accepted mails' ids are appended.
Prints `answered` once the sign-up is.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from asgi_token_auth import Mail, TokenAuth
from asgi_token_auth.passwords import cheapest_context
from asgi_token_auth.storage.outbox import OutboxRows
from asgi_token_auth.testing import SECRET_KEY

URL, POINT, EMAIL, ACCEPTED = sys.argv[1:]


def reach(point: str) -> None:
    if point == POINT:
        os.kill(os.getpid(), signal.SIGKILL)


class Transport:
    async def send(self, mail: Mail) -> None:
        reach("before send")
        with open(ACCEPTED, "a") as accepted:  # noqa: ASYNC230
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


async def main() -> None:
    auth = TokenAuth(
        database=URL,
        secret_key=SECRET_KEY,
        email_sender="app@example.com",
        mail_transport=Transport(),
        password_context=cheapest_context(),
        send_mail=False,
    )
    await auth.accounts.sign_up(email=EMAIL, password="secret")
    reach("after commit")
    print("answered", flush=True)
    await auth.sender.deliver_due()
    reach("after all")


if __name__ == "__main__":
    for name, point in (("insert", "put"), ("claim", "claim"), ("finish", "finish")):
        around(name, point)
    asyncio.run(main())
