"""A real RabbitMQ for the session, and an application with workers in the event loop."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from pgqueue import App
from pgqueue.migrations import migrate
from pgqueue.worker import Worker
from tests.bridges import cloud, rabbit
from tests.bridges.cloud import Cloud
from tests.bridges.rabbit import Rabbit
from tests.bridges.running import working

Work: TypeAlias = Callable[..., Awaitable[Worker]]
_numbers = count(1)


@pytest.fixture(scope="session")
def broker() -> Iterator[Rabbit]:
    """A RabbitMQ for this test process; who stops it starts it again."""
    if rabbit.program() is None:
        assert not os.environ.get("CI"), rabbit.CURE
        pytest.skip(f"no RabbitMQ here: {rabbit.CURE}")
    with rabbit.server() as server:
        yield server


@pytest.fixture(scope="session")
def aws() -> Iterator[Cloud]:
    """SQS and SNS for this test process."""
    try:
        with cloud.cloud() as found:
            yield found
    except (OSError, subprocess.SubprocessError):
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no SQS here: pip must be able to install {cloud.EMULATOR}")


@pytest.fixture
def channel(broker: Rabbit) -> Iterator[BlockingChannel]:
    """A channel of another client library."""
    connection = broker.connect()
    yield connection.channel()
    with suppress(pika.exceptions.AMQPError):  # the test may have ended the broker
        connection.close()


@pytest.fixture
def queue(broker: Rabbit, channel: BlockingChannel) -> Iterator[str]:
    """A durable queue of the broker that no other test has."""
    name = f"q{os.getpid()}-{next(_numbers)}"
    channel.queue_declare(name, durable=True)
    broker.queues.add(name)
    yield name
    broker.queues.discard(name)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    app = App(f"sqlite:///{tmp_path}/jobs.db", name="shop")
    migrate(app.url)
    yield app
    await app.close_async()
    app.close()


@pytest.fixture(params=["postgres", "sqlite", "redis"])
async def any_app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    """An application of each store."""
    if request.param == "postgres":
        app = App(request.getfixturevalue("postgres_url"))
    elif request.param == "redis":
        namespace = request.getfixturevalue("namespace")
        app = App(request.getfixturevalue("valkey_server").url, schema=namespace)
    else:
        app = App(f"sqlite:///{tmp_path}/jobs.db")
        migrate(app.url)
    yield app
    await app.close_async()
    app.close()


@pytest.fixture
def had(app: App) -> list[int]:
    """What the task `settle` has had, which is made with this."""
    had: list[int] = []

    @app.task
    async def settle(n: int) -> None:
        had.append(n)

    return had


@pytest.fixture
async def work(app: App) -> AsyncIterator[Work]:
    """Starts a worker of *app*; stops it in the end, whatever it is doing."""
    async with AsyncExitStack() as stack:

        async def work(**options: Any) -> Worker:
            return await stack.enter_async_context(working(app, **options))

        yield work
