"""Type-checked, never run: settings as users write them. What must be an error is ignored by its
code, and an ignore that nothing needs is an error itself (`warn_unused_ignores`)."""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, assert_type

import databases
from opentelemetry.sdk.metrics import MeterProvider
from passlib.context import CryptContext
from sqlalchemy import Column, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from asgi_token_auth import (
    MAILGUN_EU,
    BreachedPasswords,
    Changes,
    ConsoleTransport,
    Emails,
    Event,
    FileTransport,
    Limits,
    Mail,
    MailgunTransport,
    MailTransport,
    MemoryTransport,
    PasswordPolicy,
    Settings,
    SMTPTransport,
    TokenAuth,
    User,
    users_table,
)

REQUIRED: dict[str, Any] = {"database": "sqlite:///a.db", "secret_key": "k", "email_sender": "a@b"}


class Base(DeclarativeBase):
    pass


class Member(Base):
    __tablename__ = "members"

    id: Mapped[int] = mapped_column(primary_key=True)


def the_least() -> None:
    auth = TokenAuth(database="sqlite:///a.db", secret_key=b"k", email_sender="a@example.com")
    assert_type(auth, TokenAuth)
    assert_type(auth.settings, Settings)
    assert_type(auth.settings.token_lifetime, timedelta)
    assert_type(TokenAuth.from_env(), TokenAuth)
    TokenAuth.from_env(os.environ, users=users_table())
    TokenAuth(database=databases.Database("sqlite:///a.db"), secret_key=["a"], email_sender="a@b")


def what_is_wrong() -> None:
    TokenAuth()  # type: ignore[call-arg]
    TokenAuth(database="sqlite:///a.db", secret_key="k")  # type: ignore[call-arg]
    TokenAuth("sqlite:///a.db")  # type: ignore[call-arg]
    TokenAuth(**REQUIRED, token_lifetme=timedelta(1))  # type: ignore[call-arg]
    TokenAuth(**REQUIRED, token_lifetime=3600)  # type: ignore[arg-type]
    TokenAuth(**REQUIRED, recent_login=20)  # type: ignore[arg-type]
    TokenAuth(**REQUIRED, tokens_per_user="5")  # type: ignore[arg-type]
    TokenAuth(**REQUIRED, disclose_accounts="sometimes")  # type: ignore[arg-type]
    TokenAuth(**REQUIRED, password_policy=15)  # type: ignore[arg-type]
    TokenAuth(**REQUIRED, limits="5/minute")  # type: ignore[arg-type]
    TokenAuth(**REQUIRED, users="users")  # type: ignore[arg-type]
    TokenAuth(**REQUIRED, mail_transport=object())  # type: ignore[arg-type]
    TokenAuth(**REQUIRED, clock=0.0)  # type: ignore[arg-type]
    Settings(**REQUIRED, cached_tokens=1.5)  # type: ignore[arg-type]
    auth = TokenAuth(**REQUIRED)
    auth.settings.token_lifetime = timedelta(1)  # type: ignore[misc]


def each_kind() -> None:
    TokenAuth(
        **REQUIRED,
        users=users_table(None, Column("name", String(40)), name="people"),
        user_fields=["name"],
        algorithm="ES256",
        signing_key=["new", "old"],
        issuer="https://example.com",
        password_context=CryptContext(["argon2"]),
        password_policy=PasswordPolicy.recommended(
            context_words=["app"], breached=BreachedPasswords(fail="closed")
        ),
        idle_lifetime=timedelta(minutes=30),
        recent_login=None,
        confirmation_url="https://example.com/confirm?{user_id}-{token}",
        send_mail=False,
        limits=Limits(log_in_by_account="5/minute", sign_up_by_address=None),
        trusted_proxies=["10.0.0.0/8", "unix"],
        disabled_endpoints={"token", "docs"},
        events_lifetime=None,
        meter_provider=MeterProvider(),
        mail_templates="templates",
    )
    TokenAuth(**REQUIRED, users=Member.__table__, limits=None)


def not_even_in_parts() -> None:
    Limits(log_in=5)  # type: ignore[call-arg]
    Limits(log_in_by_account=5)  # type: ignore[arg-type]
    PasswordPolicy(15)  # type: ignore[call-arg]
    BreachedPasswords(fail="maybe")  # type: ignore[arg-type]


def adds_error(changes: Changes) -> None:
    assert_type(changes.user, User | None)
    assert_type(changes.errors, dict[str, str])
    if "name" in changes and changes["name"] == changes.get("email"):
        changes.add_error("name", "must not be an address")
    changes.add_error("name", 5)  # type: ignore[arg-type]


def gives_errors(changes: Changes) -> dict[str, str]:
    return {} if changes.action == "sign_up" else {"base": "not now"}


async def asks_somebody(changes: Changes) -> Mapping[str, str] | None:
    return None


def whether_it_is_fine(changes: Changes) -> bool:
    return True


def validators() -> None:
    TokenAuth(**REQUIRED, user_validator=adds_error)
    TokenAuth(**REQUIRED, user_validator=gives_errors)
    TokenAuth(**REQUIRED, user_validator=asks_somebody)
    # Nobody would look at what it gives.
    TokenAuth(**REQUIRED, user_validator=whether_it_is_fine)  # type: ignore[arg-type]
    TokenAuth(**REQUIRED, user_validator=lambda: None)  # type: ignore[arg-type]


def told(event: Event) -> None:
    assert_type(event.created_at, int)
    assert_type(event.detail, str | None)
    assert_type(event.event == "logged_in", bool)
    event.event == "logged-in"  # type: ignore[comparison-overlap]  # noqa: B015


async def told_later(event: Event) -> None: ...


def told_nothing() -> None: ...


def hooks() -> None:
    TokenAuth(**REQUIRED, on_event=told)
    TokenAuth(**REQUIRED, on_event=[told, told_later, print])
    TokenAuth(**REQUIRED, on_event=told_nothing)  # type: ignore[arg-type]


def language_of(user: User, request: Any) -> str | None:
    return "de" if user.email and user.email.endswith(".de") else None


class OwnEmails(Emails):
    def welcome_subject(self, user: User, request: Any) -> str:
        return f"Welcome, {user.display_name}"

    def welcome_body(self, user: User, request: Any) -> str:  # type: ignore[override]
        return "without the token"


class SomeEmails:
    def password_reset_body(self, user: User, token: str, request: Any) -> str:
        return token


class OwnTransport:
    async def send(self, mail: Mail) -> None:
        assert_type(mail.recipient, str)
        assert_type(mail.html, str | None)


class BlockingTransport:
    def send(self, mail: Mail) -> None: ...


def mails() -> None:
    TokenAuth(**REQUIRED, emails=OwnEmails, mail_language=language_of)
    TokenAuth(**REQUIRED, emails=SomeEmails())
    TokenAuth(**REQUIRED, emails={"welcome_subject": lambda user, request: "Welcome"})
    transports: list[MailTransport | str] = [
        OwnTransport(),
        ConsoleTransport(),
        FileTransport("mail"),
        MemoryTransport(),
        MailgunTransport("example.com", "key", base_url=MAILGUN_EU),
        SMTPTransport("localhost", security="none"),
        "smtps://user:password@example.com",
    ]
    for transport in transports:
        TokenAuth(**REQUIRED, mail_transport=transport)
    TokenAuth(**REQUIRED, mail_transport=BlockingTransport())  # type: ignore[arg-type]
    SMTPTransport("localhost", security="ssl")  # type: ignore[arg-type]
    MailgunTransport("example.com")  # type: ignore[call-arg]
