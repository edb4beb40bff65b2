"""A revoked token is accepted nowhere later than `revocation_lag` after its revocation's answer.

Real server processes share a database; their tokens are in use without a pause. What counts is
when a request began: one that began within the bound may still be answered with 200.

TEST_BOUND_TRIALS and TEST_BOUND_BURST make it thorough; `-s` shows the longest delays seen.
"""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple

import pytest
from conftest import run_sql, running_service
from databases import DatabaseURL
from server_fleet import Answer, Server, Use, in_use, serving
from stalling_proxy import StallingProxy

BOUND = 1.0
BEYOND = BOUND + 0.2
TRIALS = int(os.environ.get("TEST_BOUND_TRIALS", "40"))
BURST = int(os.environ.get("TEST_BOUND_BURST", "20000"))
AT_ONCE = 20
IMPATIENCE = 0.3
RECOVERY_SECONDS = 6.0
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
        """What must not be: accepted, though it began beyond the bound, or after the answer where
        that was given."""
        return [
            f"accepted {delay:.3f} s after the answer of {answered_by}"
            for use in self.uses
            for delay in self._delays(use)
            if delay > (0 if use.server is self.revoker else BOUND)
            for answered_by in ("itself" if use.server is self.revoker else "another process",)
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
    account = await new_account(revoker)
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
    assert not late, f"{len(late)} times: {late[:10]}"
    assert longest > 0, "no process answered from memory"


def statuses(uses: Iterable[Use]) -> set[int]:
    return {answer.status for use in uses for answer in use.answers}


def last_statuses(trials: Iterable[Trial]) -> set[int]:
    return {use.answers[-1].status for trial in trials for use in trial.uses}


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


@contextlib.asynccontextmanager
async def half_behind_proxy(database_url: str) -> AsyncIterator[tuple[list[Server], StallingProxy]]:
    """Four servers, of which the last two reach the database through the proxy."""
    url = DatabaseURL(database_url)
    async with StallingProxy(url.hostname or "127.0.0.1", url.port or 5432) as proxy:
        behind = str(url.replace(hostname="127.0.0.1", port=proxy.port))
        async with fleet(database_url, behind, behind) as servers:
            yield servers, proxy


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
