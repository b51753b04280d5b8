"""A broker's messages become jobs, each one, whatever is lost on the way; poison stops nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from pgqueue import App
from pgqueue.bridges import Received, Unreachable, probing
from pgqueue.errors import InvalidTask, StoreUnavailable
from pgqueue.jobs.job import State
from pgqueue.worker.agents import receiver
from tests.bridges.brokers import Mailbox
from tests.bridges.conftest import Work
from tests.bridges.running import listed, until_ended
from tests.worker.process import soon


def message(n: int, **more: str) -> Received:
    return Received(body=json.dumps({"n": n}).encode(), id=f"m{n}", **more)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "FIRST_GAP_SECONDS", 0.01)
    monkeypatch.setattr(receiver, "COUNT_SECONDS", 0.01)


async def test_a_message_becomes_a_job_and_is_settled(app: App, work: Work, had: list[int]) -> None:
    box = Mailbox()
    app.inlet("payments", box, app.tasks["settle"], key=lambda m: m.group)
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    await work(inlets=True)

    box.put(message(1, group="g"), Received(body=b'{"n": 2}', id="t", headers=trace))
    first, second = await until_ended(app, 2)
    await soon(lambda: box.empty)

    assert sorted(had) == [1, 2]
    assert (first.key, first.queue) == ("g", "default")
    assert second.metadata == trace


async def test_a_message_that_comes_again_is_the_same_job(app: App, work: Work) -> None:
    gate, box = asyncio.Event(), Mailbox(deaf=3)

    @app.task
    async def settle(n: int) -> None:
        await gate.wait()

    app.inlet("payments", box, settle)
    await work(inlets=["payments"])

    box.put(*(message(n) for n in (1, 2, 1, 2)))
    await soon(lambda: box.opened == 4 and box.empty)
    gate.set()

    assert len(await until_ended(app, 2)) == 2


async def test_what_was_not_committed_stays_with_the_broker(
    app: App, work: Work, had: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, tries, enqueue = Mailbox(), 0, app.enqueue_async

    async def fails_twice(jobs: object) -> object:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise StoreUnavailable("away")
        return await enqueue(jobs)  # type: ignore[call-overload]

    monkeypatch.setattr(app, "enqueue_async", fails_twice)
    app.inlet("payments", box, app.tasks["settle"])
    await work(inlets=True)

    box.put(message(1), message(2))
    await until_ended(app, 2)
    await soon(lambda: box.empty)

    assert sorted(had) == [1, 2]
    assert box.opened == 3  # each time the line was closed, and so the messages given back


@pytest.fixture
def held(app: App, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """The store keeps its first batch in hand until this is set."""
    gate, enqueue, first = asyncio.Event(), app.enqueue_async, True

    async def slow(jobs: object) -> object:
        nonlocal first
        if first:
            first = False
            await gate.wait()
        return await enqueue(jobs)  # type: ignore[call-overload]

    monkeypatch.setattr(app, "enqueue_async", slow)
    return gate


async def test_while_the_store_has_one_batch_the_next_is_taken_and_no_third(
    app: App, work: Work, had: list[int], held: asyncio.Event
) -> None:
    box = Mailbox(batch=2)
    app.inlet("payments", box, app.tasks["settle"])
    worker = await work(inlets=True)

    box.put(*(message(n) for n in range(7)))
    await soon(lambda: len(box.in_hand) == 4)
    await asyncio.sleep(0.05)  # as long as a third batch would take
    assert len(box.in_hand) == 4
    [figures] = worker._bridges()
    assert (figures.into.received, figures.into.taken) == (4, 0)
    held.set()
    found = await until_ended(app, 7)
    await soon(lambda: box.empty)

    assert [job.args["n"] for job in sorted(found, key=lambda job: job.id)] == list(range(7))


async def test_if_the_store_goes_the_batch_that_comes_after_goes_back_too(
    app: App, work: Work, had: list[int], held: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, tries = app.enqueue_async, 0

    async def fails_once(jobs: object) -> object:
        nonlocal tries
        tries += 1
        answer = await slow(jobs)  # type: ignore[call-overload]
        if tries == 1:
            raise StoreUnavailable("the answer was lost")
        return answer

    monkeypatch.setattr(app, "enqueue_async", fails_once)
    box = Mailbox(batch=2)
    app.inlet("payments", box, app.tasks["settle"])
    await work(inlets=True)

    box.put(*(message(n) for n in range(4)))
    await soon(lambda: len(box.in_hand) == 4)
    held.set()
    found = await until_ended(app, 4)
    await soon(lambda: box.empty)

    assert sorted(had) == list(range(4))
    assert (len(found), box.opened) == (4, 2)


POISON = {
    "not JSON": (b"{", "the body is no JSON"),
    "no object": (b"[1]", "a JSON list, not an object"),
    "wrong arguments": (b'{"m": 1}', "settle: m"),
    "NUL": (b'{"n": "\\u0000"}', "settle: n"),
    "not UTF-8": (b'{"n": "\xff"}', "utf-8"),
    "too large": (b" " * (1024 * 1024 + 1), "bytes are kept"),
}


async def test_poison_is_a_dead_letter_with_the_reason_and_stops_nobody(
    app: App, work: Work, had: list[int]
) -> None:
    box = Mailbox()
    app.inlet("payments", box, app.tasks["settle"])
    await work(inlets=True)

    box.put(message(1), *(Received(body=body, id=name) for name, (body, _) in POISON.items()))
    box.put(message(2))
    found = await until_ended(app, 2 + len(POISON))
    await soon(lambda: box.empty)

    assert sorted(had) == [1, 2]
    dead = {job.args["id"]: job for job in found if job.state == State.DISCARDED}
    assert dead.keys() == POISON.keys()
    for name, (_, why) in POISON.items():
        assert why.lower() in (dead[name].reason or "").lower()
        assert (dead[name].task, dead[name].queue) == ("payments", "payments")


async def test_poison_is_read_again_when_it_is_retried(app: App, work: Work) -> None:
    box, good = Mailbox(), False

    @app.task
    async def settle(n: int) -> None: ...

    def read(message: Received) -> dict[str, int]:
        if not good:
            raise KeyError("n")
        return {"n": int(message.headers["n"])}

    app.inlet("payments", box, settle, read=read)
    await work(inlets=True)
    box.put(Received(body=b"", id="a", headers={"n": "7"}))
    [dead] = await until_ended(app, 1)
    assert (dead.state, dead.reason) == (State.DISCARDED, "KeyError: 'n'")

    good = True
    await asyncio.to_thread(app.jobs.retry, [dead.id])
    mended = await until_ended(app, 2)
    box.put(Received(body=b"", id="a", headers={"n": "7"}))  # readable by now, and known
    await soon(lambda: box.empty)

    assert [(job.task, job.args.get("n")) for job in mended if job.task == "settle"] == [
        ("settle", 7)
    ]
    assert len(listed(app)) == 2


async def test_one_message_that_the_store_refuses_is_found_among_many(
    app: App, work: Work, had: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, enqueue = Mailbox(), app.enqueue_async

    async def refuses(jobs: object) -> object:
        given = jobs if isinstance(jobs, list) else [jobs]
        if any('"n":3' in job.args.replace(" ", "") for job in given):
            raise ValueError("no such character")
        return await enqueue(jobs)  # type: ignore[call-overload]

    monkeypatch.setattr(app, "enqueue_async", refuses)
    app.inlet("payments", box, app.tasks["settle"])
    await work(inlets=True)

    box.put(*(message(n) for n in range(7)))
    await soon(lambda: box.empty)
    found = await until_ended(app, 8)
    box.put(message(3))  # refused again, and known
    await soon(lambda: box.empty)

    assert len(listed(app)) == 8
    assert sorted(had) == list(range(7))  # kept as poison, and read at its first attempt
    assert [job.task for job in found].count("payments") == 1


async def test_above_the_high_water_nothing_is_taken(
    app: App, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "COUNT_SECONDS", 0)  # it counts before each batch
    box, gate = Mailbox(batch=5), asyncio.Event()

    @app.task(queue="slow")
    async def settle(n: int) -> None:
        await gate.wait()

    app.inlet("payments", box, settle, high_water=10)
    await work(queues="other", inlets=True)  # nobody serves the queue of the task

    box.put(*(message(n) for n in range(50)))
    await soon(lambda: len(box.waiting) + len(box.in_hand) <= 50 - 15)
    await asyncio.sleep(0.1)  # several looks
    assert len(box.waiting) + len(box.in_hand) == 50 - 15
    gate.set()
    await work(queues="slow")

    await until_ended(app, 50)
    await soon(lambda: box.empty)


async def test_a_broker_that_is_away_is_looked_for(app: App, work: Work, had: list[int]) -> None:
    box = Mailbox(away=True)
    app.inlet("payments", box, app.tasks["settle"])
    await work(inlets=True)
    box.put(message(1))

    box.away = False
    await until_ended(app, 1)

    assert had == [1]


class Refusing(Mailbox):
    """Takes connections, and hands out nothing the first six times."""

    async def take(self, limit: int) -> Sequence[Received]:
        if self.opened <= 6:
            raise Unreachable("AccessDenied")
        return await super().take(limit)


async def test_a_broker_that_takes_connections_and_hands_out_nothing_is_tried_less_and_less(
    app: App,
    work: Work,
    had: list[int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "pgqueue.worker")
    away = list[float]()
    monkeypatch.setattr(probing, "gap", lambda since: away.append(since) or 0.01)
    box = Refusing()
    app.inlet("payments", box, app.tasks["settle"])
    await work(inlets=True)
    box.put(message(1))

    await until_ended(app, 1)

    assert len(away) == 6
    assert away[5] >= 0.05  # from the first refusal
    assert caplog.text.count("AccessDenied") == caplog.text.count("is back") == 1


@pytest.mark.parametrize("options", [{}, {"inlets": ["other"]}])
async def test_who_is_not_to_take_messages_takes_none(
    app: App, work: Work, had: list[int], options: dict[str, list[str]]
) -> None:
    boxes = {name: Mailbox() for name in ("payments", "other")}
    for name, box in boxes.items():
        app.inlet(name, box, app.tasks["settle"])
    await work(**options)

    opened = {name for name, box in boxes.items() if box.opened}

    assert opened <= set(options.get("inlets", ()))


def test_a_body_is_read_as_the_types_that_the_task_names() -> None:
    app = App("sqlite:///:memory:")

    @app.task
    def settle(at: datetime, id: UUID, raw: bytes = b"", n: int = 1) -> None: ...

    inlet = app.inlet("payments", Mailbox(), settle)
    id = "00000000-0000-0000-0000-000000000007"
    body = {"id": id, "at": "2026-01-02T03:04:05Z", "raw": "/w=="}

    job = inlet.job_of(Received(body=json.dumps(body).encode()))

    assert (job.task, json.loads(job.args)) == ("settle", body)  # and no default beside
    args, kwargs = settle.decode_args(job.args)
    assert (*args, *kwargs.values())[:3] == (
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        UUID(id),
        b"\xff",
    )


def test_an_inlet_that_cannot_be_is_refused() -> None:
    app = App("sqlite:///:memory:")

    @app.task
    def settle(n: int) -> None: ...

    app.inlet("payments", Mailbox(), settle)
    with pytest.raises(InvalidTask, match="there is an outlet or inlet of this name"):
        app.inlet("payments", Mailbox(), settle)
    for keep in (0, -1, "a day"):
        with pytest.raises(InvalidTask, match="uploads: keep: "):
            app.inlet("uploads", Mailbox(), settle, keep=keep)  # type: ignore[arg-type]
