"""The shapes of what goes in and out, from the settings and the users table.

A request's schema promises that what it forbids is refused; what it allows may still be: an
address that is taken, a word that is too common.
"""

from typing import Any, get_args

from asgi_token_auth.accounts import Parts
from asgi_token_auth.accounts.fields import maximum_password_bytes
from asgi_token_auth.endpoints.openapi.fields import answer_schema, key_schema, request_schema
from asgi_token_auth.storage.events import MOST_LISTED, EventKind
from asgi_token_auth.storage.tables import ADDRESS_CHARACTERS, SESSION_NAME_CHARACTERS

Schema = dict[str, Any]

PASSWORD = "seven quiet herons at dusk"  # noqa: S105
SECRET = "q5Jx0mBqjQ0c7Vb1dE2xkZ3uYw8sT4rP6nLhGfA9iKo"  # noqa: S105
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJpZCI6MX0.c2lnbmF0dXJl"  # noqa: S105
CREDENTIALS = {"email": "ada@example.com", "username": "ada"}
TIME = "2026-01-31T12:00:00.000Z"
SESSION = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
UNWRITTEN = {"throttled"}  # told to hooks and logs, but in no list
LEFT_BLANK: Schema = {"type": ["string", "null"], "pattern": r"^\s*$"}


def build_schemas(parts: Parts) -> Schema:
    """The schemas by name."""
    return {**_texts(parts), **_requests(parts), **_answers(parts), **_errors()}


def _texts(parts: Parts) -> Schema:
    policy, maximum = parts.settings.password_policy, maximum_password_bytes(parts)
    return {
        "UserId": key_schema(parts.users.id_field),
        "Email": {
            "type": "string",
            "format": "email",
            "maxLength": ADDRESS_CHARACTERS,
            "examples": ["ada@example.com"],
        },
        "Username": {
            "type": "string",
            "pattern": r"\S",
            "description": "At most 64 characters without spaces, once it is in Unicode's form"
            " NFKC, in which it is stored and compared.",
            "examples": ["ada"],
        },
        "NewPassword": {
            "type": "string",
            "minLength": max(policy.minimum_characters, 1),
            "maxLength": maximum,
            "description": f"At least {policy.minimum_characters} characters, at most {maximum}"
            " bytes in UTF-8.",
            "examples": [_password(parts)],
        },
        "Password": {
            "type": "string",
            "minLength": 1,
            "maxLength": maximum,
            "examples": [_password(parts)],
        },
        "MailedToken": {
            "type": "string",
            "minLength": 1,
            "description": "The token from the mail; it works once.",
            "examples": [SECRET],
        },
    }


def _requests(parts: Parts) -> Schema:
    return {
        "SignUp": _object(user=_new_user(parts)),
        "Confirmation": _object(_session_name(), confirmation_token=_ref("MailedToken")),
        "Address": _object(email=_ref("Email")),
        "Credentials": _credentials(parts),
        "PasswordGrant": _grant(parts),
        "SessionChange": _object(session=_object(name={"type": "string", "pattern": r"\S"})),
        "PasswordReset": _object(
            _session_name(),
            user_id=_ref("UserId"),
            password_reset_token=_ref("MailedToken"),
            password=_ref("NewPassword"),
        ),
        "AccountUpdate": _object(account=_account_changes(parts)),
        "PasswordProof": {
            "type": "object",
            "properties": {"password": _ref("Password"), "current_password": _ref("Password")},
            "anyOf": [{"required": ["password"]}, {"required": ["current_password"]}],
            "examples": [{"password": _password(parts)}],
        },
    }


def _new_user(parts: Parts) -> Schema:
    names = _login_names(parts)
    both = len(names) > 1
    logins = {name: _or_blank(schema) if both else schema for name, schema in names.items()}
    writable = [field for field in parts.users.fields if field.writable]
    required = [field.name for field in writable if field.required]
    return {
        "type": "object",
        "properties": {
            **logins,
            "password": _ref("NewPassword"),
            **{field.name: request_schema(field, new=True) for field in writable},
        },
        "required": ["password", *required],
        # Which is enough that there is one; by what is in it, not by its name being there.
        "anyOf": [{"required": [name], "properties": {name: names[name]}} for name in names],
    }


def _credentials(parts: Parts) -> Schema:
    text = {"type": "string", "pattern": r"\S"}
    names = list(_login_names(parts))
    return {
        "type": "object",
        "properties": {
            **dict.fromkeys(names, text),
            "password": _ref("Password"),
            **_session_name(),
        },
        "required": ["password"],
        "anyOf": [{"required": [name]} for name in names],
        "examples": [{names[0]: CREDENTIALS[names[0]], "password": _password(parts)}],
    }


def _account_changes(parts: Parts) -> Schema:
    logins = {name: _or_blank(schema) for name, schema in _login_names(parts).items()}
    writable = [field for field in parts.users.fields if field.writable]
    return {
        "type": "object",
        "properties": {
            **logins,
            "password": _or_blank(_ref("NewPassword")),
            "current_password": {
                "type": ["string", "null"],
                "description": "Needed by logins that are not recent, for e-mail and password.",
            },
            **{field.name: request_schema(field, new=False) for field in writable},
        },
        "examples": [{name: CREDENTIALS[name] for name in list(logins)[:1]}],
    }


