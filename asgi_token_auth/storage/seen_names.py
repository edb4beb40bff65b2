"""Who was in the file before, for a dry run: a file that the system deletes, not memory."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any


class SeenNames:
    """Names of rows that would have been imported, with what their owners are told apart by."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # on disk as soon as it is large, and private
        self._database.execute("CREATE TABLE seen (name TEXT PRIMARY KEY, row TEXT NOT NULL)")

    def find(self, name: str, value: Any) -> dict[str, str] | None:
        """The row that had this name; its values are text."""
        query = "SELECT row FROM seen WHERE name = ?"
        found = self._database.execute(query, (f"{name} {value}",)).fetchone()
        return json.loads(found[0]) if found else None

    def add(self, names: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        """Remembers a row by its names."""
        text = json.dumps({name: str(value) for name, value in row.items() if value is not None})
        self._database.executemany(
            "INSERT OR IGNORE INTO seen VALUES (?, ?)",
            [(f"{name} {value}", text) for name, value in names.items()],
        )

    def close(self) -> None:
        self._database.close()
