"""Bridges are the same on every store: they are tasks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from pgqueue import App, Context, Discard
from pgqueue.backends.plans import carry_out_async
from pgqueue.bridges import Received
from pgqueue.jobs.job import State
from pgqueue.operations import enqueue
from tests.bridges.brokers import Broker, Mailbox
from tests.bridges.running import listed, until_ended, working
from tests.worker.process import soon


@pytest.fixture
def app(any_app: App) -> App:
    return any_app


async def test_what_comes_in_goes_out_and_poison_stops_nobody(app: App) -> None:
    box, broker = Mailbox(), Broker(lost=1)
    out = app.outlet("out", broker)

    @app.task
    async def settle(ctx: Context, n: int) -> None:
        ctx.enqueue(out.message({"n": n}, key=f"k{n % 2}", id=f"out-{n}"))

    app.inlet("come", box, settle)
    box.put(*(Received(body=json.dumps({"n": n}).encode(), id=str(n)) for n in range(10)))
    box.put(Received(body=b"poison", id="poison"))
    async with working(app, inlets=True):
        await soon(lambda: box.empty)
        found = await until_ended(app, 21)

    assert {message.id for message in broker.held} == {f"out-{n}" for n in range(10)}
    states = {job.state for job in found if job.task != "come"}
    assert states == {State.COMPLETED}
    assert {job.attempt for job in found} == {1}
    [poison] = [job for job in listed(app) if job.task == "come"]
    assert poison.state == State.DISCARDED


async def test_what_comes_again_is_the_same_job_also_when_that_has_ended(app: App) -> None:
    box = Mailbox()

    @app.task
    async def settle(n: int) -> Discard | None:
        return Discard("no such account") if n == 1 else None

    inlet = app.inlet("come", box, settle, keep=timedelta(days=14))
    messages = [Received(body=json.dumps({"n": n}).encode(), id=str(n)) for n in range(2)]
    messages.append(Received(body=b"poison", id="poison"))
    async with working(app, inlets=True):
        box.put(*messages)
        first = await until_ended(app, 3)
        box.deaf = 1  # the second time the acknowledgement is lost, so there is a third
        box.put(*messages, *messages)
        await soon(lambda: box.empty and not box.deaf)

    assert [job.id for job in listed(app)] == [job.id for job in first]
    again = await app.enqueue_async([inlet.job_of(message) for message in messages])
    assert [(each.id, each.outcome) for each in again] == [(job.id, "existing") for job in first]


async def test_after_its_time_a_message_is_a_second_job(app: App) -> None:
    @app.task
    async def settle(n: int) -> None: ...

    job = app.inlet("come", Mailbox(), settle, keep=60).job_of(Received(body=b'{"n": 1}', id="m"))
    now = datetime.now(UTC)
    made = [
        (await carry_out_async(enqueue([job], now=now + later), app.backend.execute_async))[0]
        for later in (timedelta(0), timedelta(seconds=59), timedelta(seconds=61))
    ]

    assert [handle.outcome for handle in made] == ["created", "existing", "created"]
    assert made[1].id == made[0].id
