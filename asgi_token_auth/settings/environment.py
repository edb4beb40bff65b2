"""Settings from the environment: `TOKEN_AUTH_` and the setting's name in capitals."""

import difflib
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
SECONDS = "a number of seconds"
OR_NONE = ", or none"
# What can be set, and what its text must be.
EXPECTED = {
    **dict.fromkeys((*TEXTS, *LISTS), "text"),
    **dict.fromkeys(("secret_key", "signing_key"), "text, or a JSON list of texts"),
    **dict.fromkeys((*DURATIONS, "revocation_lag"), SECONDS),
    **dict.fromkeys(OPTIONAL_DURATIONS, SECONDS + OR_NONE),
    **dict.fromkeys(COUNTS, "a whole number"),
    **dict.fromkeys(OPTIONAL_COUNTS, "a whole number" + OR_NONE),
    "password_policy": "recommended or default",
    "limits": 'off, or JSON such as {"log_in_by_account": "5/minute"}',
    "send_mail": "true or false",
}


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
        if name not in EXPECTED:
            faults.append(f"{variable} is unknown{_nearest(name)}")
            continue
        try:
            found[name] = _from_text(name, text)
        except (ValueError, KeyError, OverflowError, RecursionError):
            # The text may be a secret: it is not repeated.
            faults.append(f"{variable} must be {EXPECTED[name]}")
    for required in ("database", "secret_key", "email_sender"):
        variable = f"{ENVIRONMENT_PREFIX}{required.upper()}"
        if required not in given and variable not in environ:
            faults.append(f"{variable} is missing")
    if faults:
        raise SettingsError(*faults)
    return found


def _nearest(name: str) -> str:
    """Where a name is nearly that of a setting: which."""
    near = difflib.get_close_matches(name, EXPECTED, n=1, cutoff=0.8)
    return f" (did you mean {ENVIRONMENT_PREFIX}{near[0].upper()}?)" if near else ""


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
    return {"1": True, "true": True, "0": False, "false": False}[text.lower()]  # send_mail


def _limits_from(text: str) -> Limits:
    """The defaults, but for what a JSON object says."""
    changed = json.loads(text)
    if not isinstance(changed, dict) or not set(changed) <= set(Limits.names()):
        raise ValueError(text)
    return Limits(**changed)
