"""What requests may hold, from the settings and the users table.

A schema promises that what it forbids is refused; what it allows may still be: an address that is
taken, a word that is too common.
"""

from typing import Any

from asgi_token_auth.accounts import Parts
from asgi_token_auth.accounts.fields import maximum_password_bytes
from asgi_token_auth.endpoints.openapi.fields import key_schema, request_schema
from asgi_token_auth.endpoints.openapi.shapes import CREDENTIALS, SESSION_NAME, object_of, ref
from asgi_token_auth.storage.tables import ADDRESS_CHARACTERS, SESSION_NAME_CHARACTERS

Schema = dict[str, Any]

PASSWORD = "seven quiet herons at dusk"  # noqa: S105
SECRET = "q5Jx0mBqjQ0c7Vb1dE2xkZ3uYw8sT4rP6nLhGfA9iKo"  # noqa: S105
LEFT_BLANK: Schema = {"type": ["string", "null"], "pattern": r"^\s*$"}


def request_schemas(parts: Parts) -> Schema:
    """Those of requests, and of the texts in them, by name."""
    return {**_texts(parts), **_requests(parts)}


def _texts(parts: Parts) -> Schema:
    policy, maximum = parts.settings.password_policy, maximum_password_bytes(parts)
    return {
        "UserId": key_schema(parts.users.id_field),
        "Email": {
            "type": "string",
            "format": "email",
            "maxLength": ADDRESS_CHARACTERS,
            "examples": [CREDENTIALS["email"]],
        },
        "Username": {
            "type": "string",
            "pattern": r"\S",
            "description": "At most 64 characters without spaces, once it is in Unicode's form"
            " NFKC, in which it is stored and compared.",
            "examples": [CREDENTIALS["username"]],
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
        "SignUp": object_of(user=_new_user(parts)),
        "Confirmation": object_of(_session_name(), confirmation_token=ref("MailedToken")),
        "Address": object_of(email=ref("Email")),
        "Credentials": _credentials(parts),
        "PasswordGrant": _grant(parts),
        "SessionChange": object_of(session=object_of(name={"type": "string", "pattern": r"\S"})),
        "PasswordReset": object_of(
            _session_name(),
            user_id=ref("UserId"),
            password_reset_token=ref("MailedToken"),
            password=ref("NewPassword"),
        ),
        "AccountUpdate": object_of(account=_account_changes(parts)),
        "PasswordProof": {
            "type": "object",
            "properties": {"password": ref("Password"), "current_password": ref("Password")},
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
            "password": ref("NewPassword"),
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
            "password": ref("Password"),
            **_session_name(),
        },
        "required": ["password"],
        "anyOf": [{"required": [name]} for name in names],
        "examples": [{names[0]: CREDENTIALS[names[0]], "password": _password(parts)}],
    }


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
            "password": ref("Password"),
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


def _account_changes(parts: Parts) -> Schema:
    logins = {name: _or_blank(schema) for name, schema in _login_names(parts).items()}
    writable = [field for field in parts.users.fields if field.writable]
    return {
        "type": "object",
        "properties": {
            **logins,
            "password": _or_blank(ref("NewPassword")),
            "current_password": {
                "type": ["string", "null"],
                "description": "Needed by logins that are not recent, for e-mail and password.",
            },
            **{field.name: request_schema(field, new=False) for field in writable},
        },
        "examples": [{name: CREDENTIALS[name] for name in list(logins)[:1]}],
    }


def _login_names(parts: Parts) -> Schema:
    has = {"email": parts.users.has_email, "username": parts.users.has_username}
    return {name: ref(name.capitalize()) for name in has if has[name]}


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
        "examples": [SESSION_NAME],
    }
    return {"session_name": name}


def _or_blank(schema: Schema) -> Schema:
    return {"anyOf": [schema, LEFT_BLANK]}
