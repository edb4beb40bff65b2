"""pytest's fixtures: `pytest_plugins = ["asgi_token_auth.testing.plugin"]` in the outermost
conftest.py. None is asynchronous, so any plugin for asynchronous tests will do. Override one, and
those that build on it follow.
"""

import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from asgi_token_auth.auth import TokenAuth
from asgi_token_auth.testing.doubles import Mailbox, SettableClock, settings
from asgi_token_auth.testing.people import NewUser, new_user


@pytest.fixture
def token_auth_mailbox() -> Mailbox:
    """Where the test's mails arrive."""
    return Mailbox()


@pytest.fixture
def token_auth_clock() -> SettableClock:
    """The time, which stands still until the test moves it."""
    return SettableClock()


@pytest.fixture
def token_auth_settings(
    tmp_path: Path, token_auth_mailbox: Mailbox, token_auth_clock: SettableClock
) -> dict[str, Any]:
    """Settings for tests, on an SQLite database that is the test's own."""
    database = f"sqlite:///{tmp_path / 'token_auth.db'}"
    return {"database": database, **settings(token_auth_mailbox, token_auth_clock)}


@pytest.fixture
def token_auth(token_auth_settings: dict[str, Any]) -> TokenAuth:
    """To build the application around; its lifespan, or the test, creates the tables."""
    return TokenAuth(**token_auth_settings)


@pytest.fixture
def token_auth_user(token_auth: TokenAuth) -> Callable[..., Awaitable[NewUser]]:
    """Makes users: `ada = await token_auth_user(email="ada@example.com")`, as `new_user` does."""
    return functools.partial(new_user, token_auth)
