"""What answers hold, from the settings and the users table."""

from typing import Any, get_args

from asgi_token_auth.accounts import Parts
from asgi_token_auth.endpoints.openapi.fields import answer_schema
from asgi_token_auth.endpoints.openapi.shapes import CREDENTIALS, SESSION_NAME, object_of, ref
from asgi_token_auth.storage.events import MOST_LISTED, EventKind

Schema = dict[str, Any]

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6MX0.c2lnbmF0dXJl"  # noqa: S105
SESSION = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
UNWRITTEN = {"throttled"}  # told to hooks and logs, but in no list
GRANT_ERRORS = ["invalid_request", "invalid_grant", "unsupported_grant_type", "invalid_scope"]
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": r"Z$",
    "examples": ["2026-01-31T12:00:00.000Z"],
}
SESSION_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$", "examples": [SESSION]}
USER_AGENT: Schema = {**TEXT_OR_NULL, "examples": ["curl/8.14.1"]}
ADDRESS: Schema = {**TEXT_OR_NULL, "examples": ["203.0.113.7"]}


def answer_schemas(parts: Parts) -> Schema:
    """Those of answers, by name."""
    return {**_tokens(parts), **_account(parts), **_about(), **_errors()}


def _tokens(parts: Parts) -> Schema:
    return {
        "Ok": {"type": "string", "const": "ok"},
        "TokenReply": object_of(
            token={"type": "string", "examples": [TOKEN]},
            access_token={"type": "string", "description": "The same.", "examples": [TOKEN]},
            token_type={"type": "string", "const": "bearer"},
            expires_in={"type": "integer", "description": "Seconds.", "examples": [604800]},
            id=answer_schema(parts.users.id_field),
        ),
        "Session": object_of(
            id=SESSION_ID,
            name={**TEXT_OR_NULL, "examples": [SESSION_NAME]},
            created_at=TIME,
            last_used_at=TIME,
            expires_at=TIME,
            user_agent=USER_AGENT,
            address=ADDRESS,
            current={"type": "boolean", "description": "Whether the request's token is this one."},
        ),
        "Sessions": object_of(sessions={"type": "array", "items": ref("Session")}),
    }


def _account(parts: Parts) -> Schema:
    key = answer_schema(parts.users.id_field)
    extra = {field.name: answer_schema(field) for field in parts.users.fields}
    filled = "email" if parts.users.has_email else "username"
    logins = {
        name: {**TEXT_OR_NULL, "examples": [text if name == filled else None]}
        for name, text in CREDENTIALS.items()
    }
    return {
        "Account": object_of(**{**extra, "id": key, **logins}),
        "AccountReply": object_of(account=ref("Account")),
        "Event": object_of(
            id={"type": "integer"},
            event={
                "enum": sorted(set(get_args(EventKind)) - UNWRITTEN),
                "examples": ["logged_in"],
            },
            created_at=TIME,
            session={**SESSION_ID, "type": ["string", "null"]},
            current={"type": "boolean", "description": "Whether it came with the request's token."},
            address=ADDRESS,
            user_agent=USER_AGENT,
            detail={**TEXT_OR_NULL, "examples": [None]},
        ),
        "Events": object_of(
            events={"type": "array", "items": ref("Event"), "maxItems": MOST_LISTED}
        ),
    }


def _about() -> Schema:
    return {
        "Keys": object_of(
            keys={"type": "array", "items": object_of(kty={"type": "string", "examples": ["EC"]})}
        ),
        "OpenApi": {
            "type": "object",
            "required": ["openapi", "info", "paths"],
            "examples": [{"openapi": "3.1.1", "info": {"title": "Accounts"}, "paths": {}}],
        },
        "Page": {"type": "string"},
    }


def _errors() -> Schema:
    message = {"type": "string"}
    return {
        "FieldErrors": object_of(
            errors={"type": "object", "additionalProperties": message, "minProperties": 1}
        ),
        "BaseError": object_of(errors=object_of(base=message) | {"additionalProperties": False}),
        "TokenError": object_of(error=message),
        "GrantError": object_of(
            error={"enum": GRANT_ERRORS},
            # The characters of RFC 6749, section 5.2.
            error_description={"type": "string", "pattern": r"^[ !#-\[\]-~]+$"},
        ),
    }
