"""Taking over users with their hashes: a batch a transaction, and nothing is overwritten.

Who is there already with the same hash counts as done, so an import that was ended in the middle
is simply begun again.
"""

import contextlib
import dataclasses
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from asgi_token_auth.accounts.fields import TAKEN
from asgi_token_auth.accounts.imported_user import (
    ImportOptions,
    names_as_given,
    read_imported_user,
)
from asgi_token_auth.accounts.parts import Parts
from asgi_token_auth.exceptions import DatabaseUnavailable, InvalidFields
from asgi_token_auth.storage.database import Session, UniqueViolation
from asgi_token_auth.storage.imported_users import ImportedUsers
from asgi_token_auth.storage.seen_names import SeenNames
from asgi_token_auth.storage.user_fields import is_storable_text

BATCH = 500
IMPORTED, THERE = "imported", "already there"
MOST_REASONS = 50
OTHER_REASONS = "other reasons"
REFUSED_BY_DATABASE = "a constraint of the users table is against it"

Row = dict[str, Any]
T = TypeVar("T")


class Record(NamedTuple):
    """A user from elsewhere: where from, such as "line 7", and the fields; or, where it can't be
    read, why."""

    origin: str
    fields: Mapping[str, Any]
    fault: str | None = None


Refused = Callable[[Record, str], None]


@dataclasses.dataclass
class ImportReport:
    """What became of the records.

    Args:
        imported: how many are users now.
        already_there: how many were users before, with the same hash.
        refused: how many were refused, by reason.
    """

    imported: int = 0
    already_there: int = 0
    refused: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def read(self) -> int:
        """How many records there were so far."""
        return self.imported + self.already_there + sum(self.refused.values())

    def refuse(self, reason: str) -> None:
        """Counts one more: a file may hold any number of reasons, but the report must end."""
        if reason not in self.refused and len(self.refused) >= MOST_REASONS:
            reason = OTHER_REASONS
        self.refused[reason] = self.refused.get(reason, 0) + 1


