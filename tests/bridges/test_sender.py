"""What a sender does with a broker that does as it is told, and a worker with what it answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from pgqueue import App
from pgqueue.bridges import (
    Again,
    Answer,
    Delivered,
    Message,
    Never,
    Unknown,
    Unreachable,
    probing,
)
from pgqueue.bridges.outlet import new_id
from pgqueue.bridges.sender import Sender
from pgqueue.errors import InvalidJob, InvalidTask
from pgqueue.jobs.job import NewJob, State
from tests.bridges.brokers import Broker
from tests.bridges.conftest import Work
from tests.bridges.running import listed, until_ended
from tests.worker.process import soon


def message(n: int) -> Message:
    return Message(id=str(n), body=b"%d" % n)


async def test_who_is_idle_waits_for_nothing_and_who_is_busy_sends_batches() -> None:
    broker = Broker(hangs=asyncio.Event())
    sender = Sender(broker)

    calls = [asyncio.ensure_future(sender.send(message(0)))]
    await asyncio.sleep(0.01)
    calls += [asyncio.ensure_future(sender.send(message(n))) for n in range(1, 15)]
    await asyncio.sleep(0.01)
    assert broker.hangs is not None
    broker.hangs.set()
    assert set(await asyncio.gather(*calls)) == {Delivered()}

    assert [len(batch) for batch in broker.batches] == [1, 10, 4]
    await sender.close()


async def test_an_id_is_never_in_flight_twice() -> None:
    broker = Broker(parallel=2)
    sender = Sender(broker)

    await asyncio.gather(*(sender.send(message(n // 2)) for n in range(6)))

    assert all(len({m.id for m in batch}) == len(batch) for batch in broker.batches)
    assert len(broker.held) == 6
    await sender.close()


async def test_one_message_that_its_client_cannot_send_fails_alone() -> None:
    broker = Broker(breaks={b"3"})
    sender = Sender(broker)

    answers = await asyncio.gather(
        *(sender.send(message(n)) for n in range(8)), return_exceptions=True
    )

    assert isinstance(answers.pop(3), ZeroDivisionError)
    assert set(answers) == {Delivered()}
    await sender.close()


async def test_a_broker_that_is_away_shuts_the_gate_until_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probing, "FIRST_GAP_SECONDS", 0.01)
    broker, told = Broker(away=True), list[str | None]()
    opened = asyncio.Event()
    sender = Sender(broker)
    sender.changed += [told.append, lambda why: why is None and opened.set()]

    for _ in range(2):
        with pytest.raises(Unreachable, match="it is away"):
            await sender.send(message(1))
    broker.away = False
    await opened.wait()

    assert await sender.send(message(1)) == Delivered()
    assert told == ["it is away", None]
    await sender.close()


async def test_a_broker_that_takes_connections_and_nothing_else_is_tried_less_and_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = list[float]()
    monkeypatch.setattr(probing, "gap", lambda since: away.append(since) or 0.01)
    broker, opened = Broker(lost=6), asyncio.Event()
    sender = Sender(broker)
    sender.changed.append(lambda why: None if why else opened.set())

    async def is_lost() -> None:
        with pytest.raises(Unreachable):
            await sender.send(message(1))
        await opened.wait()
        opened.clear()

    for _ in range(6):
        await is_lost()
    assert away[5] >= 0.05  # from when it was lost first
    assert await sender.send(message(1)) == Delivered()
    broker.lost = 1
    await is_lost()

    assert away[6] < away[5]
    await sender.close()


async def test_a_broker_that_is_back_gets_one_message_before_it_gets_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that is short of memory takes connections, and delivers all that it was sent when it is
    well again: each try of a whole batch came as a copy of it."""
    monkeypatch.setattr(probing, "FIRST_GAP_SECONDS", 0.01)
    broker, opened = Broker(lost=3), asyncio.Event()
    sender = Sender(broker)
    sender.changed.append(lambda why: None if why else opened.set())

    for _ in range(4):
        told = await asyncio.gather(
            *(sender.send(message(n)) for n in range(10)), return_exceptions=True
        )
        if told[0] != Delivered():
            await opened.wait()
            opened.clear()

    assert told == [Delivered()] * 10
    assert [len(batch) for batch in broker.batches] == [10, 1, 1, 1, 9]
    await sender.close()


async def test_closing_gives_back_what_is_in_hand() -> None:
    sender = Sender(Broker(hangs=asyncio.Event()))
    calls = [asyncio.ensure_future(sender.send(message(n))) for n in range(15)]
    await asyncio.sleep(0.01)

    await sender.close()

    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unreachable}


