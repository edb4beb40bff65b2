"""Type-checked, never run: the test kit, as integrators' own tests use it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, assert_type

import httpx
import pytest
from fastapi import FastAPI
from litestar import Litestar

from asgi_token_auth import Mail, TokenAuth
from asgi_token_auth.testing import (
    PASSWORD,
    SECRET_KEY,
    Mailbox,
    NewUser,
    SettableClock,
    client_of,
    link_in,
    new_user,
    running,
    settings,
    token_in,
)

pytest_plugins = ["asgi_token_auth.testing.plugin"]


@pytest.fixture
def token_auth_settings(token_auth_settings: dict[str, Any]) -> dict[str, Any]:
    return {**token_auth_settings, "issuer": "shop"}


async def a_test_with_fixtures(
    token_auth: TokenAuth,
    token_auth_user: Callable[..., Awaitable[NewUser]],
    token_auth_mailbox: Mailbox,
    token_auth_clock: SettableClock,
) -> None:
    ada = await token_auth_user(email="ada@example.com")
    token_auth_clock.forward(timedelta(days=8))
    assert_type(await token_auth_mailbox.link("ada@example.com", "password_reset"), str)
    async with running(token_auth.wrap(FastAPI())) as app, client_of(app, ada) as client:
        assert_type(client, httpx.AsyncClient)


async def a_test_without() -> None:
    mailbox, clock = Mailbox(), SettableClock()
    auth = TokenAuth(database="sqlite:///test.db", **settings(mailbox, clock))
    ada = await new_user(auth, password=PASSWORD, username="ada")
    assert_type(ada, NewUser)
    assert_type(ada.headers, dict[str, str])
    mail = await mailbox.receive("ada@example.com")
    assert_type(mail, Mail)
    assert_type(token_in(mail) + link_in(mail) + SECRET_KEY, str)
    client_of(Litestar([]), ada)
    client_of(Litestar([]), "ada")  # type: ignore[arg-type]
    clock.forward(8)  # type: ignore[arg-type]
    await new_user(mailbox)  # type: ignore[arg-type]
