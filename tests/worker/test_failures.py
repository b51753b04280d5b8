"""A failed attempt is seen: in the log, in an error tracker, and with the job."""

from __future__ import annotations

import json
import logging

import pytest

from pgqueue import App, Discard
from tests.worker import shop as tasks
from tests.worker.conftest import Start, Work
from tests.worker.process import eventually
from tests.worker.store import Store, becomes

FAILING = [tasks.fail_in_coroutine, tasks.fail_in_thread, tasks.fail_in_process]


def _of(caplog: pytest.LogCaptureFixture, job: int) -> logging.LogRecord:
    [record] = [each for each in caplog.records if getattr(each, "job_id", None) == job]
    return record


@pytest.mark.parametrize("task", FAILING, ids=lambda task: task.executor)
def test_a_discarded_job_is_one_error_with_its_traceback(
    start: Start, store: Store, task: object
) -> None:
    worker = start(log_format="json")
    [handle] = store.enqueue(task.job())  # type: ignore[attr-defined]
    eventually(lambda: store.all_finished([handle]))

    worker.logs("was discarded")
    lines = [json.loads(line) for line in worker.log.splitlines() if '"job_id"' in line]
    [line] = [line for line in lines if line["job_id"] == handle.id]
    name = task.name  # type: ignore[attr-defined]
    assert line["level"] == "error"
    assert (line["task"], line["queue"], line["attempt"]) == (name, "default", 1)
    assert "ValueError: the printer is out" in line["message"]
    assert f"in {name}" in line["traceback"]
    assert "ValueError: the printer is out" in line["traceback"]
    assert "only the table may know" not in worker.log


@pytest.mark.parametrize("task", FAILING, ids=lambda task: task.executor)
def test_a_traceback_kept_with_a_job_begins_at_the_task(
    start: Start, store: Store, task: object
) -> None:
    start()
    [handle] = store.enqueue(task.job())  # type: ignore[attr-defined]
    eventually(lambda: store.all_finished([handle]))

    trace = store.jobs([handle])[0].errors[0].traceback
    assert trace is not None
    assert "tests/worker/shop.py" in trace
    assert "pgqueue/worker" not in trace
    assert "pgqueue/tasks/" not in trace


async def test_an_attempt_that_will_be_tried_again_is_a_warning(
    app: App, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(queue="default")
    async def fail() -> None:
        raise ValueError("not yet")

    await work()
    handle = await app.enqueue_async(fail.job())
    await becomes(app, handle, "retryable")

    record = _of(caplog, handle.id)
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    assert "ValueError: not yet" in record.getMessage()


async def test_a_tracker_is_given_the_error_itself(
    app: App, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    error = ValueError("for good")

    @app.task(max_attempts=1)
    async def fail() -> None:
        raise error

    @app.task
    async def give_up() -> Discard:
        return Discard("no such order")

    await work()
    [failed, given_up] = await app.enqueue_async(fail.job(), give_up.job())
    await becomes(app, failed, "discarded")
    await becomes(app, given_up, "discarded")

    record = _of(caplog, failed.id)
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert _of(caplog, given_up.id).levelno == logging.ERROR
