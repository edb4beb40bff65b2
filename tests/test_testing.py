"""The kit for integrators' tests."""

import contextlib
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_token_auth import ConsoleTransport, PasswordPolicy, TokenAuth, users_table
from asgi_token_auth.exceptions import InvalidFields
from asgi_token_auth.mail.messages import Mail
from asgi_token_auth.testing import (
    Mailbox,
    SettableClock,
    client_of,
    new_user,
    running,
    settings,
    token_in,
)

ROOT = Path(__file__).parent.parent


async def show(request: Request) -> JSONResponse:
    return JSONResponse({"id": request.user.id, "state": request.state.motto})


def app_around(auth: TokenAuth) -> ASGIApp:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        await auth.create_tables()
        yield {"motto": "of the lifespan"}

    app = Starlette(routes=[Route("/api/me", show)], lifespan=lifespan)
    return auth.wrap(app, mount="/api", protect=["/api/me"])


def test_the_kit_needs_no_pytest() -> None:
    """Only the plugin does."""
    program = "import sys; sys.modules['pytest'] = None; import asgi_token_auth.testing"

    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


async def test_users_are_made_on_each_database(database_url: str) -> None:
    """Confirmed and logged in, with a name or without; clients of several go side by side."""
    auth = TokenAuth(database=database_url, **settings(Mailbox()))

    async with running(app_around(auth)) as app:
        ada = await new_user(auth, email="Ada@Example.com", username="ada")
        bob = await new_user(auth, username="bob", password="another")
        made_up = await new_user(auth)
        assert ada.user.confirmed_at is not None
        for user in (ada, bob, made_up):
            async with client_of(app, user) as client:
                answer = (await client.get("/api/me")).json()
            assert answer == {"id": user.id, "state": "of the lifespan"}
        assert len({ada.id, bob.id, made_up.id}) == 3
        assert ada.token not in repr(ada)
        with pytest.raises(InvalidFields, match="taken"):
            await new_user(auth, email="ada@example.com")


async def test_users_are_made_without_an_application(sqlite_url: str) -> None:
    """For tests of what is behind it; also where another process would send the mail. The
    password passes the policy to deploy with."""
    chosen = {"send_mail": False, "password_policy": PasswordPolicy.recommended()}
    auth = TokenAuth(database=sqlite_url, **chosen, **settings(Mailbox()))
    await auth.create_tables()

    user = await new_user(auth)

    assert [token.name for token in await auth.accounts.list_sessions(user.user)] == [None]
    await auth.shutdown()


def test_users_are_made_beside_a_client_with_a_loop_of_its_own(sqlite_url: str) -> None:
    """As Starlette's and FastAPI's TestClient: in that loop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would rather have httpx2
        from starlette.testclient import TestClient
    auth = TokenAuth(database=sqlite_url, **settings(Mailbox()))

    with TestClient(app_around(auth)) as client:
        assert client.portal is not None
        user = client.portal.call(new_user, auth)
        assert client.get("/api/me", headers=user.headers).json()["id"] == user.id


async def test_users_of_an_own_table(sqlite_url: str) -> None:
    """Without e-mail addresses, with a column of the application's own."""
    column = sqlalchemy.Column
    users = sqlalchemy.Table(
        "users",
        sqlalchemy.MetaData(),
        column("id", sqlalchemy.Integer, primary_key=True),
        column("username", sqlalchemy.String(64), nullable=False, unique=True),
        column("hashed_password", sqlalchemy.String(255), nullable=False),
        column("confirmed_at", sqlalchemy.BigInteger),
        column("motto", sqlalchemy.String(64)),
    )
    auth = TokenAuth(database=sqlite_url, users=users, **settings(Mailbox()))
    await auth.create_tables()

    user = await new_user(auth, motto="ever upward")

    assert user.user.motto == "ever upward"
    await auth.shutdown()


async def test_users_have_what_clients_may_not_set(database_url: str) -> None:
    """A role is given here alone; a name that is no column is a slip, and not left out."""
    role = sqlalchemy.Column("role", sqlalchemy.String(10), nullable=False, server_default="reader")
    users = users_table(sqlalchemy.MetaData(), role)
    auth = TokenAuth(database=database_url, users=users, **settings(Mailbox()))
    await auth.create_tables()

    editor = await new_user(auth, username="ada", role="editor")
    reader = await new_user(auth, email="bob@example.com")

    assert (editor.user.role, reader.user.role) == ("editor", "reader")
    for wrong in ("rolle", "hashed_password"):
        with pytest.raises(TypeError, match=f"{wrong} is no column"):
            await new_user(auth, **{wrong: "editor"})
    await auth.shutdown()


