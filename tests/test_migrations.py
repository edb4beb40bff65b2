"""asgi-token-auth migrate: to the schema of create_tables, from wherever a database stands."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import alembic
import databases
import killed_migration
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from conftest import MYSQL, POSTGRESQL, own_database
from forked import command_line, run_forked
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.schema import CreateTable

import asgi_token_auth
from asgi_token_auth import TokenAuth
from asgi_token_auth.exceptions import DatabaseUnavailable, MigrationFailed, SettingsError
from asgi_token_auth.testing import Mailbox, settings

GUIDE = Path(__file__).parent.parent / "docs/migrations.md"
OWN = {"users", "tokens", "revocations", "events", "outbox"}
VERSION = "asgi_token_auth_version"
VERSIONS = Path(asgi_token_auth.__file__).parent / "storage/migrations/versions"
LATEST = max(VERSIONS.glob("v*.py")).name[1:5]
KILL_STEP = int(os.environ.get("TEST_KILL_STEP", "5"))
SQLALCHEMY = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "mysql": "mysql+asyncmy",
}


# An application with a users table of its own, and Alembic's three commands, as its shell has them.
APPLICATION = """
import sqlalchemy as sa
from asgi_token_auth import TokenAuth
from test_migrations import own_users

auth = TokenAuth(database="{url}", secret_key="k" * 40, email_sender="app@example.com",
                 users=own_users("text"))
"""
ALEMBIC = f"""
import sys
sys.path[:0] = [".", {str(Path(__file__).parent)!r}]
from alembic import command, config
settings = config.Config()
settings.set_main_option("script_location", ".")
command.revision(settings, "token auth", autogenerate=True)
command.upgrade(settings, "head")
command.check(settings)
"""


def code_blocks() -> list[str]:
    """The guide's Python, as it stands there."""
    return re.findall(r"```python\n(.+?)```", GUIDE.read_text(), re.DOTALL)


@contextlib.asynccontextmanager
async def connection_to(url: str) -> AsyncIterator[Any]:
    """A look at the database, beside the library."""
    scheme, rest = url.split("://")
    engine = create_async_engine(f"{SQLALCHEMY[scheme]}://{rest}")
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


async def run_sql(url: str, *statements: str) -> list[Any]:
    """The rows of the last one."""
    rows: list[Any] = []
    async with connection_to(url) as connection:
        for statement in statements:
            result = await connection.execute(sa.text(statement))
            rows = list(result) if result.returns_rows else []
    return rows


async def schema(url: str) -> Any:
    """All that reflection finds: tables, columns, keys, constraints, indexes, options."""

    def read(connection: Any) -> Any:
        found = sa.inspect(connection)
        return {
            table: {
                "columns": [{**c, "type": repr(c["type"])} for c in found.get_columns(table)],
                "primary": found.get_pk_constraint(table),
                "foreign": found.get_foreign_keys(table),
                "unique": sorted(map(str, found.get_unique_constraints(table))),
                "indexes": sorted(map(str, found.get_indexes(table))),
                "options": _options(found, table),
                "sql": _sqlite_text(connection, table),
            }
            for table in sorted(set(found.get_table_names()) - {VERSION})
        }

    async with connection_to(url) as connection:
        return await connection.run_sync(read)


def _options(found: Any, table: str) -> Any:
    """Of MySQL; for others SQLAlchemy 2.0 has no answer."""
    if found.dialect.name != "mysql":
        return None
    return {k: v for k, v in found.get_table_options(table).items() if "auto" not in k}


def _sqlite_text(connection: Any, table: str) -> Any:
    """Reflection does not know of AUTOINCREMENT."""
    if connection.dialect.name != "sqlite":
        return None
    query = sa.text("SELECT sql FROM sqlite_master WHERE name = :name")
    return "".join(connection.execute(query, {"name": table}).scalar().split())


async def differences(url: str, auth: TokenAuth) -> Any:
    """What Alembic would write into a migration."""

    def compare(connection: Any) -> Any:
        options = {
            "compare_type": True,
            "include_name": lambda name, kind, parents: kind != "table" or name != VERSION,
            "target_metadata": [auth.users.metadata, auth.metadata],
        }
        context = MigrationContext.configure(connection, opts=options)
        return compare_metadata(context, options["target_metadata"])  # type: ignore[arg-type]

    async with connection_to(url) as connection:
        return await connection.run_sync(compare)


@contextlib.asynccontextmanager
async def second_database(url: str, tmp_path: Path) -> AsyncIterator[str]:
    """An empty one of the same kind."""
    kind = url.split(":")[0]
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path}/second.db"
        return
    async with own_database(POSTGRESQL if kind == "postgresql" else MYSQL, kind) as own:
        yield own


def token_auth(url: str | databases.Database, **given: Any) -> TokenAuth:
    return TokenAuth(database=url, **{**settings(Mailbox()), **given})


