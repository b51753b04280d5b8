"""Sentry, with a transport of the tests' own: which events there are, and what they say."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport

from pgqueue import App, Cancel, Context, Discard, Retry, Snooze
from pgqueue.contrib import sentry, sentry_monitors
from pgqueue.errors import JobCancelled
from pgqueue.jobs import carrying
from pgqueue.jobs.schedules.timing import Timing
from tests.worker.conftest import Work
from tests.worker.process import PATIENCE, soon
from tests.worker.store import becomes, ended


class Sent(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[tuple[str, dict[str, Any]]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        for item in envelope.items:
            if item.payload.json is not None:
                self.items.append((item.type or "", item.payload.json))

    def of(self, kind: str, name: str | None = None) -> list[dict[str, Any]]:
        found = [item for each, item in list(self.items) if each == kind]
        return [item for item in found if name in (None, item.get("transaction"))]

    async def until(self, kind: str, name: str, number: int = 1) -> list[dict[str, Any]]:
        await soon(lambda: len(self.of(kind, name)) >= number)
        return self.of(kind, name)


def begin(**options: Any) -> Sent:
    sent = Sent()
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:1/1",
        transport=sent,
        traces_sample_rate=1.0,
        default_integrations=False,
        integrations=[LoggingIntegration()],
        **options,
    )
    return sent


@pytest.fixture
def sent(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
    monkeypatch.setattr(carrying, "carriers", [])
    sent = begin()
    sentry.instrument(app)
    yield sent
    sentry_sdk.init()


def kinds(event: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["type"], each["value"]) for each in event["exception"]["values"]]


@pytest.mark.parametrize("blocking", [True, False], ids=["thread", "coroutine"])
async def test_a_job_that_is_lost_is_one_event(
    app: App, work: Work, sent: Sent, blocking: bool
) -> None:
    def fail(order: int) -> None:
        logging.getLogger("shop").warning("about to fail")
        raise ValueError(f"order {order}")

    async def async_fail(order: int) -> None:
        fail(order)

    task = app.task(name="fail", max_attempts=2, retry=0)(fail if blocking else async_fail)
    worker = await work()
    handle = await app.enqueue_async(task.job(7))
    await ended(app, handle)
    await sent.until("transaction", "fail", 2)

    [event] = sent.of("event")
    assert kinds(event) == [("ValueError", "order 7")]
    assert event["exception"]["values"][0]["mechanism"] == {"type": "pgqueue", "handled": False}
    assert event["tags"] == {"pgqueue.task": "fail", "pgqueue.queue": "default"}
    assert event["contexts"]["pgqueue"] == {
        "job": handle.id,
        "attempt": 2,
        "max_attempts": 2,
        "worker": worker.id,
    }
    assert [each["message"] for each in event["breadcrumbs"]["values"]] == ["about to fail"]


async def test_a_retry_policy_that_gives_up_makes_an_event(
    app: App, work: Work, sent: Sent
) -> None:
    @app.task(max_attempts=5, retry=lambda attempt, error: None)
    async def hopeless() -> None:
        raise LookupError("gone")

    await work()
    await ended(app, await app.enqueue_async(hopeless.job()))
    await sent.until("transaction", "hopeless")

    assert [kinds(event) for event in sent.of("event")] == [[("LookupError", "gone")]]


async def test_every_attempt_where_that_is_wanted(app: App, work: Work, sent: Sent) -> None:
    @app.task(max_attempts=3, retry=0)
    async def fail() -> None:
        raise ValueError("again")

    sentry.instrument(app, every_attempt=True)
    await work()
    await ended(app, await app.enqueue_async(fail.job()))
    await sent.until("transaction", "fail", 3)

    assert [event["contexts"]["pgqueue"]["attempt"] for event in sent.of("event")] == [1, 2, 3]


async def test_what_a_task_decides_is_no_event(app: App, work: Work, sent: Sent) -> None:
    @app.task(max_attempts=1)
    async def decide(how: str) -> Any:
        match how:
            case "snooze":
                return Snooze(1000)
            case "retry":
                return Retry(0)
            case "cancel":
                return Cancel("no")
            case "discard":
                return Discard("never")
            case "raise":
                raise JobCancelled("enough")

    await work()
    hows = ["snooze", "retry", "cancel", "discard", "raise", "well"]
    handles = await app.enqueue_async([decide.job(how) for how in hows])
    for handle in handles:
        await becomes(app, handle, "scheduled", "discarded", "cancelled", "completed")
    await sent.until("transaction", "decide", len(hows))

    assert sent.of("event") == []


async def test_a_trace_goes_on_from_the_enqueue_to_the_run(
    app: App, work: Work, sent: Sent
) -> None:
    @app.task
    async def send(ctx: Context) -> None:
        if ctx.task == "send" and ctx.attempt == 1:
            ctx.enqueue(done.job())

    @app.task
    async def done() -> None: ...

    await work()
    with sentry_sdk.start_transaction(name="a request"):
        handle = await app.enqueue_async(send.job())
    await app.result_async(handle, PATIENCE)
    [request] = await sent.until("transaction", "a request")
    [run] = await sent.until("transaction", "send")
    [after] = await sent.until("transaction", "done")

    [publish] = [span for span in request["spans"] if span["op"] == "queue.publish"]
    assert publish["data"]["messaging.destination.name"] == "default"
    process = next(span for span in run["spans"] if span["op"] == "queue.process")
    assert process["data"]["messaging.message.id"] == str(handle.id)
    assert process["data"]["messaging.message.retry.count"] == 0
    assert process["data"]["messaging.message.receive.latency"] >= 0
    trace = request["contexts"]["trace"]
    assert run["contexts"]["trace"]["trace_id"] == trace["trace_id"]
    assert run["contexts"]["trace"]["parent_span_id"] == publish["span_id"]
    assert after["contexts"]["trace"]["trace_id"] == trace["trace_id"]


async def test_arguments_are_sent_only_where_they_may_be(app: App, work: Work, sent: Sent) -> None:
    @app.task(max_attempts=1)
    async def fail(secret: str) -> None:
        raise ValueError

    await work()
    await ended(app, await app.enqueue_async(fail.job("hush")))
    [event] = await sent.until("event", "fail")
    assert "args" not in event["contexts"]["pgqueue"]

    sent = begin(send_default_pii=True)
    await ended(app, await app.enqueue_async(fail.job("hush")))
    [event] = await sent.until("event", "fail")
    assert json.loads(event["contexts"]["pgqueue"]["args"]) == {"secret": "hush"}


async def test_one_jobs_scope_is_not_anothers(app: App, work: Work, sent: Sent) -> None:
    @app.task(max_attempts=1)
    async def tag(name: str) -> None:
        sentry_sdk.set_tag(name, "yes")
        raise ValueError(name)

    await work()
    for handle in await app.enqueue_async([tag.job("a"), tag.job("b")]):
        await ended(app, handle)
    await sent.until("event", "tag", 2)

    assert {frozenset(event["tags"]) for event in sent.of("event")} == {
        frozenset({"pgqueue.task", "pgqueue.queue", name}) for name in "ab"
    }


async def test_without_a_client_jobs_run_as_ever(app: App, work: Work) -> None:
    @app.task
    async def send() -> str:
        return "sent"

    sentry_sdk.init()
    sentry.instrument(app)
    await work()
    handle = await app.enqueue_async(send.job())
    assert await app.result_async(handle, PATIENCE) == "sent"
    assert (await ended(app, handle)).metadata is None


# Check-ins


def check_ins(sent: Sent) -> list[dict[str, Any]]:
    return [item for kind, item in list(sent.items) if kind == "check_in"]


async def settled(sent: Sent, status: str) -> list[dict[str, Any]]:
    await soon(lambda: any(each["status"] == status for each in check_ins(sent)))
    return check_ins(sent)


def now_and_nightly(app: App, task: Any, name: str) -> None:
    app.owner = "shop"
    app.schedule(name, "0 3 * * *", task.job(), zone="Europe/Berlin", immediately=True)


async def test_a_schedules_jobs_are_check_ins_of_its_monitor(
    app: App, work: Work, sent: Sent
) -> None:
    @app.task
    async def report() -> None: ...

    sentry.instrument(app, monitors={"max_runtime": 120})
    sentry.instrument(app, monitors=True)  # again, it changes nothing
    now_and_nightly(app, report, "nightly")
    await work()
    began, ok = await settled(sent, "ok")
    await app.result_async(await app.enqueue_async(report.job()), PATIENCE)  # by hand: none

    assert (began["status"], ok["status"]) == ("in_progress", "ok")
    assert began["check_in_id"] == ok["check_in_id"]
    assert began["monitor_slug"] == ok["monitor_slug"] == "nightly"
    assert began["monitor_config"] == {
        "schedule": {"type": "crontab", "value": "0 3 * * *"},
        "timezone": "Europe/Berlin",
        "max_runtime": 120,
    }
    assert len(check_ins(sent)) == 2


async def test_a_check_in_fails_with_the_last_attempt_alone(
    app: App, work: Work, sent: Sent
) -> None:
    @app.task(max_attempts=2, retry=0)
    async def report() -> None:
        raise ValueError

    sentry.instrument(app, monitors=True)
    now_and_nightly(app, report, "nightly")
    await work()
    found = await settled(sent, "error")

    assert [each["status"] for each in found] == ["in_progress", "in_progress", "error"]
    assert len({each["check_in_id"] for each in found}) == 1


async def test_without_monitors_there_are_no_check_ins(app: App, work: Work, sent: Sent) -> None:
    @app.task
    async def report() -> None: ...

    now_and_nightly(app, report, "nightly")
    await work()
    await sent.until("transaction", "report")

    assert check_ins(sent) == []


def test_a_monitor_has_a_slug_that_sentry_takes() -> None:
    assert sentry_monitors.slug("nightly_report-2") == "nightly_report-2"
    slugs = [sentry_monitors.slug(name) for name in ("Digest/7", "digest-7", "7", "x" * 128)]
    assert len(set(slugs)) == 4
    assert all(re.fullmatch(r"[a-z0-9_-]{1,50}", slug) and not slug.isdigit() for slug in slugs)


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("0 3 * * 1-5", {"type": "crontab", "value": "0 3 * * 1-5"}),
        ("0 3 L * *", None),
        ("@every 90m", {"type": "interval", "value": 90, "unit": "minute"}),
        ("@every 48h", {"type": "interval", "value": 2, "unit": "day"}),
        ("@every 15s", None),
    ],
)
def test_a_monitor_knows_when_to_expect_what_sentry_can_say(
    when: str, told: dict[str, Any] | None
) -> None:
    assert sentry_monitors.schedule_of(Timing.parse(when)) == told
