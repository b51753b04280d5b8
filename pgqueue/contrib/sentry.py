"""Sentry: an error of a job is an event, a trace goes on from the enqueue to the run.

    sentry_sdk.init(...)
    pgqueue.contrib.sentry.instrument(app)

It uses pgqueue's hooks, and patches nothing. Each attempt has an isolation scope of its own. A
task's error is an event when it is final: the attempts are used up, or the retry policy gives up.
Snooze, Retry, Cancel and Discard are the task's own decisions, and no events.

With *monitors* the jobs of schedules are check-ins of Sentry's cron monitors: one for each instant,
in progress from its first attempt on, and settled when the store has confirmed how the job ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from time import time
from typing import Any, Final
from weakref import WeakKeyDictionary

from pgqueue.app import App
from pgqueue.contrib.sentry_monitors import Monitors
from pgqueue.errors import JobCancelled, installed
from pgqueue.jobs import carrying
from pgqueue.jobs.job import NewJob
from pgqueue.tasks import current
from pgqueue.tasks.context import Context
from pgqueue.worker.running.endings import FAILED_ATTEMPT

with installed("sentry"):
    import sentry_sdk
    from sentry_sdk.tracing import Span
    from sentry_sdk.types import Event, Hint
    from sentry_sdk.utils import event_from_exception

_ORIGIN: Final = "auto.queue.pgqueue"
_TRACE, _BAGGAGE = "sentry-trace", "sentry-baggage"
_applications: WeakKeyDictionary[App, bool] = WeakKeyDictionary()
_monitored: WeakKeyDictionary[App, Monitors] = WeakKeyDictionary()


def instrument(
    app: App, *, every_attempt: bool = False, monitors: bool | Mapping[str, Any] = False
) -> None:
    """Report *app*'s jobs to Sentry, from workers that start later; a second call changes nothing.

    *every_attempt*: an attempt that fails and will be tried again is an event, too. Arguments are
    sent only with `send_default_pii=True`. *monitors*: jobs of schedules are check-ins; a mapping
    is of fields of the monitors' configuration, ``{"max_runtime": 120, "checkin_margin": 5}``.
    Where tasks run in processes of the pool, call it, and `sentry_sdk.init`, in a module that those
    import.
    """
    if app not in _applications:
        app.around(_hook_of(app))
    _applications[app] = every_attempt
    if monitors is not False and app not in _monitored:
        _monitored[app] = Monitors(app, {} if monitors is True else monitors)
    if send not in carrying.carriers:
        carrying.carriers.append(send)
        sentry_sdk.get_global_scope().add_event_processor(_without_log_of_failures)


def send(jobs: Sequence[NewJob[Any]]) -> dict[str, str]:
    """Make the span of this call; return the texts that lead from *jobs* back to it."""
    if sentry_sdk.get_client().transport is None:
        return {}
    tasks, queues = {job.task for job in jobs}, {job.queue for job in jobs}
    name = next(iter(tasks)) if len(tasks) == 1 else f"{len(jobs)} jobs"
    with sentry_sdk.start_span(op="queue.publish", name=name, origin=_ORIGIN) as span:
        if len(queues) == 1:
            span.set_data("messaging.destination.name", next(iter(queues)))
        span.set_data("messaging.message.body.size", sum(len(job.args) for job in jobs))
        said = {_TRACE: sentry_sdk.get_traceparent(), _BAGGAGE: sentry_sdk.get_baggage()}
    return {name: text for name, text in said.items() if text}


def _hook_of(app: App) -> Callable[[Context], AbstractContextManager[None]]:
    """Return the hook that gives an attempt of *app* its scope and its transaction, and sends a
    final error."""

    def around(ctx: Context) -> AbstractContextManager[None]:
        return _around(app, ctx)

    return around


@contextmanager
def _around(app: App, ctx: Context) -> Iterator[None]:
    client = sentry_sdk.get_client()
    if client.transport is None:
        yield
        return
    with sentry_sdk.isolation_scope() as scope:
        scope.clear_breadcrumbs()
        scope.set_tags({"pgqueue.task": ctx.task, "pgqueue.queue": ctx.queue})
        scope.set_context("pgqueue", _about(ctx, args=bool(client.options["send_default_pii"])))
        headers = {"sentry-trace": ctx.metadata.get(_TRACE), "baggage": ctx.metadata.get(_BAGGAGE)}
        transaction = sentry_sdk.continue_trace(
            {name: text for name, text in headers.items() if isinstance(text, str)},
            op="queue.task.pgqueue",
            name=ctx.task,
            source="task",
            origin=_ORIGIN,
        )
        with (
            sentry_sdk.start_transaction(transaction),
            sentry_sdk.start_span(op="queue.process", name=ctx.task, origin=_ORIGIN) as span,
        ):
            _describe(span, ctx)
            try:
                yield
            except JobCancelled:
                raise
            except Exception as error:
                if _is_event(app, ctx, error):
                    event, hint = event_from_exception(
                        error,
                        client_options=client.options,
                        mechanism={"type": "pgqueue", "handled": False},
                    )
                    sentry_sdk.capture_event(event, hint)
                raise


def _is_event(app: App, ctx: Context, error: Exception) -> bool:
    if ctx.last_attempt or _applications[app]:
        return True
    task = app.tasks.get(ctx.task)
    return task is not None and task.retry_after(ctx.attempt, error) is None


def _about(ctx: Context, *, args: bool) -> dict[str, Any]:
    worker, job = current.worker_id(), current.job.get()
    about = {"job": ctx.id, "attempt": ctx.attempt, "max_attempts": ctx.max_attempts}
    about |= {} if worker is None else {"worker": worker}
    about |= {} if ctx.workflow is None else {"workflow": ctx.workflow}
    return about | ({"args": getattr(job, "args", None)} if args else {})


def _describe(span: Span, ctx: Context) -> None:
    span.set_data("messaging.message.id", str(ctx.id))
    span.set_data("messaging.destination.name", ctx.queue)
    span.set_data("messaging.message.retry.count", ctx.attempt - 1)
    latency = max(0.0, time() - ctx.run_at.timestamp())
    span.set_data("messaging.message.receive.latency", latency * 1000)


def _without_log_of_failures(event: Event, hint: Hint) -> Event | None:
    """Drop the worker's own log line about a failed attempt: the error itself was sent."""
    record = hint.get("log_record")
    return None if getattr(record, "msg", None) == FAILED_ATTEMPT else event
