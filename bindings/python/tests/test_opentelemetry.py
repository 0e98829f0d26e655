"""Metrics and spans, with the SDK's exporters in memory."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Iterator
from typing import Any

import pytest

import p21auth
from p21auth import _log
from p21auth.testing import Emulator

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from p21auth.opentelemetry import instrument


class Telemetry:
    def __init__(self) -> None:
        self.reader, self.exporter = InMemoryMetricReader(), InMemorySpanExporter()
        self.meters, self.tracers = MeterProvider([self.reader]), TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))

    def watch(self, *clients: p21auth.Client) -> None:
        instrument(*clients, meter_provider=self.meters, tracer_provider=self.tracers)

    def metrics(self) -> dict[str, Any]:
        """Value, or values by attribute, of each metric."""
        found: dict[str, Any] = {}
        data = self.reader.get_metrics_data()
        for metric in data.resource_metrics[0].scope_metrics[0].metrics if data else ():
            for point in metric.data.data_points:
                kind = (point.attributes or {}).get("error.type")
                name = metric.name.removeprefix("p21auth.token.")
                found[f"{name} {kind}" if kind else name] = found.get(name, 0) + point.value
        return found


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    made, before = Telemetry(), list(_log.listeners)
    yield made
    _log.listeners[:] = before
    made.meters.shutdown()
    made.tracers.shutdown()


def test_a_thousand_calls_are_one_request_and_one_span(emulator: Emulator, telemetry: Telemetry) -> None:
    with emulator.client() as client, emulator.client() as same:
        telemetry.watch(client, same)
        emulator.config(latency_ms=300)
        began = time.time()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            tokens = set(pool.map(lambda _: client.get_token(), range(1000)))
        tokens |= {same.get_token(), asyncio.run(client.aget_token())}
        assert len(tokens) == 1
        counted = telemetry.metrics()
        assert (counted["requests"], counted["refreshes"]) == (1, 1) and "waits" in counted
        (span,) = telemetry.exporter.get_finished_spans()
        assert (span.name, span.kind.name, span.status.status_code.name, span.parent) == (
            "p21auth.token.request",
            "CLIENT",
            "OK",
            None,
        )
        start, end = span.start_time / 1e9, span.end_time / 1e9
        # The request's own times, not those of anyone who read of it. The event has milliseconds.
        assert began - 0.01 <= start and end <= time.time() and end - start >= 0.29


def test_failures_are_told_by_their_code(emulator: Emulator, telemetry: Telemetry) -> None:
    with emulator.client(password="wrong") as client:
        telemetry.watch(client)
        for _ in range(10):
            with pytest.raises(p21auth.BadCredentialsError):
                client.get_token()
        assert telemetry.metrics()["failures P21_E_UNAUTHORIZED"] == 1
        (span,) = telemetry.exporter.get_finished_spans()
        assert span.status.status_code.name == "ERROR" and "P21_E_UNAUTHORIZED" in str(span.status.description)
    assert telemetry.metrics() == {}


def test_a_client_is_not_kept_by_being_watched(emulator: Emulator, telemetry: Telemetry) -> None:
    import gc
    import weakref

    client = emulator.client()
    telemetry.watch(client)
    reference = weakref.ref(client)
    del client
    gc.collect()
    assert reference() is None and telemetry.metrics() == {}


def test_a_listener_that_fails_harms_no_one(emulator: Emulator, telemetry: Telemetry) -> None:
    def fail(_: dict[str, Any]) -> None:
        raise RuntimeError("in a listener")

    _log.listeners.append(fail)
    with emulator.client() as client:
        assert client.get_token()
