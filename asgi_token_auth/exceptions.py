"""Every error this library raises on purpose::

    TokenAuthError
    ├── SettingsError              a setting is wrong; raised at construction, names every fault
    ├── Refusal                    the caller's request can't be honoured
    │   ├── InvalidFields          one message for each wrong field
    │   ├── LoginRefused
    │   │   ├── UnknownCredentials
    │   │   └── AccountNotConfirmed
    │   ├── TokenRefused           RFC 6750: the request carries no acceptable Bearer token
    │   │   ├── MissingToken
    │   │   ├── MalformedCredentials
    │   │   └── InvalidToken
    │   ├── SessionNotFound
    │   └── Throttled              too many attempts: when to try again
    ├── Unavailable                try again later
    │   ├── DatabaseUnavailable
    │   ├── HashingOverloaded
    │   └── BreachedPasswordsUnavailable
    ├── MigrationFailed            the tables could not be brought to the present schema
    └── MailError                  a transport could not deliver a mail
        └── MailRefused            ... and never will

Each class has a stable machine-readable `code`; which HTTP status it becomes is said in
one table, `asgi_token_auth.endpoints.errors`.
"""

from collections.abc import Mapping


class TokenAuthError(Exception):
    """The root: catches everything below."""

    code = "token_auth_error"


class SettingsError(TokenAuthError, ValueError):
    """One or more settings are wrong. `faults` lists them, a sentence each."""

    code = "invalid_settings"

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Refusal(TokenAuthError):
    """A request that is understood and refused."""

    code = "refused"


class InvalidFields(Refusal):
    """Fields of the request are wrong. `errors` maps each field's name to its message."""

    code = "invalid_fields"

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(", ".join(f"{field} {message}" for field, message in errors.items()))
        self.errors = dict(errors)


class LoginRefused(Refusal):
    """A login that gives no token."""

    code = "login_refused"


class UnknownCredentials(LoginRefused):
    """No such user, or a wrong password: which of the two is not told."""

    code = "unknown_credentials"

    def __init__(self) -> None:
        super().__init__("Unknown email or password")


class AccountNotConfirmed(LoginRefused):
    """The password is right, but the e-mail address was never confirmed."""

    code = "account_not_confirmed"

    def __init__(self) -> None:
        super().__init__(
            "Account not confirmed yet. Please follow the instructions we sent you by email."
        )


class TokenRefused(Refusal):
    """The request carries no acceptable Bearer token (RFC 6750, section 3.1)."""

    code = "token_refused"


class MissingToken(TokenRefused):
    """No credentials, or credentials of another scheme."""

    code = "missing_token"

    def __init__(self) -> None:
        super().__init__("Not authenticated")


class MalformedCredentials(TokenRefused):
    """More than one Authorization header, or one that is not `Bearer` and a token."""

    code = "malformed_credentials"

    def __init__(self, message: str = "Malformed Authorization header") -> None:
        super().__init__(message)


class InvalidToken(TokenRefused):
    """Forged, expired, revoked or unknown: which of them is not told."""

    code = "invalid_token"

    def __init__(self) -> None:
        super().__init__("Invalid token")


class SessionNotFound(Refusal):
    """The user has no live token of that id."""

    code = "session_not_found"

    def __init__(self) -> None:
        super().__init__("Not found")


class Throttled(Refusal):
    """Too many attempts (RFC 6585, section 4). `retry_after` is in whole seconds, at least 1."""

    code = "throttled"

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many attempts, please try again later")
        self.retry_after = retry_after


class Unavailable(TokenAuthError):
    """The request may be right, but can't be served now. `retry_after` is in seconds."""

    code = "unavailable"
    retry_after = 1


class DatabaseUnavailable(Unavailable):
    """The database is down, too slow, or has more waiting for it than it can take."""

    code = "database_unavailable"

    def __init__(self, message: str = "The database is unavailable, please try again") -> None:
        super().__init__(message)


class HashingOverloaded(Unavailable):
    """More passwords wait to be hashed than the queue holds."""

    code = "hashing_overloaded"

    def __init__(self) -> None:
        super().__init__("Too many logins at once, please try again")


class BreachedPasswordsUnavailable(Unavailable):
    """Nobody can tell whether a new password is known from a data breach, and the policy takes
    none unasked."""

    code = "breached_passwords_unavailable"
    retry_after = 5

    def __init__(self) -> None:
        super().__init__("The password can't be checked now, please try again")


class MigrationFailed(TokenAuthError):
    """The tables could not be brought to the present schema; the message says why."""

    code = "migration_failed"


class MailError(TokenAuthError):
    """A mail could not be handed over; another try may succeed.

    `retry_after` is the provider's wish in seconds, if it gave one.
    """

    code = "mail_error"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class MailRefused(MailError):
    """The provider refuses this mail for good: another try can't succeed."""

    code = "mail_refused"
