"""What a fleet asks of its database at the peak of the day: on paper.

Every assumption is a field of `Assumptions`; change one with `dataclasses.replace`.
"""

import dataclasses
import math

DAY = 86_400.0
TICK_SHARE = 0.9  # the feed is read every 0.9 x revocation_lag
OVERLAP_SECONDS = 2.0  # and each read goes back at least so far, for late commits
FEED_LIMIT = 2_000  # rows in one read; beyond that a process forgets its whole cache
REFRESH_SHARE = 0.8  # a token used after 0.8 x user_max_age is read again beside the request
GATHER_SECONDS = 1.0  # such reads wait so long for others to go with, and so do times of last use
BATCH = 100  # tokens in one query
QUERIES = 4  # of misses, under way at once in a process
LAST_USED_SECONDS = 60.0
CONNECTIONS = 1  # that a process holds at the least


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assumptions:
    """How people use the service, how requests are spread, and the library's settings.

    People: of all accounts a fifth on any day, each coming five times for five minutes, with a
    request every quarter of a minute. The busiest hour has three times the day's average. A token
    lives a week, and half the accounts have a live one, so a seventh of those log in anew each day.
    """

    daily_active_share: float = 0.2
    visits_per_active_user_and_day: float = 5.0
    visit_seconds: float = 300.0
    requests_per_visit: float = 20.0
    peak_factor: float = 3.0
    sessions_per_user: float = 0.5
    logins_per_user_and_day: float = 0.08
    logouts_per_user_and_day: float = 0.02
    account_changes_per_user_and_day: float = 0.005

    # A load balancer gives each request to any process, or each token always to the same.
    sticky: bool = False
    # Processes that share one reader of the feed, relayed on their machine; 1: each reads it.
    processes_per_feed_reader: int = 1
    feed_from_replica: bool = False
    # How long a query takes: misses that arrive while all queries are under way go together.
    query_seconds: float = 0.002

    revocation_lag: float = 1.0
    user_max_age: float = 30.0

    def per_second(self, users: int, per_user_and_day: float) -> float:
        """The rate at the peak of what each user does so often a day."""
        return users * per_user_and_day / DAY * self.peak_factor

    def visits_per_second(self, users: int) -> float:
        """Visits that begin."""
        visits = self.daily_active_share * self.visits_per_active_user_and_day
        return self.per_second(users, visits)

    def revocations_per_second(self, users: int) -> float:
        """Rows that the feed gains."""
        each = self.logouts_per_user_and_day + self.account_changes_per_user_and_day
        return self.per_second(users, each)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """What reaches the database; rates per second, at the peak.

    A miss is a request that waits for the database, a refresh a token read again beside one.
    `cached_tokens` are those that a process has in use.
    """

    requests: float
    feed_reads: float
    rows_per_feed_read: float
    misses: float
    refreshes: float
    miss_queries: float
    refresh_queries: float
    last_used_rows: float
    last_used_statements: float
    logins: float
    revocations: float
    connections: float
    token_rows: float
    cached_tokens: float

    @property
    def feed_rows(self) -> float:
        """Rows that the feed delivers."""
        return self.feed_reads * self.rows_per_feed_read

    @property
    def from_memory(self) -> float:
        """The share of requests that wait for no token's row."""
        return 1 - self.misses / self.requests

    @property
    def overflows(self) -> bool:
        """Whether the feed brings so many rows that processes forget their caches."""
        return self.rows_per_feed_read > FEED_LIMIT


def load(assumed: Assumptions, processes: int, users: int) -> Load:
    """What the fleet asks of its database."""
    visits = assumed.visits_per_second(users)
    requests = visits * assumed.requests_per_visit
    feed_reads, rows_per_read = feed(assumed, processes, users, requests)
    misses, refreshes = (visits * each for each in token_reads(assumed, processes))
    touched = visits * last_used_writes(assumed)
    return Load(
        requests=requests,
        feed_reads=feed_reads,
        rows_per_feed_read=rows_per_read,
        misses=misses,
        refreshes=refreshes,
        miss_queries=_miss_queries(misses, processes, assumed.query_seconds),
        refresh_queries=_gathered(refreshes, processes),
        last_used_rows=touched,
        last_used_statements=_gathered(touched, processes),
        logins=assumed.per_second(users, assumed.logins_per_user_and_day),
        revocations=assumed.revocations_per_second(users),
        connections=processes * CONNECTIONS,
        token_rows=users * assumed.sessions_per_user,
        cached_tokens=cached_tokens(assumed, processes, users),
    )


