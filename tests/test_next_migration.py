"""A migration to come, as CONTRIBUTING has it."""

import asyncio
import importlib
from pathlib import Path
from typing import Any

import pytest
from conftest import running_service
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
# What may come besides: a table, and an index on a table that is in use.
LARGER = """
import sqlalchemy as sa
from alembic import op
from asgi_token_auth.storage.migrations.adopting import add_index

revision, down_revision = "next", "{latest}"


def upgrade():
    op.add_column("tokens", sa.Column("colour", sa.String(8)))
    op.create_table("colours", sa.Column("id", sa.Integer, primary_key=True))
    tokens = sa.Table("tokens", sa.MetaData(), sa.Column("created_at", sa.BigInteger))
    index = sa.Index("ix_tokens_created_at", tokens.c.created_at)
    add_index(sa.inspect(op.get_context().opts["target"].connection), index, is_there=False)
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


async def test_requests_go_on_while_the_next_version_migrates(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes of this version log in, look and log out meanwhile, and notice nothing."""
    (tmp_path / "v_next.py").write_text(LARGER.format(latest=LATEST))
    async with running_service(database_url) as service:
        await service.auth.migrate()
        await service.new_user()
        monkeypatch.setattr(RUNNER, "_config", lambda *given: config_of(*given, also=tmp_path))
        answered, done = asyncio.Event(), asyncio.Event()

        async def use() -> set[int]:
            statuses = set()
            while not done.is_set():
                login = await service.log_in()
                token = login.json().get("token", "")
                looked = await service.call("GET", "/api/sessions", token=token)
                gone = await service.call("DELETE", "/api/sessions", token=token)
                statuses |= {login.status_code, looked.status_code, gone.status_code}
                answered.set()
            return statuses

        users = [asyncio.create_task(use()) for _ in range(4)]
        await answered.wait()
        await service.auth.migrate()
        answered.clear()
        await answered.wait()
        done.set()

        assert set().union(*await asyncio.gather(*users)) == {200}
        assert await version(database_url) == [("next",)]
        assert "colours" in await schema(database_url)
