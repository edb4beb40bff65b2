"""Many random lives of tokens, in several processes over one database, against a small model.

The model knows when each revocation was answered, and nothing of how the library finds out.
`TEST_MODEL_EXAMPLES` makes it look longer, and somewhere else each time.
"""

import asyncio
import contextlib
import dataclasses
import math
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from controlled_time import controlled_time
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from asgi_token_auth import TokenAuth, testing
from asgi_token_auth.accounts.purge import purge_news
from asgi_token_auth.exceptions import DatabaseUnavailable, InvalidToken
from asgi_token_auth.storage.database import Database
from asgi_token_auth.storage.revocations import LATE_SECONDS
from asgi_token_auth.storage.users import User
from asgi_token_auth.tokens import digest
from asgi_token_auth.verification import feed

Visits = list[tuple[int, float]]
EXAMPLES = os.environ.get("TEST_MODEL_EXAMPLES")
LAG = 1.0
LIFETIME = 7200
MOST_NEWS = 5
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
QUIET_TURNS = 12
RECENT_SECONDS = 3
NAMES = ("ada", "bob", "eve")
STEPS = (0.04, 0.3, 0.5, 0.95, 1.01, 1.5, 3.0, 10.0, 45.0, 1000.0, 4000.0)

MODES = ("open", "before", "after", "next_before", "next_after", "down")
HANGING = ("after", "next_before", "next_after", "next_after")

processes = strategies.integers(0, 2)
bursts = strategies.integers(1, MOST_NEWS + 2)
any_token = strategies.integers(0, 3)  # counted from the newest
visits = strategies.lists(
    strategies.tuples(processes, strategies.sampled_from(STEPS[:7])), max_size=5
)


@dataclasses.dataclass(eq=False)
class Account:
    """A user, as the model knows one."""

    name: str
    password: str = "secret"
    user: User | None = None


@dataclasses.dataclass(eq=False)
class Issued:
    """A token, and what was answered about it."""

    text: bytes
    digest: str
    owner: Account
    expires_at: float
    doubtful: bool = False  # a revocation may have ended it, or may not
    revoked_at: float = math.inf
    revoked_by: "Process | None" = None


class Gate:
    """Stands before a process's database: open, or down, or hanging before or after the work.

    `next_before` and `next_after` hang one only, and let others pass: an answer that is overtaken.
    """

    def __init__(self, database: Database) -> None:
        self.mode = "open"
        self.passing = 0
        self._caught = False
        self._changed = asyncio.Event()
        database.read = self._behind(database.read)  # type: ignore[method-assign]
        database.write = self._behind(database.write)  # type: ignore[method-assign]

    def turn(self, mode: str) -> None:
        """Lets go of what hangs: it is done, or fails where the database is down."""
        self.mode = mode
        self._caught = False
        self._changed.set()
        self._changed = asyncio.Event()

    def _behind(self, operation: Callable[[Any], Awaitable[Any]]) -> Any:
        async def guarded(work: Any) -> Any:
            hangs = self._hangs()
            await self._stop(hangs == "before")
            self.passing += 1
            try:
                result = await operation(work)
            finally:
                self.passing -= 1
            await self._stop(hangs == "after" or self.mode == "after")
            return result

        return guarded

    @property
    def lets_through(self) -> bool:
        return self.mode == "open" or self._caught

    def _hangs(self) -> str:
        one, _, place = self.mode.rpartition("_")
        if one and self._caught:
            return ""
        self._caught = bool(one)
        return place

    async def _stop(self, hangs: bool) -> None:
        if hangs:
            await self._changed.wait()
        if self.mode == "down":
            raise DatabaseUnavailable


class Process:
    """One TokenAuth, with a memory of its own."""

    def __init__(self, url: str, clock: Callable[[], datetime], max_age: timedelta) -> None:
        self.auth = TokenAuth(
            **testing.settings(testing.Mailbox()),
            database=url,
            clock=clock,
            send_mail=False,
            revocation_lag=timedelta(seconds=LAG),
            user_max_age=max_age,
            token_lifetime=timedelta(seconds=LIFETIME),
            database_timeout=timedelta(seconds=1000),
        )
        # It goes on as evenly as the other clock, so a process may count on it.
        self.auth.verifier._machine_clock = True
        self.gate = Gate(self.auth._database)
        self.disturbed_at = -math.inf

    @property
    def is_open(self) -> bool:
        return self.gate.mode == "open"

    @property
    def answers(self) -> bool:
        """Whether what is asked now is answered at once."""
        return self.gate.lets_through

    async def stop(self) -> None:
        self.gate.turn("down")
        await self.auth.verifier.stop()
        await self.auth._database.disconnect()


