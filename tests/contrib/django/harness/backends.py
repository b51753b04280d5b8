"""The backend with what Django's tests ask of Django's own two: a list, and to run at once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from pgqueue.contrib.django.backend import PgqueueBackend
from pgqueue.contrib.django.management.commands.flush import empty
from pgqueue.operations import inspections


class Kept(PgqueueBackend):
    """As Django's dummy, whose results can be listed and cleared."""

    @property
    def results(self) -> list[Any]:
        with self._on(single=True) as runner:
            jobs = runner.execute(inspections.list_jobs(limit=1000))
        return [self.get_result(str(job.id)) for job in reversed(jobs)]

    def clear(self) -> None:
        empty(self.database)


class AtOnce(PgqueueBackend):
    """As Django's immediate backend: a real worker has run the job when `enqueue` returns."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        result = super().enqueue(task, args, kwargs)
        work(self, task.queue_name)
        result.refresh()
        return result


def work(backend: PgqueueBackend, *queues: str) -> None:
    """Run all that waits in *queues*, by a worker in a thread."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(backend.app.run_worker(queues=queues, drain=True))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
