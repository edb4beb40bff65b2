"""The users table's columns as JSON Schema."""

from typing import Any

from asgi_token_auth.storage.user_fields import UserField

Schema = dict[str, Any]

UUID = {"type": "string", "format": "uuid"}


def request_schema(field: UserField, *, new: bool) -> Schema:
    """What a request may set the field to. In a `new` user's, null is a field left out."""
    may_be_null = not field.required if new else field.nullable
    if field.kind == "json":
        return _or_null(may_be_null, {"type": ["object", "array"]})
    if field.kind in ("uuid", "list", "other"):
        return {"type": "null"}  # no request can set these
    if field.choices:
        return {"enum": [*field.choices, None] if may_be_null else list(field.choices)}
    if field.kind == "text":
        maximum = field.maximum_characters
        return _or_null(may_be_null, {"type": "string", "maxLength": maximum})
    if field.limit is not None:
        integer = {"type": "integer", "minimum": -field.limit, "maximum": field.limit - 1}
        return _or_null(may_be_null, integer)
    return _or_null(may_be_null, {"type": field.kind})


def answer_schema(field: UserField) -> Schema:
    """What an answer may hold."""
    if field.kind == "json":
        return {}
    if field.kind == "number":
        number = _or_null(field.nullable, {"type": "number"})
        return {"anyOf": [number, {"enum": ["inf", "-inf", "nan"]}]}
    names = {"text": "string", "uuid": "string", "other": "string", "list": "array"}
    return _or_null(field.nullable, {"type": names.get(field.kind, field.kind)})


def key_schema(field: UserField) -> Schema:
    """A user's id as requests have it: a number, or its text."""
    if field.limit is not None:
        number = {"type": "integer", "minimum": 1, "maximum": field.limit - 1, "examples": [1]}
        return {"anyOf": [number, {"type": "string", "pattern": "^[0-9]{1,19}$"}]}
    return UUID if field.kind == "uuid" else {"type": "string", "minLength": 1}


def _or_null(may_be_null: bool, shape: Schema) -> Schema:
    return {**shape, "type": [*_listed(shape["type"]), "null"]} if may_be_null else shape


def _listed(types: str | list[str]) -> list[str]:
    return [types] if isinstance(types, str) else types
