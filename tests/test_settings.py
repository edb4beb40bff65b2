"""A wrong or weak setting fails at construction, with a message that names it."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import databases
import pytest
import sqlalchemy

from asgi_token_auth import (
    MemoryTransport,
    PasswordPolicy,
    Settings,
    SettingsError,
    TokenAuth,
    users_table,
)
from asgi_token_auth.settings import kinds
from asgi_token_auth.settings.environment import EXPECTED

GOOD: dict[str, Any] = {
    "database": "sqlite:///x.db",
    "secret_key": "k" * 40,
    "email_sender": "app@example.com",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database", ""),
        ("database", "oracle://x"),
        ("database", "sqlite://"),
        ("database", "sqlite:///:memory:"),
        ("database", "sqlite://app.db"),
        ("secret_key", "too short"),
        ("secret_key", ""),
        ("secret_key", []),
        ("secret_key", ["k" * 40, "short"]),
        ("secret_key", 7),
        ("secret_key", "changeme" * 8),
        ("secret_key", "-----BEGIN PUBLIC KEY-----" * 3),
        ("email_sender", "nobody"),
        ("email_sender", "a@example.com\r\nBcc: b@example.com"),
        ("algorithm", "none"),
        ("algorithm", "RS256"),
        ("token_lifetime", timedelta(0)),
        ("token_lifetime", 60),
        ("recent_login", timedelta(-1)),
        ("idle_lifetime", timedelta(0)),
        ("idle_lifetime", timedelta(seconds=119)),  # user_max_age is 30 seconds
        ("idle_lifetime", 1800),
        ("tokens_per_user", 0),
        ("tokens_per_user", True),
        ("confirmation_url", "/confirm?token={token}"),
        ("confirmation_url", "https://example.com/confirm"),
        ("password_reset_url", "https://example.com/{token}/{host}"),
        ("hashing_threads", 0),
        ("hashing_queue", True),
        ("user_validator", "no function"),
        ("disclose_accounts", "sometimes"),
        ("mail_transport", object()),
        ("mail_transport", "carrier-pigeon:"),
        ("users", "users"),
        ("limits", "10/minute"),
        ("throttle_storage", "http://127.0.0.1"),
        ("throttle_storage", "redis://"),
        ("throttle_storage", "redis://127.0.0.1:port"),
        ("throttle_storage", 6379),
        ("trusted_proxies", "10.0.0.0/8"),
        ("trusted_proxies", ["10.0.0.1/8"]),
        ("trusted_proxies", ["proxy.example.com"]),
        ("user_fields", ["nonesuch"]),
        ("disabled_endpoints", "token"),
        ("disabled_endpoints", ["nonesuch"]),
        ("disabled_endpoints", [7]),
        ("nonesuch", 1),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: object) -> None:
    """The operator knows what to mend."""
    with pytest.raises(SettingsError) as refused:
        TokenAuth(**{**GOOD, name: value})

    assert name in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "shortest"),
    [
        ("user_max_age", timedelta(seconds=1), timedelta(minutes=1)),
        ("user_max_age", timedelta(seconds=30), timedelta(minutes=2)),
        ("revocation_lag", timedelta(minutes=1), timedelta(minutes=4)),
    ],
)
def test_an_idle_lifetime_leaves_time_to_note_a_use(
    name: str, value: timedelta, shortest: timedelta
) -> None:
    """Or a token in use would be taken for unused."""
    TokenAuth(**{**GOOD, name: value, "idle_lifetime": shortest})

    with pytest.raises(SettingsError, match="idle_lifetime must be at least"):
        TokenAuth(**{**GOOD, name: value, "idle_lifetime": shortest - timedelta(seconds=1)})


def test_all_faults_are_told_at_once() -> None:
    """One deployment, one round of mending."""
    with pytest.raises(SettingsError) as refused:
        TokenAuth(**{**GOOD, "algorithm": "none", "secret_key": "short"})

    assert len(refused.value.faults) == 2


def test_a_users_table_must_have_what_is_needed() -> None:
    """Every missing column is named."""
    table = sqlalchemy.Table("users", sqlalchemy.MetaData(), sqlalchemy.Column("name"))

    with pytest.raises(SettingsError, match=r"'id'.*'hashed_password'.*'confirmed_at'.*'email'"):
        TokenAuth(**GOOD, users=table)


def test_no_secret_is_in_a_repr() -> None:
    """Reprs reach logs and error trackers."""
    secret, url = "S3CR3T" * 8, "postgresql://app:hunter2@127.0.0.1/app"
    auth = TokenAuth(**{**GOOD, "secret_key": secret, "database": url})

    for shown in (repr(auth), repr(auth.settings), str(auth.settings)):
        assert "S3CR3T" not in shown
        assert "hunter2" not in shown


def test_from_env_reads_what_the_code_takes(tmp_path: Path) -> None:
    """Durations in seconds, several keys as JSON, the policy by name."""
    auth = TokenAuth.from_env(
        {
            "TOKEN_AUTH_DATABASE": "sqlite:///x.db",
            "TOKEN_AUTH_SECRET_KEY": '["kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk", "' + "o" * 40 + '"]',
            "TOKEN_AUTH_EMAIL_SENDER": "app@example.com",
            "TOKEN_AUTH_TOKEN_LIFETIME": "3600",
            "TOKEN_AUTH_RECENT_LOGIN": "none",
            "TOKEN_AUTH_IDLE_LIFETIME": "1800",
            "TOKEN_AUTH_TOKENS_PER_USER": "10",
            "TOKEN_AUTH_PASSWORD_POLICY": "recommended",
            "TOKEN_AUTH_HASHING_QUEUE": "7",
            "TOKEN_AUTH_MAIL_TRANSPORT": f"file:{tmp_path}",
            "ELSEWHERE": "ignored",
        },
        user_validator=print,
    )

    settings = auth.settings
    assert len(settings.keys) == 2
    assert settings.token_lifetime == timedelta(hours=1)
    assert settings.recent_login is None
    assert (settings.idle_lifetime, settings.tokens_per_user) == (timedelta(minutes=30), 10)
    assert settings.password_policy == PasswordPolicy.recommended()
    assert (settings.hashing_queue, settings.user_validator) == (7, print)


def test_from_env_names_what_no_number_can_be_made_of() -> None:
    """Endless is no duration; a deployment sees the variable's name, not a traceback."""
    variables = {"TOKEN_AUTH_TOKEN_LIFETIME": "inf", "TOKEN_AUTH_LIMITS": "[" * 100_000}

    with pytest.raises(SettingsError) as raised:
        TokenAuth.from_env(variables)

    for variable, expected in zip(variables, ("a number of seconds", "off, or JSON"), strict=True):
        assert f"{variable} must be {expected}" in str(raised.value)


