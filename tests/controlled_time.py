"""Time that passes only when a test says so, so that seconds cost nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

READERS = (
    "asgi_token_auth.breached_passwords",
    "asgi_token_auth.storage.revocations",
    "asgi_token_auth.verification.feed",
    "asgi_token_auth.verification.live",
    "asgi_token_auth.verification.loader",
    "asgi_token_auth.verification.verifier",
)


class ControlledTime:
    """Stands in for `asgi_token_auth.clock.elapsed`; no two looks at it show the same."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        self.seconds += 1e-6
        return self.seconds

    def forward(self, seconds: float) -> None:
        """Lets time pass."""
        self.seconds += seconds


@contextmanager
def controlled_time() -> Iterator[ControlledTime]:
    """Everything that looks at `elapsed` looks at the time given here."""
    time = ControlledTime()
    with pytest.MonkeyPatch.context() as patch:
        for name in READERS:
            patch.setattr(sys.modules[name], "elapsed", time)
        yield time
