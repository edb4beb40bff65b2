"""What type the users table's key really has, where references must be of the very same one.

MariaDB and MySQL refuse a foreign key otherwise, and SQLAlchemy's word for a type leaves open which
it is: MariaDB's own UUID or CHAR(32), signed or unsigned, text of one collation or another.
"""

from typing import Any

from sqlalchemy import Table
from sqlalchemy.types import UserDefinedType

FIND_KEY = {
    "mysql": "SELECT column_type, character_set_name, collation_name"
    " FROM information_schema.columns WHERE table_schema = COALESCE(:schema, DATABASE())"
    " AND table_name = :table AND column_name = 'id'",
}


class FoundType(UserDefinedType[Any]):
    """A type in the database's own words."""

    cache_ok = True

    def __init__(self, words: str) -> None:
        self.words = words  # of this name, as SQLAlchemy copies it

    def get_col_spec(self, **options: Any) -> str:
        return self.words


def key_of(users: Table) -> dict[str, str | None]:
    """The values of `FIND_KEY`."""
    return {"schema": users.schema, "table": users.name}


def found_type(row: Any) -> FoundType:
    """The type from the row that `FIND_KEY` found."""
    kind, characters, collation = (_text(row[place]) for place in range(3))
    suffix = f" CHARACTER SET {characters} COLLATE {collation}" if characters else ""
    return FoundType(kind.upper() + suffix)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value  # as some versions have it
