"""A revoked token is accepted nowhere later than `revocation_lag` after its revocation's answer.

Real server processes share a database; their tokens are in use without a pause. What counts is
when a request began: one that began within the bound may still be answered with 200.

TEST_BOUND_TRIALS and TEST_BOUND_BURST make it thorough; `-s` shows the longest delays seen.
"""

import asyncio
import contextlib
import itertools
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple

import pytest
import pytest_asyncio
from conftest import POSTGRESQL, own_database, run_sql, running_service
from databases import DatabaseURL
from server_fleet import NO_ANSWER, PATIENCE_SECONDS, Answer, Server, Use, in_use, serving
from stalling_proxy import StallingProxy

BOUND = 1.0
BEYOND = BOUND + 0.2
TRIALS = int(os.environ.get("TEST_BOUND_TRIALS", "40"))
BURST = int(os.environ.get("TEST_BOUND_BURST", "20000"))
AT_ONCE = 20
IMPATIENCE = 0.3
RECOVERY_SECONDS = 6.0
SETTLED_SECONDS = 4.5
PASSWORD = "secret"
NUMBERS = itertools.count()
# Makes the COMMIT of a user's news slow: ids are given long before they can be read.
LATE_COMMITS = (
    "CREATE TABLE late_commits (user_id integer PRIMARY KEY, seconds double precision)",
    """CREATE FUNCTION commit_late() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE pause double precision;
    BEGIN
        DELETE FROM late_commits WHERE user_id = NEW.user_id RETURNING seconds INTO pause;
        PERFORM pg_sleep(pause);
        RETURN NULL;
    END $$""",
    """CREATE CONSTRAINT TRIGGER commit_late AFTER INSERT ON revocations
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION commit_late()""",
)
on_two_databases = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
on_shared_servers = pytest.mark.asyncio(loop_scope="module")
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


class Account(NamedTuple):
    """A user with two tokens: one to be revoked, and one to revoke it with."""

    id: int
    token: str
    keeper: str


class Way(NamedTuple):
    """A request that revokes a token: with that token itself, or with the other."""

    method: str
    path: str
    by_itself: bool = False
    body: dict[str, object] | None = None


LOG_OUT = Way("DELETE", "/api/sessions", by_itself=True)
WAYS = (
    LOG_OUT,
    Way("DELETE", "/api/sessions?scope=all"),
    Way("DELETE", "/api/sessions?scope=others"),
    Way("PUT", "/api/account", body={"account": {"password": "another"}}),
    Way("DELETE", "/api/account", body={"password": PASSWORD}),
)


class Trial(NamedTuple):
    """A token's uses, and its revocation, asked for and answered by `revoker`."""

    uses: list[Use]
    revoker: Server
    revocation: Answer

    @property
    def late(self) -> list[str]:
        """What must not be: accepted, though it began beyond the bound."""
        return [
            f"{delay:.3f} s after the answer instead of {bound:.0f}"
            for use in self.uses
            for bound in (0 if use.server is self.revoker else BOUND,)
            for delay in self._delays(use)
            if delay > bound
        ]

    @property
    def longest_delay(self) -> float:
        """From the answer to the last request that another process accepted."""
        others = [use for use in self.uses if use.server is not self.revoker]
        return max(delay for use in others for delay in self._delays(use))

    @property
    def was_warm(self) -> bool:
        """Whether every process accepted the token, from memory too, before it was revoked."""
        asked = self.revocation.started
        before = [[answer.ended < asked for answer in use.accepted] for use in self.uses]
        return all(sum(accepted) > 1 for accepted in before)

    def _delays(self, use: Use) -> list[float]:
        return [answer.started - self.revocation.ended for answer in use.accepted]


async def new_account(server: Server) -> Account:
    user = {"username": f"user{next(NUMBERS)}", "password": PASSWORD}
    with server.client() as client:
        signed_up = await client.call("POST", "/api/users", body={"user": user})
        assert signed_up.status == 200, signed_up
        token, keeper = [await client.call("POST", "/api/sessions", body=user) for _ in range(2)]
    return Account(token.body["id"], token.body["token"], keeper.body["token"])


async def new_accounts(servers: Sequence[Server], count: int) -> list[Account]:
    accounts: list[Account] = []
    while len(accounts) < count:
        some = itertools.islice(itertools.cycle(servers), min(AT_ONCE, count - len(accounts)))
        accounts += await asyncio.gather(*map(new_account, some))
    return accounts


