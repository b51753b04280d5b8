"""Operations are values: what they ask of a store, and how they read its answer, needs no store."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from pgqueue import operations
from pgqueue.backends.plans import carry_out
from pgqueue.errors import InvalidJob, UnknownParent
from pgqueue.jobs.job import FINISHED, Handle, NewJob, State
from pgqueue.jobs.retention import Retention
from pgqueue.operations import (
    Completed,
    Failed,
    Floor,
    Operation,
    Plan,
    Promoted,
    Released,
    Rescue,
    Rescued,
)
from pgqueue.testing.conformance import NOON, a_job


class FakeStore:
    """Answers the statements of an enqueue as a store would, and keeps what it was asked."""

    def __init__(self, *, exist: Iterable[int] = (), held: dict[str, int] | None = None) -> None:
        self.exist = set(exist)
        self.held = held or {}
        self.asked: list[Operation[Any]] = []
        self.ids = iter(range(101, 99_999))

    def execute(self, operation: Operation[Any]) -> Any:
        self.asked.append(operation)
        return operation.decode(getattr(self, operation.name)(operation.params))

    def carry(self, plan: Plan[Any]) -> Any:
        return carry_out(plan, self.execute)

    def names(self) -> list[str]:
        return [operation.name for operation in self.asked]

    def sent(self, name: str, param: str) -> list[Any]:
        """What each operation *name* was given, decoded."""
        asked = [operation.params[param] for operation in self.asked if operation.name == name]
        return [json.loads(text or "null") for text in asked]

    def hold(self, params: Any) -> Any:
        return [[(id,) for id in json.loads(params["ids"]) if id in self.exist], []]

    def enqueue(self, params: Any) -> Any:
        return [[(next(self.ids),) for _ in json.loads(params["jobs"])]]

    def enqueue_unique(self, params: Any) -> Any:
        jobs = list(enumerate(json.loads(params["jobs"]), 1))
        new = [(n, next(self.ids)) for n, job in jobs if job.get("unique_key") not in self.held]
        return [new, list(self.held.items())]

    def link(self, params: Any) -> Any:
        return []


# Enqueue


def test_jobs_without_edges_are_one_statement() -> None:
    store = FakeStore()
    handles = store.carry(operations.enqueue([a_job("a"), a_job("b")]))

    assert store.names() == ["enqueue"]
    assert handles == [Handle(101, "a"), Handle(102, "b")]


@pytest.mark.parametrize(
    ("jobs", "statements"), [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (2_500, 3)]
)
def test_many_jobs_are_sent_a_thousand_at_a_time(jobs: int, statements: int) -> None:
    store = FakeStore()
    handles = store.carry(operations.enqueue([a_job(f"t{n}") for n in range(jobs)]))

    assert store.names() == ["enqueue"] * statements
    assert [handle.task for handle in handles] == [f"t{n}" for n in range(jobs)]
    assert [handle.id for handle in handles] == list(range(101, 101 + jobs))


def test_jobs_that_differ_in_their_arguments_alone_are_described_in_brief() -> None:
    jobs = [a_job("t", args=f'{{"n": {n}}}', queue="mail", priority=3) for n in range(2)]
    asked = operations.enqueue(jobs).send(None)

    assert isinstance(asked, Operation)
    assert asked.shortcut is not None
    assert asked.shortcut.name == "enqueue_alike"
    assert asked.shortcut.params["args"] == '[{"n": 0},{"n": 1}]'
    assert (asked.shortcut.params["queue"], asked.shortcut.params["priority"]) == ("mail", "3")
    rows = json.loads(asked.params["jobs"] or "")
    assert [row["args"] for row in rows] == [{"n": 0}, {"n": 1}]


@pytest.mark.parametrize(
    "other",
    [
        a_job("other"),
        a_job("t", queue="mail"),
        a_job("t", priority=1),
        a_job("t", max_attempts=1),
        a_job("t", timeout=timedelta(seconds=1)),
        a_job("t", run_at=NOON),
        a_job("t", delay=timedelta(0)),
        a_job("t", tags=("vip",)),
        a_job("t", metadata="{}"),
        a_job("t").after(7),
    ],
    ids=lambda job: str(job)[8:],
)
@pytest.mark.parametrize("turn", [1, -1])
def test_jobs_that_differ_in_more_are_not(other: NewJob[Any], turn: int) -> None:
    store = FakeStore(exist=[7])
    store.carry(operations.enqueue([a_job("t"), other][::turn]))
    [asked] = (operation for operation in store.asked if operation.name == "enqueue")

    assert asked.shortcut is None


def test_jobs_of_a_workflow_are_not() -> None:
    asked = operations.enqueue([a_job(), a_job()], workflow=3).send(None)

    assert isinstance(asked, Operation)
    assert asked.shortcut is None


def test_the_next_thousand_is_described_while_a_store_that_can_works_on_the_last() -> None:
    store = FakeStore()
    described: list[int] = []

    def together(asked: Iterable[Operation[Any]]) -> list[Any]:
        answers = []
        for operation in asked:
            described.append(len(store.asked))
            answers.append(store.execute(operation))
        return answers

    plan = operations.enqueue([a_job() for _ in range(2_500)])
    handles = carry_out(plan, store.execute, together)

    assert described == [0, 1, 2]
    assert [handle.id for handle in handles] == list(range(101, 2_601))


def test_a_row_leaves_out_what_the_store_knows_by_default() -> None:
    store = FakeStore()
    store.carry(operations.enqueue([a_job("t", args='{"a": 1}')]))

    assert store.sent("enqueue", "jobs") == [[{"task": "t", "args": {"a": 1}, "wake": True}]]


def test_the_first_of_those_that_become_available_alike_wakes_for_all() -> None:
    store = FakeStore()
    soon = timedelta(seconds=5)
    first = a_job()
    jobs = [
        *(first, a_job(), a_job(priority=1), a_job().after(first)),
        *(a_job(queue="mail"), a_job(delay=soon), a_job(delay=soon), a_job(run_at=NOON)),
    ]
    store.carry(operations.enqueue(jobs))

    [rows] = store.sent("enqueue", "jobs")
    assert [n for n, row in enumerate(rows) if row.get("wake")] == [0, 4, 5, 7]


def test_a_row_says_all_that_was_given() -> None:
    store = FakeStore()
    given = a_job(
        "t",
        queue="q",
        priority=-1,
        delay=timedelta(seconds=1.5),
        max_attempts=3,
        timeout=timedelta(minutes=1),
        tags=("a", "b"),
        metadata='{"m": null}',
    )
    store.carry(operations.enqueue([given, a_job("u", run_at=NOON)]))

    [[row, at]] = store.sent("enqueue", "jobs")
    assert row == {
        "task": "t",
        "args": {},
        "queue": "q",
        "priority": -1,
        "delay_seconds": 1.5,
        "max_attempts": 3,
        "timeout_seconds": 60.0,
        "tags": ["a", "b"],
        "metadata": {"m": None},
        "wake": True,
    }
    assert at == {"task": "u", "args": {}, "run_at": "2030-06-01T12:00:00Z", "wake": True}


def test_arguments_are_sent_as_they_are_written() -> None:
    store = FakeStore()
    store.carry(operations.enqueue([a_job(args='{"n": 1.10, "big": 123456789012345678901}')]))

    [operation] = store.asked
    assert '"args":{"n": 1.10, "big": 123456789012345678901}' in (operation.params["jobs"] or "")


def test_parents_elsewhere_are_held_first() -> None:
    store = FakeStore(exist={5, 7})
    handle: Handle[Any] = Handle(5, "t")
    store.carry(operations.enqueue([a_job().after(7, handle), a_job().after(5)]))

    assert store.names() == ["hold", "enqueue", "link"]
    assert store.sent("hold", "ids") == [[5, 7]]
    assert [row["blocked_by"] for row in store.sent("enqueue", "jobs")[0]] == [2, 1]
    edges = [(edge["child"], edge["parent"]) for edge in store.sent("link", "edges")[0]]
    assert sorted(edges) == [(101, 5), (101, 7), (102, 5)]


def test_an_unknown_parent_is_found_before_anything_is_written() -> None:
    store = FakeStore(exist={5})
    with pytest.raises(UnknownParent, match="no job 7"):
        store.carry(operations.enqueue([a_job(), a_job().after(5, 7)]))

    assert store.names() == ["hold"]


def test_a_parent_must_come_earlier_in_the_call() -> None:
    store = FakeStore()
    late = a_job("late")
    with pytest.raises(UnknownParent, match="child: its parent late comes later") as caught:
        store.carry(operations.enqueue([a_job("child").after(late), late]))

    assert (caught.value.task, caught.value.parameter) == ("child", "after")
    assert store.names() == []


def test_edges_are_sent_with_their_policies() -> None:
    store = FakeStore(exist={5})
    parent = a_job()
    store.carry(operations.enqueue([parent, a_job().after(parent).after(5, on_failure="run")]))

    [edges] = store.sent("link", "edges")
    assert {(edge["child"], edge["parent"], edge["policy"]) for edge in edges} == {
        (102, 101, "cancel"),
        (102, 5, "run"),
    }


def test_many_edges_are_sent_five_thousand_at_a_time() -> None:
    store = FakeStore(held={"k": 9})
    parents = [a_job() for _ in range(80)]
    one, two = a_job(unique="k"), a_job(unique="k")
    children = [a_job().after(*parents) for _ in range(80)]
    store.carry(operations.enqueue([one, two, *parents, a_job().after(one, two), *children]))

    edges = store.sent("link", "edges")
    assert [len(chunk) for chunk in edges] == [5_000, 1_401]
    merged = store.sent("link", "merged")
    assert [len(chunk) for chunk in merged] == [1, 0], "a counter is set before any edge is decided"
    assert merged[0][0]["blocked_by"] == 1


def test_a_held_key_answers_with_its_holder() -> None:
    store = FakeStore(held={"k": 9})
    handles = store.carry(operations.enqueue([a_job("a"), a_job("b", unique="k")]))

    assert store.names() == ["enqueue_unique"]
    assert [(handle.id, handle.created) for handle in handles] == [(101, True), (9, False)]


def test_a_held_job_gets_no_edges() -> None:
    store = FakeStore(held={"k": 9})
    parent = a_job()
    store.carry(operations.enqueue([parent, a_job(unique="k").after(parent)]))

    assert store.names() == ["enqueue_unique"]


def test_a_key_whose_holder_finishes_meanwhile_is_asked_for_again() -> None:
    """It was held when it was asked for, and free when its holder was looked up."""

    class Meanwhile(FakeStore):
        def enqueue_unique(self, params: Any) -> Any:
            if len(self.asked) == 1:
                return [[(1, next(self.ids))], []]
            return super().enqueue_unique(params)

    store = Meanwhile()
    handles = store.carry(operations.enqueue([a_job("a"), a_job("b", unique="k")]))

    assert [row["task"] for row in store.sent("enqueue_unique", "jobs")[1]] == ["b"]
    assert [(h.task, h.id, h.created) for h in handles] == [("a", 101, True), ("b", 102, True)]


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (a_job(), {"default"}),
        (a_job(queue="mail"), {"mail"}),
        (a_job(delay=timedelta(seconds=1)), {"@"}),
        (a_job(delay=timedelta(0)), {"default"}),
        (a_job(run_at=NOON), {"@", "default"}),
        (a_job().after(7), set()),
    ],
)
def test_tells_those_who_could_run_a_new_job(job: NewJob[Any], told: set[str]) -> None:
    assert operations.topics_to_wake([job]) == told


# Parameters


def test_every_parameter_is_text_or_nothing() -> None:
    for operation in (
        operations.claim("q", 1, 2, 3, floors=[Floor(0, 5)], now=NOON),
        operations.complete([Completed(1, 2, "3")]),
        operations.rescue(),
        operations.heartbeat(1, [(2, 3)], {"name": "n"}, session=True, now=NOON),
        operations.elect("leader", 1, timedelta(seconds=30)),
    ):
        assert all(value is None or type(value) is str for value in operation.params.values())


def test_the_stores_clock_rules_unless_an_instant_is_given() -> None:
    assert operations.promote().params["now"] is None
    assert operations.promote(now=NOON).params["now"] == "2030-06-01T12:00:00+00:00"


@pytest.mark.parametrize(
    ("floors", "segments"),
    [
        ([], [(-32769, 0, 32768)]),
        ([Floor(0, 9)], [(-32769, 0, 0), (0, 9, 32768)]),
        ([Floor(-1, 3), Floor(5, 9)], [(-32769, 0, -1), (-1, 3, 5), (5, 9, 32768)]),
    ],
)
def test_floors_cut_a_queue_without_leaving_gaps(
    floors: list[Floor], segments: list[tuple[int, int, int]]
) -> None:
    sent = json.loads(operations.claim("q", 1, 2, 3, floors=floors).params["floors"] or "")

    assert [(cut["priority"], cut["position"], cut["below"]) for cut in sent] == segments


def test_batches_are_sent_in_the_order_of_their_ids() -> None:
    completed = operations.complete([Completed(2, 20), Completed(1, 10, '{"r": 1}')])
    failed = operations.fail([Failed(2, 20, "retry"), Failed(1, 10, "discard")])
    released = operations.release([Released(2, 20), Released(1, 10)])

    for operation in (failed, released):
        assert [job["id"] for job in json.loads(operation.params["jobs"] or "")] == [1, 2]
    assert json.loads(completed.params["jobs"] or "") == [
        {"lease": 10, "ids": "{1}", "results": {"1": {"r": 1}}},
        {"lease": 20, "ids": "{2}", "results": {}},
    ]


def test_jobs_of_one_claim_are_completed_together_as_far_as_the_order_of_ids_allows() -> None:
    jobs = [Completed(5, 10), Completed(1, 10), Completed(2, 10, "7"), Completed(3, 20)]
    completed = operations.complete(jobs)

    assert json.loads(completed.params["jobs"] or "") == [
        {"lease": 10, "ids": "{1,2}", "results": {"2": 7}},
        {"lease": 20, "ids": "{3}", "results": {}},
        {"lease": 10, "ids": "{5}", "results": {}},
    ]


def test_ids_are_sent_once_and_in_order() -> None:
    cancel = operations.cancel([3, Handle(1, "t"), 3, 2])

    assert cancel.params["ids"] == "[1,2,3]"


@pytest.mark.parametrize("wrong", ["1", 1.0, None, True, 0, -1, 2**53])
def test_what_is_no_id_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidJob):
        operations.cancel([wrong])


# Answers


def test_claimed_jobs_come_in_their_order_whatever_the_stores() -> None:
    rest = (1, "t", "{}", 10, None, 0.0, 0, None, None, None, None, "q", "", None)
    rows = [(3, 1, 7, *rest), (1, 0, 9, *rest), (2, 0, 8, *rest)]

    jobs = operations.claim("q", 1, 77, 3).decode([rows])

    assert [(job.id, job.lease, job.queue) for job in jobs] == [
        (2, 77, "q"),
        (1, 77, "q"),
        (3, 77, "q"),
    ]


def test_reads_what_was_promoted_and_when_the_next_is_due() -> None:
    decode = operations.promote().decode

    assert decode([[("a", 2, None, ""), (None, 0, 1.5, None)]]) == Promoted(
        {"a": 2}, timedelta(seconds=1.5)
    )
    assert decode([[(None, 0, None, None)]]) == Promoted({}, None)


def test_reads_what_was_rescued_and_how_many_are_left() -> None:
    rows = [(7, "available", 3, "t"), (None, "2", None, None)]

    assert operations.rescue().decode([[], rows]) == Rescue(
        [Rescued(7, State.AVAILABLE, 3, "t")], workers=2
    )


def test_a_failure_names_only_jobs_whose_lease_held() -> None:
    decode = operations.fail([]).decode

    assert decode([[(None, None, None)]]) == {}
    assert decode([[(1, 10, "retryable")]]) == {(1, 10): State.RETRYABLE}


# Retention


def test_retention_is_by_how_a_job_ended() -> None:
    assert Retention().seconds() == {
        "completed": 86_400.0,
        "cancelled": 7 * 86_400.0,
        "discarded": 30 * 86_400.0,
    }


def test_what_has_no_retention_is_not_kept() -> None:
    assert Retention().archived_states() == FINISHED
    assert Retention(None, None, None).archived_states() == FINISHED
    assert Retention(completed=timedelta(0)).archived_states() == FINISHED - {State.COMPLETED}


def test_a_retention_may_be_said_in_seconds() -> None:
    assert Retention(completed=0) == Retention(timedelta(0))
    assert Retention(discarded=3600).seconds()["discarded"] == 3600


@pytest.mark.parametrize("wrong", [-1, timedelta(seconds=-1), "a week", float("nan"), True])
def test_a_retention_that_is_no_duration_is_refused_at_once(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError), match="Retention: cancelled: "):
        Retention(cancelled=wrong)  # type: ignore[arg-type]