def _answers(parts: Parts) -> Schema:
    text_or_null = {"type": ["string", "null"]}
    time = {"type": "string", "format": "date-time", "pattern": r"Z$", "examples": [TIME]}
    session_id = {"type": "string", "pattern": "^[0-9a-f]{64}$", "examples": [SESSION]}
    user_agent = {**text_or_null, "examples": ["curl/8.14.1"]}
    address = {**text_or_null, "examples": ["203.0.113.7"]}
    logins = {
        name: {**text_or_null, "examples": [CREDENTIALS[name] if has else None]}
        for name, has in (("email", parts.users.has_email), ("username", not parts.users.has_email))
    }
    key = answer_schema(parts.users.id_field)
    extra = {field.name: answer_schema(field) for field in parts.users.fields}
    return {
        "Ok": {"type": "string", "const": "ok"},
        "TokenReply": _object(
            token={"type": "string", "examples": [TOKEN]},
            access_token={"type": "string", "description": "The same.", "examples": [TOKEN]},
            token_type={"type": "string", "const": "bearer"},
            expires_in={"type": "integer", "description": "Seconds.", "examples": [604800]},
            id=key,
        ),
        "Session": _object(
            id=session_id,
            name={**text_or_null, "examples": ["Ada's phone"]},
            created_at=time,
            last_used_at=time,
            expires_at=time,
            user_agent=user_agent,
            address=address,
            current={"type": "boolean", "description": "Whether the request's token is this one."},
        ),
        "Sessions": _object(sessions={"type": "array", "items": _ref("Session")}),
        "Account": _object(**{**extra, "id": key, **logins}),
        "AccountReply": _object(account=_ref("Account")),
        "Event": _object(
            id={"type": "integer"},
            event={
                "enum": sorted(set(get_args(EventKind)) - UNWRITTEN),
                "examples": ["logged_in"],
            },
            created_at=time,
            session={**session_id, "type": ["string", "null"]},
            current={"type": "boolean", "description": "Whether it came with the request's token."},
            address=address,
            user_agent=user_agent,
            detail={**text_or_null, "examples": [None]},
        ),
        "Events": _object(
            events={"type": "array", "items": _ref("Event"), "maxItems": MOST_LISTED}
        ),
        "Keys": _object(
            keys={"type": "array", "items": _object(kty={"type": "string", "examples": ["EC"]})}
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
        "FieldErrors": _object(
            errors={"type": "object", "additionalProperties": message, "minProperties": 1}
        ),
        "BaseError": _object(errors=_object(base=message) | {"additionalProperties": False}),
        "TokenError": _object(error=message),
        "GrantError": _object(
            error={
                "enum": [
                    "invalid_request",
                    "invalid_grant",
                    "unsupported_grant_type",
                    "invalid_scope",
                ]
            },
            # The characters of RFC 6749, section 5.2.
            error_description={"type": "string", "pattern": r"^[ !#-\[\]-~]+$"},
        ),
    }


def _login_names(parts: Parts) -> Schema:
    has = {"email": parts.users.has_email, "username": parts.users.has_username}
    return {name: _ref(name.capitalize()) for name in has if has[name]}


def _grant(parts: Parts) -> Schema:
    text = {"type": "string"}
    unused = {**text, "description": "Not looked at."}
    return {
        "type": "object",
        "properties": {
            "grant_type": {**text, "const": "password"},
            "username": {
                **text,
                "pattern": r"\S",
                "description": f"The {' or the '.join(map(_named, _login_names(parts)))}.",
            },
            "password": _ref("Password"),
            "scope": {**text, "maxLength": 0, "description": "There are none: leave it out."},
            "client_id": unused,
            "client_secret": unused,
        },
        "required": ["grant_type", "username", "password"],
        "examples": [
            {
                "grant_type": "password",
                "username": CREDENTIALS[next(iter(_login_names(parts)))],
                "password": _password(parts),
            }
        ],
    }


def _named(name: str) -> str:
    return "e-mail address" if name == "email" else name


def _password(parts: Parts) -> str:
    """An example of the length that the settings ask for."""
    shortest = max(parts.settings.password_policy.minimum_characters, len(PASSWORD))
    longest = min(shortest, maximum_password_bytes(parts))
    return (PASSWORD * (1 + shortest // len(PASSWORD)))[:longest]


def _session_name() -> Schema:
    name = {
        "type": ["string", "null"],
        "description": "What the new token is called in the list of sessions: one line of at most"
        f" {SESSION_NAME_CHARACTERS} characters.",
        "examples": ["Ada's phone"],
    }
    return {"session_name": name}


def _or_blank(schema: Schema) -> Schema:
    return {"anyOf": [schema, LEFT_BLANK]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(optional: Schema | None = None, /, **properties: Schema) -> Schema:
    """An object of which every property is required but the optional ones; more may come."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
    }
