"""The users table's columns as JSON Schema."""

from typing import Any

from asgi_token_auth.storage.user_fields import UserField

Schema = dict[str, Any]

INTEGER = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
UUID = {"type": "string", "format": "uuid"}


def field_schema(field: UserField, *, answer: bool = False) -> Schema:
    """What a request may set the field to; or, with `answer`, what an answer may hold."""
    if field.kind == "json":
        return {} if answer else _or_null(field, {"type": ["object", "array"]})
    if field.kind in ("other", "uuid", "list"):
        # No request can set these.
        shape = {"type": "array"} if field.kind == "list" else {"type": "string"}
        return _or_null(field, shape) if answer else {"type": "null"}
    if field.kind == "text":
        shape = {"type": "string"} if answer else _text(field)
        return _or_null(field, shape)
    if field.kind == "integer":
        return _or_null(field, {"type": "integer"} if answer else INTEGER)
    return _or_null(field, {"type": field.kind})


def key_schema(field: UserField) -> Schema:
    """A user's id as requests have it: a number, or its text."""
    if field.kind == "integer":
        number = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1, "examples": [1]}
        return {"anyOf": [number, {"type": "string", "pattern": "^[0-9]{1,19}$"}]}
    return UUID if field.kind == "uuid" else {"type": "string", "minLength": 1}


def _text(field: UserField) -> Schema:
    return {"type": "string", "maxLength": field.maximum_characters}


def _or_null(field: UserField, shape: Schema) -> Schema:
    return {**shape, "type": [*_listed(shape["type"]), "null"]} if field.nullable else shape


def _listed(types: str | list[str]) -> list[str]:
    return [types] if isinstance(types, str) else types
