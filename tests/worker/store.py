"""What a test enqueues and reads, from outside the workers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import psycopg

from pgqueue import App
from pgqueue.jobs.job import FINISHED, Handle, Job, NewJob
from pgqueue.operations import inspections
from tests.worker.process import PATIENCE


class Store:
    """A database with the schema."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.app = App(url)

    def enqueue(self, *jobs: NewJob[Any]) -> list[Handle[Any]]:
        return self.app.enqueue(list(jobs))

    def job(self, handle: Handle[Any] | int) -> Job:
        [job] = self.app.execute(inspections.get([handle])).values()
        return job

    def jobs(self, handles: Iterable[Handle[Any]]) -> list[Job]:
        return list(self.app.execute(inspections.get(handles)).values())

    def all_finished(self, handles: Iterable[Handle[Any]]) -> bool:
        return all(job.state in FINISHED for job in self.jobs(handles))

    def value(self, query: str, *params: Any) -> Any:
        """The one value that *query* answers, in a transaction of its own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), params)
            row = cursor.fetchone() if cursor.description else None
            return row and row[0]


async def becomes(
    app: App, handle: Handle[Any] | int, *states: str, within: float = PATIENCE
) -> Job:
    """The job, when it has come to one of *states*."""
    async with asyncio.timeout(within):
        while True:
            [job] = (await app.execute_async(inspections.get([handle]))).values()
            if job.state in states:
                return job
            await asyncio.sleep(0.01)


async def ended(app: App, handle: Handle[Any] | int, *, within: float = PATIENCE) -> Job:
    return await becomes(app, handle, *FINISHED, within=within)
