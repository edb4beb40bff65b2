"""Stateful, revocable Bearer-token authentication for any ASGI app."""

from asgi_token_auth.accounts import Changes, IssuedToken
from asgi_token_auth.accounts.readiness import Readiness
from asgi_token_auth.auth import TokenAuth
from asgi_token_auth.exceptions import (
    AccountNotConfirmed,
    BreachedPasswordsUnavailable,
    DatabaseUnavailable,
    HashingOverloaded,
    InvalidFields,
    InvalidToken,
    LoginRefused,
    MailError,
    MailRefused,
    MalformedCredentials,
    MigrationFailed,
    MissingToken,
    Refusal,
    SessionNotFound,
    SettingsError,
    Throttled,
    TokenAuthError,
    TokenRefused,
    Unavailable,
    UnknownCredentials,
)
from asgi_token_auth.mail.mailgun import MAILGUN_EU, MAILGUN_US, MailgunTransport
from asgi_token_auth.mail.messages import Emails, Mail
from asgi_token_auth.mail.smtp import SMTPTransport
from asgi_token_auth.mail.transports import (
    ConsoleTransport,
    FileTransport,
    MailTransport,
    MemoryTransport,
)
from asgi_token_auth.middleware import TokenAuthMiddleware
from asgi_token_auth.password_policy import BreachedPasswords, PasswordPolicy
from asgi_token_auth.settings import Settings
from asgi_token_auth.storage.events import Event
from asgi_token_auth.storage.tables import users_table
from asgi_token_auth.storage.users import User
from asgi_token_auth.throttling import Limits

__version__ = "0.1.0"

__all__ = [
    "MAILGUN_EU",
    "MAILGUN_US",
    "AccountNotConfirmed",
    "BreachedPasswords",
    "BreachedPasswordsUnavailable",
    "Changes",
    "ConsoleTransport",
    "DatabaseUnavailable",
    "Emails",
    "Event",
    "FileTransport",
    "HashingOverloaded",
    "InvalidFields",
    "InvalidToken",
    "IssuedToken",
    "Limits",
    "LoginRefused",
    "Mail",
    "MailError",
    "MailRefused",
    "MailTransport",
    "MailgunTransport",
    "MalformedCredentials",
    "MemoryTransport",
    "MigrationFailed",
    "MissingToken",
    "PasswordPolicy",
    "Readiness",
    "Refusal",
    "SMTPTransport",
    "SessionNotFound",
    "Settings",
    "SettingsError",
    "Throttled",
    "TokenAuth",
    "TokenAuthError",
    "TokenAuthMiddleware",
    "TokenRefused",
    "Unavailable",
    "UnknownCredentials",
    "User",
    "__version__",
    "users_table",
]
