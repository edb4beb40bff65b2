"""What was answered, and what must therefore be: nothing that was acknowledged is lost."""

import time
from collections import Counter
from typing import NamedTuple

from tests.server_fleet import NO_ANSWER, Answer

BOUND = 1.0  # revocation_lag
MOST_BREACHES = 20


class Revoked(NamedTuple):
    """A token that was answered to be revoked, and when that answer was read."""

    token: str
    at: float


class Ledger:
    """Counts answers, and writes down each breach of an invariant."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.revoked: list[Revoked] = []
        self.breaches: list[str] = []
        self.slowest = 0.0

    def note(self, method: str, path: str, answer: Answer) -> None:
        """An answer, whatever it was for."""
        self.statuses[answer.status] += 1
        if answer.status != NO_ANSWER:
            self.slowest = max(self.slowest, answer.ended - answer.started)
        if answer.status >= 500 and answer.status != 503:
            self.breach(f"I6 {answer.status} for {method} {path}")
        if answer.status == 503 and answer.retry_after is None:
            self.breach(f"503 without Retry-After for {method} {path}")

    def breach(self, what: str) -> None:
        if len(self.breaches) < MOST_BREACHES:
            self.breaches.append(what)

    def is_revoked(self, token: str, answer: Answer) -> None:
        """The answer says that the token is revoked."""
        self.revoked.append(Revoked(token, answer.ended))

    def use_of_revoked(self, revoked: Revoked, answer: Answer) -> None:
        """Checks the answer to a request with a revoked token."""
        delay = answer.started - revoked.at
        if answer.status == 200 and delay > BOUND:
            self.breach(f"I1 accepted {delay:.2f} s after the answer")

    def due_revoked(self) -> list[Revoked]:
        """Those that nobody may take any more."""
        now = time.monotonic()
        return [each for each in self.revoked if now - each.at > BOUND]

    def count(self, status: int) -> int:
        return self.statuses[status]
