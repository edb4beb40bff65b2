"""Every setting: its name, its type and its default."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Self

from asgi_token_auth.clock import utc_now
from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.password_policy import PasswordPolicy
from asgi_token_auth.settings.checks import find_faults
from asgi_token_auth.settings.environment import read_environment
from asgi_token_auth.signing_keys import KeyPair, read_key_pairs
from asgi_token_auth.throttling import Limits

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    import databases
    import sqlalchemy
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
    from passlib.context import CryptContext

    from asgi_token_auth.accounts import Changes
    from asgi_token_auth.mail.transports import MailTransport
    from asgi_token_auth.storage.events import Event
    from asgi_token_auth.storage.users import User


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """What a `TokenAuth` is built from, frozen; see there for each setting's meaning.

    Raises:
        SettingsError: names every setting that is wrong.
    """

    database: str | databases.Database
    secret_key: str | bytes | Sequence[str | bytes]
    email_sender: str
    users: sqlalchemy.FromClause | None = None
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
    emails: object | dict[str, Callable[..., str | None]] = None
    mail_templates: str | os.PathLike[str] | None = None
    mail_language: Callable[[User, Any], str | None] | None = None
    mail_transport: MailTransport | str | None = None
    mail_cooldown: timedelta | None = timedelta(minutes=1)
    confirmation_url: str | None = None
    password_reset_url: str | None = None
    email_change_url: str | None = None
    user_validator: (
        Callable[[Changes], Mapping[str, str] | None]
        | Callable[[Changes], Awaitable[Mapping[str, str] | None]]
        | None
    ) = None
    disclose_accounts: Literal["never", "at_sign_up", "always"] = "at_sign_up"
    send_mail: bool = True
    hashing_threads: int | None = None
    hashing_queue: int = 256
    database_connections: int = 8
    database_timeout: timedelta = timedelta(seconds=5)
    maximum_body_bytes: int = 16 * 1024
    disabled_endpoints: Collection[str] = ()
    limits: Limits | None = dataclasses.field(default_factory=Limits)
    throttle_storage: str | None = None
    trusted_proxies: Sequence[str] = ()
    events_lifetime: timedelta | None = timedelta(days=90)
    on_event: Callable[[Event], object] | Sequence[Callable[[Event], object]] | None = None
    meter_provider: MeterProvider | None = None
    tracer_provider: TracerProvider | None = None
    clock: Callable[[], datetime] = utc_now

    def __post_init__(self) -> None:
        faults = find_faults(self)
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
            SettingsError: a variable or an override is unknown, a variable unreadable, or a
                required one is missing.
        """
        if unknown := [name for name in overrides if name not in cls.__dataclass_fields__]:
            raise SettingsError(*(f"{name} is not a setting" for name in unknown))
        return cls(**{**read_environment(environ, overrides), **overrides})
