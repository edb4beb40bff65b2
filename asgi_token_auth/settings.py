"""Settings: every name, type, default and check in one place.

Nothing here is read at import, nothing is global: one frozen `Settings` hangs off one
`TokenAuth`. All faults are reported at once, so that a deployment is mended in one go.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from asgi_token_auth.addresses import TrustedProxies
from asgi_token_auth.clock import Clock, utc_now
from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.password_policy import PasswordPolicy
from asgi_token_auth.signing_keys import KINDS, KeyPair, is_asymmetric, read_key_pairs
from asgi_token_auth.throttling import Limits

if TYPE_CHECKING:
    import databases
    import sqlalchemy
    from passlib.context import CryptContext

    from asgi_token_auth.mail.transports import MailTransport

ALGORITHMS = ("HS256", "HS384", "HS512", *KINDS)
MINIMUM_KEY_BYTES = 32  # RFC 7518, section 3.2: as long as the hash of HS256
LONGEST_NAME = 255  # of an issuer or audience, in characters: tokens must fit into a header
ENVIRONMENT_PREFIX = "TOKEN_AUTH_"
PLACEHOLDERS = ("changeme", "change-me", "change_me", "very secret", "your-secret", "your_secret")

Disclosure = Literal["never", "at_sign_up", "always"]


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """What a `TokenAuth` is built from; see `TokenAuth` for each setting's meaning."""

    database: str | databases.Database
    secret_key: str | bytes | Sequence[str | bytes]
    email_sender: str
    users: sqlalchemy.Table | None = None
    user_fields: Sequence[str] | None = None
    algorithm: str = "HS256"
    signing_key: str | bytes | Sequence[str | bytes] | None = None
    issuer: str | None = None
    audience: str | None = None
    password_context: CryptContext | None = None
    password_policy: PasswordPolicy = dataclasses.field(default_factory=PasswordPolicy)
    token_lifetime: timedelta = timedelta(days=7)
    idle_lifetime: timedelta | None = None
    tokens_per_user: int | None = None
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
    limits: Limits | None = dataclasses.field(default_factory=Limits)
    throttle_storage: str | None = None
    trusted_proxies: Sequence[str] = ()
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

    @functools.cached_property
    def key_pairs(self) -> tuple[KeyPair, ...]:
        """The signing keys: the first signs, all verify. None where `secret_key` does both."""
        given = self.signing_key
        return () if given is None else read_key_pairs(given, self.algorithm)

    @property
    def token_keys(self) -> tuple[bytes, ...] | tuple[KeyPair, ...]:
        """What tokens are signed with: keys of one family, never of both (CVE-2024-33663)."""
        return self.key_pairs or self.keys

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, **overrides: Any) -> Self:
        """Settings from `TOKEN_AUTH_*`; `overrides` win. Durations are in seconds.

        Raises:
            SettingsError: a variable is unknown, unreadable, or a required one is missing.
        """
        return cls(**{**_read_environment(environ), **overrides})

    def _faults(self) -> list[str]:
        return [
            *_key_faults(self),
            *_signing_key_faults(self),
            *_value_faults(self),
            *_url_faults(self),
        ]


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
    if is_asymmetric(key):
        # A public key used as an HMAC secret is the algorithm-confusion attack (CVE-2024-33663).
        return "secret_key looks like an asymmetric key, and a public key is no secret"
    return None