def test_from_env_names_a_key_that_is_no_list_once() -> None:
    """It is there, so it is not missing; and a secret is not repeated."""
    variables = {"TOKEN_AUTH_SECRET_KEY": "['one', 'two']"}

    with pytest.raises(SettingsError) as raised:
        TokenAuth.from_env(variables, database="sqlite:///x.db", email_sender="app@example.com")

    assert str(raised.value) == "TOKEN_AUTH_SECRET_KEY must be text, or a JSON list of texts"


def test_from_env_knows_what_each_setting_must_be() -> None:
    """A name is a setting's or a typo by this table."""
    read = {name for kind in vars(kinds).values() if isinstance(kind, tuple) for name in kind}

    assert read < set(EXPECTED) < {field.name for field in dataclasses.fields(Settings)}


def test_from_env_names_unknown_and_missing_variables() -> None:
    """A typo is no default."""
    with pytest.raises(SettingsError) as refused:
        TokenAuth.from_env({"TOKEN_AUTH_TOKEN_LIFETIM": "1"})

    message = str(refused.value)
    assert (
        "TOKEN_AUTH_TOKEN_LIFETIM is unknown (did you mean TOKEN_AUTH_TOKEN_LIFETIME?)" in message
    )
    assert "TOKEN_AUTH_SECRET_KEY is missing" in message


def test_an_override_needs_no_variable_and_is_no_typo_either() -> None:
    """An application's own `Database` is no text, so the environment can't have it."""
    database = databases.Database("sqlite:///x.db")
    variables = {"TOKEN_AUTH_SECRET_KEY": "k" * 40, "TOKEN_AUTH_EMAIL_SENDER": "app@example.com"}

    assert TokenAuth.from_env(variables, database=database).settings.database is database
    with pytest.raises(SettingsError, match="token_lifetim is not a setting"):
        TokenAuth.from_env(variables, database=database, token_lifetim=timedelta(hours=1))


def test_settings_are_frozen() -> None:
    """What was checked stays so."""
    auth = TokenAuth(**GOOD, mail_transport=MemoryTransport(), users=users_table())

    with pytest.raises(AttributeError):
        auth.settings.algorithm = "none"  # type: ignore[misc]
