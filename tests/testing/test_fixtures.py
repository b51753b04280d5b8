"""The fixtures and mixins, as a project of its own uses them; docs/testing.md shows the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testing.test_docs import run_pytest

CONFTEST = """
import pytest
from pgqueue import App

pytest_plugins = ["pgqueue.testing.fixtures"]
app = App("postgresql://nobody@/nowhere?host=/nonexistent", schema="jobs")

@app.task
def count(n: int) -> int:
    return n

@pytest.fixture
def pgqueue_app():
    return app
"""

ESCAPES = """
import psycopg
from pgqueue import enqueue
from conftest import count

def test_escapes(pgqueue_jobs, pgqueue_postgres):
    with psycopg.connect(pgqueue_postgres) as other:
        enqueue(other, count.job(7))

def test_the_next_one_is_not_troubled(pgqueue_jobs):
    pgqueue_jobs.refute_enqueued()
    assert pgqueue_jobs.drain() == []

def test_app_enqueue_does_not_escape(pgqueue_jobs, pgqueue_app):
    pgqueue_app.enqueue(count.job(7))
    assert [ran.result for ran in pgqueue_jobs.drain()] == [7]

def test_nor_in_another_thread(pgqueue_jobs, pgqueue_app):
    from threading import Thread
    thread = Thread(target=pgqueue_app.enqueue, args=[count.job(7)])
    thread.start()
    thread.join()
    pgqueue_jobs.assert_enqueued(count, n=7)

def test_a_worker_does_not_see_what_is_bound(pgqueue_jobs, pgqueue_app):
    import pytest
    from pgqueue import PgqueueError
    handle = pgqueue_app.enqueue(count.job(7))
    with pytest.raises(PgqueueError, match="drain"):
        pgqueue_app.result(handle, timeout=5)

def test_a_worker_that_cannot_start_says_why(pgqueue_worker):
    import pytest
    with pytest.raises(ValueError, match="queues"):
        pgqueue_worker(queues="")
"""

MIXIN = """
import unittest
import psycopg
from pgqueue import enqueue
from pgqueue.testing import AsyncJobsMixin
from conftest import app, count

def test_the_mixin(pgqueue_postgres, pgqueue_jobs):
    class Case(AsyncJobsMixin, unittest.IsolatedAsyncioTestCase):
        pgqueue_app = app

        async def pgqueue_connection(self):
            connection = await psycopg.AsyncConnection.connect(pgqueue_postgres)
            self.addAsyncCleanup(connection.close)
            return connection

        async def test_counts(self):
            await app.enqueue_async(count.job(7))
            await self.jobs.assert_enqueued(count, n=7)
            self.assertEqual([ran.result for ran in await self.jobs.drain()], [7])

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
    assert result.testsRun == 1 and result.wasSuccessful(), result.failures + result.errors
"""


@pytest.mark.timeout(300)
def test_a_job_that_escapes_fails_its_test_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_escapes.py").write_text(ESCAPES)
    (tmp_path / "test_mixin.py").write_text(MIXIN)

    done = run_pytest(tmp_path)

    assert "7 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "ERROR test_escapes.py::test_escapes" in done.stdout
    assert "1 job escaped the rollback" in done.stdout
    assert "count(n=7)" in done.stdout


@pytest.mark.timeout(300)
def test_an_application_that_was_not_given_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["pgqueue.testing.fixtures"]')
    (tmp_path / "test_it.py").write_text("def test_it(pgqueue_jobs): ...")

    assert "define a fixture pgqueue_app" in run_pytest(tmp_path).stdout


@pytest.mark.timeout(300)
def test_each_process_has_a_database_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(
        "import pytest, psycopg\n"
        "from pgqueue import enqueue\n"
        "from conftest import count\n"
        "@pytest.mark.parametrize('n', range(4))\n"
        "def test_it(n, pgqueue_connection, pgqueue_jobs):\n"
        "    enqueue(pgqueue_connection, count.job(n))\n"
        "    assert pgqueue_jobs.assert_enqueued(count).args == {'n': n}\n"
    )

    assert "4 passed" in run_pytest(tmp_path, "-n", "2").stdout