class Import:
    """One import.

    Args:
        parts: of the TokenAuth whose users table is filled.
        options: how the records are read.
        on_refused: is told of each record that is refused, and why.
        on_batch: is told how far the import is, after each batch.
    """

    def __init__(
        self,
        parts: Parts,
        options: ImportOptions,
        on_refused: Refused,
        on_batch: Callable[[ImportReport], None],
    ) -> None:
        self._parts = parts
        self._options = options
        self._on_refused = on_refused
        self._on_batch = on_batch
        self._users = ImportedUsers(parts.users, parts.database.dialect)
        self._names = tuple(n for n in self._users.names if n != "id" or options.keep_ids)
        self._seen = SeenNames() if options.dry_run else None
        self._report = ImportReport()
        self._begins_anew = True  # until a batch comes of which nothing is there

    async def run(self, records: AsyncIterable[Record]) -> ImportReport:
        """Imports all records."""
        with contextlib.ExitStack() as stack:
            if self._seen is not None:
                stack.callback(self._seen.close)
            async for batch in _batches(records):
                await self._take(batch)
                self._on_batch(self._report)
        return self._report

    async def _take(self, batch: list[Record]) -> None:
        ready: list[tuple[Record, Row]] = []
        done = await self._find_done(batch) if self._begins_anew else set()
        self._begins_anew = bool(done)
        for number, record in enumerate(batch):
            if number in done:
                self._count(record, THERE)
                continue
            if record.fault:
                self._refuse(record, record.fault)
                continue
            try:
                ready.append((record, await self._read(record)))
            except InvalidFields as error:
                self._refuse(record, str(error))
        outcomes = await self._store([row for _, row in ready])
        for (record, _), outcome in zip(ready, outcomes, strict=True):
            self._count(record, outcome)

    async def _find_done(self, batch: list[Record]) -> set[int]:
        """The places of those who are there just as they are given: to read them all once more is
        what would take long in an import that is begun again."""
        key = "email" if self._users.has("email") else "username"
        given = [names_as_given(self._users, each.fields, self._options) for each in batch]
        values = [each[key] for each in given if is_storable_text(each.get(key))]
        found = await self._in_database(lambda session: self._users.find(session, key, values))
        there = {row[key]: self._told_apart(row) for row in found}
        return {
            number
            for number, each in enumerate(given)
            if key in each and there.get(each[key]) == each
        }

    async def _in_database(self, work: Callable[[Session], Awaitable[T]]) -> T:
        if self._options.dry_run:
            return await self._parts.database.read(work)

        async def write(session: Session) -> T:
            await self._users.prepare(session)
            return await work(session)

        return await self._parts.database.write(write)

    async def _read(self, record: Record) -> Row:
        return await read_imported_user(self._parts, self._users, record.fields, self._options)

    def _count(self, record: Record, outcome: str) -> None:
        if outcome == IMPORTED:
            self._report.imported += 1
        elif outcome == THERE:
            self._report.already_there += 1
        else:
            self._refuse(record, outcome)

    def _refuse(self, record: Record, reason: str) -> None:
        self._report.refuse(reason)
        self._on_refused(record, reason)

    async def _store(self, rows: list[Row]) -> list[str]:
        """What became of each row: imported, there already, or why it is refused."""
        if not rows:
            return []
        try:
            store = self._try if self._options.dry_run else self._put
            return await self._in_database(lambda session: store(session, rows))
        except UniqueViolation as violation:
            reason = f"{self._parts.users.violated_field(violation)} {TAKEN}"
        except DatabaseUnavailable as error:
            cause = error.__cause__
            if cause is None or not self._parts.database.dialect.is_refusal(cause):
                raise
            reason = REFUSED_BY_DATABASE
        if len(rows) == 1:
            return [reason]
        # One of them, and only that one: somebody signed up just now, or the table is stricter
        # than this library knows.
        return [outcome for row in rows for outcome in await self._store([row])]

    async def _put(self, session: Session, rows: list[Row]) -> list[str]:
        outcomes = self._sort(rows, await self._known(session, rows))
        fresh = [row for row, outcome in zip(rows, outcomes, strict=True) if outcome == IMPORTED]
        await self._users.insert(session, fresh, keep_ids=self._options.keep_ids)
        return outcomes

    async def _try(self, session: Session, rows: list[Row]) -> list[str]:
        assert self._seen is not None  # noqa: S101
        known = await self._known(session, rows)
        for row in rows:
            for name, value in self._names_of(row).items():
                if (name, value) not in known and (before := self._seen.find(name, value)):
                    known[name, value] = before
        outcomes = self._sort(rows, known)
        for row, outcome in zip(rows, outcomes, strict=True):
            if outcome == IMPORTED:
                self._seen.add(self._names_of(row), self._told_apart(row))
        return outcomes

    async def _known(self, session: Session, rows: list[Row]) -> dict[tuple[str, Any], Row]:
        """Who has one of the rows' names already, by each of these."""
        known: dict[tuple[str, Any], Row] = {}
        for name in self._names:
            values = [row[name] for row in rows if row.get(name) is not None]
            for found in await self._users.find(session, name, values):
                known[name, found[name]] = self._told_apart(found)
        return known

    def _sort(self, rows: list[Row], known: dict[tuple[str, Any], Row]) -> list[str]:
        outcomes = []
        for row in rows:
            names, told = self._names_of(row), self._told_apart(row)
            taken = [name for name, value in names.items() if (name, value) in known]
            if not taken:
                known.update(dict.fromkeys(names.items(), told))
                outcomes.append(IMPORTED)
            elif all(known.get(name_and_value) == told for name_and_value in names.items()):
                outcomes.append(THERE)
            else:
                outcomes.append(f"{taken[0]} {TAKEN}")
        return outcomes

    def _names_of(self, row: Row) -> Row:
        return {name: row[name] for name in self._names if row.get(name) is not None}

    def _told_apart(self, row: Row) -> Row:
        told = {**self._names_of(row), "hashed_password": row["hashed_password"]}
        return {name: str(value) for name, value in told.items()}


async def _batches(records: AsyncIterable[Record]) -> AsyncIterator[list[Record]]:
    batch: list[Record] = []
    async for record in records:
        batch.append(record)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