@pytest.mark.parametrize(
    ("answer", "state", "attempt"),
    [
        (Again("no"), State.RETRYABLE, 1),
        (Again("busy", timedelta(hours=1), spent=False), State.SCHEDULED, 0),
        (Never("gone"), State.DISCARDED, 1),
    ],
)
async def test_what_the_broker_says_is_what_becomes_of_the_job(
    app: App, work: Work, answer: Again | Never, state: State, attempt: int
) -> None:
    outlet = app.outlet("orders", Broker(refuses={b"1": answer}))
    await work()

    await app.enqueue_async([outlet.message(1), outlet.message(2)])
    await until_ended(app, 1 + (state == State.DISCARDED))
    found = await soon(lambda: [job for job in listed(app) if job.state == state])

    assert [job.attempt for job in found] == [attempt]
    if attempt:
        told = found[0].reason if state == State.DISCARDED else found[0].errors[0].message
        assert told == answer.why


@pytest.mark.parametrize("unknown", [True, False])
async def test_a_lost_confirm_repeats_the_message_with_the_same_id(
    app: App, work: Work, unknown: bool
) -> None:
    broker = Broker(refuses={b"1": Unknown("?")}) if unknown else Broker(lost=1)
    outlet = app.outlet("orders", broker)
    gate = outlet.sender
    await work()

    await app.enqueue_async(outlet.message(1))
    await soon(lambda: broker.held or gate.shut_since)
    broker.refuses = {}
    [job] = await until_ended(app, 1)

    assert job.attempt == 1
    assert len({m.id for m in broker.held}) == 1
    assert len(broker.held) == (1 if unknown else 2)


async def test_a_message_enqueued_without_an_id_has_one_all_the_same(app: App, work: Work) -> None:
    broker = Broker(lost=1)
    app.outlet("orders", broker)
    await work()

    await app.enqueue_async(NewJob("orders", '{"body": {"id": 7}}', queue="orders"))
    await until_ended(app, 1)

    assert [json.loads(m.body) for m in broker.held] == [{"id": 7}] * 2
    assert len({m.id for m in broker.held}) == 1


async def test_the_trace_of_who_enqueued_goes_out_with_the_message(app: App, work: Work) -> None:
    broker = Broker()
    outlet = app.outlet("orders", broker)
    await work()

    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    made = outlet.message(1, headers={"a": "b"}).options(metadata={"traceparent": trace})
    await app.enqueue_async(made)
    await until_ended(app, 1)

    assert broker.held[0].headers == {"a": "b", "traceparent": trace}


def test_what_a_sink_can_never_send_is_refused_when_it_is_made() -> None:
    app = App("sqlite:///:memory:")
    outlet = app.outlet("orders", Broker())

    with pytest.raises(InvalidJob, match="orders: to: nowhere is no place; give another"):
        outlet.message(1, to="nowhere")
    with pytest.raises(InvalidTask, match="there is an outlet or inlet of this name"):
        app.outlet("orders", Broker())


def test_ids_made_later_sort_later() -> None:
    ids = [new_id() for _ in range(3)]
    assert len(set(ids)) == 3
    assert [id[14] for id in ids] == ["7"] * 3


@pytest.mark.parametrize(
    ("away", "longest"), [(0, 0.1), (60, 1.5), (600, 15), (86_400, 30)], ids=str
)
def test_a_broker_is_looked_for_the_less_the_longer_it_is_away(away: float, longest: float) -> None:
    gaps = [probing.gap(away) for _ in range(100)]

    assert 0 < min(gaps) < max(gaps) <= longest


async def test_what_is_lost_with_an_old_line_shuts_no_new_one() -> None:
    """Of calls that are under way on one line, the last may hear of its end after a new one is
    open."""
    first, second = Held(), Held()
    lines = [first, second]

    @dataclass
    class Sink(Broker):
        async def open(self) -> Any:
            return lines.pop(0)

    sender = Sender(Sink(batch=1, parallel=2))
    sending = [asyncio.create_task(sender.send(message(n))) for n in range(2)]
    await soon(lambda: first.had == 2)
    first.ends[0].set()
    await soon(lambda: not lines and sender.shut_since is None)
    first.ends[1].set()
    told = await asyncio.gather(*sending, return_exceptions=True)

    assert [type(each) for each in told] == [Unreachable, Unreachable]
    assert sender.shut_since is None
    third = asyncio.create_task(sender.send(message(3)))
    await soon(lambda: second.had == 1)
    await sender.close()
    await asyncio.gather(third, return_exceptions=True)


@dataclass
class Held:
    """A line that is lost, to each call of its own, when the test says so."""

    had: int = 0
    ends: list[asyncio.Event] = field(default_factory=lambda: [asyncio.Event(), asyncio.Event()])

    async def send(self, messages: Sequence[Message]) -> Sequence[Answer]:
        self.had += 1
        await self.ends[self.had - 1].wait()
        return [Unknown("the line ended") for _ in messages]

    async def close(self) -> None: ...
