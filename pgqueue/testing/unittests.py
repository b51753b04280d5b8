"""Mixins for unittest."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pgqueue.app import App
from pgqueue.backends.connections import AnyConnection, BlockingConnection
from pgqueue.testing.async_jobs import AsyncJobs
from pgqueue.testing.jobs import Jobs

if TYPE_CHECKING:
    from unittest import IsolatedAsyncioTestCase as _AsyncCase
    from unittest import TestCase as _Case
else:
    _Case = _AsyncCase = object


class JobsMixin(_Case):
    """Gives a TestCase `jobs`, on the connection that `pgqueue_connection` returns.

    The application is bound to that connection while a test runs. Whoever makes the connection
    rolls it back, in a clean-up of its own.
    """

    pgqueue_app: ClassVar[App]
    jobs: Jobs

    def pgqueue_connection(self) -> BlockingConnection:
        """Return the connection of this test, in its transaction. Override it."""
        raise NotImplementedError

    def setUp(self) -> None:
        super().setUp()
        self.jobs = Jobs(self.pgqueue_app, self.pgqueue_connection())
        self.enterContext(self.jobs.bound())


class AsyncJobsMixin(_AsyncCase):
    """`JobsMixin` for an IsolatedAsyncioTestCase."""

    pgqueue_app: ClassVar[App]
    jobs: AsyncJobs

    async def pgqueue_connection(self) -> AnyConnection:
        """Return the connection of this test, in its transaction. Override it."""
        raise NotImplementedError

    async def asyncSetUp(self) -> None:
        await super().asyncSetUp()
        self.jobs = AsyncJobs(self.pgqueue_app, await self.pgqueue_connection())
        self.enterContext(self.jobs.bound())
