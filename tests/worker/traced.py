"""An application whose tasks say in which span they run; a process of the pool imports it."""

from __future__ import annotations

from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from pgqueue import App

if not isinstance(trace.get_tracer_provider(), TracerProvider):
    trace.set_tracer_provider(TracerProvider())
app = App()


def span() -> dict[str, object]:
    """The span in which this is called, and what it links to."""
    now = trace.get_current_span()
    assert isinstance(now, ReadableSpan)
    return {
        "name": now.name,
        "trace": now.get_span_context().trace_id,
        "links": [link.context.trace_id for link in now.links],
        "user": baggage.get_baggage("user"),
    }


@app.task
async def in_the_loop() -> dict[str, object]:
    return span()


@app.task
def in_a_thread() -> dict[str, object]:
    return span()


@app.task(executor="process")
def in_a_process() -> dict[str, object]:
    return span()
