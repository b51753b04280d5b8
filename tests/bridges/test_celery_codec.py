"""Celery's messages become jobs, by Celery and kombu as the oracle of what Celery writes."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from celery import Celery, chain
from kombu.serialization import dumps
from kombu.utils import json as kombu

from pgqueue import PARENT, App, Result
from pgqueue.bridges import Received, amqp, celery
from pgqueue.bridges.celery_codec import jobs_of, received
from pgqueue.errors import InvalidJob, InvalidTask
from pgqueue.jobs.job import NewJob

theirs = Celery("shop", broker="memory://", set_as_current=False)
app = App("sqlite:///:memory:")
INLET = app.inlet("celery", celery.Queue())
TO_CELERY = app.outlet("to_celery", celery.Exchange())


@app.task(name="shop.add", aliases=["shop.sum"], queue="sums", max_attempts=5, priority=10)
def add(x: int, y: int = 0) -> int:
    return x + y


@app.task(name="shop.more")
def more(y: int, x: Result[int] = PARENT) -> int:
    return x + y


@app.task(name="shop.typed")
def typed(
    at: datetime, day: date, hour: time, price: Decimal, id: UUID, text: bytes, raw: bytes
) -> None: ...


def sent(
    name: str = "shop.add",
    args: tuple[Any, ...] = (2, 3),
    kwargs: dict[str, Any] | None = None,
    *,
    serializer: str = "json",
    priority: int | None = None,
    **options: Any,
) -> Received:
    """What comes in of what Celery's client would publish."""
    message = theirs.amqp.as_task_v2("id-1", name, args, kwargs, **options)
    content_type, encoding, body = dumps(message.body, serializer)
    raw = body if isinstance(body, bytes) else body.encode()
    return received(raw, message.headers, content_type, encoding, priority)


def job_of(message: Received) -> NewJob[Any]:
    [job] = INLET.jobs_of(message)
    return job


def why(message: Received) -> str:
    """Why *message* is poison."""
    job = job_of(message)
    assert job.task == "celery"
    return str(json.loads(job.args)["reason"])


def test_a_call_becomes_a_job_of_the_task_of_its_name() -> None:
    job = job_of(sent(kwargs={"y": 4}, args=(2,)))

    assert (job.task, job.queue, json.loads(job.args)) == ("shop.add", "sums", {"x": 2, "y": 4})
    assert job.unique == "inlet/celery/id-1"
    assert job_of(sent("shop.sum")).task == "shop.add"


def test_what_celery_says_of_when_and_how_often_is_kept() -> None:
    due = datetime(2030, 1, 1, 12, tzinfo=UTC)

    at = job_of(sent(eta=due, expires=due + timedelta(hours=1), priority=3))
    soon = job_of(sent(countdown=60, time_limit=30, soft_time_limit=20, retries=2))

    assert (at.run_at, at.expires, at.priority) == (due, due + timedelta(hours=1), 7)
    assert soon.run_at is not None
    assert abs(soon.run_at - datetime.now(UTC) - timedelta(seconds=60)) < timedelta(seconds=30)
    assert (soon.timeout, soon.max_attempts) == (timedelta(seconds=20), 3)
    assert soon.unique == "inlet/celery/id-1/2"  # Celery's retry has the same id
    assert job_of(sent(retries=99)).max_attempts == 1


def test_what_is_due_after_it_expires_is_no_poison_and_ends_when_it_expires() -> None:
    expires = datetime(2030, 1, 1, 12, tzinfo=UTC)

    # As Celery's own retry(countdown=...) writes it: the retry keeps the first attempt's expires.
    job = job_of(sent(eta=expires + timedelta(hours=1), expires=expires, retries=1))

    assert (job.task, job.run_at, job.expires) == ("shop.add", expires, expires)


def test_values_that_kombu_names_the_types_of_are_of_these_types() -> None:
    values = (
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        *(date(2026, 1, 2), time(3, 4), Decimal("1.50"), UUID(int=7), b"text", b"\xff"),
    )

    job = job_of(sent("shop.typed", values))

    args, kwargs = app.tasks["shop.typed"].decode_args(job.args)
    assert (*args, *kwargs.values()) == values


def test_headers_of_the_application_are_not_taken_for_properties() -> None:
    message = sent()
    named = {"priority": "high", "content-type": "text/csv", "content-encoding": "gzip"}
    headers = {"task": message.type, "id": message.id, **named}

    job = job_of(received(message.body, headers, "application/json", None, None))

    assert (job.task, job.priority) == ("shop.add", 10)


def test_the_links_of_a_chain_are_children_each_known_by_its_own_id() -> None:
    first, second, third = (
        theirs.signature("shop.add", (1, 2)),
        theirs.signature("shop.more", (5,)),
        theirs.signature("shop.add", (7, 8), immutable=True),
    )
    links = [
        {**dict(link), "options": {**link.options, "task_id": id}}
        for link, id in ((third, "id-3"), (second, "id-2"))
    ]
    assert len(chain(first, second, third).tasks) == 3  # the form that Celery has of them

    head, child, last = INLET.jobs_of(sent(args=(1, 2), chain=links))

    assert [json.loads(job.args) for job in (head, child, last)] == [
        {"x": 1, "y": 2},
        {"y": 5},
        {"x": 7, "y": 8},
    ]
    assert [job.unique for job in (head, child, last)] == [
        f"inlet/celery/id-{n}" for n in (1, 2, 3)
    ]
    assert (len(head.edges), len(child.edges), len(last.edges)) == (0, 1, 1)


