"""Databases as each released version made them, with rows that it wrote.

`python -m tests.released_schemas` writes `<version>/<dialect>.sql` and `<version>/rows.json` for
the version at hand, from the code as it stands: whenever the tables change, until it is released.
From then on they stay; tests/test_released_schemas.py brings each to the present schema.
"""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import databases
from sqlalchemy import Table
from sqlalchemy.schema import CreateIndex, CreateTable

from asgi_token_auth import TokenAuth, __version__
from asgi_token_auth.storage.migrations.migration import VERSION_TABLE
from asgi_token_auth.testing import Mailbox, SettableClock, settings

HERE = Path(__file__).parent
DIALECTS = {
    "sqlite": "sqlite:///x.db",
    "postgresql": "postgresql://127.0.0.1/x",
    "mysql": "mysql://root@127.0.0.1/x",
}
RELEASES = sorted(path.name for path in HERE.iterdir() if (path / "rows.json").exists())
PASSWORD = "secret"
WRITTEN_AT = datetime(2026, 1, 1, tzinfo=UTC)


def statements(kind: str) -> list[str]:
    """What `create_tables` runs today on an empty database of that kind."""
    auth = TokenAuth(database=DIALECTS[kind], **settings(Mailbox()))
    tables: list[Table] = [auth.users, *auth.metadata.sorted_tables]
    dialect = auth._database.dialect.sql
    made: list[str] = []
    for table in tables:
        made.append(str(CreateTable(table).compile(dialect=dialect)).strip())
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        made += [str(CreateIndex(index).compile(dialect=dialect)).strip() for index in indexes]
    return made


def read_statements(release: str, kind: str) -> list[str]:
    """Those of a release."""
    text = (HERE / release / f"{kind}.sql").read_text()
    return [one.strip() for one in text.split(";\n") if one.strip()]


def read_rows(release: str) -> dict[str, Any]:
    """Its rows by table, and what its users have: an access token, a password."""
    found: dict[str, Any] = json.loads((HERE / release / "rows.json").read_text())
    return found


async def write_rows(directory: Path) -> dict[str, Any]:
    """A user with a live token, and one whose mail waits to be sent, as this version has them."""
    url = f"sqlite:///{directory}/rows.db"
    clock = SettableClock(WRITTEN_AT)
    auth = TokenAuth(database=url, **settings(Mailbox(), clock), send_mail=False)
    await auth.migrate()
    await auth.accounts.sign_up(username="ada", password=PASSWORD)
    login = await auth.accounts.log_in(username="ada", password=PASSWORD)
    await auth.accounts.sign_up(email="bob@example.com", password=PASSWORD)
    await auth.shutdown()
    tables = [auth.users.name, *(table.name for table in auth.metadata.sorted_tables)]
    async with databases.Database(url) as database:
        rows = {table: await _rows(database, table) for table in tables}
        revision = await database.fetch_val(f"SELECT version_num FROM {VERSION_TABLE}")
    return {"revision": revision, "access_token": login.token, "rows": rows}


async def _rows(database: databases.Database, table: str) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in await database.fetch_all(f"SELECT * FROM {table}")]


def write(directory: Path) -> None:
    """Writes down what this version makes."""
    release = HERE / __version__
    release.mkdir(exist_ok=True)
    for kind in DIALECTS:
        (release / f"{kind}.sql").write_text(";\n\n".join(statements(kind)) + ";\n")
    rows = asyncio.run(write_rows(directory))
    (release / "rows.json").write_text(json.dumps(rows, indent=1) + "\n")
