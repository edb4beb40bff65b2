"""Users and tokens by the million, straight into the tables, and the JWTs that stand for them.

Token number n has the id `0...0n` of 43 characters, as long as a real one, and belongs to user
(n - 1) % users + 1; so its JWT can be made from its number alone. Rows go in by order of digest,
and indexes are made after them: that packs the pages a tenth to a third tighter than a life of
logins would.
"""

import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
from databases import DatabaseURL
from passlib.context import CryptContext

from asgi_token_auth import TokenAuth
from asgi_token_auth.settings import Settings
from asgi_token_auth.testing import Mailbox, settings
from asgi_token_auth.tokens import TokenSigner, digest
from benchmarks.databases import new_database

PASSWORD = "secret"  # noqa: S105
# Hashing is not what these benchmarks measure, and plain text costs nothing at all.
NO_HASHING = CryptContext(["plaintext"])
LIFETIME_SECONDS = 7 * 24 * 3600
MOST_USERS = 1_000_000
SQLITE_CACHE_KIBIBYTES = 512 * 1024

USERS = {
    "postgresql": """
        INSERT INTO users (id, email, hashed_password, confirmed_at)
        SELECT n, 'user' || n || '@example.com', $2, $3 FROM generate_series(1, $1::int) AS n
    """,
    "sqlite": """
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
        INSERT INTO users (id, email, hashed_password, confirmed_at)
        SELECT n, 'user' || n || '@example.com', ?2, ?3 FROM numbers
    """,
}
TOKENS = {
    "postgresql": """
        INSERT INTO tokens
        (digest, purpose, user_id, created_at, expires_at, last_used_at, user_agent, address)
        SELECT encode(sha256(convert_to(lpad(n::text, 43, '0'), 'UTF8')), 'hex'),
            'authentication', (n - 1) % $2::int + 1, $3::bigint, $4::bigint, $3::bigint, $5, $6
        FROM generate_series(1, $1::int) AS n ORDER BY 1
    """,
    "sqlite": """
        WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
        INSERT INTO tokens
        (digest, purpose, user_id, created_at, expires_at, last_used_at, user_agent, address)
        SELECT digest_of(n), 'authentication', (n - 1) % ?2 + 1, ?3, ?4, ?3, ?5, ?6
        FROM numbers ORDER BY 1
    """,
}
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
ADDRESS = "203.0.113.77"


def benchmark_auth(url: str, **chosen: Any) -> TokenAuth:
    """A TokenAuth with free hashing. Settings that this version does not know are left out."""
    known = Settings.__dataclass_fields__
    chosen = {name: value for name, value in chosen.items() if name in known}
    fixed = {"password_context": NO_HASHING, "send_mail": False}
    return TokenAuth(database=url, **{**settings(Mailbox()), **fixed, **chosen})


class Population:
    """So many live tokens of so many users.

    Args:
        tokens: rows in the tokens table.
        users: rows in the users table; by default one for each token, up to a million.
    """

    def __init__(self, tokens: int, users: int | None = None) -> None:
        self.tokens = tokens
        self.users = users or min(tokens, MOST_USERS)
        self.begun = int(time.time())

    async def fill(self, auth: TokenAuth, url: str) -> None:
        """Makes the tables and their rows."""
        await auth.create_tables()
        indexes = [str(index.name) for index in auth.metadata.tables["tokens"].indexes]
        fill, settle = (
            (self._fill_sqlite, settle_sqlite)
            if url.startswith("sqlite")
            else (self._fill_postgresql, settle_postgresql)
        )
        await fill(url, indexes)
        await auth.create_tables()
        await settle(url)

    def minter(self, auth: TokenAuth) -> "Minter":
        """What signs the JWTs of these tokens."""
        signer = TokenSigner(auth.settings.token_keys, auth.settings.algorithm, auth.settings.clock)
        return Minter(signer, self)

    def user_of(self, number: int) -> int:
        """The id of the user whose token that is."""
        return (number - 1) % self.users + 1

    def _values(self, number_of: str) -> tuple[Any, ...]:
        begun = self.begun * 1000
        if number_of == "users":
            return self.users, PASSWORD, begun
        expires_at = begun + LIFETIME_SECONDS * 1000
        return self.tokens, self.users, begun, expires_at, USER_AGENT, ADDRESS

    async def _fill_sqlite(self, url: str, indexes: list[str]) -> None:
        connection = sqlite3.connect(DatabaseURL(url).database, isolation_level=None)
        connection.create_function("digest_of", 1, digest_of, deterministic=True)
        connection.execute(f"PRAGMA cache_size = -{SQLITE_CACHE_KIBIBYTES}")
        for index in indexes:
            connection.execute(f"DROP INDEX {index}")
        connection.execute(USERS["sqlite"], self._values("users"))
        connection.execute(TOKENS["sqlite"], self._values("tokens"))
        connection.close()

    async def _fill_postgresql(self, url: str, indexes: list[str]) -> None:
        connection = await asyncpg.connect(url)
        # The rows are right by construction: no need to look each user up.
        await connection.execute("SET session_replication_role = replica; SET work_mem = '256MB'")
        for index in indexes:
            await connection.execute(f"DROP INDEX {index}")
        await connection.execute(USERS["postgresql"], *self._values("users"))
        await connection.execute(TOKENS["postgresql"], *self._values("tokens"))
        await connection.close()


async def settle_sqlite(url: str) -> None:
    """Moves the log into the file: readers would look into both."""
    connection = sqlite3.connect(DatabaseURL(url).database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    connection.close()


async def settle_postgresql(url: str) -> None:
    """Does what would else fall into the measurement: hint bits, statistics, a checkpoint."""
    connection = await asyncpg.connect(url)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()


@contextlib.asynccontextmanager
async def running(
    dialect: str, population: Population, **chosen: Any
) -> AsyncIterator[tuple[TokenAuth, str]]:
    """A running TokenAuth over a database of its own with that population, and its URL."""
    async with new_database(dialect) as url:
        # An index over ten million rows takes longer than a request may wait.
        patient = benchmark_auth(url, database_timeout=timedelta(hours=1))
        await population.fill(patient, url)
        await patient.shutdown()
        auth = benchmark_auth(url, **chosen)
        async with auth:
            yield auth, url


class Minter:
    """Signs the JWTs of a population's tokens."""

    def __init__(self, signer: TokenSigner, population: Population) -> None:
        self._signer = signer
        self._population = population

    def token(self, number: int) -> bytes:
        """The JWT of token `number`, from 1."""
        begun = self._population.begun
        user_id = self._population.user_of(number)
        ends = begun + LIFETIME_SECONDS
        return self._signer.issue(user_id, token_id(number), begun, ends).encode()

    def id_of(self, token: str) -> str:
        """The `token_id` claim of a JWT."""
        return self._signer.check(token).token_id


def token_id(number: int) -> str:
    """The `token_id` claim of token `number`."""
    return f"{number:043d}"


def digest_of(number: int) -> str:
    """The primary key of token `number`."""
    return digest(token_id(number))