async def revoke(server: Server, account: Account, way: Way = LOG_OUT) -> Answer:
    token = account.token if way.by_itself else account.keeper
    return await server.call(way.method, way.path, token, way.body)


async def until(moment: float) -> None:
    await asyncio.sleep(moment - time.monotonic())


async def trial(servers: Sequence[Server], revoker: Server, way: Way = LOG_OUT) -> Trial:
    """A new token in use everywhere, revoked, and used on beyond the bound."""
    account = await new_account(servers[0])
    async with in_use(servers, account.token) as uses:
        revocation = await revoke(revoker, account, way)
        await until(revocation.ended + BEYOND)
    return Trial(uses, revoker, revocation)


def assert_bound_held(trials: Iterable[Trial], scenario: str) -> None:
    """The promise; and that the trials could have shown it broken."""
    trials = list(trials)
    assert {trial.revocation.status for trial in trials} == {200}
    assert all(trial.was_warm for trial in trials)
    late = [late for trial in trials for late in trial.late]
    longest = max(trial.longest_delay for trial in trials)
    print(f"\n{scenario}: {len(trials)} trials, accepted until {longest:.3f} s after the answer")
    assert not late, f"accepted {len(late)} times, as {late[0]}"
    assert longest > 0, "no process answered from memory"


def between(uses: Iterable[Use], begin: float, end: float) -> set[int]:
    """What requests came to that began and ended within that time."""
    answers = [answer for use in uses for answer in use.answers]
    return {answer.status for answer in answers if begin <= answer.started and answer.ended <= end}


def statuses(uses: Iterable[Use]) -> set[int]:
    return {status for use in uses for status in use.statuses}


def last_statuses(trials: Iterable[Trial]) -> set[int]:
    """What each token came to in the end, in each process."""
    uses = [use for trial in trials for use in trial.uses]
    return {[status for status in use.statuses if status != NO_ANSWER][-1] for use in uses}


def most_at_once(trials: Iterable[Trial]) -> int:
    """How many revocations were within their bound at one moment."""
    spans = [(trial.revocation.started, trial.revocation.ended + BOUND) for trial in trials]
    return max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans)


@contextlib.asynccontextmanager
async def fleet(database_url: str, *others: str) -> AsyncIterator[list[Server]]:
    """Four servers: on the database itself, but for those that have another way to it."""
    async with running_service(database_url):
        pass  # the tables
    direct = [database_url] * (4 - len(others))
    async with serving(*direct, *others) as servers:
        yield servers


class Shared(NamedTuple):
    """Four servers, of which the last two reach PostgreSQL through the proxy."""

    database_url: str
    servers: list[Server]
    proxy: StallingProxy


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def started() -> AsyncIterator[Shared]:
    async with own_database(POSTGRESQL, "postgresql") as database_url:
        url = DatabaseURL(database_url)
        async with StallingProxy(url.hostname or "127.0.0.1", url.port or 5432) as proxy:
            behind = str(url.replace(hostname="127.0.0.1", port=proxy.port))
            async with fleet(database_url, behind, behind) as servers:
                await run_sql(database_url, *LATE_COMMITS)
                await settle(servers)
                yield Shared(database_url, servers, proxy)


@pytest_asyncio.fixture(loop_scope="module")
async def shared(started: Shared) -> AsyncIterator[Shared]:
    """The four servers, left as they were found whatever happens."""
    yield started
    for server in started.servers:
        server.go_on()
    started.proxy.go_on()
    await started.proxy.restore()


async def settle(servers: Sequence[Server]) -> None:
    """Uses the servers until they follow the news: at first a process forgets everything at each
    read, and would hide that it missed one."""
    account = await new_account(servers[0])
    async with in_use(servers, account.token):
        await asyncio.sleep(SETTLED_SECONDS)


async def test_a_revoked_token_is_refused_everywhere_within_the_bound(database_url: str) -> None:
    """Whichever way it is revoked, and whichever process is asked, with others at the same time."""
    async with fleet(database_url) as servers:
        gate = asyncio.Semaphore(AT_ONCE)

        async def next_trial(number: int) -> Trial:
            async with gate:
                return await trial(servers, servers[number % 4], WAYS[number % len(WAYS)])

        good = await new_account(servers[0])
        async with in_use(servers, good.token) as good_uses:
            trials = await asyncio.gather(*map(next_trial, range(TRIALS)))
    assert_bound_held(trials, DatabaseURL(database_url).dialect)
    assert most_at_once(trials) > 1
    assert last_statuses(trials) == {401}
    assert statuses(use for trial in trials for use in trial.uses) == {200, 401}
    assert statuses(good_uses) == {200}


