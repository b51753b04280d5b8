"""enqueue(pipeline, job): the job exists if, and only if, the pipeline is executed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
import redis.asyncio

from pgqueue import App, enqueue, operations, workflow
from pgqueue.client import execute
from pgqueue.errors import MissingCapability, UnknownParent, UnsupportedConnection
from pgqueue.jobs.job import Job, NewJob
from pgqueue.operations import inspections
from tests.valkey import Valkey


@pytest.fixture
def client(valkey_server: Valkey) -> Iterator[redis.Redis]:
    client = valkey_server.client()
    yield client
    client.close()


@pytest.fixture(params=[False, True], ids=["bytes", "decoded"])
def any_client(valkey_server: Valkey, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(valkey_server.url, decode_responses=request.param)
    yield client
    client.close()


def a_job(app: App, task: str = "task", **options: object) -> NewJob[object]:
    return NewJob(task, schema=app.schema, **options)  # type: ignore[arg-type]


def all_jobs(app: App) -> list[Job]:
    return app.execute(inspections.list_jobs())[::-1]


def test_a_job_exists_once_the_pipeline_is_executed(app: App, any_client: redis.Redis) -> None:
    with any_client.pipeline() as pipeline:
        pipeline.set(f"{app.schema}:order", "7")
        handle = enqueue(pipeline, a_job(app, args='{"order": "ż"}'))
        pipeline.get(f"{app.schema}:order")
        assert all_jobs(app) == []

        answers = pipeline.execute()

    assert answers[0] is True
    assert answers[2] in ("7", b"7")
    [job] = all_jobs(app)
    assert (job.id, job.task, job.state, job.args) == (
        handle.id, "task", "available", {"order": "ż"},
    )  # fmt: skip


def test_a_job_does_not_exist_when_the_pipeline_is_not_executed(
    app: App, client: redis.Redis
) -> None:
    with client.pipeline() as pipeline:
        enqueue(pipeline, a_job(app))
        pipeline.reset()
        assert pipeline.execute() == []

    assert all_jobs(app) == []


def test_a_job_does_not_exist_when_what_was_watched_has_changed(
    app: App, client: redis.Redis
) -> None:
    key = f"{app.schema}:stock"
    with client.pipeline() as pipeline:
        pipeline.watch(key)
        with pytest.raises(UnsupportedConnection, match="multi"):
            enqueue(pipeline, a_job(app))
        pipeline.multi()
        enqueue(pipeline, a_job(app))
        client.set(key, "0")
        with pytest.raises(redis.WatchError):
            pipeline.execute()

    assert all_jobs(app) == []


def test_graphs_and_parents_elsewhere(app: App, client: redis.Redis) -> None:
    parent = app.enqueue(a_job(app, "parent"))
    with client.pipeline() as pipeline:
        first = a_job(app, "first").after(parent)
        handles = enqueue(pipeline, workflow("flow", first, a_job(app, "second").after(first)))
        third = enqueue(pipeline, a_job(app, "third").after(handles[1]))
        pipeline.execute()

    assert [(job.task, str(job.state)) for job in all_jobs(app)] == [
        ("parent", "available"), ("first", "blocked"), ("second", "blocked"), ("third", "blocked"),
    ]  # fmt: skip
    assert {job.workflow for job in all_jobs(app)[1:3]} == {handles[0].workflow}
    edges = app.execute(inspections.parents([third]))
    assert [edge.parent for edge in edges] == [handles[1].id]


def test_a_parent_that_finishes_before_the_pipeline_is_executed_holds_nothing_up(
    app: App, client: redis.Redis
) -> None:
    parent = app.enqueue(a_job(app, "parent"))
    with client.pipeline() as pipeline:
        child = enqueue(pipeline, a_job(app, "child").after(parent, on_failure="run"))
        app.execute(operations.cancel([parent]))
        pipeline.execute()

    assert app.execute(inspections.get([child]))[child.id].state == "available"


def test_an_unknown_parent_is_an_error_at_once(app: App, client: redis.Redis) -> None:
    with client.pipeline() as pipeline:
        with pytest.raises(UnknownParent):
            enqueue(pipeline, a_job(app).after(424242))
        assert pipeline.execute() == []


def test_a_unique_key_is_refused_and_says_what_can_do_it(app: App, client: redis.Redis) -> None:
    with client.pipeline() as pipeline:
        with pytest.raises(MissingCapability, match=r"unique key .*PostgreSQL"):
            enqueue(pipeline, a_job(app, unique="k"))
        with pytest.raises(MissingCapability, match="cancel"):
            execute(pipeline, operations.cancel([1]), schema=app.schema)
        assert pipeline.execute() == []


def test_ten_thousand_jobs(app: App, client: redis.Redis) -> None:
    with client.pipeline() as pipeline:
        handles = enqueue(pipeline, [a_job(app, args=f'{{"n": {n}}}') for n in range(10_000)])
        pipeline.execute()

    found = app.execute(inspections.get(handles))
    assert [found[handle.id].args["n"] for handle in handles] == list(range(10_000))


def test_a_server_that_has_forgotten_the_scripts_learns_them_again(
    app: App, client: redis.Redis
) -> None:
    with client.pipeline() as pipeline:
        enqueue(pipeline, a_job(app))
        client.script_flush()
        pipeline.execute()
    client.script_flush()
    app.enqueue(a_job(app))

    assert len(all_jobs(app)) == 2


def test_a_client_is_a_transaction_of_its_own(app: App, any_client: redis.Redis) -> None:
    first = enqueue(any_client, a_job(app, "first", unique="k"))
    second = enqueue(any_client, a_job(app, "second", unique="k"))

    assert (second.id, second.created) == (first.id, False)
    told = execute(any_client, operations.cancel([first]), schema=app.schema)
    assert told == {first.id: "cancelled"}


@pytest.mark.parametrize("decoded", [False, True])
async def test_an_asyncio_pipeline(app: App, valkey_server: Valkey, decoded: bool) -> None:
    client = redis.asyncio.Redis.from_url(valkey_server.url, decode_responses=decoded)
    async with client.pipeline() as pipeline:
        pipeline.set(f"{app.schema}:order", "7")
        handle = await enqueue(pipeline, a_job(app))
        assert all_jobs(app) == []
        await pipeline.execute()
    later = await enqueue(client, a_job(app, "later").after(handle))

    assert [(job.id, str(job.state)) for job in all_jobs(app)] == [
        (handle.id, "available"), (later.id, "blocked"),
    ]  # fmt: skip
    await client.aclose()


def test_a_clusters_pipeline_is_refused(app: App, valkey_cluster: list[Valkey]) -> None:
    client = redis.RedisCluster.from_url(valkey_cluster[0].url)

    with pytest.raises(UnsupportedConnection, match=r"app\.enqueue"):
        enqueue(client.pipeline(), a_job(app))
    client.close()
