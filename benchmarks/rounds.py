"""Interleaved rounds: what a shared machine does to one candidate, it does to all.

In every round each candidate runs once, in an order drawn anew, guarded and bare next to each
other, either first. What is reported are the differences or ratios *within* a round, by their
median and quartiles: a machine that slows down for a while moves both sides.
"""

import random
import statistics
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K")
T = TypeVar("T")
Trial = Callable[[], Awaitable[T]]


class Pair(NamedTuple, Generic[T]):
    """Two trials to compare: with authentication, and without."""

    guarded: Trial[T]
    bare: Trial[T]


class Outcome(NamedTuple, Generic[T]):
    """What the two trials of a pair gave in one round."""

    guarded: T
    bare: T


async def interleave(pairs: Mapping[K, Pair[T]], rounds: int) -> dict[K, list[Outcome[T]]]:
    """Each pair's outcomes, one a round."""
    outcomes: dict[K, list[Outcome[T]]] = {name: [] for name in pairs}
    for _ in range(rounds):
        for name in random.sample(list(pairs), len(pairs)):
            outcomes[name].append(await _run(pairs[name]))
    return outcomes


async def _run(pair: Pair[T]) -> Outcome[T]:
    if random.random() < 0.5:
        guarded = await pair.guarded()
        return Outcome(guarded, await pair.bare())
    bare = await pair.bare()
    return Outcome(await pair.guarded(), bare)


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median and quartiles."""
    ordered = sorted(values)
    if len(ordered) == 1:
        ordered *= 2
    lower, _, upper = statistics.quantiles(ordered, n=4, method="inclusive")
    return {"median": statistics.median(ordered), "lower": lower, "upper": upper}


def differences(outcomes: Iterable[Outcome[float]]) -> dict[str, float]:
    """By how much guarded exceeds bare in the same round."""
    return spread(outcome.guarded - outcome.bare for outcome in outcomes)


def ratios(outcomes: Iterable[Outcome[float]]) -> dict[str, float]:
    """Guarded as a share of bare in the same round."""
    return spread(outcome.guarded / outcome.bare for outcome in outcomes)
