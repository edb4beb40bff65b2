"""What can be wrong with settings: each fault in a sentence that names the setting."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from asgi_token_auth.addresses import TrustedProxies
from asgi_token_auth.password_policy import PasswordPolicy
from asgi_token_auth.settings.kinds import (
    COUNTS,
    DURATIONS,
    LINKS,
    OPTIONAL_COUNTS,
    OPTIONAL_DURATIONS,
)
from asgi_token_auth.signing_keys import KINDS, is_asymmetric
from asgi_token_auth.throttling import Limits

if TYPE_CHECKING:
    from asgi_token_auth.settings.settings import Settings

ALGORITHMS = ("HS256", "HS384", "HS512", *KINDS)
MINIMUM_KEY_BYTES = 32  # RFC 7518, section 3.2: as long as the hash of HS256
LONGEST_NAME = 255  # of an issuer or audience, in characters: tokens must fit into a header
PLACEHOLDERS = ("changeme", "change-me", "change_me", "very secret", "your-secret", "your_secret")
# A use is noted only now and then: so often that a token in use is never taken for unused.
MINIMUM_IDLE_LIFETIME = timedelta(minutes=1)


def find_faults(settings: Settings) -> list[str]:
    """All that is wrong, a sentence each."""
    return [
        *_key_faults(settings),
        *_signing_key_faults(settings),
        *_value_faults(settings),
        *_url_faults(settings),
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
        "disabled_endpoints must be a list of the names of endpoints": _are_texts(
            settings.disabled_endpoints
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


def _is_sender(sender: object) -> bool:
    return isinstance(sender, str) and "@" in sender and sender.isprintable() and "," not in sender


def _are_proxies(proxies: Any) -> bool:
    try:
        TrustedProxies(proxies)
    except (ValueError, TypeError):
        return False
    return True


def _are_texts(given: object) -> bool:
    if isinstance(given, str) or not isinstance(given, Collection):
        return False
    return all(isinstance(each, str) for each in given)


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