def feed(assumed: Assumptions, processes: int, users: int, requests: float) -> tuple[float, float]:
    """Feed reads per second, and rows in each.

    A reader rests for a tick after each read, and reads again at the next request. It starts
    from the largest id of the last read that is two seconds old by now, whose row comes again;
    so many reads back is that, on average.
    """
    readers = math.ceil(processes / assumed.processes_per_feed_reader)
    rest = assumed.revocation_lag * TICK_SHARE
    interval = rest + readers / requests
    back = 1 + uses_after_rest(
        OVERLAP_SECONDS * requests / readers, OVERLAP_SECONDS, rest, rested=False
    )
    return readers / interval, 1 + assumed.revocations_per_second(users) * back * interval


def token_reads(assumed: Assumptions, processes: int) -> tuple[float, float]:
    """Of one visit: misses and refreshes.

    In each process, a token is read at its first use, and again at the first use after 0.8 x
    user_max_age; that is a refresh, unless it comes after user_max_age, when it is a miss.
    """
    caches = 1 if assumed.sticky else processes
    seconds, uses = assumed.visit_seconds, assumed.requests_per_visit / caches
    rest = assumed.user_max_age * REFRESH_SHARE
    reads = uses_after_rest(uses, seconds, rest)
    left = max(seconds - rest, 0.0)  # a read later than that is never followed by another
    followed = uses_after_rest(uses * left / seconds, left, rest)
    in_time = -math.expm1(-uses / seconds * (assumed.user_max_age - rest))
    refreshes = followed * in_time
    return caches * (reads - refreshes), caches * refreshes


def last_used_writes(assumed: Assumptions) -> float:
    """Of one visit: at its first request, and at most once a minute after that."""
    return uses_after_rest(assumed.requests_per_visit, assumed.visit_seconds, LAST_USED_SECONDS)


def uses_after_rest(uses: float, seconds: float, rest: float, *, rested: bool = True) -> float:
    """How many of the uses, which come at random over a time, cost a read, when each read spares
    those in the `rest` after it: the k-th read comes in time if there are k uses besides k - 1
    rests, or k where the first use does not find it rested."""
    expected, number, resting = 0.0, 1, 0.0 if rested else rest
    while resting < seconds:
        reached = _at_least(number, uses * (1 - resting / seconds))
        expected += reached
        if reached < 1e-12:
            break
        number += 1
        resting += rest
    return expected


def cached_tokens(assumed: Assumptions, processes: int, users: int) -> float:
    """Tokens that a process uses within `user_max_age`: older entries spare no reads."""
    caches = 1 if assumed.sticky else processes
    each = assumed.requests_per_visit / caches
    share = -math.expm1(-each * min(1.0, assumed.user_max_age / assumed.visit_seconds))
    under_way = assumed.visits_per_second(users) * assumed.visit_seconds
    return under_way * share * (caches / processes)


def _at_least(number: int, mean: float) -> float:
    """The probability of `number` or more in a Poisson distribution."""
    term = math.exp(-mean)
    below = 0.0
    for count in range(number):
        below += term
        term *= mean / (count + 1)
    return max(0.0, 1.0 - below)


def _miss_queries(misses: float, processes: int, query_seconds: float) -> float:
    """What arrives while a process has all its queries under way goes together."""
    together = misses / processes * query_seconds / QUERIES
    return misses / min(max(together, 1.0), BATCH)


def _gathered(rows: float, processes: int) -> float:
    """Queries that the processes send for these rows: the first one waits for others."""
    each = rows / processes
    return max(rows / (1 + each * GATHER_SECONDS), rows / BATCH)
