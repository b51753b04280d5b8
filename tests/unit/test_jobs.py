from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from pgqueue.errors import InvalidJob, JobTooLarge
from pgqueue.jobs.checks import MAX_ARGS_BYTES
from pgqueue.jobs.job import FINISHED, Edge, Handle, Job, NewJob, State, job_id

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SEND: NewJob[None] = NewJob("send", '{"order_id":7}')


def refused(options: dict[str, Any]) -> str:
    """What the refusal says; that it names task and parameter is checked here."""
    with pytest.raises(InvalidJob) as caught:
        SEND.options(**options)
    (parameter,) = options
    assert caught.value.task == "send"
    assert caught.value.parameter == parameter
    assert str(caught.value).startswith(f"send: {parameter}: ")
    return str(caught.value)


def test_takes_options_without_changing_the_job() -> None:
    job = SEND.options(
        queue="mail",
        priority=-1,
        delay=90,
        max_attempts=3,
        timeout=timedelta(minutes=5),
        unique="order:7",
        tags=["billing", "eu", "billing"],
        metadata={"trace": "abc"},
    )
    assert (job.queue, job.priority, job.max_attempts) == ("mail", -1, 3)
    assert (job.delay, job.timeout) == (timedelta(seconds=90), timedelta(minutes=5))
    assert (job.unique, job.tags, job.metadata) == (
        "order:7",
        ("billing", "eu"),
        '{"trace":"abc"}',
    )
    assert (SEND.queue, SEND.delay, SEND.tags) == ("default", None, ())


def test_is_equal_to_itself_alone() -> None:
    assert NewJob("send") != NewJob("send")
    assert len({SEND, SEND, SEND.options()}) == 2


def test_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        SEND.queue = "mail"  # type: ignore[misc]


def test_none_takes_an_option_away() -> None:
    job = SEND.options(delay=1, timeout=1, unique="k", metadata={})
    job = job.options(delay=None, timeout=None, unique=None, metadata=None)
    assert (job.delay, job.timeout, job.unique, job.metadata) == (None, None, None, None)


def test_run_at_and_delay_replace_each_other() -> None:
    assert SEND.options(delay=1).options(run_at=NOON).delay is None
    assert SEND.options(run_at=NOON).options(delay=1).run_at is None


def test_refuses_run_at_and_delay_together() -> None:
    with pytest.raises(InvalidJob, match="send: delay: run_at is given too"):
        SEND.options(run_at=NOON, delay=1)


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"run_at": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001
        ({"run_at": "tomorrow"}, "is not a datetime"),
        ({"run_at": datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))}, "year 9999"),
        ({"delay": -1}, "negative"),
        ({"delay": float("nan")}, "finite"),
        ({"delay": float("inf")}, "finite"),
        ({"delay": 1e12}, "hundred years"),
        ({"delay": "soon"}, "neither a timedelta nor a number"),
        ({"delay": True}, "neither a timedelta nor a number"),
        ({"timeout": 0}, "more than 0"),
        ({"timeout": -1}, "negative"),
        ({"priority": 32768}, "from -32768 to 32767"),
        ({"priority": -32769}, "from -32768 to 32767"),
        ({"priority": "high"}, "is not an int"),
        pytest.param({"priority": 10**5000}, "this int is out of range", id="huge"),
        ({"priority": True}, "is not an int"),
        ({"max_attempts": 0}, "from 1 to 32767"),
        ({"max_attempts": 2.0}, "is not an int"),
        ({"queue": ""}, "1 to 128 letters"),
        ({"queue": "a b"}, "1 to 128 letters"),
        ({"queue": "a\n"}, "1 to 128 letters"),
        ({"queue": ".hidden"}, "begins with a letter"),
        ({"queue": "é"}, "1 to 128 letters"),
        ({"queue": "q" * 129}, "1 to 128 letters"),
        ({"queue": None}, "None is no name"),
        ({"unique": ""}, "1 to 512"),
        ({"unique": "k" * 513}, "a hash"),
        ({"unique": "a\0b"}, "NUL"),
        ({"unique": "a\ud800b"}, "lone surrogate at character 1"),
        ({"unique": 7}, "not a str"),
        ({"tags": "billing"}, "give a list"),
        ({"tags": ["ok", "not ok"]}, "'not ok' is no name"),
        ({"tags": 3}, "give a list"),
        ({"tags": [f"t{n}" for n in range(65)]}, "64 at most"),
        ({"metadata": {"a": object()}}, "cannot be written as JSON"),
        ({"metadata": {"a": float("nan")}}, "no JSON number"),
        ({"metadata": {"a": "\0"}}, "NUL"),
        ({"metadata": {"a": "\udc00"}}, "lone surrogate"),
        ({"metadata": [1]}, "not a mapping"),
        ({"metadata": {"a": "x" * 70_000}}, "store the data elsewhere"),
    ],
)
def test_refuses_an_option_and_says_which_and_why(options: dict[str, Any], cure: str) -> None:
    assert cure in refused(options)


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ("[1]", "not the text of a JSON object"),
        ("{", "not the text of a JSON object"),
        ('{"a":NaN}', "not the text of a JSON object"),
        ('{"a":"\\u0000"}', "NUL"),
        ('{"a":"\\\\\\u0000"}', "NUL"),
        ('{"a":"\\ud800"}', "not the text of a JSON object"),
        ('{"a":"\ud800"}', "lone surrogate"),
        ({"a": 1}, "not the text of a JSON object"),
    ],
)
def test_refuses_arguments_no_store_can_keep(args: Any, problem: str) -> None:
    with pytest.raises(InvalidJob, match="send: args: ") as caught:
        NewJob("send", args)
    assert problem in str(caught.value)


