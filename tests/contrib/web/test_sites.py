"""Flask and Quart: a context of its own in each attempt, and the queue's commands."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pgqueue import migrations
from pgqueue.errors import JobFailed
from pgqueue.testing import Jobs
from tests.contrib.web import site_flask, site_quart

both = pytest.mark.parametrize("site", [site_flask, site_quart], ids=["flask", "quart"])


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/jobs.db"
    migrations.migrate(url)
    monkeypatch.setenv("SHOP_URL", url)
    return url


@both
async def test_each_attempt_has_a_context_of_its_own_which_hears_of_its_error(
    url: str, site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    framework = site.__name__.rpartition("_")[2]
    monkeypatch.setenv(f"{framework.upper()}_APP", f"{site.__name__}:create_app")
    site.create_app()
    site.torn_down.clear()
    queue = site.queue
    worker = asyncio.create_task(queue.run_worker())
    names = [f"n{n}" for n in range(20)]
    jobs = [task.job(name) for name in names for task in (site.greet, site.greet_async)]
    jobs.append(site.greet_in_a_process.job("far"))
    handles = await queue.enqueue_async(jobs)
    answers = [await queue.result_async(handle, timeout=30) for handle in handles]
    failed = await queue.enqueue_async(site.fail.job())
    with pytest.raises(JobFailed, match="ZeroDivisionError"):
        await queue.result_async(failed, timeout=30)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    await queue.close_async()
    queue.close()

    assert answers.pop()[:2] == ["hello far", True]
    assert [answer[:2] for answer in answers] == [
        [f"hello {name}", True] for name in names for _ in range(2)
    ]
    errors = [error for _, error in site.torn_down]
    assert errors.count("None") == 40
    assert [error for error in errors if error != "None"] == [
        f"ZeroDivisionError({site.__name__!r})"
    ]


def test_flasks_context_is_torn_down_in_the_thread_that_had_it(url: str) -> None:
    site_flask.create_app()
    site_flask.torn_down.clear()
    performed = Jobs(site_flask.queue).perform(site_flask.greet.job("ann"))

    assert site_flask.torn_down == [(performed.result[3], "None")]


@both
def test_the_frameworks_command_has_all_of_pgqueues(url: str, site: Any) -> None:
    framework = site.__name__.rpartition("_")[2]

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", framework, "--app", site.__name__, "pgqueue", *command],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "SHOP_URL": url, "PYTHONPATH": str(Path.cwd())},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    site.create_app()
    site.queue.enqueue(site.greet.job("ann"))
    site.queue.close()
    assert "1" in run("status")
    run("worker", "--drain", "--processes", "2")
    assert "completed" in run("jobs", "list", "--state", "completed")
    assert f"{framework} pgqueue worker" in run("worker", "--help")
