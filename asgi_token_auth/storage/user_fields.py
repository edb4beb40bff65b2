"""The application's own columns of the users table, as JSON knows them: what a value must be to be
stored as it is, and the same said in words that clients can be told."""

import json
import sys
import uuid
from typing import Any, Literal, NamedTuple

from sqlalchemy import JSON, BigInteger, Column, Double, Enum, SmallInteger, Uuid
from sqlalchemy.types import TypeDecorator

LARGEST_DOUBLE = sys.float_info.max
LARGEST_SINGLE = 3.4028234e38
# As str() and PostgreSQL write them.
_BOOLEANS = {"True": "true", "t": "true", "False": "false", "f": "false"}
DEEPEST_JSON = 30  # MariaDB refuses what is deeper than 32
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
    """What a column holds. `maximum_characters` is of text only, `choices` of enumerations,
    `limit`, the first number too large, of integers.

    `required`: clients must give it when they sign up. `other`: JSON has no word for it, and
    answers have it as text.
    """

    name: str
    kind: Kind
    nullable: bool
    required: bool
    writable: bool
    maximum_characters: int | None
    choices: tuple[str, ...] | None
    limit: int | None = None


def describe_field(column: Column[Any], writable: bool) -> UserField:
    """The column in words."""
    kind = _kind(column.type)
    maximum = _maximum_characters(column.type) if kind == "text" else None
    required = writable and is_required(column)
    choices = tuple(column.type.enums) if isinstance(column.type, Enum) else None
    limit = integer_limit(column.type) if kind == "integer" else None
    name = str(column.name)  # SQLAlchemy has a class of its own for it
    nullable = bool(column.nullable)
    return UserField(name, kind, nullable, required, writable, maximum, choices, limit)


def is_required(column: Column[Any]) -> bool:
    """Whether a row can't be without a value that somebody gives."""
    return not column.nullable and column.default is None and column.server_default is None


def integer_limit(column_type: Any) -> int:
    """The first integer that the column can't hold."""
    if isinstance(column_type, SmallInteger):
        return 2**15
    return 2**63 if isinstance(column_type, BigInteger) else 2**31


def fits(column_type: Any, value: Any) -> bool:
    """Whether a JSON value can be stored as it is: no dialect may see one that it refuses."""
    if isinstance(column_type, JSON):
        return isinstance(value, dict | list) and _is_storable_json(value, DEEPEST_JSON)
    if isinstance(column_type, Enum):
        return isinstance(value, str) and value in column_type.enums
    expected = column_type.python_type
    if expected is str:
        return is_storable_text(value) and len(value) <= _maximum_characters(column_type)
    if expected is int:
        limit = integer_limit(column_type)
        return type(value) is int and -limit <= value < limit
    if expected is float:
        # JSON spells infinity 1e999, and no answer could hold it; MySQL's FLOAT is a single.
        largest = LARGEST_DOUBLE if isinstance(column_type, Double) else LARGEST_SINGLE
        return type(value) in (int, float) and -largest <= value <= largest
    return expected is bool and type(value) is bool


def read_value(column_type: Any, value: Any) -> Any:
    """A value from elsewhere as the column has it: CSV knows only text, and MySQL and SQLite say
    1 for true.

    Raises:
        ValueError: the column can't hold it.
    """
    kind = _kind(column_type)
    if isinstance(value, str) and kind in ("integer", "number", "boolean", "json", "list"):
        value = json.loads(_BOOLEANS.get(value, value) if kind == "boolean" else value)
    if kind == "boolean" and value in (0, 1):
        value = bool(value)
    if kind == "uuid":
        value = uuid.UUID(str(value))
        return value if column_type.as_uuid else str(value)
    if not fits(column_type, value):
        raise ValueError
    return value


def is_storable_text(value: object) -> bool:
    """Text that every dialect takes: no NUL (PostgreSQL), no lone surrogate (all)."""
    return (
        isinstance(value, str)
        and "\0" not in value
        and not any("\ud800" <= character <= "\udfff" for character in value)
    )


def _kind(column_type: Any) -> Kind:
    if isinstance(column_type, JSON | TypeDecorator):
        return "json"  # a decorator may make anything
    if isinstance(column_type, Uuid):
        return "uuid"
    if isinstance(column_type, Enum):
        return "text"
    try:
        return KINDS.get(column_type.python_type, "other")
    except NotImplementedError:
        return "json"


def _maximum_characters(column_type: Any) -> int:
    return int(getattr(column_type, "length", None) or TEXT_CHARACTERS)


def _is_storable_json(value: object, depth: int) -> bool:
    if isinstance(value, dict | list):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return depth > 0 and all(_is_storable_json(each, depth - 1) for each in inner)
    if type(value) in (int, float):
        return -LARGEST_DOUBLE <= value <= LARGEST_DOUBLE  # type: ignore[operator]
    return value is None or isinstance(value, bool) or is_storable_text(value)
