"""Ready means that requests would be served: now, not at the start."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from conftest import Service, ServiceFactory, running_service
from databases import DatabaseURL
from stalling_proxy import StallingProxy
from starlette.applications import Starlette
from starlette.routing import Route

from asgi_token_auth import Readiness, TokenAuth
from asgi_token_auth.passwords import recommended_context
from asgi_token_auth.testing import Mailbox
from asgi_token_auth.testing import settings as settings_for_tests

DEADLINE = timedelta(seconds=0.25)
PATIENCE_SECONDS = 10.0
READY = Readiness(database=True, hashing=True)


async def asked(auth: TokenAuth) -> httpx.Response:
    """What a load balancer sees, at a route of the application's own."""
    app = Starlette(routes=[Route("/ready", auth.endpoints.ready)])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get("/ready")


async def becomes_ready(auth: TokenAuth) -> None:
    for _ in range(200):
        if await auth.ready():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it does not recover")


async def assert_not_ready(auth: TokenAuth) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await auth.ready() == Readiness(database=False, hashing=True)
        assert not await auth.ready()
        answer = await asked(auth)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["cache-control"] == "no-store"
    assert list(answer.json()["errors"]) == ["base"]


async def test_ready_is_200_and_not_kept(service: Service) -> None:
    """On each database."""
    assert await service.auth.ready() == READY

    answer = await asked(service.auth)

    assert (answer.status_code, answer.json()) == (200, "ok")
    assert answer.headers["cache-control"] == "no-store"
    assert (await service.call("GET", "/api/ready")).status_code == 404  # only where one puts it


async def test_without_tables_nothing_is_ready(database_url: str) -> None:
    """A database that answers, but not what requests ask."""
    auth = TokenAuth(database=database_url, **settings_for_tests(Mailbox()))
    async with auth:
        await assert_not_ready(auth)
        await auth.create_tables()
        assert await auth.ready()


def impatient(database_url: object) -> TokenAuth:
    """One that waits for its database as short as a test can."""
    options = settings_for_tests(Mailbox())
    return TokenAuth(database=database_url, database_timeout=DEADLINE, **options)


@contextlib.asynccontextmanager
async def behind_a_proxy(database_url: str) -> AsyncIterator[tuple[TokenAuth, StallingProxy]]:
    """A service whose network can be made to fail."""
    url = DatabaseURL(database_url)
    port = url.port or {"postgresql": 5432, "mysql": 3306}[url.dialect]
    async with StallingProxy(url.hostname or "127.0.0.1", port) as proxy:
        async with running_service(database_url):
            pass  # the tables
        async with impatient(str(url.replace(hostname="127.0.0.1", port=proxy.port))) as auth:
            await becomes_ready(auth)
            yield auth, proxy


@pytest.mark.parametrize("what_hangs", [{}, {"only_answers": True}], ids=["all", "answers"])
async def test_a_database_that_hangs_is_not_ready_until_it_answers(
    database_url: str, what_hangs: dict[str, Any]
) -> None:
    """Within its deadline, and by itself."""
    if database_url.startswith("sqlite"):
        return
    async with behind_a_proxy(database_url) as (auth, proxy):
        proxy.stall(**what_hangs)
        await assert_not_ready(auth)
        async with impatient(auth.settings.database) as late:  # which hangs in connecting
            await assert_not_ready(late)
            proxy.go_on()
            await becomes_ready(auth)
            await becomes_ready(late)
        assert (await asked(auth)).status_code == 200


async def test_a_database_that_is_down_is_not_ready_until_it_is_back(database_url: str) -> None:
    """Also one that was not there when the process began."""
    if database_url.startswith("sqlite"):
        return
    async with behind_a_proxy(database_url) as (auth, proxy):
        proxy.cut()
        await assert_not_ready(auth)
        async with impatient(auth.settings.database) as late:
            await assert_not_ready(late)
            await proxy.restore()
            await becomes_ready(auth)
            await becomes_ready(late)


async def test_a_full_hashing_queue_is_not_ready(start_service: ServiceFactory) -> None:
    """The next login would get 503; once there is room it is ready again."""
    service = await start_service(
        password_context=recommended_context(), hashing_threads=1, hashing_queue=1
    )
    await service.new_user()
    storm = asyncio.gather(*(service.log_in() for _ in range(8)))
    seen, answers = set(), set()
    while not storm.done():
        seen.add(await service.auth.ready())
        answer = await asked(service.auth)
        answers.add((answer.status_code, answer.headers.get("retry-after")))

    assert Readiness(database=True, hashing=False) in seen
    assert (503, "1") in answers
    assert {answer.status_code for answer in await storm} == {200, 503}
    await becomes_ready(service.auth)