def _signing_key_faults(settings: Settings) -> list[str]:
    if settings.algorithm not in ALGORITHMS:
        return []  # which is told already
    try:
        pairs = settings.key_pairs
    except (TypeError, UnicodeEncodeError):
        return ["signing_key must be PEM text or bytes, or a sequence of them"]
    except ValueError as error:
        return [f"signing_key {error}"]
    if settings.algorithm in KINDS and not pairs:
        return [f"algorithm {settings.algorithm} needs a signing_key"]
    return []


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
        "limits must be Limits, or None": isinstance(settings.limits, Limits | None),
        "throttle_storage must be the URL of a Redis": isinstance(
            settings.throttle_storage, str | None
        ),
        "trusted_proxies must be addresses, networks or 'unix'": _are_proxies(
            settings.trusted_proxies
        ),
        f"issuer must be printable text of at most {LONGEST_NAME} characters": _is_name(
            settings.issuer
        ),
        f"audience must be printable text of at most {LONGEST_NAME} characters": _is_name(
            settings.audience
        ),
        "on_event must be callable, or a sequence of callables": settings.on_event is None
        or callable(settings.on_event)
        or _are_callable(settings.on_event),
        "clock must be callable": callable(settings.clock),
        f"idle_lifetime must be at least {MINIMUM_IDLE_LIFETIME.seconds} seconds, and"
        " four times user_max_age and revocation_lag": _is_idle_lifetime(settings),
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
    "idle_lifetime",
    "confirmation_lifetime",
    "email_change_lifetime",
    "password_reset_lifetime",
    "recent_login",
    "user_max_age",
    "mail_cooldown",
    "database_timeout",
    "events_lifetime",
)
OPTIONAL_DURATIONS = ("idle_lifetime", "recent_login", "mail_cooldown", "events_lifetime")
# A use is noted only now and then: so often that a token in use is never taken for unused.
MINIMUM_IDLE_LIFETIME = timedelta(minutes=1)
COUNTS = (
    "tokens_per_user",
    "cached_tokens",
    "hashing_threads",
    "hashing_queue",
    "database_connections",
    "maximum_body_bytes",
)
OPTIONAL_COUNTS = ("tokens_per_user", "hashing_threads")
LINKS = ("confirmation_url", "password_reset_url", "email_change_url")
TEXTS = (
    "database",
    "email_sender",
    "algorithm",
    "issuer",
    "audience",
    "disclose_accounts",
    "mail_templates",
    "mail_transport",
    "throttle_storage",
    *LINKS,
)


def _is_sender(sender: object) -> bool:
    return isinstance(sender, str) and "@" in sender and sender.isprintable() and "," not in sender


def _are_proxies(proxies: Any) -> bool:
    try:
        TrustedProxies(proxies)
    except (ValueError, TypeError):
        return False
    return True


def _is_name(name: object) -> bool:
    if name is None:
        return True
    return isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable()


def _are_callable(given: object) -> bool:
    return isinstance(given, Sequence) and all(callable(each) for each in given)


def _is_duration(settings: Settings, name: str) -> bool:
    value = getattr(settings, name)
    if value is None:
        return name in OPTIONAL_DURATIONS
    return isinstance(value, timedelta) and value > timedelta(0)


def _is_idle_lifetime(settings: Settings) -> bool:
    idle = settings.idle_lifetime
    others = (settings.user_max_age, settings.revocation_lag)
    if not all(isinstance(duration, timedelta) for duration in (idle, *others)):
        return True  # said of the one that is wrong
    return idle is None or idle >= max(MINIMUM_IDLE_LIFETIME, *(4 * other for other in others))


def _is_lag(value: object) -> bool:
    return isinstance(value, timedelta) and value >= timedelta(0)


def _is_count(settings: Settings, name: str) -> bool:
    value = getattr(settings, name)
    if value is None:
        return name in OPTIONAL_COUNTS
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
    if name in ("secret_key", "signing_key"):
        return tuple(json.loads(text)) if text.startswith("[") else text
    if name in (*OPTIONAL_DURATIONS, *OPTIONAL_COUNTS) and text.lower() in ("", "none", "off"):
        return None
    if name in (*DURATIONS, "revocation_lag"):
        return timedelta(seconds=float(text))
    if name in COUNTS:
        return int(text)
    if name == "password_policy":
        return {"recommended": PasswordPolicy.recommended(), "default": PasswordPolicy()}[text]
    if name == "trusted_proxies":
        return tuple(proxy.strip() for proxy in text.split(",") if proxy.strip())
    if name == "limits":
        return None if text.lower() in ("none", "off") else _limits_from(text)
    if name == "send_mail":
        return {"1": True, "true": True, "0": False, "false": False}[text.lower()]
    raise KeyError(name)


def _limits_from(text: str) -> Limits:
    """The defaults, but for what a JSON object says."""
    changed = json.loads(text)
    if not isinstance(changed, dict) or not set(changed) <= set(Limits.names()):
        raise ValueError(text)
    return Limits(**changed)
