"""OpenTelemetry: what clients count, as metrics, and each token request as a span.

    from p21auth.opentelemetry import instrument

    instrument(client)

Metrics, observed from ``client.stats()`` when the program's meter collects: ``p21auth.token.requests``, ``.refreshes``,
``.waits`` and ``.failures`` (by ``error.type``). A span ``p21auth.token.request`` has the times of the request itself, which
goes on in the background for all callers together: a thousand calls are one request and one span.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from opentelemetry import context, metrics, trace
from opentelemetry.metrics import CallbackOptions, Observation

from . import _log
from ._client import Client
from ._errors import P21Error

__all__ = ["instrument"]

#: Name of the metric, counter of the statistics, unit, description.
_COUNTERS = (
    ("requests", "token_requests", "{request}", "Token requests sent, retries included"),
    ("refreshes", "refreshes", "{token}", "Tokens that the server issued"),
    ("waits", "shared_waits", "{wait}", "Waits for a request that another call had begun"),
)
_SPANS = {"token.refreshed": trace.StatusCode.OK, "token.failed": trace.StatusCode.ERROR}


def instrument(
    *clients: Client,
    meter_provider: Optional[metrics.MeterProvider] = None,
    tracer_provider: Optional[trace.TracerProvider] = None,
) -> None:
    """Observes these clients until they are closed, and traces the token requests of the process from now on.

    Call it once, after the providers are set up; without providers of its own it takes the global ones.
    """
    watched = [weakref.ref(client) for client in clients]
    meter = metrics.get_meter("p21auth", meter_provider=meter_provider)
    for name, counter, unit, text in _COUNTERS:
        meter.create_observable_counter(f"p21auth.token.{name}", [_count(watched, counter)], unit, text)
    meter.create_observable_counter("p21auth.token.failures", [_failures(watched)], "{failure}", "Failures by their code")
    tracer = trace.get_tracer("p21auth", tracer_provider=tracer_provider)
    # What happened before belongs to no one.
    _log.drain()
    _log.listeners.append(lambda event: _trace(tracer, event))


def _stats(watched: list[weakref.ref[Client]]) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Statistics and attributes of each identity; its clients share their counters."""
    seen = set()
    for reference in watched:
        client = reference()
        try:
            stats = None if client is None else client.stats()
        except P21Error:
            continue  # closed
        if stats is not None and stats["identity"] not in seen:
            seen.add(stats["identity"])
            yield stats["counters"], {"server.address": stats["base_url"], "p21auth.identity": stats["identity"]}


def _count(watched: list[weakref.ref[Client]], counter: str) -> Any:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(counters[counter], about) for counters, about in _stats(watched)]

    return observe


def _failures(watched: list[weakref.ref[Client]]) -> Any:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(count, {**about, "error.type": name})
            for counters, about in _stats(watched)
            for name, count in counters["failures"].items()
        ]

    return observe


def _trace(tracer: trace.Tracer, event: dict[str, Any]) -> None:
    status = _SPANS.get(event["event"])
    if status is None or "took_ms" not in event:
        return
    end = int(event["time"] * 1e9)
    span = tracer.start_span(
        "p21auth.token.request",
        # Of its own: the call that reads of it need not be the one that it was sent for.
        context.Context(),
        trace.SpanKind.CLIENT,
        start_time=end - event["took_ms"] * 1_000_000,
    )
    span.set_status(status, event["message"] if status is trace.StatusCode.ERROR else None)
    span.end(end)
