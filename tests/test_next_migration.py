"""A migration to come, as CONTRIBUTING has it."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from test_migrations import LATEST, closing, run_sql, schema, second_database, token_auth, version

RUNNER: Any = importlib.import_module("asgi_token_auth.storage.migrations.migration")
CONFIG = RUNNER._config
NEXT = """
from alembic import op
from sqlalchemy import Column, MetaData, String, Table, inspect
from asgi_token_auth.storage.migrations.adopting import add_missing

revision, down_revision = "next", "{latest}"


def upgrade():
    found = inspect(op.get_context().opts["target"].connection)
    add_missing(found, Table("tokens", MetaData(), Column("colour", String(16))))
"""


def config_of(*given: Any, also: Path | None = None) -> Any:
    """Alembic's settings for the library's migrations, and a directory beside them."""
    config = CONFIG(*given or (None,))
    if also is not None:
        for name in ("path_separator", "version_path_separator"):  # of newer and older Alembics
            config.set_main_option(name, "newline")
        own = Path(RUNNER.__file__).parent / "versions"
        config.set_main_option("version_locations", f"{own}\n{also}")
    return config


async def test_the_next_migration_adds_a_column_run_or_written_down(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To tables that are there, and to those the script itself makes."""
    (tmp_path / "v_next.py").write_text(NEXT.format(latest=LATEST))
    monkeypatch.setattr(RUNNER, "_config", lambda *given: config_of(*given, also=tmp_path))
    auth = token_auth(database_url)
    async with closing(auth), second_database(database_url, tmp_path) as second:
        written = await auth.migration_sql()
        await auth.create_tables()
        await auth.migrate()
        plain = [line.strip() for line in written.split(";")]
        await run_sql(second, *(s for s in plain if s and s not in ("BEGIN", "COMMIT")))

        for url in (database_url, second):
            assert await version(url) == [("next",)]
            columns = (await schema(url))["tokens"]["columns"]
            assert [column["name"] for column in columns][-1] == "colour"
