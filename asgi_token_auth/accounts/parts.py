"""What every operation on an account works with."""

import dataclasses
from typing import Any

from asgi_token_auth.breached_passwords import BreachCheck
from asgi_token_auth.mail.messages import Builders
from asgi_token_auth.mail.outbox import Outbox
from asgi_token_auth.mail.sender import Sender
from asgi_token_auth.password_policy import PasswordRules
from asgi_token_auth.passwords import PasswordHasher
from asgi_token_auth.settings import Settings
from asgi_token_auth.storage.database import Database
from asgi_token_auth.storage.revocations import Revocations
from asgi_token_auth.storage.tokens import Tokens
from asgi_token_auth.storage.users import Users
from asgi_token_auth.throttling import Throttle
from asgi_token_auth.tokens import TokenSigner


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who asks: noted with the token that a login gives, and counted.

    `device` is an access token that the client has of an earlier login, good or not: by it an
    account's owner goes on where strangers have used up the attempts on the account.
    `session_name` is what the client wants a new token to be called.

    `request` is the HTTP request where there is one. No operation looks into it; the
    application's mail builders are given it.
    """

    user_agent: str | None = None
    address: str | None = None
    device: str | None = dataclasses.field(default=None, repr=False)
    session_name: str | None = None
    request: Any = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of one TokenAuth that operations work with."""

    settings: Settings
    database: Database
    users: Users
    tokens: Tokens
    revocations: Revocations
    outbox: Outbox
    sender: Sender
    password_rules: PasswordRules
    breach_check: BreachCheck | None
    passwords: PasswordHasher
    signer: TokenSigner
    messages: Builders
    throttle: Throttle

    def now(self) -> int:
        """Milliseconds since the epoch, by the configured clock."""
        return int(self.settings.clock().timestamp() * 1000)
