"""Hooks at enqueueing: what they make of a job is what is enqueued, and edges follow."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pgqueue import App, Context, NewJob, chain, enqueue, migrations, workflow
from pgqueue.errors import InvalidJob, InvalidTask, JobCancelled
from pgqueue.operations import inspections


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = App(f"sqlite:///{tmp_path / 'jobs.db'}")
    with migrations.connected(app.url) as bind:
        migrations.upgrade(bind)
    yield app
    app.close()


def tagged(tag: str) -> Any:
    def hook(job: NewJob[Any]) -> NewJob[Any]:
        return job.options(tags=[*job.tags, tag])

    return hook


def stored(app: App, *handles: Any) -> list[Any]:
    return list(app.execute(inspections.get(handles)).values())


def test_hooks_change_a_job_in_their_order(app: App) -> None:
    @app.task
    def work() -> None: ...

    job = work.job()
    app.on_enqueue(tagged("first"))
    app.on_enqueue(tagged("second"))

    [found] = stored(app, app.enqueue(job))
    [made_by_hand] = stored(app, app.enqueue(NewJob("work")))

    assert found.tags == made_by_hand.tags == ("first", "second")


def test_a_job_on_the_callers_connection_has_the_hooks_of_its_tasks_application(app: App) -> None:
    import sqlite3

    @app.task
    def work() -> None: ...

    app.on_enqueue(tagged("ours"))
    with sqlite3.connect(app.url.removeprefix("sqlite:///")) as connection:
        ours, other = enqueue(connection, [work.job(), NewJob("work")])
    connection.close()

    assert [job.tags for job in stored(app, ours, other)] == [("ours",), ()]


def test_edges_lead_to_what_hooks_have_made(app: App) -> None:
    @app.task
    def work() -> None: ...

    app.on_enqueue(tagged("x"))
    first = work.job()
    a, b = app.enqueue([first, work.job().after(first)])
    c, d = app.enqueue(chain(work.job(), work.job()))
    e, f = app.enqueue(workflow("flow", work.job().after(work.job())))

    assert [job.state for job in stored(app, a, b, c, d, e, f)] == ["available", "blocked"] * 3
    assert {job.tags for job in stored(app, a, b, c, d, e, f)} == {("x",)}


def test_in_a_task_hooks_are_asked_at_once_and_edges_follow(app: App) -> None:
    asked = []

    @app.on_enqueue
    def note(job: NewJob[Any]) -> NewJob[Any]:
        asked.append(job)
        return job.options(priority=7)

    @app.task
    def work() -> None: ...

    context = Context.detached()
    first = work.job()
    context.enqueue(first)
    assert len(asked) == 1
    context.enqueue(work.job().after(first))

    one, two = context.jobs
    assert (one.priority, two.priority) == (7, 7)
    assert two.edges[0].parent is one
    again, _ = app.enqueue(context.jobs)
    assert again.created
    assert len(pickle.loads(pickle.dumps(context.jobs))) == 2


def test_a_hook_that_returns_no_job_is_named_and_nothing_is_enqueued(app: App) -> None:
    @app.on_enqueue
    def forgetful(job: NewJob[Any]) -> NewJob[Any]:
        return None  # type: ignore[return-value]

    with pytest.raises(InvalidJob, match=r"work: on_enqueue: .*forgetful.* returned None"):
        app.enqueue(NewJob("work"))
    assert app.execute(inspections.list_jobs()) == []


def test_metadata_alone_keeps_the_short_statements() -> None:
    from pgqueue import operations

    one = operations.enqueue([NewJob("t", metadata='{"a":1}')]).send(None)
    many = operations.enqueue([NewJob("t", metadata='{"a":1}')] * 2).send(None)
    mixed = operations.enqueue([NewJob("t", metadata='{"a":1}'), NewJob("t")]).send(None)

    for asked, name in ((one, "enqueue_one"), (many, "enqueue_alike")):
        assert isinstance(asked, operations.Operation)
        assert asked.shortcut is not None
        assert (asked.shortcut.name, asked.shortcut.params["metadata"]) == (name, '{"a":1}')
    assert isinstance(mixed, operations.Operation)
    assert mixed.shortcut is None


async def _async_hook(job: NewJob[Any]) -> NewJob[Any]:
    return job


@asynccontextmanager
async def _async_around(ctx: Context) -> AsyncIterator[None]:
    yield


def _generator(ctx: Context) -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    ("kind", "hook", "says"),
    [
        ("on_enqueue", _async_hook, "is asynchronous, but jobs are enqueued by blocking code"),
        ("around", _async_around, "is asynchronous, but attempts run in blocking code"),
        ("around", _generator, "decorate it with contextlib.contextmanager"),
        ("around", 7, "7 is no function"),
    ],
)
def test_what_cannot_be_a_hook_is_refused_where_it_stands(kind: str, hook: Any, says: str) -> None:
    with pytest.raises(InvalidTask, match=says):
        getattr(App(), kind)(hook)


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(InvalidTask, match="give JobCompleted, JobRetried"):
        App().on(JobCancelled)  # type: ignore[arg-type]


def test_a_context_manager_of_any_kind_is_taken() -> None:
    @contextmanager
    def hook(ctx: Context) -> Iterator[None]:
        yield

    assert App().around(hook) is hook
