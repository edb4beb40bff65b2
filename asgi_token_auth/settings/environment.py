"""Settings from the environment: `TOKEN_AUTH_` and the setting's name in capitals."""

import json
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from asgi_token_auth.exceptions import SettingsError
from asgi_token_auth.password_policy import PasswordPolicy
from asgi_token_auth.settings.kinds import (
    COUNTS,
    DURATIONS,
    LISTS,
    OPTIONAL_COUNTS,
    OPTIONAL_DURATIONS,
    TEXTS,
)
from asgi_token_auth.throttling import Limits

ENVIRONMENT_PREFIX = "TOKEN_AUTH_"


def read_environment(environ: Mapping[str, str], given: Collection[str] = ()) -> dict[str, Any]:
    """The settings that are there; durations are in seconds. Those `given` need not be.

    Raises:
        SettingsError: a variable is unknown, unreadable, or a required one is missing.
    """
    found: dict[str, Any] = {}
    faults: list[str] = []
    for variable, text in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        try:
            found[name] = _from_text(name, text)
        except (ValueError, KeyError, OverflowError, RecursionError):
            faults.append(f"{variable} is unknown or unreadable")
    for required in ("database", "secret_key", "email_sender"):
        if required not in found and required not in given:
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
    if name in LISTS:
        return tuple(each.strip() for each in text.split(",") if each.strip())
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
