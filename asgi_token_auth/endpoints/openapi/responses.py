"""The answers besides a 200: each shape once, and which of them an operation has."""

from typing import Any

from asgi_token_auth.accounts.attempts import is_limited
from asgi_token_auth.endpoints.bodies import FORM, JSON
from asgi_token_auth.endpoints.openapi.examples import example_of
from asgi_token_auth.endpoints.openapi.operations import Operation

Schema = dict[str, Any]

HEADERS: Schema = {
    "NoStore": {
        "description": "No answer is for a cache.",
        "required": True,
        "schema": {"type": "string", "const": "no-store"},
    },
    "Cached": {
        "description": "For how many seconds a cache may keep it.",
        "required": True,
        "schema": {"type": "string", "pattern": "^public, max-age=[0-9]+$"},
    },
    "Challenge": {
        "description": "How to authenticate, and what was wrong (RFC 6750, section 3).",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer realm="},
    },
    "RetryAfter": {
        "description": "Seconds until another try may succeed (RFC 9110, section 10.2.3).",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "Allow": {
        "description": "The methods of the path.",
        "required": True,
        "schema": {"type": "string"},
    },
}


def _response(description: str, schema: str, example: Any, **headers: str) -> Schema:
    named = {"Cache-Control": "NoStore"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{h}"} for name, h in named.items()},
        "content": {
            "application/json": {
                "schema": {"$ref": f"#/components/schemas/{schema}"},
                "example": example,
            }
        },
    }


def _base(message: str) -> Schema:
    return {"errors": {"base": message}}


RESPONSES: Schema = {
    "BadBody": _response(
        "The body is not a JSON object.", "BaseError", _base("The body is not valid JSON")
    ),
    "BadCredentials": _response(
        "More than one Authorization header, or one that is not `Bearer` and a token.",
        "TokenError",
        {"error": "Malformed Authorization header"},
        WWW_Authenticate="Challenge",
    ),
    "BadRequest": {
        "description": "The Authorization header is malformed (`error`), or the body is not a JSON"
        " object (`errors`).",
        "headers": {"Cache-Control": {"$ref": "#/components/headers/NoStore"}},
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/TokenError"},
                        {"$ref": "#/components/schemas/BaseError"},
                    ]
                },
                "example": _base("The body is not valid JSON"),
            }
        },
    },
    "NotAuthenticated": _response(
        "No token, or one that is forged, expired or revoked.",
        "TokenError",
        {"error": "Invalid token"},
        WWW_Authenticate="Challenge",
    ),
    "LoginRefused": _response(
        "No such user, a wrong password, or the account is not confirmed yet.",
        "BaseError",
        _base("Unknown email or password"),
    ),
    "NotFound": _response("There is no such thing.", "BaseError", _base("Not found")),
    "MethodNotAllowed": _response(
        "The path has no such method.", "BaseError", _base("Method Not Allowed"), Allow="Allow"
    ),
    "TooLarge": _response(
        "The body is too large.", "BaseError", _base("The body must be at most 16384 bytes")
    ),
    "UnsupportedType": _response(
        "The body's content type is another one.",
        "BaseError",
        _base("The content type must be application/json"),
    ),
    "NotAForm": _response(
        "The body's content type is another one.",
        "BaseError",
        _base(f"The content type must be {FORM}"),
    ),
    "GrantRefused": _response(
        "No such user, a wrong password, or the account is not confirmed yet (`invalid_grant`); or"
        " the form is not what it should be (RFC 6749, section 5.2).",
        "GrantError",
        {"error": "invalid_grant", "error_description": "Unknown email or password"},
    ),
    "InvalidFields": _response(
        "Fields are wrong; each that is has its message.",
        "FieldErrors",
        {"errors": {"email": "invalid", "password": "can't be blank"}},
    ),
    "Throttled": _response(
        "Too many attempts.", "BaseError", _base("Too many attempts"), Retry_After="RetryAfter"
    ),
    "Unavailable": _response(
        "The database or the hashing of passwords can't keep up.",
        "BaseError",
        _base("The database is unavailable, please try again"),
        Retry_After="RetryAfter",
    ),
}


def build_responses(operation: Operation, schemas: Schema) -> Schema:
    """Every answer that the operation can give, by its status."""
    found = {200: _success(operation, schemas)}
    refused = _refusals(operation)
    found |= {code: {"$ref": f"#/components/responses/{name}"} for code, name in refused.items()}
    return {str(code): found[code] for code in sorted(found)}


def _refusals(operation: Operation) -> dict[int, str]:
    refused = {401: "NotAuthenticated"} if operation.bearer else {}
    refused |= {404: "NotFound"} if operation.path else {}
    refused |= {422: "InvalidFields"} if operation.body or operation.query else {}
    refused |= {413: "TooLarge", 415: "UnsupportedType"} if operation.body else {}
    refused |= {400: _bad_request(operation)} if operation.body or operation.bearer else {}
    refused |= {429: "Throttled"} if is_limited(operation.does) else {}
    refused |= {503: "Unavailable"} if operation.serves else {}
    if operation.body_type == FORM:  # what is wrong with a grant has one status
        refused |= {400: "GrantRefused", 415: "NotAForm"}
        del refused[422]
    return {**refused, **operation.refusals}


def _success(operation: Operation, schemas: Schema) -> Schema:
    cached = "Cached" if operation.cacheable else "NoStore"
    schema = {"$ref": f"#/components/schemas/{operation.answer}"}
    content: Schema = {"schema": schema}
    if operation.answer_type == JSON:
        content["example"] = example_of(schema, schemas)
    response: Schema = {
        "description": "Done.",
        "headers": {"Cache-Control": {"$ref": f"#/components/headers/{cached}"}},
        "content": {operation.answer_type: content},
    }
    return response | ({"links": operation.links} if operation.links else {})


def _bad_request(operation: Operation) -> str:
    if operation.body and operation.bearer:
        return "BadRequest"
    return "BadBody" if operation.body else "BadCredentials"
