"""What each kind of query costs the database, measured on PostgreSQL.

The cost is the processor time of the server's process that serves the connection (Linux shows it
in /proc; where the server runs elsewhere, the time of the round trip is taken instead). Disk waits
and the server's background work come on top. The queries are spelled out here as the library has
them, on tables of the library's own shape.
"""

import dataclasses
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.population import Population, digest_of, running

TOKENS = 100_000
TOKENS_QUICK = 10_000
SECONDS = 3.0
SECONDS_QUICK = 0.3
FEED_ROWS = 2_000

MAKE_FEED = """
    CREATE TABLE calibrated_feed (
        id bigserial PRIMARY KEY, user_id integer NOT NULL, created_at bigint NOT NULL
    )
"""
FILL_FEED = """
    INSERT INTO calibrated_feed (user_id, created_at) SELECT n, 0 FROM generate_series(1, $1) AS n
"""
READ_FEED = "SELECT id, user_id FROM calibrated_feed WHERE id >= $1 ORDER BY id LIMIT 2001"
READ_TOKENS = """
    SELECT users.*, tokens.* FROM tokens JOIN users ON users.id = tokens.user_id
    WHERE tokens.digest IN (DIGESTS) AND tokens.purpose = 'authentication'
    AND tokens.expires_at > $1 AND users.confirmed_at IS NOT NULL
"""
TOUCH = "UPDATE tokens SET last_used_at = $1 WHERE digest IN (DIGESTS)"
FIND_USER = "SELECT * FROM users WHERE email = $1"
LOCK_USER = "SELECT * FROM users WHERE id = $1 FOR UPDATE"
LOG_IN = """
    INSERT INTO tokens (digest, purpose, user_id, created_at, expires_at, last_used_at)
    VALUES ($1, 'authentication', $2, $3, $4, $3)
"""
LOG_OUT = "DELETE FROM tokens WHERE digest = $1 RETURNING digest"
REVOKE = "INSERT INTO calibrated_feed (user_id, created_at) VALUES ($1, $2)"
TABLE_BYTES = "SELECT pg_total_relation_size('tokens')"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """Microseconds of server time; bytes on disk of a token, its indexes included."""

    feed_read: float
    feed_row: float
    token_query: float
    token: float
    touch: float
    touched_row: float
    login: float
    logout: float
    token_bytes: float


async def measure_costs(quick: bool) -> tuple[Costs, dict[str, float]]:
    """The costs, and the microseconds of each kind that they are made of."""
    population = Population(TOKENS_QUICK if quick else TOKENS)
    async with running("postgresql", population) as (_, url):
        connection = await asyncpg.connect(url)
        await connection.execute(MAKE_FEED)
        await connection.execute(FILL_FEED, FEED_ROWS)
        token_bytes = await connection.fetchval(TABLE_BYTES) / population.tokens
        kinds = Kinds(connection, population)
        seconds = SECONDS_QUICK if quick else SECONDS
        times = {name: await _time(connection, work, seconds) for name, work in kinds.all().items()}
        await connection.close()
    return _costs(times, token_bytes), times


def _costs(times: dict[str, float], token_bytes: float) -> Costs:
    feed_row = (times["feed, 2000 rows"] - times["feed, 0 rows"]) / FEED_ROWS
    token = (times["100 tokens"] - times["1 token"]) / 99
    touched = (times["touch 100"] - times["touch 1"]) / 99
    return Costs(
        feed_read=times["feed, 0 rows"],
        feed_row=feed_row,
        token_query=times["1 token"] - token,
        token=token,
        touch=times["touch 1"] - touched,
        touched_row=touched,
        login=times["login"],
        logout=times["logout"],
        token_bytes=token_bytes,
    )


class Kinds:
    """Each kind of query, on rows drawn at random."""

    def __init__(self, connection: asyncpg.Connection, population: Population) -> None:
        self._connection = connection
        self._population = population
        self._random = random.Random(1)
        self._logged_in: list[str] = []

    def all(self) -> dict[str, Callable[[], Awaitable[Any]]]:
        """By name; logins come before the logouts that undo them."""
        return {
            "feed, 0 rows": lambda: self._read_feed(0),
            "feed, 100 rows": lambda: self._read_feed(100),
            "feed, 2000 rows": lambda: self._read_feed(FEED_ROWS),
            "1 token": lambda: self._read_tokens(1),
            "100 tokens": lambda: self._read_tokens(100),
            "touch 1": lambda: self._touch(1),
            "touch 100": lambda: self._touch(100),
            "login": self._log_in,
            "logout": self._log_out,
        }

    async def _read_feed(self, rows: int) -> None:
        await self._connection.fetch(READ_FEED, FEED_ROWS + 1 - rows)

    async def _read_tokens(self, count: int) -> None:
        statement = READ_TOKENS.replace("DIGESTS", _placeholders(count))
        await self._connection.fetch(statement, self._population.begun, *self._digests(count))

    async def _touch(self, count: int) -> None:
        now = time.time_ns() // 1_000_000
        async with self._connection.transaction():
            statement = TOUCH.replace("DIGESTS", _placeholders(count))
            await self._connection.execute(statement, now, *self._digests(count))

    async def _log_in(self) -> None:
        user_id = self._random.randint(1, self._population.users)
        await self._connection.fetch(FIND_USER, f"user{user_id}@example.com")
        token = self._random.randbytes(32).hex()
        now = time.time_ns() // 1_000_000
        async with self._connection.transaction():
            await self._connection.fetch(LOCK_USER, user_id)
            await self._connection.execute(LOG_IN, token, user_id, now, 2 * now)
        self._logged_in.append(token)

    async def _log_out(self) -> None:
        token = self._logged_in.pop() if self._logged_in else self._digests(1)[0]
        async with self._connection.transaction():
            await self._connection.fetch(LOG_OUT, token)
            await self._connection.execute(REVOKE, 1, 0)

    def _digests(self, count: int) -> list[str]:
        numbers = self._random.sample(range(1, self._population.tokens + 1), count)
        return [digest_of(number) for number in numbers]


def _placeholders(count: int) -> str:
    """`$2, $3, ...`; an array would be planned anew at each call, which costs more than to run."""
    return ", ".join(f"${number}" for number in range(2, count + 2))


async def _time(
    connection: asyncpg.Connection, work: Callable[[], Awaitable[Any]], seconds: float
) -> float:
    """Microseconds of server time each."""
    for _ in range(10):  # after five runs PostgreSQL may settle on another plan
        await work()
    clock = _server_clock(connection.get_server_pid())
    before, deadline, done = clock(), time.perf_counter() + seconds, 0
    while time.perf_counter() < deadline:
        await work()
        done += 1
    return round((clock() - before) / done * 1e6, 2)


def _server_clock(pid: int) -> Callable[[], float]:
    process = Path(f"/proc/{pid}")
    try:
        is_server = (process / "comm").read_text().startswith("postgres")
        (process / "schedstat").read_text()
    except OSError:
        is_server = False
    if not is_server:
        return time.perf_counter
    return lambda: int((process / "schedstat").read_text().split()[0]) / 1e9
