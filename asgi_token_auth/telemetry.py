"""Metrics and spans: the one door to OpenTelemetry's API, which need not be installed.

No attribute is an id, an address or anything that was typed. The guard on every request counts
nothing: what it knows is observed when somebody asks.
"""

import contextlib
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

try:
    from opentelemetry import metrics, trace
except ImportError:  # extra `otel`
    OPENTELEMETRY = False
else:
    OPENTELEMETRY = True

NAME = "asgi_token_auth"
OPERATION = "token_auth.operation"
OUTCOME = "token_auth.outcome"
# As OpenTelemetry advises for durations of HTTP requests, and on to where hashing queues.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)


S = TypeVar("S")


class Outcome:
    """How an operation ended: `ok`, or the code of its error."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.status = 200

    @property
    def kind(self) -> str:
        """`ok`, `refused` or `unavailable`."""
        return "ok" if self.status < 400 else "refused" if self.status < 500 else "unavailable"


class Telemetry:
    """The instruments of one TokenAuth; without OpenTelemetry, nothing at all.

    Args:
        meter_provider, tracer_provider: OpenTelemetry's; None: the global ones.
    """

    def __init__(self, meter_provider: Any = None, tracer_provider: Any = None) -> None:
        self._meter: Any = None
        if not OPENTELEMETRY:
            return
        self._meter = metrics.get_meter(NAME, meter_provider=meter_provider)
        self._tracer = trace.get_tracer(NAME, tracer_provider=tracer_provider)
        self._events = self._meter.create_counter(
            "token_auth.events", unit="{event}", description="What happened to accounts"
        )
        self._duration = self._meter.create_histogram(
            "token_auth.operation.duration",
            unit="s",
            description="Duration of account operations",
            explicit_bucket_boundaries_advisory=SECONDS,
        )

    def count(self, event: str) -> None:
        """Counts an event."""
        if self._meter is not None:
            self._events.add(1, {"token_auth.event": event})

    def observe(
        self,
        name: str,
        unit: str,
        description: str,
        source: S,
        read: Callable[[S], float | None],
    ) -> None:
        """Reports what `read` gives of `source` whenever metrics are collected; None: nothing.

        The source is held weakly, since a meter never forgets whom it asks. It is asked in the
        exporter's thread: what is read must be one look.
        """
        if self._meter is None:
            return
        held = weakref.ref(source)

        def observed(options: object) -> Iterator[Any]:
            there = held()
            value = None if there is None else read(there)
            if value is not None:
                yield metrics.Observation(value)

        self._meter.create_observable_gauge(name, [observed], unit=unit, description=description)

    @contextlib.contextmanager
    def operation(self, name: str) -> Iterator[Outcome]:
        """A span and a duration for what is done within; the outcome is for it to fill in."""
        outcome = Outcome()
        if self._meter is None:
            yield outcome
            return
        started = time.perf_counter()
        kind = "error"
        with self._tracer.start_as_current_span(
            f"token_auth.{name}",
            # An exception's text may hold what was typed.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield outcome
                kind = outcome.kind
            except BaseException as error:
                outcome.error = type(error).__name__
                raise
            finally:
                attributes = {OPERATION: name, OUTCOME: kind}
                if outcome.error is not None:
                    attributes["error.type"] = outcome.error
                self._finish(span, attributes, time.perf_counter() - started)

    def _finish(self, span: Any, attributes: dict[str, str], seconds: float) -> None:
        span.set_attributes(attributes)
        if attributes[OUTCOME] in ("unavailable", "error"):
            span.set_status(trace.StatusCode.ERROR)
        self._duration.record(seconds, attributes)