@dataclasses.dataclass(eq=False)
class Use:
    """A request that is being verified."""

    token: Issued
    process: Process
    started_at: float
    task: "asyncio.Task[Any]"


@dataclasses.dataclass(eq=False)
class Revocation:
    """A log-out that was asked for, and not answered yet."""

    tokens: list[Issued]
    process: Process
    task: "asyncio.Task[Any]"


@pytest.fixture(scope="module", autouse=True)
def _template() -> Iterator[None]:
    """A database with tables and users, made once."""
    with tempfile.TemporaryDirectory() as directory:
        Lives.template = Path(directory) / "template.db"
        asyncio.run(_make(f"sqlite:///{Lives.template}"))
        yield


async def _make(url: str) -> None:
    process = Process(url, lambda: EPOCH, timedelta(seconds=30))
    await process.auth.create_tables()
    for name in (*NAMES, "bystander"):
        await process.auth.accounts.sign_up(username=name, password="secret")
    await process.stop()


class Lives(RuleBasedStateMachine):
    """Tokens are issued, used and revoked; processes hang and die; time passes."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(feed, "MOST_NEWS", MOST_NEWS)
        self.time = self.stack.enter_context(controlled_time())
        self.directory = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.runner = self.stack.enter_context(asyncio.Runner())
        self.accounts = [Account(name) for name in NAMES]
        self.tokens: list[Issued] = []
        self.uses: list[Use] = []
        self.revocations: list[Revocation] = []
        self.late: Visits = []  # ids given to units of work, and when

    @initialize(max_age=strategies.sampled_from([30, 10_000]))
    def start(self, max_age: int) -> None:
        shutil.copy(self.template, self.file)
        self.max_age = timedelta(seconds=max_age)
        self.processes = self.run(self._start(3))
        for who in range(len(NAMES)):
            self.issue(0, who)

    async def _start(self, count: int) -> list[Process]:
        url = f"sqlite:///{self.file}"
        return [Process(url, self.clock, self.max_age) for _ in range(count)]

    @property
    def file(self) -> Path:
        return self.directory / "model.db"

    def clock(self) -> datetime:
        return EPOCH + timedelta(seconds=self.time.seconds)

    def run(self, work: Any) -> Any:
        """Does one thing, and all that comes of it until everybody waits for a gate."""
        return self.runner.run(self._settled(work))

    async def _settled(self, work: Any) -> Any:
        result = await work
        quiet = 0
        while quiet < QUIET_TURNS:
            await asyncio.sleep(0)
            quiet = 0 if any(process.gate.passing for process in self._known()) else quiet + 1
        self._collect()
        return result

    def _known(self) -> list[Process]:
        return getattr(self, "processes", [])

    # What happens

    @rule(number=processes, who=strategies.integers(0, 2))
    def issue(self, number: int, who: int) -> None:
        """A login, where the database answers."""
        process, account = self.processes[number], self.accounts[who]
        if process.answers:
            self.run(self._issue(process, account))

    async def _issue(self, process: Process, account: Account) -> None:
        expires_at = math.floor(self.time.seconds) + LIFETIME
        credentials = {"username": account.name, "password": account.password}
        issued = await process.auth.accounts.log_in(**credentials)
        claims = process.auth.accounts._parts.signer.check(issued.token)
        account.user = issued.user
        token = Issued(issued.token.encode(), digest(claims.token_id), account, expires_at)
        # A log-out that hangs may come before it or after.
        token.doubtful = any(
            other.owner is account for asked in self.revocations for other in asked.tokens
        )
        self.tokens.append(token)

    @rule(which=any_token, visits=visits)
    def use(self, which: int, visits: Visits) -> None:
        """Requests, here and there."""
        self._visit(self._token(which), visits)

    def _visit(self, token: Issued, visits: Visits) -> None:
        for number, pause in visits:
            self.run(self._use(self.processes[number], token))
            self.time.forward(pause)

    @rule(which=any_token, pause=strategies.sampled_from(STEPS))
    def use_everywhere(self, which: int, pause: float) -> None:
        """In one process after the other."""
        self.use(which, [(0, 0.0), (1, 0.0), (2, pause)])

    @rule(number=processes, which=any_token, mode=strategies.sampled_from(MODES[1:5]))
    def use_while_it_hangs(self, number: int, which: int, mode: str) -> None:
        """So that something comes between a query and its answer."""
        self.turn(number, mode)
        self.use(which, [(number, 0.01)])

    async def _use(self, process: Process, token: Issued) -> None:
        started_at = self.time()
        task = asyncio.create_task(process.auth.verifier.verify(token.text))
        self.uses.append(Use(token, process, started_at, task))

    @precondition(lambda self: self.uses)
    @rule(which=any_token)
    def leave(self, which: int) -> None:
        """A client that hangs up."""
        use = self.uses.pop(which % len(self.uses))
        self.run(_cancel(use.task))

    @rule(
        number=processes,
        which=any_token,
        scope=strategies.sampled_from(["current", "others", "all"]),
        then=visits,
    )
    def log_out(self, number: int, which: int, scope: Any, then: Visits) -> None:
        """A log-out; where the database hangs, it is answered later, or never."""
        token = self._token(which)
        self.run(self._log_out(self.processes[number], token, scope))
        self._visit(token, then)

    async def _log_out(self, process: Process, token: Issued, scope: Any) -> None:
        of_owner = self._tokens_of(token.owner)
        ended = {
            "current": [token],
            "others": [other for other in of_owner if other is not token],
            "all": of_owner,
        }[scope]
        for other in ended:
            other.doubtful = True
        work = process.auth.accounts.log_out(token.owner.user, token.digest, scope)
        self.revocations.append(Revocation(ended, process, asyncio.create_task(work)))

    @rule(number=processes, who=strategies.integers(0, 2))
    def change_password(self, number: int, who: int) -> None:
        """Ends every login of the user."""
        process, account = self.processes[number], self.accounts[who]
        if process.answers and account.user is not None:
            account.password += "!"
            changes = {"password": account.password}
            self.run(process.auth.accounts.update_account(account.user, **changes))
            self._revoked(self._tokens_of(account), process)

    @rule(number=processes, who=strategies.integers(0, 2))
    def delete_account(self, number: int, who: int) -> None:
        """And somebody else signs up."""
        process, account = self.processes[number], self.accounts[who]
        if process.answers and account.user is not None:
            password = account.password
            self.run(process.auth.accounts.delete_account(account.user, password=password))
            self._revoked(self._tokens_of(account), process)
            self.accounts[who] = Account(account.name + "x")
            self.run(process.auth.accounts.sign_up(username=account.name + "x", password="secret"))

    @rule(number=processes, which=any_token, then=visits)
    def change_outside_and_forget(self, number: int, which: int, then: Visits) -> None:
        """The application deletes a row, and tells."""
        process, token = self.processes[number], self._token(which)
        if process.answers and token.owner.user is not None:
            self._sql("DELETE FROM tokens WHERE digest = ?", token.digest)
            self.run(process.auth.forget(token.owner.user.id))
            self._revoked([token], process)
            self._visit(token, then)

    @rule(number=processes, times=bursts)
    def other_news(self, number: int, times: int) -> None:
        """More than a reader takes at once, perhaps."""
        if self.processes[number].answers:
            for _ in range(times):
                self.run(self.processes[number].auth.forget(4))

    @rule()
    def begin_late(self) -> None:
        """A unit of work elsewhere is given its id, and takes its time to commit."""
        self._sql("INSERT INTO revocations (user_id, created_at) VALUES (4, 0)")
        ((given,),) = self._sql("SELECT max(id) FROM revocations")
        self._sql("DELETE FROM revocations WHERE id = ?", given)
        self.late.append((given, self.time()))

    @precondition(lambda self: self.late)
    @rule(which=any_token, then=visits)
    def commit_late(self, which: int, then: Visits) -> None:
        """It commits; where that is too late for its id, its news are told again."""
        token = self._token(which)
        self._commit_late(token)
        self._visit(token, then)

    def _commit_late(self, token: Issued) -> None:
        given, began_at = self.late.pop(0)
        assert token.owner.user is not None
        now = int(self.clock().timestamp() * 1000)
        news = (token.owner.user.id, now)
        self._sql("DELETE FROM tokens WHERE digest = ?", token.digest)
        self._sql("INSERT INTO revocations VALUES (?, ?, ?)", given, *news)
        if self.time() - began_at > LATE_SECONDS:
            self._sql("INSERT INTO revocations (user_id, created_at) VALUES (?, ?)", *news)
        self._revoked([token], None)

    # What happens together, more often than by chance

    @rule(number=processes, which=any_token, by=processes, then=visits)
    def commit_after_a_higher_id(self, number: int, which: int, by: int, then: Visits) -> None:
        """A reader saw the higher id first."""
        token = self._token(which)
        self._visit(token, [(number, 1.01)] * 4)
        self.begin_late()
        self.other_news(by, 1)
        self._visit(token, [(number, 0.3)])
        self._commit_late(token)
        self._visit(token, then)

    @rule(number=processes, which=any_token, by=processes, times=bursts, then=visits)
    def revoke_among_others(
        self, number: int, which: int, by: int, times: int, then: Visits
    ) -> None:
        """With more news than a reader takes at once, perhaps."""
        token = self._token(which)
        self._visit(token, [(number, 1.01)] * 4)
        self.other_news(by, times)
        self.run(self._log_out(self.processes[by], token, "all"))
        self.time.forward(0.95)
        self._visit(token, then)

    @rule(
        number=processes,
        distance=strategies.sampled_from([0, 0, 1]),
        mode=strategies.sampled_from(HANGING),
        fresh=strategies.booleans(),
        leaves=strategies.booleans(),
        times=strategies.sampled_from([0, MOST_NEWS]),
        pause=strategies.sampled_from([0.01, 0.9, 0.9, 1.2]),
    )
    def revoke_while_a_read_hangs(
        self,
        number: int,
        distance: int,
        mode: str,
        fresh: bool,
        leaves: bool,
        times: int,
        pause: float,
    ) -> None:
        """Of two that ask for a token, one before and one after, the first may have left."""
        by = (number + distance) % 3
        self.turn(number, "open")
        neighbour = token = self._in_use(number)
        if fresh:
            self.issue(number, 0)
            token = self.tokens[-1]
        self.turn(number, mode)
        self._visit(token, [(number, 0.01)])
        if leaves and self.uses:
            self.leave(-1)
        self.run(self._log_out(self.processes[by], token, "current"))
        self.other_news(by, times)
        self.time.forward(pause)
        self._visit(neighbour, [(number, 0.01)])
        self._visit(token, [(number, 0.01)])
        self.turn(number, "open")
        self._visit(token, [(number, 0.6), (number, 0.6), (number, 0.0)])

    def _in_use(self, number: int) -> Issued:
        """A token that a process knows well, with a feed that is read."""
        token = self._token(0)
        self._visit(token, [(number, 1.01)] * 4)
        return token

    @rule(number=processes, which=any_token, mode=strategies.sampled_from(["open", *HANGING]))
    def expire(self, number: int, which: int, mode: str) -> None:
        """A token ends between two requests, or while it is read."""
        token = self._token(which)
        self.time.forward(max(0.0, token.expires_at - self.time.seconds - 4.6))
        self._visit(token, [(number, 1.01)] * 4)
        self.turn(number, mode)
        self._visit(token, [(number, 0.2), (number, 0.4), (number, 0.0)])
        self.turn(number, "open")

    @rule(number=processes, mode=strategies.sampled_from(MODES))
    def turn(self, number: int, mode: str) -> None:
        """A process's database hangs, is away, or is back."""
        process = self.processes[number]
        if not process.is_open:
            process.disturbed_at = self.time()
        self.run(self._turn(process, mode))

    async def _turn(self, process: Process, mode: str) -> None:
        process.gate.turn(mode)

    @rule(number=processes)
    def crash(self, number: int) -> None:
        """A process dies, and another begins with nothing in mind."""
        old = self.processes[number]
        for task in self._left_by(old):
            self.run(_cancel(task))
        self.run(old.stop())
        (self.processes[number],) = self.run(self._start(1))

    @rule(number=processes)
    def catch_up(self, number: int) -> None:
        """What open sockets ask for."""
        if self.processes[number].is_open:  # or it joins a read that hangs
            self.run(self.processes[number].auth.verifier.catch_up())

    @rule(number=processes)
    def refresh(self, number: int) -> None:
        """Tokens in use are read again."""
        self.run(self._refresh(self.processes[number]))

    async def _refresh(self, process: Process) -> None:
        process.auth.verifier._refreshes._start()

    @rule(number=processes)
    def purge(self, number: int) -> None:
        """Old news leave the database."""
        if self.processes[number].answers:
            self.run(purge_news(self.processes[number].auth.accounts._parts))

    @rule(seconds=strategies.sampled_from(STEPS))
    def let_time_pass(self, seconds: float) -> None:
        self.time.forward(seconds)

    # What must hold

    def _collect(self) -> None:
        for use in [use for use in self.uses if use.task.done()]:
            self.uses.remove(use)
            self._judge(use)
        for asked in [asked for asked in self.revocations if asked.task.done()]:
            self.revocations.remove(asked)
            if asked.task.exception() is None:
                self._revoked(asked.tokens, asked.process)

    def _judge(self, use: Use) -> None:
        error, token = use.task.exception(), use.token
        if error is None:
            assert use.started_at < token.expires_at, "an expired token was accepted"
            assert self.time.seconds < token.expires_at, "a token was accepted after its end"
            self._judge_accepted(use, token)
        elif isinstance(error, InvalidToken):
            expired = self.time.seconds >= token.expires_at
            assert token.doubtful or expired, "a good token was refused"
        else:
            assert isinstance(error, DatabaseUnavailable)
            disturbed = not use.process.is_open or use.process.disturbed_at >= use.started_at
            assert disturbed, "nobody could tell, with a database that answers"

    def _judge_accepted(self, use: Use, token: Issued) -> None:
        if token.revoked_by is use.process:
            assert use.started_at <= token.revoked_at, "accepted where it was revoked"
        late = use.started_at - token.revoked_at
        assert late <= LAG, f"accepted {late:.2f} s after its revocation was answered"

    def _revoked(self, tokens: list[Issued], process: Process | None) -> None:
        """Answered; the first answer counts, and is the earliest."""
        for token in tokens:
            token.doubtful = True
            if token.revoked_at == math.inf:
                token.revoked_at, token.revoked_by = self.time(), process

    def _token(self, which: int) -> Issued:
        """The newest but `which` of those that are good, or were until a moment ago."""
        recent = self._recent()
        for number, process in enumerate(self.processes):
            if not recent and process.answers:
                self.issue(number, which % len(self.accounts))
                recent = self._recent()
        chosen = recent or self.tokens
        return chosen[-1 - which % len(chosen)]

    def _recent(self) -> list[Issued]:
        since = self.time.seconds - RECENT_SECONDS
        return [token for token in self.tokens if min(token.revoked_at, token.expires_at) > since]

    def _tokens_of(self, account: Account) -> list[Issued]:
        return [token for token in self.tokens if token.owner is account]

    def _left_by(self, process: Process) -> list["asyncio.Task[Any]"]:
        uses = [use for use in self.uses if use.process is process]
        asked = [asked for asked in self.revocations if asked.process is process]
        self.uses = [use for use in self.uses if use not in uses]
        self.revocations = [other for other in self.revocations if other not in asked]
        return [left.task for left in (*uses, *asked)]

    def _sql(self, statement: str, *values: Any) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.file)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def teardown(self) -> None:
        for process in self._known():
            for task in self._left_by(process):
                self.runner.run(_cancel(task))
            self.runner.run(process.stop())
        self.stack.close()


async def _cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=int(EXAMPLES or 60),
    stateful_step_count=40,
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
# Watched line by line, thousands of small services take minutes.
TestLives.pytestmark = [pytest.mark.no_cover]
