"""From the database of each released version to the present one, with what it held."""

import re
from pathlib import Path
from typing import Any

import databases
import pytest
from conftest import running_service
from test_migrations import (
    VERSION,
    closing,
    differences,
    run_sql,
    schema,
    second_database,
    token_auth,
)

from asgi_token_auth import __version__
from asgi_token_auth.testing import SettableClock
from tests.released_schemas import (
    DIALECTS,
    PASSWORD,
    RELEASES,
    WRITTEN_AT,
    read_rows,
    read_statements,
    statements,
)

CHANGELOG = Path(__file__).parent.parent / "CHANGELOG.md"


async def fill(url: str, rows: dict[str, Any]) -> None:
    """The rows, and keys that go on after them."""
    async with databases.Database(url.replace("mysql://", "mysql+asyncmy://")) as database:
        for table, of_table in rows.items():
            for row in of_table:
                names = ", ".join(row)
                values = ", ".join(f":{name}" for name in row)
                await database.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", row)
            if url.startswith("postgresql") and of_table and type(of_table[0].get("id")) is int:
                key = f"pg_get_serial_sequence('{table}', 'id')"
                await database.execute(f"SELECT setval({key}, (SELECT max(id) FROM {table}))")


@pytest.mark.parametrize("made_by", ["create_tables", "migrate"])
@pytest.mark.parametrize("release", RELEASES)
async def test_the_database_of_a_release_is_brought_to_the_present(
    database_url: str, tmp_path: Path, release: str, made_by: str
) -> None:
    """Its tables become those of today; its token, password and waiting mail are still good."""
    kept = read_rows(release)
    await run_sql(database_url, *read_statements(release, database_url.split(":")[0]))
    await fill(database_url, kept["rows"])
    if made_by == "migrate":
        await run_sql(
            database_url,
            f"CREATE TABLE {VERSION} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
            f"INSERT INTO {VERSION} VALUES ('{kept['revision']}')",
        )

    migrated = token_auth(database_url)
    async with closing(migrated), second_database(database_url, tmp_path) as second:
        await migrated.migrate()
        created = token_auth(second)
        async with closing(created):
            await created.create_tables()
        mine, expected = await schema(database_url), await schema(second)
    for each in (*mine.values(), *expected.values()):
        each.pop("sql")  # an added column is written at the end
    assert mine == expected
    assert await differences(database_url, migrated) == []

    async with running_service(database_url, clock=SettableClock(WRITTEN_AT)) as service:
        assert await service.is_good(kept["access_token"])
        answer = await service.call(
            "POST", "/api/sessions", {"username": "ada", "password": PASSWORD}
        )
        assert answer.status_code == 200
        assert (await service.confirm("bob@example.com")).status_code == 200
        await service.sign_up("carl@example.com")


@pytest.mark.parametrize("kind", DIALECTS)
def test_the_tables_change_with_a_new_version_only(kind: str) -> None:
    """What stands for this version is what it makes; `python -m tests.released_schemas` writes it,
    for as long as the version is not released."""
    assert __version__ in RELEASES
    assert read_statements(__version__, kind) == statements(kind)


def test_every_release_left_its_database_here() -> None:
    """The changelog's headings with a date are releases."""
    released = re.findall(r"^## (\S+), \d{4}-", CHANGELOG.read_text(), re.MULTILINE)

    assert set(released) <= set(RELEASES)
