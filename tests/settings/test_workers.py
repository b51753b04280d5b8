"""Workers of a database that cannot hold all that a task says."""

from __future__ import annotations

import asyncio

from pgqueue import App, migrations
from pgqueue.worker import Options, Worker
from tests.settings.conftest import ADatabase
from tests.worker.store import ended


async def test_an_outcome_that_the_database_cannot_say_fails_its_attempt_alone(
    a_database: ADatabase,
) -> None:
    url = a_database("LATIN1")
    await asyncio.to_thread(migrations.migrate, url)
    app = App(url)

    @app.task(max_attempts=1)
    async def say(text: str) -> str:
        return text.encode("latin-1").decode("utf-8")

    @app.task(max_attempts=1)
    async def fail(text: str) -> None:
        raise ValueError(text.encode("latin-1").decode("utf-8"))

    told = "日本語 …".encode().decode("latin-1")
    worker = Worker(app, Options(queues="default"))
    jobs = [say.job(told), fail.job(told), say.job("plain"), fail.job("plain")]
    handles = await app.enqueue_async(jobs)
    running = asyncio.create_task(worker.run())
    said, failed, plain, plainly = [await ended(app, handle) for handle in handles]
    worker.stop()
    await running
    await app.close_async()
    app.close()

    assert (plain.state, plain.result) == ("completed", "plain")
    assert (plainly.state, plainly.errors[0].message) == ("discarded", "plain")
    assert (said.state, failed.state) == ("discarded", "discarded")
    assert "the database's encoding cannot hold this text" in (said.errors[0].message or "")
