"""Driving an ASGI application without a server or an HTTP client."""

import asyncio
import gc
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Scope

from benchmarks.direct_calls import Answer, scope_for
from benchmarks.stacks import PATH

T = TypeVar("T")

REQUESTS_A_TURN = 100
MORE_HEADERS = ((b"accept", b"*/*"), (b"user-agent", b"benchmarks"))
EMPTY_BODY = {"type": "http.request", "body": b"", "more_body": False}


class Body:
    """An empty request body; who reads on, waits for a client that does not go away."""

    __slots__ = ("_read",)

    def __init__(self) -> None:
        self._read = False

    async def receive(self) -> Message:
        """The empty body, once."""
        if self._read:
            await asyncio.Event().wait()
        self._read = True
        return EMPTY_BODY


def get_request(token: str) -> Scope:
    """A GET with that token, and headers as a client sends them."""
    return scope_for(token.encode(), PATH, MORE_HEADERS)


async def drive(app: ASGIApp, tokens: Iterable[str]) -> float:
    """Seconds a request, one after the other.

    Garbage is collected before and not meanwhile, as `timeit` has it, since a collection would hit
    whoever happens to run. An application that never waits would keep the event loop from turning,
    and what runs beside the requests from running, as no server does: so it turns now and then,
    while the clock stands.

    Raises:
        RuntimeError: a request was not answered 200.
    """
    requests = [(get_request(token), Body().receive) for token in tokens]
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    seconds = 0.0
    gc.disable()
    for start in range(0, len(requests), REQUESTS_A_TURN):
        turn = requests[start : start + REQUESTS_A_TURN]
        started = time.perf_counter()
        for scope, receive in turn:
            await app(scope, receive, send)
        seconds += time.perf_counter() - started
        await asyncio.sleep(0)
    gc.enable()
    if statuses != [200] * len(requests):
        raise RuntimeError(f"answered {set(statuses)} instead of 200")
    return seconds / len(requests)


async def is_guarded(app: ASGIApp) -> bool:
    """Whether a token that nobody issued is refused."""
    answer = Answer()
    await app(get_request("nobody.issued.this"), Body().receive, answer.send)
    return answer.status in (400, 401, 403)


async def in_fresh_process(function: Callable[..., T], *arguments: Any) -> T:
    """What the function returns in a new interpreter: some peers can be set up only once."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)
