"""The README's tables say what the code has; `test_documentation` runs its blocks."""

import dataclasses
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from asgi_token_auth import Limits, PasswordPolicy, Settings, SettingsError
from asgi_token_auth.passwords import recommended_context
from asgi_token_auth.settings.environment import read_environment

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}

# What stands there in words.
DEFAULTS: dict[str, Any] = {
    "": None,
    "None": None,
    "true": True,
    "none": (),
    "16 KiB": 16 * 1024,
    "6 characters": PasswordPolicy(minimum_characters=6),
    "`Limits()`": Limits(),
    # What a setting of None comes to.
    "`users_table()`": None,
    "`Accept-Language`": None,
    "console": None,
    "memory": None,
    "cores": None,
    "the global ones": None,
    "argon2id, 19 MiB, t=2, p=1": None,
}
IN_THE_ENVIRONMENT = {
    "secret_key": '["a", "b"]',
    "signing_key": "-----BEGIN",
    "password_policy": "recommended",
    "limits": '{"log_in_by_account": "5/minute"}',
    "trusted_proxies": "10.0.0.1, 10.1.0.0/16",
    "send_mail": "false",
}
REQUIRED = {
    "TOKEN_AUTH_DATABASE": "sqlite:///x.db",
    "TOKEN_AUTH_SECRET_KEY": "k" * 40,
    "TOKEN_AUTH_EMAIL_SENDER": "app@example.com",
}


def rows() -> list[tuple[dict[str, bool], str]]:
    """Of the table of settings: the names, each with whether it has an asterisk; the default."""
    table = README.split("## Settings")[1].split("The command line")[0]
    cells = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    return [
        ({name: bool(star) for name, star in re.findall(r"`(\w+)`(\*?)", names)}, default.strip())
        for names, default in cells
    ]


def documented() -> dict[str, bool]:
    return {name: star for names, _ in rows() for name, star in names.items()}


def value_of(text: str) -> Any:
    """A default as the table has it."""
    if found := re.fullmatch(r"(\d+) (second|minute|hour|day)s?", text):
        return timedelta(seconds=int(found[1]) * UNITS[found[2]])
    if re.fullmatch(r"[\d,]+", text):
        return int(text.replace(",", ""))
    return DEFAULTS[text] if text in DEFAULTS else text.strip("`")


def default_of(name: str) -> Any:
    field = Settings.__dataclass_fields__[name]
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def test_the_settings_table_and_the_settings_are_the_same() -> None:
    """Both ways: nothing undocumented, nothing that isn't there."""
    assert set(documented()) == set(Settings.__dataclass_fields__)


def test_the_defaults_in_the_table_are_the_real_ones() -> None:
    """Where one row has several settings, their defaults come in the same order, or are one."""
    for names, text in rows():
        texts = [text] if text in DEFAULTS or len(names) == 1 else text.split(", ")
        for name, shown in zip(names, texts * (len(names) // len(texts)), strict=True):
            if name != "clock":
                assert value_of(shown) == default_of(name), name

    assert recommended_context().hash("x").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("name", sorted(Settings.__dataclass_fields__))
def test_an_asterisk_means_that_the_environment_is_read(name: str) -> None:
    """And none means that the variable is refused, so that nobody sets it in vain."""
    kind = type(default_of(name))
    text = "7200" if "lifetime" in name or kind in (int, timedelta) else "7"
    variable = f"TOKEN_AUTH_{name.upper()}"
    environment = {**REQUIRED, variable: IN_THE_ENVIRONMENT.get(name, REQUIRED.get(variable, text))}

    if documented()[name]:
        assert read_environment(environment)[name] != default_of(name)
    else:
        with pytest.raises(SettingsError, match=f"{variable} is unknown"):
            Settings.from_env(environment)


def test_every_variable_that_is_named_is_read() -> None:
    """On any page."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text() for page in pages)

    named = {name.lower() for name in re.findall(r"TOKEN_AUTH_([A-Z][A-Z_]*[A-Z])\b", text)}

    assert named - {name for name, star in documented().items() if star} == set()