@on_shared_servers
async def test_a_stalled_database_ends_the_belief_and_not_the_bound(shared: Shared) -> None:
    """A process that can't hear of a revocation refuses in time, and recovers by itself."""
    _, servers, proxy = shared
    accounts = await new_accounts(servers[:2], 6)
    good = accounts.pop()
    async with all_in_use(servers, [good, *accounts]) as (good_uses, *uses):
        proxy.stall()
        stalled_at = time.monotonic()
        trials = await revoke_all(servers[:2], accounts, uses)
        await asyncio.sleep(1.5 * BOUND)
        proxy.go_on()
        resumed_at = time.monotonic()
        await is_accepted(servers[2:], good)
        recovered_at = time.monotonic()
        await asyncio.sleep(0.5)
    assert_bound_held(trials, "stalled database")
    assert proxy.held > 0
    stalled = [use for use in good_uses if use.server in servers[2:]]
    assert 200 in between(stalled, stalled_at, resumed_at), "known tokens are honoured"
    assert between(stalled, stalled_at + BOUND, resumed_at) <= {503, NO_ANSWER}
    assert between(good_uses, recovered_at, recovered_at + 0.5) == {200}
    assert last_statuses(trials) == {401}
    assert 401 not in statuses(good_uses)


@on_shared_servers
async def test_an_answer_held_up_on_its_way_is_as_old_as_its_question(shared: Shared) -> None:
    """The database answered before the revocation; the network delivers that after it."""
    _, servers, proxy = shared
    accounts = await new_accounts(servers[:2], 5)
    async with all_in_use(servers, accounts) as uses:
        proxy.stall(only_answers=True)
        await asyncio.sleep(BOUND)  # by now the news were asked for
        trials = await revoke_all(servers[:2], accounts, uses)
        await asyncio.sleep(0.7 * BOUND)
        proxy.go_on()
        await asyncio.sleep(1.3 * BOUND)
    assert_bound_held(trials, "answers held up")
    assert proxy.held > 0
    assert last_statuses(trials) == {401}


@on_shared_servers
async def test_known_tokens_outlive_the_database_by_no_more_than_the_bound(shared: Shared) -> None:
    """Then it is 503: not 401, for which clients throw their tokens away; and it mends itself."""
    _, servers, proxy = shared
    account, good = await new_accounts(servers[:2], 2)
    async with all_in_use(servers, [good, account]) as (good_uses, uses):
        proxy.cut()
        cut_at = time.monotonic()
        await asyncio.sleep(2 * BOUND)
        trials = await revoke_all(servers[:1], [account], [uses])
        await asyncio.sleep(BEYOND)
        await proxy.restore()
        restored_at = time.monotonic()
        await is_accepted(servers[2:], good)
        recovered_at = time.monotonic()
        await asyncio.sleep(0.5)
    lost = [use for use in (*good_uses, *uses) if use.server in servers[2:]]
    accepted = [answer for use in lost for answer in use.accepted if answer.ended < restored_at]
    longest = max(answer.started for answer in accepted) - cut_at
    print(f"\ndatabase gone: known tokens accepted for {longest:.3f} s, ", end="")
    print(f"again {recovered_at - restored_at:.3f} s after its return")
    assert 0 < longest <= BOUND
    # On a busy machine some hang up before they are told.
    assert between(lost, cut_at, restored_at) - {NO_ANSWER} == {200, 503}
    assert between(lost, cut_at + BOUND, restored_at) - {NO_ANSWER} == {503}
    assert 401 not in statuses(good_uses)
    assert between(good_uses, recovered_at, recovered_at + 0.5) == {200}
    assert not trials[0].late
    assert last_statuses(trials) == {401}


