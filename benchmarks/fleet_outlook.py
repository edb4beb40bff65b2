"""Where a growing fleet's database bends first, and what each remedy buys."""

import dataclasses
import math
from typing import Any

from benchmarks.fleet_costs import Costs
from benchmarks.fleet_model import Assumptions, Load, load

PARTS = ("feed", "tokens", "last used", "logins")
# Growing along one path: a process for so many accounts.
USERS_PER_PROCESS = 10_000
MOST_PROCESSES = 10_000
STEPS_PER_DECADE = 20
CORES = (1, 8)
# How often a client asks decides what a cache is good for: people, busy pages, programs.
REQUESTS_A_MINUTE = (4, 60, 600)
SHARED_BETWEEN = (1, 10, 100, 1_000)
REMEDIES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "revocation_lag=5 s": {"revocation_lag": 5.0},
    "sticky routing": {"sticky": True},
    "user_max_age=5 min": {"user_max_age": 300.0},
    "sticky, user_max_age=5 min": {"sticky": True, "user_max_age": 300.0},
    "feed read from a replica": {"feed_from_replica": True},
    "one feed reader for 16 processes": {"processes_per_feed_reader": 16},
    "all but the replica": {
        "revocation_lag": 5.0,
        "sticky": True,
        "user_max_age": 300.0,
        "processes_per_feed_reader": 16,
    },
}


def cores(found: Load, costs: Costs) -> dict[str, float]:
    """Processor cores that each part of the load keeps busy at the database."""
    microseconds = {
        "feed": found.feed_reads * costs.feed_read + found.feed_rows * costs.feed_row,
        "tokens": (found.miss_queries + found.refresh_queries) * costs.token_query
        + (found.misses + found.refreshes) * costs.token,
        "last used": found.last_used_statements * costs.touch
        + found.last_used_rows * costs.touched_row,
        "logins": found.logins * costs.login + found.revocations * costs.logout,
    }
    return {part: value / 1e6 for part, value in microseconds.items()}


def point(assumed: Assumptions, costs: Costs, processes: int, users: int) -> dict[str, Any]:
    """All figures of one fleet."""
    found = load(assumed, processes, users)
    return {
        "processes": processes,
        "users": users,
        **dataclasses.asdict(found),
        "from_memory": found.from_memory,
        "feed_overflows": found.overflows,
        "token_bytes": found.token_rows * costs.token_bytes,
        "cores": cores(found, costs),
    }


def path(assumed: Assumptions, costs: Costs) -> list[dict[str, Any]]:
    """Fleets from ten processes on, each with the accounts that belong to it."""
    decades = math.log10(MOST_PROCESSES)
    steps = range(STEPS_PER_DECADE, round(decades * STEPS_PER_DECADE) + 1)
    sizes = [round(10 ** (step / STEPS_PER_DECADE)) for step in steps]
    return [point(assumed, costs, size, size * USERS_PER_PROCESS) for size in sizes]


def bends(along: list[dict[str, Any]]) -> dict[str, Any]:
    """For each part: the first fleet on the path that needs so many cores for it, or None; the
    cores of the largest; and by which power of its size the part grows there."""
    last, before = along[-1], along[-1 - STEPS_PER_DECADE]
    found: dict[str, Any] = {}
    for part in PARTS:
        growth = last["cores"][part] / before["cores"][part]
        reached = {str(limit): _first(along, part, limit) for limit in CORES}
        found[part] = {"at_cores": reached, "largest": last["cores"][part], "power": _power(growth)}
    return found


def _first(along: list[dict[str, Any]], part: str, limit: float) -> int | None:
    return next((fleet["processes"] for fleet in along if fleet["cores"][part] >= limit), None)


def _power(growth: float) -> float:
    """Of the fleet's size, over the last decade of the path."""
    return round(math.log10(growth), 2)


def remedies(costs: Costs) -> dict[str, dict[str, float]]:
    """The largest fleet's cores by part, with each remedy; `replica` are cores elsewhere."""
    users = MOST_PROCESSES * USERS_PER_PROCESS
    found = {}
    for name, changes in REMEDIES.items():
        assumed = Assumptions(**changes)
        by_part = cores(load(assumed, MOST_PROCESSES, users), costs)
        replica = by_part["feed"] if assumed.feed_from_replica else 0.0
        by_part["feed"] -= replica
        found[name] = {**by_part, "all": sum(by_part.values()), "replica": replica}
    return found


def memory_shares() -> dict[str, dict[str, float]]:
    """The share of requests that memory answers, by the pace of a client and the number of
    processes that its requests are spread over; one process is what sticky routing gives."""
    found: dict[str, dict[str, float]] = {}
    for pace in REQUESTS_A_MINUTE:
        assumed = Assumptions(requests_per_visit=pace * Assumptions.visit_seconds / 60)
        shares = {str(size): load(assumed, size, 1_000_000).from_memory for size in SHARED_BETWEEN}
        found[str(pace)] = shares
    return found
