"""OpenTelemetry: spans `send NAME` where jobs are enqueued and `process NAME` around each attempt,
and the metrics of workers.

    PgqueueInstrumentor().instrument()

Only the API is needed; without an SDK nothing is recorded, and nothing is put into metadata. The
attributes are those of the semantic conventions for messaging, which are still in development, and
`messaging.pgqueue.*`. The carrier is `traceparent`, `tracestate` and `baggage`, flat in the job's
metadata, one text for all jobs of a call: so SQL can give it too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, Literal

from pgqueue.errors import JobCancelled, installed
from pgqueue.jobs import carrying
from pgqueue.jobs.job import NewJob
from pgqueue.tasks import current
from pgqueue.tasks.context import Context
from pgqueue.tasks.hooks import everywhere

with installed("otel"):
    from opentelemetry import context, metrics, propagate, trace
    from opentelemetry.context import Context as TraceContext
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode

    from pgqueue.contrib import otel_metrics

_SCOPE: Final = "pgqueue"
_TRACE: Final = "PGQUEUE_OTEL_TRACE"
_SYSTEM: Final = {"messaging.system": "pgqueue"}
_provider: trace.TracerProvider | None = None


class PgqueueInstrumentor:
    """Switches spans and metrics on and off, for all applications of this process.

    Its entry point lets `opentelemetry-instrument` do that without a line of code.
    """

    def instrument(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        trace: Literal["link", "child"] | None = None,
        **ignored: Any,
    ) -> None:
        """Make spans from now on, of workers that start later; metrics of all that run here.

        *trace*: an attempt's span is a trace of its own, with a link to where its job was enqueued
        ("link", or PGQUEUE_OTEL_TRACE), since it may come hours later and many times; or a "child"
        in that trace. Processes of `executor="process"` take *tracer_provider* from what their
        module sets up when it is imported.
        """
        global _provider
        if trace not in (None, "link", "child"):
            raise ValueError(f'trace {trace!r}: give "link" or "child"')
        _provider = tracer_provider
        _tracer.cache_clear()
        if trace is not None:
            os.environ[_TRACE] = trace  # processes of the pool inherit it
        if around not in everywhere:
            everywhere.append(around)
        if send not in carrying.carriers:
            carrying.carriers.append(send)
        otel_metrics.measure(meter_provider, _SCOPE)

    def uninstrument(self, **ignored: Any) -> None:
        """Make no spans any more, and give no metrics."""
        otel_metrics.stop()
        for hooks, hook in ((everywhere, around), (carrying.carriers, send)):
            if hook in hooks:
                hooks.remove(hook)  # type: ignore[arg-type]  # each from its own list


def send(jobs: Sequence[NewJob[Any]]) -> dict[str, str]:
    """Make the span of this call; return the texts that lead from *jobs* back to it."""
    tasks, queues = {job.task for job in jobs}, {job.queue for job in jobs}
    attributes: dict[str, str | int] = {
        **_SYSTEM,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }
    if len(queues) == 1:
        attributes["messaging.destination.name"] = next(iter(queues))
    if len(tasks) == 1:
        attributes["messaging.pgqueue.task"] = next(iter(tasks))
    if len(jobs) != 1:
        attributes["messaging.batch.message_count"] = len(jobs)
    name = f"send {next(iter(tasks))}" if len(tasks) == 1 else "send"
    carrier: dict[str, str] = {}
    with _tracer().start_as_current_span(name, kind=SpanKind.PRODUCER, attributes=attributes):
        propagate.inject(carrier)
    return carrier


@contextmanager
def around(ctx: Context) -> Iterator[None]:
    """Make the span of an attempt, current while the task runs."""
    carrier = {name: text for name, text in ctx.metadata.items() if isinstance(text, str)}
    origin = propagate.extract(carrier, context=TraceContext())
    enqueued = trace.get_current_span(origin).get_span_context()
    if os.environ.get(_TRACE) == "child":
        parent, links = origin, []
    else:  # baggage, also in the carrier, goes on; the span is the first of its trace
        parent = trace.set_span_in_context(trace.INVALID_SPAN, origin)
        links = [Link(enqueued)] if enqueued.is_valid else []
    span = _tracer().start_span(
        f"process {ctx.task}",
        context=parent,
        kind=SpanKind.CONSUMER,
        attributes=_attributes(ctx),
        links=links,
    )
    token = context.attach(trace.set_span_in_context(span, parent))
    try:
        yield
    except (JobCancelled, GeneratorExit):
        raise
    except BaseException as error:
        if isinstance(error, Exception):
            span.record_exception(error)
            kind = f"{type(error).__module__}.{type(error).__qualname__}"
            span.set_attribute("error.type", kind.removeprefix("builtins."))
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        context.detach(token)
        span.end()


def _attributes(ctx: Context) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        **_SYSTEM,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": ctx.queue,
        "messaging.message.id": str(ctx.id),
        "messaging.pgqueue.task": ctx.task,
        "messaging.pgqueue.attempt": ctx.attempt,
    }
    if (worker := current.worker_id()) is not None:
        attributes["messaging.client.id"] = str(worker)
    if ctx.workflow is not None:
        attributes["messaging.pgqueue.workflow"] = ctx.workflow
    return attributes


@cache  # to ask for it costs half as much as a span
def _tracer() -> trace.Tracer:
    return trace.get_tracer(_SCOPE, tracer_provider=_provider)