@pytest.mark.parametrize("args", ['{"a":"\\\\u0000"}', '{"a":"\\ud83d\\ude00"}', '{"é":"😀"}'])
def test_takes_what_only_looks_like_trouble(args: str) -> None:
    assert NewJob[None]("send", args).args == args


def test_counts_bytes_and_not_characters() -> None:
    fits = '{"a":"' + "é" * ((MAX_ARGS_BYTES - 8) // 2) + '"}'
    assert len(NewJob[None]("send", fits).args.encode()) == MAX_ARGS_BYTES
    with pytest.raises(JobTooLarge, match=f"the limit is {MAX_ARGS_BYTES}"):
        NewJob("send", fits.replace("a", "aa"))


def test_refuses_a_bad_task_name() -> None:
    with pytest.raises(InvalidJob, match="task: 'no good' is no name"):
        NewJob("no good")


def test_waits_for_parents_of_every_kind() -> None:
    parent = NewJob[None]("render")
    child = SEND.after(parent, Handle(5, "charge")).after(6, on_failure="run")
    assert [(edge.parent, edge.on_failure) for edge in child.edges] == [
        (parent, "cancel"),
        (Handle(5, "charge"), "cancel"),
        (6, "run"),
    ]
    assert SEND.edges == ()


def test_names_a_parent_once() -> None:
    child = SEND.after(5, Handle(5, "charge")).after(5)
    assert [edge.parent for edge in child.edges] == [5]


def test_refuses_two_policies_for_one_parent() -> None:
    with pytest.raises(InvalidJob, match="send: after: job 5 is a parent already"):
        SEND.after(5).after(Handle(5, "charge"), on_failure="run")


@pytest.mark.parametrize("parent", [0, -1, 2**53, "5", True, None, SEND.edges])
def test_refuses_what_is_no_parent(parent: Any) -> None:
    with pytest.raises(InvalidJob, match="send: after: "):
        SEND.after(parent)


def test_refuses_an_unknown_policy() -> None:
    with pytest.raises(InvalidJob, match=r'on_failure: .* give "cancel" or "run"'):
        SEND.after(5, on_failure="ignore")  # type: ignore[arg-type]


def test_knows_the_id_of_whatever_was_enqueued() -> None:
    assert job_id(7) == job_id(Handle(7, "send")) == job_id(job_from_store(id=7)) == 7
    with pytest.raises(InvalidJob):
        job_id(SEND)  # type: ignore[call-overload]


def test_tells_which_states_are_final() -> None:
    assert {state for state in State if state.finished} == FINISHED
    assert {str(state) for state in FINISHED} == {"completed", "cancelled", "discarded"}


def test_reads_a_job_as_the_store_shows_it() -> None:
    job = job_from_store(
        state="retryable",
        errors=[{"attempt": 1, "type": "ValueError", "message": "no", "at": NOON.isoformat()}],
        progress={"fraction": 0.5, "checkpoint": {"page": 3}},
        tags=["a"],
    )
    assert job.state is State.RETRYABLE
    assert not job.finished
    assert job.errors[0].at == NOON
    assert job.progress is not None
    assert job.progress.checkpoint == {"page": 3}


def test_an_edge_knows_its_parent_by_identity() -> None:
    assert Edge(SEND).parent is SEND


def job_from_store(**columns: Any) -> Job:
    row = {
        "id": 7,
        "task": "send",
        "state": "available",
        "queue": "default",
        "priority": 0,
        "attempt": 1,
        "max_attempts": 10,
        "run_at": NOON.isoformat(),
        "enqueued_at": NOON.isoformat(),
    }
    return msgspec.json.decode(msgspec.json.encode(row | columns), type=Job)
