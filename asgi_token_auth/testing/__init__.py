"""For tests of applications that use this library.

Without pytest, or with fixtures of your own::

    auth = TokenAuth(..., **testing.settings(mailbox := Mailbox(), clock := SettableClock()))
    async with testing.running(build_app(auth)) as app:
        ada = await testing.new_user(auth)
        async with testing.client_of(app, ada) as client: ...

`asgi_token_auth.testing.plugin` has it as pytest's fixtures.
"""

from asgi_token_auth.testing.clients import client_of, running
from asgi_token_auth.testing.doubles import (
    SECRET_KEY,
    Mailbox,
    SettableClock,
    link_in,
    settings,
    token_in,
)
from asgi_token_auth.testing.people import PASSWORD, NewUser, new_user

__all__ = [
    "PASSWORD",
    "SECRET_KEY",
    "Mailbox",
    "NewUser",
    "SettableClock",
    "client_of",
    "link_in",
    "new_user",
    "running",
    "settings",
    "token_in",
]