@on_shared_servers
async def test_a_process_that_stood_still_believes_nothing_it_knew(shared: Shared) -> None:
    """Time passed while it was stopped: its first answer after that is no acceptance."""
    _, servers, _ = shared
    accounts = await new_accounts(servers[:2], 10)
    async with all_in_use(servers, accounts) as uses:
        await asyncio.sleep(0.1)
    for server in servers[2:]:
        server.stop()
    with servers[2].client(IMPATIENCE) as client:
        answer = await client.call("GET", "/api/messages", accounts[0].token)
    trials = await revoke_all(servers[:2], accounts, uses)
    await asyncio.sleep(1.01 * BOUND)
    for server in servers[2:]:
        server.go_on()
    pairs = [(server, account) for account in accounts for server in servers[2:]]
    answers = await asyncio.gather(*(use_once(*pair) for pair in pairs))
    assert answer.status == NO_ANSWER
    assert all(trial.was_warm and trial.revocation.status == 200 for trial in trials)
    assert {answer.status for answer in answers} == {401}


@on_shared_servers
async def test_a_slow_commit_is_heard_of_though_newer_ones_were_read(shared: Shared) -> None:
    """Ids are given in order, and committed out of order: by a little, or by seconds."""
    pauses = (4.2, 4.2, 0.7, 0.7, 0.7, 0.7, 0.7)
    database_url, servers, _ = shared
    accounts = await new_accounts(servers, len(pauses))
    crowd = await new_accounts(servers, 60)
    for account, pause in zip(accounts, pauses, strict=True):
        await commit_late(database_url, account, pause)
    async with all_in_use(servers, accounts) as uses:
        rest = asyncio.create_task(revoke_in_turn(servers, crowd))
        trials = await revoke_all(servers, accounts, uses, apart=0.2)
        await asyncio.sleep(BEYOND)
        others = await rest
    assert_bound_held(trials, "slow commits")
    assert last_statuses(trials) == {401}
    for pause, trial in zip(pauses, trials, strict=True):
        slow = trial.revocation
        begin = slow.started + 0.1  # by then it has its id
        assert slow.ended - slow.started > pause
        assert sum(begin < fast.started and fast.ended < slow.ended for fast in others) > 1


@on_two_databases
async def test_a_burst_of_revocations_keeps_the_bound(database_url: str) -> None:
    """More news than a process reads at once: it forgets everything, and goes on serving."""
    async with fleet(database_url) as servers:
        await settle(servers)
        good, *accounts = await new_accounts(servers, 9)
        async with all_in_use(servers, [good, *accounts]) as (good_uses, *uses):
            burst = asyncio.create_task(revoke_in_bulk(database_url, BURST))
            trials = await revoke_all(servers, accounts[:4], uses[:4])
            await burst
            burst_at = time.monotonic()
            trials += await revoke_all(servers, accounts[4:], uses[4:])
            await asyncio.sleep(BEYOND)
    assert_bound_held(trials, f"burst of {BURST}, {DatabaseURL(database_url).dialect}")
    assert all(abs(burst_at - trial.revocation.ended) < BOUND for trial in trials)
    assert last_statuses(trials) == {401}
    assert statuses(good_uses) <= {200, NO_ANSWER}
    slowest = max(answer.ended - answer.started for use in good_uses for answer in use.answers)
    print(f"the slowest answer took {slowest:.3f} s")
    assert slowest < 3.0


@on_postgresql
async def test_a_quiet_process_hears_of_what_committed_out_of_order(database_url: str) -> None:
    """It read a newer id while an older one was not committed, and then nothing for a while."""
    async with fleet(database_url) as servers:
        await run_sql(database_url, *LATE_COMMITS)
        revoker, other, young, settled = servers
        account, second = await new_accounts(servers[:2], 2)
        async with in_use([settled], account.token):
            await use_once(young, account)  # reads the token, and the next use the news
            await asyncio.sleep(BEYOND)
            await use_once(young, account)
            await asyncio.sleep(2 * BOUND)
        await asyncio.sleep(BEYOND)
        await commit_late(database_url, account, 0.7)
        revoking = asyncio.create_task(revoke(revoker, account))
        await asyncio.sleep(0.1)
        assert (await revoke(other, second)).status == 200
        before = [await use_once(server, account) for server in (young, settled)]
        assert not revoking.done()
        revocation = await revoking
        await until(max(answer.ended for answer in before) + 2.5 * BOUND)
        after = [await use_once(server, account) for server in (young, settled)]
    assert revocation.status == 200
    assert [answer.status for answer in before] == [200, 200]
    assert all(answer.started > revocation.ended + BOUND for answer in after)
    assert [answer.status for answer in after] == [401, 401]


async def commit_late(database_url: str, account: Account, seconds: float) -> None:
    """The next news of that user shall be committed so long after it was written."""
    await run_sql(database_url, f"INSERT INTO late_commits VALUES ({account.id}, {seconds})")