def test_a_link_without_an_id_is_known_by_the_message() -> None:
    head, child = INLET.jobs_of(sent(args=(1, 2), retries=1, chain=[link()]))

    assert head.unique == "inlet/celery/id-1/1"
    assert child.unique == "inlet/celery/id-1/1/link/1"


def link(name: str = "shop.more", **more: Any) -> dict[str, Any]:
    return {"task": name, "args": [1], "kwargs": {}, "options": {}, **more}


REFUSED = {
    "pickle, which runs code when it is read, is refused; set task_serializer": {
        "serializer": "pickle"
    },
    "YAML is refused": {"serializer": "yaml"},
    "no task is called shop.absent; say @app.task(name='shop.absent')": {"name": "shop.absent"},
    "no task is called to_celery": {"name": "to_celery", "args": ()},
    "shop.add: ": {"args": ("two",)},
    "link= is refused": {"callbacks": [link()]},
    "link_error= is refused": {"errbacks": [link()]},
    "a chord is refused": {"chord": link()},
    "shop.add follows in a chain and takes the result": {"chain": [link("shop.add")]},
    "countdown of shop.more, a chain's link, is refused": {
        "chain": [link(options={"countdown": 3})]
    },
    "celery.group in a chain is refused": {"chain": [link("celery.group")]},
    "eta: 'tomorrow' is no instant": {"eta": "tomorrow"},
    "a value of the type 'money' is refused": {"args": ({"__type__": "money", "__value__": 1},)},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_kept_to_is_refused_by_name(reason: str) -> None:
    if REFUSED[reason].get("serializer") == "yaml":
        pytest.importorskip("yaml")

    assert reason in why(sent(**REFUSED[reason]))


@pytest.mark.parametrize(
    ("reason", "headers", "content", "encoding", "body"),
    [
        ("protocol 1 is refused; set task_protocol = 2", {"task": None}, "", "", b"{}"),
        ("compression gzip is refused", {"compression": "gzip"}, "", "", b""),
        ("content encoding utf-16 is refused", {}, "", "utf-16", b""),
        ("text/plain is refused", {}, "text/plain", "", b""),
        ("the body is no JSON", {}, "", "", b"{"),
        ("the body is not [args, kwargs, embed]", {}, "", "", b"[[], []]"),
    ],
)
def test_what_is_no_message_of_celerys_is_refused_by_name(
    reason: str, headers: dict[str, Any], content: str, encoding: str, body: bytes
) -> None:
    given = {"task": "shop.add", "id": "1", **headers}
    message = received(body, given, content or "application/json", encoding or "utf-8", None)

    assert reason in why(message)


def test_pickle_is_kept_and_never_read(tmp_path: Any) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(tmp_path / "ran"), "w"))

    job = job_of(sent(args=(Evil(),), serializer="pickle"))

    assert job.task == "celery"
    assert not (tmp_path / "ran").exists()


def test_poison_is_read_again_as_it_came() -> None:
    message = sent("shop.absent", time_limit=30, kwargs={"secret": "s3cret"}, args=())
    kept = json.loads(job_of(message).args)

    again = Received(body=message.body, id=kept["id"], type=kept["type"], headers=kept["headers"])

    assert (again.id, again.type, again.headers) == (message.id, message.type, message.headers)
    assert again.headers["timelimit"] == "[30,null]"
    assert "s3cret" not in json.dumps(kept["headers"])  # argsrepr, kwargsrepr


def test_a_task_of_celerys_is_sent_by_its_name() -> None:
    job = celery.Task(TO_CELERY, "shop.tasks.add", queue="mail").message(2, y=3)

    given = json.loads(job.args)
    assert (job.queue, given["type"], given["to"]) == ("to_celery", "shop.tasks.add", "mail")
    assert given["body"][:2] == [[2], {"y": 3}]


def test_values_are_sent_with_the_names_of_their_types_as_kombu_does() -> None:
    values = (
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        *(date(2026, 1, 2), time(3, 4), Decimal("1.50"), UUID(int=7), b"text", b"\xff"),
        *("text", 1.5, None, True, [date(2026, 1, 2), (1, 2)], {"id": UUID(int=7)}),
    )

    job = celery.Task(TO_CELERY, "shop.typed").message(*values, raw=b"\xff")

    args, kwargs, _ = json.loads(job.args)["body"]
    assert args == json.loads(kombu.dumps(values))
    assert kwargs == json.loads(kombu.dumps({"raw": b"\xff"}))


@pytest.mark.parametrize(
    ("body", "type", "why"),
    [
        ([[], {}, {}], None, "type: give the name of Celery's task"),
        ({"x": 2}, "add", r"body: give Celery's \[args, kwargs, embed\]"),
        (b"[[], {}, {}]", "add", r"body: bytes; give Celery's \[args, kwargs, embed\]"),
    ],
)
def test_a_message_that_no_celery_worker_could_read_is_refused(
    body: Any, type: str | None, why: str
) -> None:
    with pytest.raises(InvalidJob, match=why):
        TO_CELERY.message(body, type=type)


def test_an_inlet_has_a_task_unless_its_messages_name_them() -> None:
    with pytest.raises(InvalidTask, match="its messages name their tasks"):
        app.inlet("other", celery.Queue(), add)
    with pytest.raises(InvalidTask, match="give the task"):
        app.inlet("other", amqp.Queue("payments"))
    assert {"sums", "default"} <= INLET.queues
    assert INLET.queue is None


def test_the_codec_needs_no_inlet() -> None:
    [job] = jobs_of(sent(), app.tasks, lambda job, id: job.options(key=id))

    assert (job.task, job.key) == ("shop.add", "id-1")
