"""Spans: of what is enqueued and of each attempt, as the semantic conventions want them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import entry_points
from typing import Any

import psycopg
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import messaging_attributes
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.trace import SpanKind, StatusCode

from pgqueue import App, Context, NewJob
from pgqueue.contrib import otel
from pgqueue.contrib.otel import PgqueueInstrumentor
from pgqueue.errors import JobCancelled
from pgqueue.jobs import carrying
from pgqueue.operations import inspections
from pgqueue.tasks.hooks import everywhere
from pgqueue.worker import Options, Worker
from tests.worker import traced
from tests.worker.conftest import Work
from tests.worker.process import PATIENCE, soon
from tests.worker.store import ended

CONVENTIONS = {
    value for name, value in vars(messaging_attributes).items() if name.startswith("MESSAGING_")
} | {error_attributes.ERROR_TYPE}


class Spans:
    """What was recorded."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("a test")

    def called(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    async def until(self, name: str, number: int = 1) -> list[ReadableSpan]:
        await soon(lambda: len(self.called(name)) >= number)
        return self.called(name)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    spans = Spans()
    monkeypatch.setenv("PGQUEUE_OTEL_TRACE", "link")
    PgqueueInstrumentor().instrument(tracer_provider=spans.provider)
    yield spans
    PgqueueInstrumentor().uninstrument()


def trace_of(span: Any) -> int:
    found: int = span.get_span_context().trace_id
    return found


def place(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def origins(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def plain(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_the_spans_of_a_job(app: App, work: Work, spans: Spans) -> None:
    @app.task(queue="default")
    async def send_receipt() -> None: ...

    worker = await work()
    with spans.tracer.start_as_current_span("a request") as request:
        handle = await app.enqueue_async(send_receipt.job())
    await app.result_async(handle, PATIENCE)
    [sent] = spans.called("send send_receipt")
    [run] = await spans.until("process send_receipt")

    assert (sent.kind, run.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert plain(sent) == {
        "messaging.system": "pgqueue",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "default",
        "messaging.pgqueue.task": "send_receipt",
    }
    assert plain(run) == {
        "messaging.system": "pgqueue",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "default",
        "messaging.message.id": str(handle.id),
        "messaging.client.id": str(worker.id),
        "messaging.pgqueue.task": "send_receipt",
        "messaging.pgqueue.attempt": 1,
    }
    for name in (*plain(sent), *plain(run)):
        assert name in CONVENTIONS or name.startswith("messaging.pgqueue.")
    assert trace_of(sent) == trace_of(request)
    assert run.parent is None
    assert origins(run) == [place(sent)]
    assert trace_of(run) != trace_of(sent)


async def test_a_child_in_the_trace_where_that_is_wanted(
    app: App, work: Work, spans: Spans
) -> None:
    @app.task
    async def step() -> None: ...

    PgqueueInstrumentor().instrument(tracer_provider=spans.provider, trace="child")
    await work()
    await app.enqueue_async(step.job())
    [run] = await spans.until("process step")
    [sent] = spans.called("send step")

    assert run.parent is not None
    assert run.parent.span_id == sent.get_span_context().span_id
    assert trace_of(run) == trace_of(sent)
    assert run.links == ()
    with pytest.raises(ValueError, match=r'trace \'both\': give "link" or "child"'):
        PgqueueInstrumentor().instrument(trace="both")  # type: ignore[arg-type]


async def test_attempts_and_children_link_to_where_they_come_from(
    app: App, work: Work, spans: Spans
) -> None:
    @app.task(max_attempts=2, retry=0)
    async def twice(ctx: Context) -> None:
        if ctx.attempt == 1:
            raise TimeoutError("too slow")
        ctx.enqueue(last.job())

    @app.task
    async def last() -> None: ...

    await work()
    await app.enqueue_async(twice.job())
    first, second = await spans.until("process twice", 2)
    [end] = await spans.until("process last")
    [sent] = spans.called("send twice")
    [passed_on] = spans.called("send last")

    for run in (first, second):
        assert origins(run) == [place(sent)]
    assert (first.status.status_code, plain(first)["error.type"]) == (
        StatusCode.ERROR,
        "TimeoutError",
    )
    assert [event.name for event in first.events] == ["exception"]
    assert (second.status.status_code, plain(second)["messaging.pgqueue.attempt"]) == (
        StatusCode.UNSET,
        2,
    )
    assert passed_on.parent == second.get_span_context()
    assert origins(end) == [place(passed_on)]


async def test_a_job_that_is_cancelled_is_no_error(app: App, work: Work, spans: Spans) -> None:
    @app.task
    async def stop() -> None:
        raise JobCancelled("enough")

    await work()
    await ended(app, await app.enqueue_async(stop.job()))
    [run] = await spans.until("process stop")

    assert run.status.status_code == StatusCode.UNSET
    assert run.events == ()


async def test_many_jobs_are_one_span_and_one_text(app: App, spans: Spans) -> None:
    @app.task
    async def send() -> None: ...

    handles = await app.enqueue_async([send.job() for _ in range(20)])
    await app.enqueue_async([send.job(), NewJob("other", queue="else")])
    sent, mixed = spans.exporter.get_finished_spans()
    stored = (await app.execute_async(inspections.get(handles))).values()

    assert sent.name == "send send"
    assert plain(sent)["messaging.batch.message_count"] == 20
    assert len({json.dumps(job.metadata) for job in stored}) == 1
    assert mixed.name == "send"
    assert "messaging.destination.name" not in plain(mixed)
    assert "messaging.pgqueue.task" not in plain(mixed)


@pytest.fixture
async def elsewhere(postgres_url: str) -> AsyncIterator[App]:
    traced.app.use(postgres_url)
    yield traced.app
    traced.app.close()


@pytest.mark.parametrize(
    "task", [traced.in_the_loop, traced.in_a_thread, traced.in_a_process], ids=lambda t: t.name
)
async def test_the_span_and_the_baggage_are_there_where_the_task_runs(
    elsewhere: App, spans: Spans, task: Any
) -> None:
    worker = Worker(elsewhere, Options(queues="default", pool_processes=1))
    running = asyncio.create_task(worker.run())
    token = context.attach(baggage.set_baggage("user", "ada"))
    with spans.tracer.start_as_current_span("a request") as request:
        handle = await elsewhere.enqueue_async(task.job())
    context.detach(token)
    found = await elsewhere.result_async(handle, PATIENCE)
    worker.stop()
    await running

    assert found["name"] == f"process {task.name}"
    assert found["links"] == [trace_of(request)]
    assert found["user"] == "ada"
    assert found["trace"] != trace_of(request)


async def test_sql_gives_a_trace_too(app: App, work: Work, spans: Spans, postgres_url: str) -> None:
    @app.task
    async def send() -> None: ...

    await work()
    origin = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "SELECT pgqueue.enqueue('send', metadata => %s)", [json.dumps({"traceparent": origin})]
        )
    [run] = await spans.until("process send")

    assert [trace.format_trace_id(link.context.trace_id) for link in run.links] == [
        "0af7651916cd43dd8448eb211c80319c"
    ]


def test_without_an_sdk_nothing_is_put_into_metadata() -> None:
    instrumentor = PgqueueInstrumentor()
    instrumentor.instrument(tracer_provider=trace.NoOpTracerProvider())
    assert otel.send([NewJob("send")]) == {}
    instrumentor.instrument()
    instrumentor.uninstrument()


def test_it_is_found_by_its_entry_point_and_can_be_taken_back() -> None:
    [found] = [
        each for each in entry_points(group="opentelemetry_instrumentor") if each.name == "pgqueue"
    ]
    instrumentor = found.load()()
    instrumentor.instrument(skip_dep_check=True)
    instrumentor.instrument()
    assert everywhere.count(otel.around) == carrying.carriers.count(otel.send) == 1
    instrumentor.uninstrument()
    instrumentor.uninstrument()
    assert otel.around not in everywhere
    assert otel.send not in carrying.carriers
