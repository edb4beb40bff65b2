"""The application's own columns of the users table, as JSON knows them: what a value must be to be
stored as it is, and the same said in words that clients can be told."""

from typing import Any, Literal, NamedTuple

from sqlalchemy import JSON, Column, Uuid
from sqlalchemy.types import TypeDecorator

TEXT_CHARACTERS = 65_535 // 4  # MySQL's TEXT, in the longest encoding

Kind = Literal["text", "uuid", "integer", "number", "boolean", "json", "list", "other"]
KINDS: dict[type, Kind] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "list",
}


class UserField(NamedTuple):
    """What a column holds. `maximum_characters` is of text only.

    `required`: clients must give it when they sign up. `other`: JSON has no word for it, and
    answers have it as text.
    """

    name: str
    kind: Kind
    nullable: bool
    required: bool
    writable: bool
    maximum_characters: int | None


def describe_field(column: Column[Any], writable: bool) -> UserField:
    """The column in words."""
    kind = _kind(column.type)
    maximum = _maximum_characters(column.type) if kind == "text" else None
    required = writable and is_required(column)
    return UserField(column.name, kind, bool(column.nullable), required, writable, maximum)


def is_required(column: Column[Any]) -> bool:
    """Whether a row can't be without a value that somebody gives."""
    return not column.nullable and column.default is None and column.server_default is None


def fits(column_type: Any, value: Any) -> bool:
    """Whether a JSON value can be stored as it is: no dialect may see one that it refuses."""
    if isinstance(column_type, JSON):
        return isinstance(value, dict | list)
    expected = column_type.python_type
    if expected is str:
        return _is_storable_text(value) and len(value) <= _maximum_characters(column_type)
    if expected is int:
        return type(value) is int and -(2**31) <= value < 2**31
    if expected is float:
        return type(value) in (int, float)
    return expected is bool and type(value) is bool


def _kind(column_type: Any) -> Kind:
    if isinstance(column_type, JSON | TypeDecorator):
        return "json"  # a decorator may make anything
    if isinstance(column_type, Uuid):
        return "uuid"
    try:
        return KINDS.get(column_type.python_type, "other")
    except NotImplementedError:
        return "json"


def _maximum_characters(column_type: Any) -> int:
    return int(getattr(column_type, "length", None) or TEXT_CHARACTERS)


def _is_storable_text(value: object) -> bool:
    """Text that every dialect takes: no NUL (PostgreSQL), no lone surrogate (all)."""
    return (
        isinstance(value, str)
        and "\0" not in value
        and not any("\ud800" <= character <= "\udfff" for character in value)
    )
