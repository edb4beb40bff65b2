"""Metrics and spans, as OpenTelemetry's own SDK receives them."""

import gc
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Service, running_service
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from asgi_token_auth import TokenAuth
from asgi_token_auth.clock import elapsed
from asgi_token_auth.passwords import PasswordHasher
from asgi_token_auth.testing import Mailbox, settings


class Collector:
    """What was measured."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.spans = InMemorySpanExporter()
        tracer_provider = TracerProvider(shutdown_on_exit=False)
        tracer_provider.add_span_processor(SimpleSpanProcessor(self.spans))
        meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.settings = {"meter_provider": meter_provider, "tracer_provider": tracer_provider}

    def points(self, name: str) -> list[Any]:
        """The data points of a metric."""
        data = self.reader.get_metrics_data()
        scopes = [] if data is None else data.resource_metrics[0].scope_metrics
        metrics = [metric for scope in scopes for metric in scope.metrics]
        return [point for each in metrics if each.name == name for point in each.data.data_points]

    def values(self, name: str, *attributes: str) -> dict[Any, Any]:
        """The values, or counts, of a metric by its attributes."""
        return {
            tuple(point.attributes.get(each) for each in attributes): getattr(
                point, "value", getattr(point, "count", None)
            )
            for point in self.points(name)
        }


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
async def service(collector: Collector, sqlite_url: str) -> AsyncIterator[Service]:
    """Nothing here differs by database."""
    async with running_service(sqlite_url, **collector.settings) as running:
        yield running


async def test_events_are_counted(service: Service, collector: Collector) -> None:
    """By what happened, and nothing else: an id as an attribute would be a series each."""
    await service.new_user()
    for password in ("secret", "wrong", "wrong"):
        await service.log_in(password=password)

    assert collector.values("token_auth.events", "token_auth.event") == {
        ("signed_up",): 1,
        ("confirmed",): 1,
        ("logged_in",): 1,
        ("login_failed",): 2,
    }
    assert {len(point.attributes) for point in collector.points("token_auth.events")} == {1}


async def test_operations_are_timed_by_how_they_end(service: Service, collector: Collector) -> None:
    """Good, refused with the error's code, and unavailable."""
    await service.new_user()
    await service.log_in()
    await service.log_in(password="wrong")
    await service.call("POST", "/api/users", [])
    service.auth.accounts._parts.passwords._limit = 0
    assert (await service.log_in()).status_code == 503

    names = ("token_auth.operation", "token_auth.outcome", "error.type")
    assert collector.values("token_auth.operation.duration", *names) == {
        ("sign_up", "ok", None): 1,
        ("confirm", "ok", None): 1,
        ("log_in", "ok", None): 1,
        ("log_in", "refused", "unknown_credentials"): 1,
        ("sign_up", "refused", "bad_body"): 1,
        ("log_in", "unavailable", "hashing_overloaded"): 1,
    }
    assert all(0 < point.sum < 60 for point in collector.points("token_auth.operation.duration"))


async def test_each_operation_is_a_span(service: Service, collector: Collector) -> None:
    """What is refused is no error of the server's; nobody can be told by the attributes."""
    await service.new_user()
    await service.log_in(password="wrong")
    service.auth.accounts._parts.passwords._limit = 0
    await service.log_in()

    spans = collector.spans.get_finished_spans()
    found = [(span.name, span.status.status_code) for span in spans]
    assert found == [
        ("token_auth.sign_up", StatusCode.UNSET),
        ("token_auth.confirm", StatusCode.UNSET),
        ("token_auth.log_in", StatusCode.UNSET),
        ("token_auth.log_in", StatusCode.ERROR),
    ]
    assert dict(spans[2].attributes or {}) == {
        "token_auth.operation": "log_in",
        "token_auth.outcome": "refused",
        "error.type": "unknown_credentials",
    }


async def test_an_error_nobody_expected_shows_its_type_alone(
    service: Service, collector: Collector
) -> None:
    """Its text may hold what was typed."""

    async def broken(*arguments: Any) -> None:
        raise RuntimeError("a secret")

    service.auth.accounts._parts.passwords.verify = broken  # type: ignore[method-assign,assignment]
    with pytest.raises(RuntimeError):
        await service.log_in()

    (span,) = collector.spans.get_finished_spans()
    assert (span.attributes or {})["error.type"] == "RuntimeError"
    assert span.status.status_code == StatusCode.ERROR
    assert "a secret" not in span.to_json()
    assert ("error",) in collector.values("token_auth.operation.duration", "token_auth.outcome")


async def test_what_a_process_remembers_and_puts_off_is_observed(
    collector: Collector, sqlite_url: str
) -> None:
    """The cache, the hashing queue, the feed's age, and mail that waits."""

    class Down(Mailbox):
        async def send(self, mail: Any) -> None:
            await super().send(mail)
            raise OSError

    mailbox = Down()
    given = {**collector.settings, "mail_transport": mailbox}
    async with running_service(sqlite_url, **given) as service:
        service.mailbox = mailbox
        token = (await service.new_user())["token"]
        assert await service.is_good(token)
        assert collector.points("token_auth.feed.age") == []  # it vouches for nothing yet
        service.auth.verifier._feed.started_at = elapsed() - 7
        passwords = service.auth.accounts._parts.passwords
        assert isinstance(passwords, PasswordHasher)
        passwords._pending = 3
        service.clock.now = service.clock.now.replace(year=service.clock.now.year + 1)
        await service.auth.sender._until_due()
        found = {
            name: [point.value for point in collector.points(f"token_auth.{name}")]
            for name in ("tokens.cached", "hashing.pending", "feed.age", "outbox.overdue")
        }

    assert found["tokens.cached"] == [1]
    assert found["hashing.pending"] == [3]
    assert len(found["outbox.overdue"]) == 1
    assert found["outbox.overdue"][0] > 86_400
    assert [int(age) for age in found["feed.age"]] == [7]


async def test_a_meter_holds_nobody(collector: Collector, sqlite_url: str) -> None:
    """A TokenAuth that is gone is no longer observed."""
    auth = TokenAuth(database=sqlite_url, **settings(Mailbox()), **collector.settings)
    assert collector.values("token_auth.tokens.cached") == {(): 0}
    verifier = weakref.ref(auth.verifier)
    del auth
    gc.collect()

    assert verifier() is None
    assert collector.values("token_auth.tokens.cached") == {}


async def test_the_guard_measures_nothing(service: Service, collector: Collector) -> None:
    """A protected request costs what it costs without OpenTelemetry."""
    token = (await service.new_user())["token"]
    collector.spans.clear()
    before = collector.values("token_auth.operation.duration", "token_auth.operation")
    for _ in range(3):
        assert await service.is_good(token)

    assert collector.spans.get_finished_spans() == ()
    after = collector.values("token_auth.operation.duration", "token_auth.operation")
    assert after == before


def test_opentelemetry_need_not_be_installed(tmp_path: Path) -> None:
    """Everything works without; in a process that can't import it."""
    program = f"""
import asyncio, sys
sys.modules["opentelemetry"] = None
from asgi_token_auth import TokenAuth
from asgi_token_auth.testing import Mailbox, settings

async def main():
    auth = TokenAuth(database="sqlite:///{tmp_path}/x.db", **settings(Mailbox()))
    await auth.create_tables()
    async with auth:
        await auth.accounts.sign_up(username="ada", password="secret")
        import httpx
        transport = httpx.ASGITransport(auth.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            body = {{"username": "ada", "password": "secret"}}
            print((await client.post("/sessions", json=body)).status_code)

asyncio.run(main())
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert (result.stdout, result.stderr) == ("200\n", "")
