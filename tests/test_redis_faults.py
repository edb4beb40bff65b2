"""Redis that is killed, hangs or is emptied: no answer is a 5xx, and attempts stay limited."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from conftest import HOW_TO_GET, Service, running_service
from documentation import free_port
from redis.asyncio import Redis
from redis.exceptions import RedisError
from test_throttling import ADA, log_in, only, post

GONE = "Redis does not answer"
BACK = "Redis answers again"
PATIENCE_SECONDS = 20.0


class OwnRedis:
    """A Redis that a test may do anything to."""

    def __init__(self, directory: Path) -> None:
        self._port = free_port()
        self._directory = directory
        self.url = f"redis://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        options = ["--port", str(self._port), "--save", "", "--dir", str(self._directory)]
        self._process = subprocess.Popen(
            ["redis-server", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Redis]:
        """A client, once the server answers."""
        client = Redis.from_url(self.url)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(RedisError, OSError):
                    await client.ping()
                    break
                await asyncio.sleep(0.05)
        try:
            yield client
        finally:
            await client.aclose()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    if shutil.which("redis-server") is None:
        assert not os.environ.get("REQUIRE_SERVICES"), HOW_TO_GET["redis"]
        pytest.skip("no redis-server to start and kill")
    running = OwnRedis(tmp_path)
    yield running
    running.kill()


@pytest.fixture
async def throttled(
    sqlite_url: str, own_redis: OwnRedis, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Service]:
    """A service whose Redis has counted two of three guesses."""
    caplog.set_level(logging.INFO, "asgi_token_auth.throttling")
    limits = only(log_in_by_account="3/hour")
    async with own_redis.client():
        pass
    options = {"limits": limits, "throttle_storage": own_redis.url}
    async with running_service(sqlite_url, **options) as service:
        assert await guess(service, 2) == [401] * 2
        yield service


async def guess(service: Service, times: int, account: str = ADA) -> list[int]:
    return [(await post(service, log_in(account))).status_code for _ in range(times)]


async def until_back(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Goes on asking until Redis counts again."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while BACK not in caplog.text:
            assert set(await guess(service, 1, "nobody@example.com")) <= {401, 429}
            await asyncio.sleep(0.05)


async def test_a_redis_that_is_killed_and_comes_back(
    throttled: Service, own_redis: OwnRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Meanwhile this process counts by itself; one line says so, and one that it is over."""
    own_redis.kill()
    assert await guess(throttled, 5) == [401] * 3 + [429] * 2

    own_redis.start()
    await until_back(throttled, caplog)

    assert await guess(throttled, 4) == [401] * 3 + [429]  # an empty Redis has counted nothing
    assert (caplog.text.count(GONE), caplog.text.count(BACK)) == (1, 1)


async def test_a_redis_that_hangs_and_goes_on(
    throttled: Service, own_redis: OwnRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """It is waited for briefly, once a second, by one request: not by each."""
    own_redis.send(signal.SIGSTOP)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await guess(throttled, 300) == [401] * 3 + [429] * 297

    own_redis.send(signal.SIGCONT)
    await until_back(throttled, caplog)

    assert 429 in await guess(throttled, 2)  # what Redis had counted before is still there
    assert (caplog.text.count(GONE), caplog.text.count(BACK)) == (1, 1)


async def test_a_redis_that_is_emptied_or_full(throttled: Service, own_redis: OwnRedis) -> None:
    """Counters begin anew, the scripts are loaded again, and an error is no answer."""
    async with own_redis.client() as client:
        await client.flushall()
        await client.script_flush()
        assert await guess(throttled, 4) == [401] * 3 + [429]
        await client.config_set("maxmemory", "1")
        assert await guess(throttled, 4, "eve@example.com") == [401] * 3 + [429]


async def test_redis_shows_nobodys_address(throttled: Service, own_redis: OwnRedis) -> None:
    """Keys are digests under the secret key, and go by themselves."""
    async with own_redis.client() as client:
        keys = [key.decode() async for key in client.scan_iter()]
        lifetimes = [await client.ttl(key) for key in keys]

    assert keys
    assert all(key.startswith("asgi_token_auth:") for key in keys)
    assert not any("ada" in key or "example" in key for key in keys)
    assert all(0 < seconds <= 2 * 3600 for seconds in lifetimes)


async def test_a_redis_that_was_never_there(sqlite_url: str) -> None:
    """The application starts without it."""
    options = {"throttle_storage": f"redis://127.0.0.1:{free_port()}"}
    limits = only(log_in_by_account="3/hour")
    async with running_service(sqlite_url, limits=limits, **options) as service:
        assert await guess(service, 5) == [401] * 3 + [429] * 2
