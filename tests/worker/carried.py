"""An application whose jobs carry a text, and say what their log records would have."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog

import pgqueue
from pgqueue import App, Context
from pgqueue.logs import FIELDS, JobFilter, add_job

app = App()
correlation_id: ContextVar[str] = ContextVar("correlation_id")
pgqueue.carry(correlation_id)


@contextmanager
def correlated(text: str) -> Iterator[None]:
    """Within, what is enqueued carries *text*."""
    token = correlation_id.set(text)
    yield
    correlation_id.reset(token)


def said() -> dict[str, Any]:
    """A record of a library that knows nothing of jobs, as a handler with the filter has it."""
    record = logging.getLogger("somebody").makeRecord("somebody", 20, "f", 1, "hello", (), None)
    assert JobFilter().filter(record)
    structured = structlog.wrap_logger(structlog.ReturnLogger(), processors=[add_job]).info("hello")
    assert {field: structured[1].get(field) for field in FIELDS} == {
        field: getattr(record, field) for field in FIELDS
    }
    return {field: getattr(record, field) for field in FIELDS} | {
        "carried": correlation_id.get("none")
    }


@app.task
async def in_the_loop(ctx: Context, children: bool = False) -> dict[str, Any]:
    if children:
        ctx.enqueue(in_the_loop.job())
    return said()


@app.task
def in_a_thread() -> dict[str, Any]:
    return said()


@app.task(executor="process")
def in_a_process(children: bool = False) -> dict[str, Any]:
    return said()
