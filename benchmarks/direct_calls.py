"""Calling an ASGI application by hand, as a server would, without an HTTP client's cost."""

import asyncio
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgi_token_auth import TokenAuth, TokenAuthMiddleware
from benchmarks.stacks import PATH

Header = tuple[bytes, bytes]

HOST = (b"host", b"example.com")
BATCH = 100
WARMING_TOGETHER = 100
# Until a process has followed the revocation feed for some seconds, it asks more often.
SETTLE_SECONDS = 4.0


async def messages(scope: Scope, receive: Receive, send: Send) -> None:
    """The smallest application that answers."""
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    await send(start)
    await send({"type": "http.response.body", "body": b"ok"})


def guarded(auth: TokenAuth) -> ASGIApp:
    """That application behind the guard."""
    return TokenAuthMiddleware(messages, auth=auth, protect=["/api"])


def scope_for(token: bytes, path: str = PATH, more: Sequence[Header] = ()) -> Scope:
    """A GET with that token, last of its headers. That is a new object, as it is from a server:
    Python would remember the hash of an old one."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [HOST, *more, (b"authorization", b"Bearer " + token)],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


async def receive() -> Message:
    """An empty body."""
    return {"type": "http.request", "body": b"", "more_body": False}


class Answer:
    """The `send` of one request or of many: keeps the last status."""

    status = 0

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]


async def request(app: ASGIApp, token: bytes) -> int:
    """The status of one request."""
    answer = Answer()
    await app(scope_for(token), receive, answer.send)
    return answer.status


async def use_once(app: ASGIApp, tokens: Iterable[bytes]) -> None:
    """Uses each token once, many together, so that a cache holds it.

    Raises:
        RuntimeError: a token is refused.
    """
    together: list[bytes] = []
    for token in tokens:
        together.append(token)
        if len(together) == WARMING_TOGETHER:
            await _use_together(app, together)
            together = []
    await _use_together(app, together)


async def settle(app: ASGIApp, token: bytes) -> None:
    """A little traffic, until the library is in its stride."""
    deadline = time.perf_counter() + SETTLE_SECONDS
    while time.perf_counter() < deadline:
        await _use_together(app, [token])
        await asyncio.sleep(0.01)


async def _use_together(app: ASGIApp, tokens: list[bytes]) -> None:
    statuses = await asyncio.gather(*(request(app, token) for token in tokens))
    if set(statuses) - {200}:
        raise RuntimeError(f"of {len(tokens)} good tokens some got {set(statuses)}")


async def time_rotation(app: ASGIApp, tokens: Sequence[bytes], seconds: float) -> dict[str, float]:
    """Microseconds a request, one at a time, through all the tokens again and again: median, mean
    and 99th percentile of batches of a hundred, for a clock call costs a tenth of a request."""
    batches: list[float] = []
    answer = Answer()
    numbers = _rotation(len(tokens))
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        scopes = [scope_for(tokens[next(numbers)]) for _ in range(BATCH)]
        started = time.perf_counter_ns()
        for scope in scopes:
            await app(scope, receive, answer.send)
        batches.append((time.perf_counter_ns() - started) / 1000 / BATCH)
        await asyncio.sleep(0)  # a server would let other tasks have their turn, too
    return summary(batches)


def summary(microseconds: Sequence[float]) -> dict[str, float]:
    """Median, mean and 99th percentile, rounded for people; empty where nothing was measured."""
    if len(microseconds) < 2:
        return {}
    values = {
        "p50": statistics.median(microseconds),
        "mean": statistics.fmean(microseconds),
        "p99": statistics.quantiles(microseconds, n=100, method="inclusive")[-1],
    }
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def _rotation(count: int) -> Iterator[int]:
    while True:
        yield from range(count)