async def use_once(server: Server, account: Account) -> Answer:
    return await server.call("GET", "/api/messages", account.token)


@contextlib.asynccontextmanager
async def all_in_use(
    servers: Sequence[Server], accounts: Sequence[Account]
) -> AsyncIterator[list[list[Use]]]:
    """The tokens of all accounts in use in every server: some clients wait, and some hang up and
    try again."""
    async with contextlib.AsyncExitStack() as stack:
        uses = [
            [
                await stack.enter_async_context(in_use(servers, account.token, patience=patience))
                for patience in (PATIENCE_SECONDS, IMPATIENCE)
            ]
            for account in accounts
        ]
        yield [patient + impatient for patient, impatient in uses]


async def revoke_all(
    revokers: Sequence[Server],
    accounts: Sequence[Account],
    uses: Sequence[list[Use]],
    *,
    apart: float = 0.0,
) -> list[Trial]:
    """Logs all out, side by side, each so long after the one before; the trials go on until the
    uses end."""
    each = list(itertools.islice(itertools.cycle(revokers), len(accounts)))
    tasks = []
    for revoker, account in zip(each, accounts, strict=True):
        tasks.append(asyncio.create_task(revoke(revoker, account)))
        await asyncio.sleep(apart)
    return [*map(Trial, uses, each, await asyncio.gather(*tasks))]


async def revoke_in_turn(servers: Sequence[Server], accounts: Sequence[Account]) -> list[Answer]:
    """Logs them out one after another, waiting for none."""
    tasks = []
    for server, account in zip(itertools.cycle(servers), accounts, strict=False):
        tasks.append(asyncio.create_task(revoke(server, account)))
        await asyncio.sleep(0.04)
    return await asyncio.gather(*tasks)


async def revoke_in_bulk(database_url: str, count: int) -> None:
    """Writes the news of so many users in one statement."""
    now = int(time.time() * 1000)
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    insert = (
        f"INSERT INTO revocations (user_id, created_at) {numbers} SELECT i + 1000000, {now} FROM n"
    )
    url = DatabaseURL(database_url)
    if url.dialect != "sqlite":
        await run_sql(database_url, insert)
        return

    def run() -> None:
        with (
            contextlib.closing(sqlite3.connect(url.database, timeout=10)) as connection,
            connection,
        ):
            connection.execute(insert)

    await asyncio.to_thread(run)


async def is_accepted(servers: Sequence[Server], account: Account) -> None:
    """Returns once all of them accept the token."""
    async with asyncio.timeout(RECOVERY_SECONDS):
        for server in servers:
            async with in_use([server], account.token):
                pass


@on_two_databases
async def test_a_second_logout_ends_the_token_where_it_was_asked_for(database_url: str) -> None:
    """Two processes are asked to end one token: what the second answers holds in it at once."""
    async with fleet(database_url) as servers:
        first, second, *_ = servers
        accounts = await new_accounts(servers, 5)
        async with all_in_use([first, second], accounts) as uses:
            await asyncio.sleep(0.1)
        outcomes = []
        for account in accounts:
            answers = [await revoke(server, account) for server in (first, second)]
            answers.append(await use_once(second, account))
            outcomes.append([answer.status for answer in answers])
    assert all(len(use.accepted) > 1 for uses_of_one in uses for use in uses_of_one)
    for outcome in outcomes:
        assert outcome in ([200, 200, 401], [200, 401, 401])


@on_postgresql
async def test_a_logout_tried_again_holds_though_the_first_try_died(database_url: str) -> None:
    """A process that is killed during a slow COMMIT tells nobody. Its client asks another."""
    async with fleet(database_url) as servers:
        await run_sql(database_url, *LATE_COMMITS)
        account, *crowd = await new_accounts(servers[1:], 61)
        await commit_late(database_url, account, 4.2)
        async with in_use(servers[1:], account.token) as uses:
            dying = asyncio.create_task(revoke(servers[0], account))
            rest = asyncio.create_task(revoke_in_turn(servers[1:], crowd))
            await asyncio.sleep(0.5)
            servers[0].kill()
            revocation = await revoke(servers[1], account)
            await until(revocation.ended + BEYOND)
            await rest
    assert (await dying).status == NO_ANSWER
    assert revocation.ended - revocation.started > 2.5, "the slow COMMIT was waited for"
    assert_bound_held([Trial(uses, servers[1], revocation)], "logout tried again")
