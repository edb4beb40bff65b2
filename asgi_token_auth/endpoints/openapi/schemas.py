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
            "examples": [PASSWORD] if policy.length_fault(PASSWORD) is None else [],
        },
        "Password": {
            "type": "string",
            "minLength": 1,
            "maxLength": maximum,
            "examples": [PASSWORD],
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
            "examples": [{"password": PASSWORD}],
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
        "examples": [{names[0]: _example(names[0]), "password": PASSWORD}],
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
    }


def _answers(parts: Parts) -> Schema:
    text_or_null = {"type": ["string", "null"]}
    time = {"type": "string", "format": "date-time", "pattern": r"Z$"}
    session_id = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
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
            name=text_or_null,
            created_at=time,
            last_used_at=time,
            expires_at=time,
            user_agent=text_or_null,
            address=text_or_null,
            current={"type": "boolean", "description": "Whether the request's token is this one."},
        ),
        "Sessions": _object(sessions={"type": "array", "items": _ref("Session")}),
        "Account": _object(**{**extra, "id": key, "email": text_or_null, "username": text_or_null}),
        "AccountReply": _object(account=_ref("Account")),
        "Event": _object(
            id={"type": "integer"},
            event={"enum": sorted(set(get_args(EventKind)) - UNWRITTEN)},
            created_at=time,
            session=session_id | {"type": ["string", "null"]},
            current={"type": "boolean", "description": "Whether it came with the request's token."},
            address=text_or_null,
            user_agent=text_or_null,
            detail=text_or_null,
        ),
        "Events": _object(
            events={"type": "array", "items": _ref("Event"), "maxItems": MOST_LISTED}
        ),
        "Keys": _object(keys={"type": "array", "items": _object(kty={"type": "string"})}),
        "OpenApi": {"type": "object", "required": ["openapi", "info", "paths"]},
    }


def _errors() -> Schema:
    message = {"type": "string"}
    return {
        "FieldErrors": _object(
            errors={"type": "object", "additionalProperties": message, "minProperties": 1}
        ),
        "BaseError": _object(errors=_object(base=message) | {"additionalProperties": False}),
        "TokenError": _object(error=message),
    }


def _login_names(parts: Parts) -> Schema:
    has = {"email": parts.users.has_email, "username": parts.users.has_username}
    return {name: _ref(name.capitalize()) for name in has if has[name]}


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


def _example(name: str) -> str:
    return "ada@example.com" if name == "email" else "ada"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(optional: Schema | None = None, /, **properties: Schema) -> Schema:
    """An object of which every property is required but the optional ones; more may come."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
    }
