"""`assert_enqueued` and `refute_enqueued`: what they find, and what they say."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any
from unittest.mock import ANY

import psycopg
import pytest

from pgqueue import App, enqueue
from pgqueue.errors import UnsupportedConnection
from pgqueue.jobs.job import Job
from pgqueue.testing import AsyncJobs, Jobs


def test_returns_the_job_that_waits(app: App, jobs: Jobs, connection: Any) -> None:
    send = app.tasks["send_receipt"]
    handle = enqueue(connection, send.job(7, note="x"))
    enqueue(connection, send.job(8))

    found = jobs.assert_enqueued(send, order_id=7, queue="mail")

    assert isinstance(found, Job)
    assert (found.id, found.args) == (handle.id, {"order_id": 7, "note": "x"})


def test_a_job_says_its_arguments_to_a_type_checker(app: App, jobs: Jobs, connection: Any) -> None:
    send = app.tasks["send_receipt"]
    handle = enqueue(connection, send.job(7, note="x"))

    assert jobs.assert_enqueued(send.job(7)).id == handle.id
    jobs.refute_enqueued(send.job(7, note="y"))


def test_of_objects_only_what_is_given_counts_at_any_depth(
    app: App, jobs: Jobs, connection: Any
) -> None:
    send = app.tasks["send_receipt"]
    at = datetime(2030, 1, 1, tzinfo=UTC)
    enqueue(connection, send.job(7, lines=[{"sku": "a", "of": {"n": 1, "at": at}}, {"sku": "b"}]))

    jobs.assert_enqueued(send, lines=[{"of": {"n": 1}}, {"sku": ANY}])
    jobs.assert_enqueued(send, lines=[{"of": {"at": at}}, {}])
    jobs.assert_enqueued(send, lines=ANY)
    jobs.refute_enqueued(send, lines=[{"of": {"n": True}}, {}])
    jobs.refute_enqueued(send, lines=[{"of": {"n": 1}}])


def test_an_argument_that_was_not_given_has_its_default(
    app: App, jobs: Jobs, connection: Any
) -> None:
    send = app.tasks["send_receipt"]
    enqueue(connection, send.job(7))

    jobs.assert_enqueued(send, note="", lines=None)
    jobs.refute_enqueued(send, note="x")


def test_counts(app: App, jobs: Jobs, connection: Any) -> None:
    send = app.tasks["send_receipt"]
    handles = enqueue(connection, [send.job(1), send.job(2), send.job(1)])

    found = jobs.assert_enqueued(send, count=3)
    assert [job.id for job in found] == [handle.id for handle in handles]
    assert len(jobs.assert_enqueued(send, order_id=1, count=2)) == 2
    with pytest.raises(AssertionError, match="3 jobs wait"):
        jobs.assert_enqueued(send)
    with pytest.raises(AssertionError, match="2 jobs wait"):
        jobs.assert_enqueued(send, order_id=1, count=3)
    assert jobs.assert_enqueued(send, order_id=9, count=0) == []
    with pytest.raises(AssertionError, match="not 0"):
        jobs.assert_enqueued(send, count=0)


def test_says_what_waits_and_how_the_nearest_differs(app: App, jobs: Jobs, connection: Any) -> None:
    send = app.tasks["send_receipt"]
    enqueue(connection, app.tasks["count"].job(3))
    enqueue(connection, send.job(8, note="y", lines=[{"sku": "a"}]))
    near = enqueue(connection, send.job(7, lines=[{"sku": "a"}]))

    with pytest.raises(AssertionError) as failed:
        jobs.assert_enqueued(send, order_id=7, lines=[{"sku": "b"}], queue="post")

    message = str(failed.value)
    assert "send_receipt(order_id=7, lines=[{'sku': 'b'}]) in queue post" in message
    assert "count(n=3)" in message
    assert f"nearest is job {near.id}" in message
    assert "lines[0].sku is 'a', not 'b'" in message
    assert "queue is 'mail', not 'post'" in message
    assert "order_id is" not in message


def test_says_when_nothing_waits_at_all(app: App, jobs: Jobs) -> None:
    with pytest.raises(AssertionError, match="nothing waits at all"):
        jobs.assert_enqueued(app.tasks["count"])
    jobs.refute_enqueued()


def test_refuses_an_argument_that_the_task_does_not_have(app: App, jobs: Jobs) -> None:
    with pytest.raises(TypeError, match="did you mean order_id"):
        jobs.assert_enqueued(app.tasks["send_receipt"], order=7)
    with pytest.raises(TypeError, match="is no task"):
        jobs.assert_enqueued("send_receipt")  # type: ignore[call-overload]


def test_refutes(app: App, jobs: Jobs, connection: Any) -> None:
    send = app.tasks["send_receipt"]
    enqueue(connection, send.job(7))

    jobs.refute_enqueued(send, order_id=8)
    with pytest.raises(AssertionError, match="not none"):
        jobs.refute_enqueued(send)
    with pytest.raises(AssertionError, match="any job"):
        jobs.refute_enqueued()
    jobs.drain()
    jobs.refute_enqueued()


def test_waits_for_what_another_thread_commits(app: App, postgres_url: str) -> None:
    send = app.tasks["send_receipt"]

    def elsewhere() -> None:
        looked.wait()
        with psycopg.connect(postgres_url) as connection:
            enqueue(connection, send.job(7))

    looked = threading.Event()
    thread = threading.Thread(target=elsewhere)
    thread.start()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        jobs = Jobs(app, connection)
        jobs.refute_enqueued(send)
        looked.set()
        jobs.assert_enqueued(send, order_id=7, within=30)
    thread.join()


async def test_asyncio_connections_are_asked_alike(
    app: App, async_jobs: AsyncJobs, async_connection: Any
) -> None:
    send = app.tasks["send_receipt"]
    handle = await enqueue(async_connection, send.job(7))

    assert (await async_jobs.assert_enqueued(send, order_id=7)).id == handle.id
    assert [job.id for job in await async_jobs.enqueued(send)] == [handle.id]
    with pytest.raises(AssertionError, match="order_id is 7, not 8"):
        await async_jobs.assert_enqueued(send, order_id=8)
    with pytest.raises(AssertionError, match="not none"):
        await async_jobs.refute_enqueued(send)


async def test_blocking_jobs_refuse_an_asyncio_connection(app: App, async_connection: Any) -> None:
    with pytest.raises(UnsupportedConnection, match="AsyncJobs"):
        Jobs(app, async_connection)