async def test_a_mail_that_nobody_can_read_is_said(sqlite_url: str) -> None:
    """At once, rather than after a wait for it."""
    chosen = {**settings(Mailbox()), "mail_transport": ConsoleTransport()}
    auth = TokenAuth(database=sqlite_url, **chosen)
    await auth.create_tables()

    with pytest.raises(TypeError, match="mail_transport must be"):
        await new_user(auth)
    await auth.shutdown()


async def test_a_taken_address_is_said_where_clients_are_not_told(sqlite_url: str) -> None:
    """The test's author is."""
    auth = TokenAuth(database=sqlite_url, disclose_accounts="never", **settings(Mailbox()))
    await auth.create_tables()
    await new_user(auth, email="ada@example.com")

    with pytest.raises(ValueError, match="taken"):
        await new_user(auth, email="ada@example.com")
    await auth.shutdown()


async def test_a_mailbox_in_vain_says_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most often another recipient, or another kind."""
    monkeypatch.setattr("asgi_token_auth.testing.doubles.WAIT_SECONDS", 0.01)
    mailbox = Mailbox()
    await mailbox.send(a_mail("bob@example.com", "confirmation"))

    with pytest.raises(TimeoutError, match=r"ada@example.com; .*'bob@example.com', 'confirmation'"):
        await mailbox.receive("ada@example.com")
    with pytest.raises(ValueError, match="no token"):
        await mailbox.token("bob@example.com")
    await mailbox.send(a_mail("bob@example.com", "confirmation"))
    with pytest.raises(ValueError, match="no link"):
        await mailbox.link("bob@example.com")


def a_mail(recipient: str, kind: str) -> Mail:
    return Mail("1", kind, "app@example.com", recipient, "Hello", "Hello.", None, datetime.now(UTC))


async def test_the_mailbox_gives_token_and_link(sqlite_url: str) -> None:
    """The link is the one that is configured."""
    url = "https://app.example/confirm/{user_id}/{token}"
    mailbox = Mailbox()
    auth = TokenAuth(database=sqlite_url, confirmation_url=url, **settings(mailbox))

    async with running(app_around(auth)):
        user = await auth.accounts.sign_up(email="ada@example.com", password="secret")
        mail = await mailbox.receive("ada@example.com")
        mailbox.mails.append(mail)
        link = await mailbox.link("ada@example.com", "confirmation")
    assert user is not None
    assert link == url.format(user_id=user.id, token=token_in(mail))


async def test_the_clock_moves_what_lives_for_a_time(sqlite_url: str) -> None:
    """And stands still else."""
    clock = SettableClock()
    auth = TokenAuth(database=sqlite_url, **settings(Mailbox(), clock))

    async with running(app_around(auth)) as app, client_of(app, await new_user(auth)) as client:
        assert (await client.get("/api/me")).status_code == 200
        clock.forward(timedelta(days=8))
        assert (await client.get("/api/me")).status_code == 401


async def test_an_application_that_fails_to_start_fails_the_test() -> None:
    """With its own error, or with what it says."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise LookupError("no table")
        yield

    async def says_why(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no licence"})

    async def raises(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("no table")

    with pytest.raises(LookupError, match="no table"):
        async with running(raises):
            pass
    with pytest.raises(RuntimeError, match=r"(?s)startup: .*no table"):
        async with running(Starlette(lifespan=lifespan)):
            pass
    with pytest.raises(RuntimeError, match="startup: no licence"):
        async with running(says_why):
            pass


async def test_an_application_without_a_lifespan_runs() -> None:
    """It returns at once; what the test raises within is not hidden."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        return None

    async with running(app):
        pass
    with pytest.raises(KeyError, match="of the test"):
        async with running(app):
            raise KeyError("of the test")


async def test_the_application_stops_with_the_test() -> None:
    """Also where the test fails: what it opened is closed."""
    heard: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        heard.append("started")
        yield
        heard.append("stopped")

    with pytest.raises(KeyError):
        async with running(Starlette(lifespan=lifespan)):
            raise KeyError("of the test")

    assert heard == ["started", "stopped"]
