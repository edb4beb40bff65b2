"""Settings: every name, type, default and check in one place.

Nothing here is read at import, nothing is global: one frozen `Settings` hangs off one
`TokenAuth`. All faults are reported at once, so that a deployment is mended in one go.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from asgi_token_auth.clock import Clock, utc_now
from asgi_token_auth.exceptions import SettingsError

if TYPE_CHECKING:
    import databases
    import sqlalchemy
    from passlib.context import CryptContext

    from asgi_token_auth.mail.transports import MailTransport

ALGORITHMS = ("HS256", "HS384", "HS512")
MINIMUM_KEY_BYTES = 32  # RFC 7518, section 3.2: as long as the hash of HS256
ENVIRONMENT_PREFIX = "TOKEN_AUTH_"
PLACEHOLDERS = ("changeme", "change-me", "change_me", "very secret", "your-secret", "your_secret")

Disclosure = Literal["never", "at_sign_up", "always"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PasswordPolicy:
    """How long a password must and may be.

    Args:
        minimum_characters: fewest characters (Unicode code points).
        maximum_bytes: most bytes in UTF-8; nothing is ever truncated.
    """

    minimum_characters: int = 6
    maximum_bytes: int = 1024

    @classmethod
    def recommended(cls) -> PasswordPolicy:
        """15 characters (NIST SP 800-63B-4 where a password is the only factor; ASVS 5, 6.2.9)."""
        return cls(minimum_characters=15)

    def fault(self, password: str) -> str | None:
        """What is wrong with `password`, or None."""
        if len(password) < self.minimum_characters:
            return f"should be at least {self.minimum_characters} characters"
        if len(password.encode()) > self.maximum_bytes:
            return f"should be at most {self.maximum_bytes} bytes"
        return None


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """What a `TokenAuth` is built from; see `TokenAuth` for each setting's meaning."""

    database: str | databases.Database
    secret_key: str | bytes | Sequence[str | bytes]
    email_sender: str
    users: sqlalchemy.Table | None = None
    user_fields: Sequence[str] | None = None
    algorithm: str = "HS256"
    password_context: CryptContext | None = None
    password_policy: PasswordPolicy = PasswordPolicy()
    token_lifetime: timedelta = timedelta(days=7)
    confirmation_lifetime: timedelta = timedelta(days=3)
    email_change_lifetime: timedelta = timedelta(days=1)
    password_reset_lifetime: timedelta = timedelta(hours=1)
    recent_login: timedelta | None = timedelta(minutes=20)
    revocation_lag: timedelta = timedelta(seconds=1)
    user_max_age: timedelta = timedelta(seconds=30)
    cached_tokens: int = 100_000
    emails: Any = None
    mail_templates: str | os.PathLike[str] | None = None
    mail_language: Callable[[Any, Any], str | None] | None = None
    mail_transport: MailTransport | str | None = None
    mail_cooldown: timedelta | None = timedelta(minutes=1)
    confirmation_url: str | None = None
    password_reset_url: str | None = None
    email_change_url: str | None = None
    user_validator: Callable[..., Any] | None = None
    disclose_accounts: Disclosure = "at_sign_up"
    send_mail: bool = True
    hashing_threads: int | None = None
    hashing_queue: int = 256
    database_connections: int = 8
    database_timeout: timedelta = timedelta(seconds=5)
    maximum_body_bytes: int = 16 * 1024
    events_lifetime: timedelta | None = timedelta(days=90)
    on_event: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None
    meter_provider: Any = None
    tracer_provider: Any = None
    clock: Clock = utc_now

    def __post_init__(self) -> None:
        faults = [*self._faults()]
        if faults:
            raise SettingsError(*faults)

    def __repr__(self) -> str:
        """Only what can hold no secret: a database URL or a transport may."""
        users = getattr(self.users, "name", "users")
        return f"Settings(users={users!r}, algorithm={self.algorithm!r})"

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The secret keys as bytes: the first signs, all verify."""
        given = self.secret_key
        several = (given,) if isinstance(given, str | bytes) else tuple(given)
        return tuple(key.encode() if isinstance(key, str) else key for key in several)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, **overrides: Any) -> Self:
        """Settings from `TOKEN_AUTH_*`; `overrides` win. Durations are in seconds.

        Raises:
            SettingsError: a variable is unknown, unreadable, or a required one is missing.
        """
        return cls(**{**_read_environment(environ), **overrides})

    def _faults(self) -> list[str]:
        return [*_key_faults(self), *_value_faults(self), *_url_faults(self)]


def _key_faults(settings: Settings) -> list[str]:
    try:
        keys = settings.keys
        if not all(isinstance(key, bytes) for key in keys):
            raise TypeError
    except (TypeError, UnicodeEncodeError):
        return ["secret_key must be text or bytes, or a sequence of them"]
    if not keys:
        return ["secret_key is missing"]
    return [fault for key in keys if (fault := _key_fault(key))]


def _key_fault(key: bytes) -> str | None:
    if len(key) < MINIMUM_KEY_BYTES:
        return (
            f"secret_key must have at least {MINIMUM_KEY_BYTES} bytes"
            " (try: asgi-token-auth generate-secret)"
        )
    if key.lower().startswith(tuple(placeholder.encode() for placeholder in PLACEHOLDERS)):
        return "secret_key is guessable (try: asgi-token-auth generate-secret)"
    if b"-----BEGIN" in key or key.startswith((b"ssh-", b"0\x82")):
        # A public key used as an HMAC secret is the algorithm-confusion attack (CVE-2024-33663).
        return "secret_key looks like an asymmetric key, and a public key is no secret"
    return None


def _value_faults(settings: Settings) -> list[str]:
    checks = {
        "database must be a URL or a databases.Database": bool(settings.database),
        f"algorithm must be one of {', '.join(ALGORITHMS)}": settings.algorithm in ALGORITHMS,
        "email_sender must be one address without control characters": _is_sender(
            settings.email_sender
        ),
        "disclose_accounts must be 'never', 'at_sign_up' or 'always'": settings.disclose_accounts
        in ("never", "at_sign_up", "always"),
        "password_policy must be a PasswordPolicy": isinstance(
            settings.password_policy, PasswordPolicy
        ),
        "user_validator must be callable": settings.user_validator is None
        or callable(settings.user_validator),
        "mail_templates must be the path of a directory": settings.mail_templates is None
        or isinstance(settings.mail_templates, str | os.PathLike),
        "mail_language must be callable": settings.mail_language is None
        or callable(settings.mail_language),
        "on_event must be callable, or a sequence of callables": settings.on_event is None
        or callable(settings.on_event)
        or _are_callable(settings.on_event),
        "clock must be callable": callable(settings.clock),
        "revocation_lag must be a timedelta, zero or positive": _is_lag(settings.revocation_lag),
        **{
            f"{name} must be a positive timedelta": _is_duration(settings, name)
            for name in DURATIONS
        },
        **{f"{name} must be a positive whole number": _is_count(settings, name) for name in COUNTS},
    }
    return [message for message, holds in checks.items() if not holds]


DURATIONS = (
    "token_lifetime",
    "confirmation_lifetime",
    "email_change_lifetime",
    "password_reset_lifetime",
    "recent_login",
    "user_max_age",
    "mail_cooldown",
    "database_timeout",
    "events_lifetime",
)
OPTIONAL_DURATIONS = ("recent_login", "mail_cooldown", "events_lifetime")
COUNTS = (
    "cached_tokens",
    "hashing_threads",
    "hashing_queue",
    "database_connections",
    "maximum_body_bytes",
)
LINKS = ("confirmation_url", "password_reset_url", "email_change_url")
TEXTS = (
    "database",
    "email_sender",
    "algorithm",
    "disclose_accounts",
    "mail_templates",
    "mail_transport",
    *LINKS,
)


def _is_sender(sender: object) -> bool:
    return isinstance(sender, str) and "@" in sender and sender.isprintable() and "," not in sender


def _are_callable(given: object) -> bool:
    return isinstance(given, Sequence) and all(callable(each) for each in given)


def _is_duration(settings: Settings, name: str) -> bool:
    value = getattr(settings, name)
    if value is None:
        return name in OPTIONAL_DURATIONS
    return isinstance(value, timedelta) and value > timedelta(0)


def _is_lag(value: object) -> bool:
    return isinstance(value, timedelta) and value >= timedelta(0)


def _is_count(settings: Settings, name: str) -> bool:
    value = getattr(settings, name)
    if value is None:
        return name == "hashing_threads"
    return type(value) is int and value > 0


def _url_faults(settings: Settings) -> list[str]:
    faults = []
    for name in LINKS:
        url = getattr(settings, name)
        if url is None:
            continue
        if not isinstance(url, str) or urlsplit(url).scheme not in ("https", "http"):
            faults.append(f"{name} must be an absolute http(s) URL")
        elif "{token}" not in url or not _formats(url):
            faults.append(
                f"{name} must hold {{token}}, may hold {{user_id}}, and nothing else in braces"
            )
    return faults


def _formats(url: str) -> bool:
    try:
        url.format(user_id="", token="")
    except (KeyError, IndexError, ValueError, AttributeError):
        return False
    return True


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    faults: list[str] = []
    for variable, text in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        try:
            found[name] = _from_text(name, text)
        except (ValueError, KeyError):
            faults.append(f"{variable} is unknown or unreadable")
    for required in ("database", "secret_key", "email_sender"):
        if required not in found:
            faults.append(f"{ENVIRONMENT_PREFIX}{required.upper()} is missing")
    if faults:
        raise SettingsError(*faults)
    return found


def _from_text(name: str, text: str) -> Any:
    if name in TEXTS:
        return text
    if name == "secret_key":
        return tuple(json.loads(text)) if text.startswith("[") else text
    if name in OPTIONAL_DURATIONS and text.lower() in ("", "none", "off"):
        return None
    if name in (*DURATIONS, "revocation_lag"):
        return timedelta(seconds=float(text))
    if name in COUNTS:
        return int(text)
    if name == "password_policy":
        return {"recommended": PasswordPolicy.recommended(), "default": PasswordPolicy()}[text]
    if name == "send_mail":
        return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
    raise KeyError(name)
