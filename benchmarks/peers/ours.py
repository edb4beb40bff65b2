"""asgi_token_auth: around a Starlette app, around the plainest ASGI app, and asking the database
about every request."""

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from asgi_token_auth import Mail, TokenAuth
from asgi_token_auth.passwords import cheapest_context
from asgi_token_auth.settings import Settings
from asgi_token_auth.testing import SECRET_KEY
from benchmarks.stacks import PATH, LogIn, Stack, owner, owners, plain_app, starlette_app

LABEL = "asgi_token_auth, Starlette"
PLAIN = "asgi_token_auth, bare ASGI"
NO_LAG = "asgi_token_auth, revocation_lag=0"
PASSWORD = "correct horse battery staple"  # noqa: S105


class Nowhere:
    """A mail transport that is as quick as can be."""

    async def send(self, mail: Mail) -> None:
        """Forgets it."""


def new_auth(database: str, **settings: Any) -> TokenAuth:
    """A TokenAuth that sends nothing and refuses no attempt, unless it is told to."""
    needed = {"secret_key": SECRET_KEY, "email_sender": "app@example.com"}
    quiet: dict[str, Any] = {"send_mail": False, "limits": None}
    return TokenAuth(database=database, **{**needed, **quiet, **settings})


@contextlib.asynccontextmanager
async def open_stacks(database: str, tokens: int) -> AsyncIterator[dict[str, Stack]]:
    """The stacks by their labels, all on the same rows."""
    cheap = {"password_context": cheapest_context()}
    auth = new_auth(database, **cheap)
    strict = new_auth(database, revocation_lag=timedelta(0), **cheap)
    await auth.create_tables()
    async with auth, strict:
        issued = await issue(auth, tokens)
        app = starlette_app()
        yield {
            LABEL: Stack("ours", app, _wrapped(auth, app), issued),
            PLAIN: Stack("ours", plain_app, _wrapped(auth, plain_app), issued),
            NO_LAG: Stack("ours", app, _wrapped(strict, app), issued),
        }


@contextlib.asynccontextmanager
async def open_for_log_in(database: str, users: int) -> AsyncIterator[dict[str, Stack]]:
    """The stack with passwords hashed at real cost; log-ins for that many users, and the token of
    another."""
    auth = new_auth(database)
    await auth.create_tables()
    async with auth:
        names = ["reader", *(f"user{number}" for number in range(users))]
        for name in names:
            await auth.accounts.sign_up(username=name, password=PASSWORD)
        token = (await auth.accounts.log_in(username=names[0], password=PASSWORD)).token
        fields = [{"username": name, "password": PASSWORD} for name in names[1:]]
        bodies = [json.dumps(each).encode() for each in fields]
        log_ins = [LogIn("/api/sessions", "application/json", body) for body in bodies]
        app = starlette_app()
        yield {"asgi_token_auth": Stack("ours", app, _wrapped(auth, app), [token], log_ins)}


@contextlib.asynccontextmanager
async def open_for_timing(database: str, users: int) -> AsyncIterator[dict[str, Stack]]:
    """The stack as one would deploy it where nobody may learn who has an account, with that many
    confirmed users and as many that are not; their mails go nowhere."""
    limits = {"limits": None} if "limits" in Settings.__dataclass_fields__ else {}
    auth = new_auth(
        database, send_mail=True, disclose_accounts="never", mail_transport=Nowhere(), **limits
    )
    await auth.create_tables()
    # By hand, without mails: a mailbox that was just written to would rest.
    row = {"hashed_password": await auth.accounts._parts.passwords.hash(PASSWORD)}
    for number in range(users):
        for kind, confirmed_at in (("known", 1), ("unconfirmed", None)):
            email = f"{kind}{number}@example.com"
            values = {**row, "email": email, "confirmed_at": confirmed_at}
            await auth._database.write(lambda session, v=values: session.insert(_insert(auth, v)))
    async with auth:
        app = starlette_app()
        yield {"asgi_token_auth": Stack("ours", app, _wrapped(auth, app), [])}


def _insert(auth: TokenAuth, values: dict[str, Any]) -> Any:
    return auth.users.insert().values(**values)


async def issue(auth: TokenAuth, tokens: int) -> list[str]:
    """That many tokens, through the front door."""
    for number in owners(tokens):
        await auth.accounts.sign_up(username=f"user{number}", password=PASSWORD)
    return [
        (await auth.accounts.log_in(username=f"user{owner(number)}", password=PASSWORD)).token
        for number in range(tokens)
    ]


def _wrapped(auth: TokenAuth, app: Any) -> Any:
    return auth.wrap(app, mount="/api", protect=[PATH])
