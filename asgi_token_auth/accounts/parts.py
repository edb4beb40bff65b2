"""What every operation on an account works with."""

import dataclasses

from asgi_token_auth.accounts.client import Client
from asgi_token_auth.accounts.events import Events
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
from asgi_token_auth.telemetry import Telemetry
from asgi_token_auth.throttling import Throttle
from asgi_token_auth.tokens import TokenSigner

__all__ = ["Client", "Parts"]


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
    events: Events
    telemetry: Telemetry

    def now(self) -> int:
        """Milliseconds since the epoch, by the configured clock."""
        return int(self.settings.clock().timestamp() * 1000)