@contextlib.asynccontextmanager
async def closing(*auths: TokenAuth) -> AsyncIterator[None]:
    """They work on first use: nothing is started that would look for tables."""
    try:
        yield
    finally:
        for auth in auths:
            await auth.shutdown()


def create_table(auth: TokenAuth) -> str:
    """As the library itself would make its users table."""
    return str(CreateTable(auth.users).compile(dialect=auth._database.dialect.sql))


def own_users(kind: str) -> sa.Table:
    """An application's own table, with text for ids."""
    return sa.Table(
        "people",
        sa.MetaData(),
        sa.Column("id", sa.Uuid() if kind == "uuid" else sa.String(36), primary_key=True),
        sa.Column("email", sa.String(320), unique=True),
        sa.Column("hashed_password", sa.Text, nullable=False),
        sa.Column("confirmed_at", sa.BigInteger),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


async def version(url: str) -> Any:
    return await run_sql(url, f"SELECT version_num FROM {VERSION}")


async def command(url: str, *arguments: str) -> tuple[int, str, str]:
    """What the command line answers."""
    environment = {"TOKEN_AUTH_SECRET_KEY": "k" * 40, "TOKEN_AUTH_EMAIL_SENDER": "app@example.com"}
    arguments = (*arguments, "--database-url", url)
    done = await asyncio.to_thread(run_forked, command_line, *arguments, environment=environment)
    return done.returncode, done.stdout, done.stderr


async def test_an_empty_database_gets_the_schema_of_create_tables(
    database_url: str, tmp_path: Path
) -> None:
    """The same to the last index; Alembic itself finds no difference."""
    async with second_database(database_url, tmp_path) as second:
        created, migrated = token_auth(second), token_auth(database_url)
        async with closing(created, migrated):
            await created.create_tables()
            await migrated.migrate()

        assert set(await schema(database_url)) == OWN
        assert await schema(database_url) == await schema(second)
    assert await differences(database_url, migrated) == []
    assert await version(database_url) == [(LATEST,)]


@pytest.mark.parametrize("kind", ["uuid", "text"])
async def test_the_applications_own_users_table_is_referred_to(
    database_url: str, tmp_path: Path, kind: str
) -> None:
    """By its type of id; it is not touched, and its absence is told."""
    async with second_database(database_url, tmp_path) as second:
        created = token_auth(second, users=own_users(kind))
        migrated = token_auth(database_url, users=own_users(kind))
        async with closing(created, migrated):
            await created.create_tables()
            with pytest.raises(MigrationFailed, match="'people' is not there"):
                await migrated.migrate()
            await run_sql(database_url, create_table(migrated))
            await migrated.migrate()

        assert await schema(database_url) == await schema(second)


async def test_mariadbs_own_uuid_is_referred_to_as_well() -> None:
    """SQLAlchemy makes an application's users so; printed, too, for another program to run."""
    async with own_database(MYSQL, "mysql") as url:
        auth = token_auth(url, users=own_users("uuid"))
        async with connection_to(url) as connection:
            await connection.run_sync(auth.users.create)
        async with closing(auth):
            assert "user_id UUID NOT NULL" in await auth.migration_sql()
            await auth.migrate()
            await auth.accounts.sign_up(email="ada@example.com", password="secret")
        assert await differences(url, auth) == []


async def test_tables_with_rows_of_create_tables_are_taken_over(database_url: str) -> None:
    """No row is lost, nothing is done twice, and tokens stay good."""
    auth = token_auth(database_url)
    async with closing(auth):
        await auth.create_tables()
        await auth.accounts.sign_up(username="ada", password="secret")
        before = await schema(database_url)
        login = await auth.accounts.log_in(username="ada", password="secret")

        for _ in range(2):
            await auth.migrate()

        assert await schema(database_url) == before
        assert await version(database_url) == [(LATEST,)]
        assert await auth.verifier.verify(login.token.encode())
        assert await auth.migration_sql() == ""


async def test_what_an_older_version_lacks_is_added(database_url: str) -> None:
    """A column, indexes and a table, beside rows, while somebody reads."""
    auth = token_auth(database_url)
    async with closing(auth):
        await auth.create_tables()
        await auth.accounts.sign_up(username="ada", password="secret")
        before = await schema(database_url)
        on = "" if not database_url.startswith("mysql") else " ON tokens"
        await run_sql(
            database_url,
            "ALTER TABLE tokens DROP COLUMN name",
            f"DROP INDEX ix_tokens_expires_at{on}",
            "DROP TABLE events",
        )

        written = await auth.migration_sql()
        assert (await schema(database_url)).keys() == OWN - {"events"}
        await auth.migrate()

    after = await schema(database_url)
    for each in (before, after):
        each["tokens"].pop("sql")
        each["tokens"]["columns"].sort(key=lambda column: column["name"])  # added ones come last
    assert after == before
    assert "ADD COLUMN name" in written or "ADD name" in written
    assert ("INDEX CONCURRENTLY ix_tokens" in written) == database_url.startswith("postgresql")
    assert await run_sql(database_url, "SELECT username FROM users") == [("ada",)]


async def test_somebody_elses_table_is_left_alone(database_url: str) -> None:
    """An application may have events of its own: nothing is added to them."""
    await run_sql(database_url, "CREATE TABLE events (id INTEGER PRIMARY KEY, place INTEGER)")
    auth = token_auth(database_url)

    async with closing(auth):
        with pytest.raises(MigrationFailed, match="'events' without a column 'event'"):
            await auth.migrate()

    assert [c["name"] for c in (await schema(database_url))["events"]["columns"]] == ["id", "place"]


async def test_a_users_table_without_our_columns_is_left_alone(sqlite_url: str) -> None:
    """What must be unique is never added: an application's table is to be given as `users`."""
    users = "CREATE TABLE users (id INTEGER PRIMARY KEY, hashed_password TEXT NOT NULL)"
    await run_sql(sqlite_url, users)
    auth = token_auth(sqlite_url)

    async with closing(auth):
        with pytest.raises(MigrationFailed, match="'users' without a column 'email'"):
            await auth.migrate()

    assert set(await schema(sqlite_url)) == {"users"}


async def test_several_processes_may_migrate_at_once(database_url: str) -> None:
    """One does it, the other finds it done."""
    answers = await asyncio.gather(*(command(database_url, "migrate") for _ in range(2)))

    assert answers == [(0, "ok\n", "")] * 2
    assert await version(database_url) == [(LATEST,)]
    assert set(await schema(database_url)) == OWN


async def test_the_statements_printed_do_what_migrate_does(
    database_url: str, tmp_path: Path
) -> None:
    """--sql changes nothing; run by hand, its statements leave nothing to do."""
    status, written, _ = await command(database_url, "migrate", "--sql")
    assert status == 0
    assert await schema(database_url) == {}

    statements = [line.strip() for line in written.split(";")]
    plain = [s for s in statements if s and s not in ("BEGIN", "COMMIT")]
    await run_sql(database_url, *plain)

    assert await version(database_url) == [(LATEST,)]
    async with second_database(database_url, tmp_path) as second:
        migrated, auth = token_auth(second), token_auth(database_url)
        async with closing(migrated, auth):
            assert await auth.migration_sql() == ""
            await migrated.migrate()
        assert await schema(database_url) == await schema(second)


async def test_an_application_may_have_the_tables_in_its_own_history(
    database_url: str, tmp_path: Path
) -> None:
    """The env.py of the guide: autogenerate writes what create_tables makes, then finds no more."""
    (tmp_path / "app.py").write_text(APPLICATION.format(url=database_url))
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(code_blocks()[0])
    template = Path(alembic.__file__).parent / "templates/async/script.py.mako"
    (tmp_path / "script.py.mako").write_text(template.read_text())

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", ALEMBIC, cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    _, error = await process.communicate()

    assert process.returncode == 0, error.decode()
    auth = token_auth(database_url, users=own_users("text"))
    async with closing(auth), second_database(database_url, tmp_path) as second:
        assert await auth.migration_sql() != ""
        await auth.migrate()  # going over to it is no work
        created = token_auth(second, users=own_users("text"))
        async with closing(created):
            await created.create_tables()
        mine, theirs = await schema(database_url), await schema(second)
        for table in sorted(OWN - {"users"}):
            for part in ("columns", "primary", "foreign", "unique", "indexes"):
                assert mine[table][part] == theirs[table][part]


async def test_an_application_may_keep_its_own_history_beside(database_url: str) -> None:
    """The include_name of the guide: its autogenerate would drop the tables otherwise."""
    auth = token_auth(database_url)
    async with closing(auth):
        await auth.migrate()
    scope: dict[str, Any] = {"auth": auth}
    exec(code_blocks()[1].replace("from app import auth\n", ""), scope)

    def compare(connection: Any, **options: Any) -> Any:
        return compare_metadata(MigrationContext.configure(connection, opts=options), sa.MetaData())

    async with connection_to(database_url) as connection:
        assert len(await connection.run_sync(compare)) > len(OWN)
        include_name = scope["include_name"]
        assert await connection.run_sync(compare, include_name=include_name) == []


async def test_a_newer_database_is_refused(database_url: str) -> None:
    """What this version does not know it can't judge."""
    auth = token_auth(database_url)
    async with closing(auth):
        await auth.migrate()
        await run_sql(database_url, f"UPDATE {VERSION} SET version_num = '9999'")

        with pytest.raises(MigrationFailed, match="9999"):
            await auth.migrate()


async def test_an_index_that_was_interrupted_is_built_anew() -> None:
    """PostgreSQL leaves half of it behind, which no query uses."""
    async with own_database(POSTGRESQL, "postgresql") as url:
        auth = token_auth(url)
        async with closing(auth):
            await auth.create_tables()
            half = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
            await run_sql(url, half + "'ix_tokens_expires_at'::regclass")
            await auth.migrate()

        invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
        assert await run_sql(url, invalid) == [(0,)]


async def test_requests_go_on_while_an_index_is_built() -> None:
    """Its builder waits for a long transaction; who logs in waits for neither."""
    async with own_database(POSTGRESQL, "postgresql") as url:
        auth = token_auth(url)
        async with closing(auth):
            await auth.create_tables()
            await auth.accounts.sign_up(username="ada", password="secret")
            await run_sql(url, "DROP INDEX ix_tokens_expires_at")
            building = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
            building += " AND query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'"
            async with connection_to(url) as writer:
                await writer.execute(sa.text("UPDATE tokens SET expires_at = 0"))
                migrating = asyncio.create_task(auth.migrate())
                while not migrating.done() and not await run_sql(url, building):
                    continue
                assert not migrating.done()
                assert await auth.accounts.log_in(username="ada", password="secret")
                assert not migrating.done()
            await migrating

            assert await auth.migration_sql() == ""


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
async def test_a_table_that_is_held_is_not_waited_for_long(kind: str) -> None:
    """Requests would queue behind the change; and the next try succeeds."""
    async with own_database(POSTGRESQL if kind == "postgresql" else MYSQL, kind) as url:
        auth = token_auth(url)
        async with closing(auth):
            await auth.create_tables()
            await run_sql(url, "ALTER TABLE tokens DROP COLUMN name")
            async with connection_to(url) as reader:
                await reader.execute(sa.text("SELECT * FROM tokens"))
                with pytest.raises(MigrationFailed, match=r"(?i)lock (wait )?timeout"):
                    await auth.migrate()
            await auth.migrate()


async def test_one_process_may_migrate_several_databases_at_once(
    database_url: str, tmp_path: Path
) -> None:
    """Each gets its own tables, though Alembic has one context in a process."""
    async with second_database(database_url, tmp_path) as second:
        one, other = token_auth(database_url), token_auth(second)
        async with closing(one, other):
            await asyncio.gather(one.migrate(), other.migrate(), one.migrate())

        assert await schema(database_url) == await schema(second)
        assert await version(second) == [(LATEST,)]


async def test_a_database_that_is_down_is_told(tmp_path: Path) -> None:
    """In one line, without the password of its URL."""
    down = "postgresql://ada:hidden@127.0.0.1:1/test"
    auth = token_auth(down)
    async with closing(auth):
        with pytest.raises(DatabaseUnavailable):
            await auth.migrate()

    status, _, error = await command(down, "migrate")
    assert (status, error.count("\n")) == (1, 1)
    assert "hidden" not in error


async def test_the_applications_own_databases_object_is_good_for_it(database_url: str) -> None:
    """Of what it was opened with, all but the pool's is used."""
    is_server = not database_url.startswith("sqlite")
    url = database_url.replace("mysql:", "mysql+asyncmy:") + "?min_size=1&ssl=false" * is_server
    options = {"min_size": 1, "max_size": 3} if is_server else {}
    auth = token_auth(databases.Database(url, **options))
    async with closing(auth):
        await auth.migrate()

    assert set(await schema(database_url)) == OWN


async def test_the_extra_is_named_where_it_is_missing(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLAlchemy would complain much later, and of greenlet."""
    for library in ("greenlet", "alembic"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, library, None)
            for module in [name for name in sys.modules if "storage.migrations." in name]:
                patch.delitem(sys.modules, module)
            with pytest.raises(SettingsError, match=r"asgi_token_auth\[migrations\]"):
                await token_auth(sqlite_url).migrate()


async def test_users_in_another_schema_are_referred_to() -> None:
    """PostgreSQL's schemas: the users' own, ours the default."""
    async with own_database(POSTGRESQL, "postgresql") as url:
        users = own_users("text").to_metadata(sa.MetaData(), schema="people")
        auth = token_auth(url, users=users)
        async with closing(auth):
            await run_sql(url, "CREATE SCHEMA people", create_table(auth))
            await auth.migrate()

        foreign = (await schema(url))["tokens"]["foreign"]
        assert [key["referred_schema"] for key in foreign] == ["people"]


async def test_a_migration_that_was_killed_goes_on_where_it_was(database_url: str) -> None:
    """After any statement, also where each is committed by itself, as MariaDB does it."""
    migrate = killed_migration.migrate_killed
    done = await asyncio.to_thread(run_forked, migrate, database_url, KILL_STEP)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 10
