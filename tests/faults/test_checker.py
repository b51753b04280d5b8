"""The checker's rules, one by one: a story in which all is well, and what must not pass."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from math import inf
from typing import Any

import pytest

from tests.faults.checker import check, repeats
from tests.faults.facts import (
    EVERYBODY,
    STARVED,
    Facts,
    Fate,
    Fault,
    Holders,
    Job,
    Order,
    Parent,
    Worker,
)
from tests.faults.journal import Line, What
from tests.faults.recovery import recoveries
from tests.faults.waits import served

UNTIL_STARTED: dict[str, Any] = {"unique": "key", "started": True}


class Story:
    """Facts, one after the other; a job of two workers, unless given otherwise."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.fates: dict[int, tuple[Fate, float]] = {}
        self.jobs: list[Job] = []
        self.lines: list[Line] = []
        self.faults: list[Fault] = []
        self.bookings: list[tuple[int, str]] = []
        self.workers = [Worker(name, 2, 0.0) for name in ("w1", "w2")]
        self._runs = count(1)

    def order(self, key: int, state: str = "completed", *, told_at: float = 1, **more: Any) -> None:
        """Order *key*, committed; its job has the number 100 + *key*."""
        values = {"plan": "complete", "executor": "async", "asked_at": told_at - 0.1, **more}
        values = {"job": 100 + key, "created": True, **values}
        self.orders.append(Order(key=key, **values))
        self.fates[key] = ("committed", told_at)
        if values["created"]:
            self.jobs.append(Job(values["job"], key, state))

    def run(
        self,
        key: int,
        start: float,
        end: float | None = None,
        what: What = "end",
        worker: str = "w1",
        *,
        accepted: bool | None = None,
        executor: str = "async",
    ) -> str:
        """A run; the one that ends well is accepted, unless given otherwise."""
        name = f"run{next(self._runs)}"
        about = (worker, name, 100 + key, key, executor)
        self.lines.append(Line(start, "start", *about))
        if end is not None:
            self.lines.append(Line(end, what, *about))
        if accepted or (accepted is None and what == "end" and end is not None):
            self.jobs = [
                replace(job, result=name) if job.key == key and job.state == "completed" else job
                for job in self.jobs
            ]
        return name

    def claim(self, key: int, at: float, worker: str = "w1") -> None:
        self.lines.append(Line(at, "claimed", worker, "-", 100 + key, 0, "-"))

    def fault(self, kind: str, at: float, until: float, *workers: str, **more: Any) -> None:
        touched = frozenset(workers) or EVERYBODY
        self.faults.append(Fault(kind, at, until, touched, "jobs", **more))

    @property
    def facts(self) -> Facts:
        return Facts(
            self.orders,
            self.fates,
            self.jobs,
            sorted(self.lines, key=lambda line: line.at),
            self.faults,
            self.workers,
            self.bookings,
        )

    @property
    def broken(self) -> set[str]:
        """The rules that were broken."""
        return {violation.rule for violation in check(self.facts)}


@pytest.fixture
def story() -> Story:
    """Two orders, the second after the first; all is well."""
    story = Story()
    story.order(1)
    story.order(2, parents=(Parent(1, "cancel"),))
    story.run(1, 2, 3)
    story.run(2, 4, 5, worker="w2")
    return story


def test_finds_nothing_wrong_when_all_is_well(story: Story) -> None:
    assert check(story.facts) == []


def test_a_committed_order_that_is_gone(story: Story) -> None:
    story.fates[9] = ("committed", 1)
    assert story.broken == {"kept"}


def test_an_order_that_was_rolled_back_and_is_there(story: Story) -> None:
    story.order(3)
    story.run(3, 2, 3)
    story.fates[3] = ("rolled back", 1)
    assert story.broken == {"kept"}


def test_an_order_of_unknown_fate_may_be_there_or_not(story: Story) -> None:
    story.fates[1] = story.fates[9] = ("unknown", 1)
    assert story.broken == set()


def test_a_committed_job_that_is_lost(story: Story) -> None:
    story.order(3)
    del story.jobs[-1]
    assert story.broken == {"lost"}


def test_a_job_that_is_there_twice(story: Story) -> None:
    story.jobs.append(story.jobs[0])
    assert story.broken == {"lost"}


def test_a_job_without_an_order(story: Story) -> None:
    story.jobs.append(Job(109, 9, "cancelled"))
    assert story.broken == {"phantom"}


def test_a_run_of_a_job_that_was_rolled_back(story: Story) -> None:
    story.fates[9] = ("rolled back", 1)
    story.run(9, 2, 3)
    assert story.broken == {"phantom"}


@pytest.mark.parametrize("state", ["available", "running", "blocked", "scheduled", "retryable"])
def test_a_job_that_has_not_ended(story: Story, state: str) -> None:
    story.order(3, state)
    assert story.broken == {"terminal"}


def test_a_job_that_ended_as_nobody_wanted(story: Story) -> None:
    story.order(3, "discarded")
    assert story.broken == {"ending"}


@pytest.mark.parametrize("plan", ["discard", "cancel"])
def test_a_job_that_ended_as_it_was_ordered(story: Story, plan: str) -> None:
    state: Any = {"discard": "discarded", "cancel": "cancelled"}[plan]
    story.order(3, state, plan=plan)
    story.run(3, 2, 3, state)
    assert story.broken == set()


def test_a_child_that_ran_before_its_parent_had_ended(story: Story) -> None:
    story.order(3, parents=(Parent(1, "run"), Parent(2, "run")))
    story.run(3, 4.5, 6)
    assert story.broken == {"edges"}


def test_a_child_may_run_while_its_parent_waits_in_vain_to_hear_of_its_commit(story: Story) -> None:
    story.order(3)
    run = story.run(3, 2, 3)
    story.lines.append(Line(15, "interrupted", "w1", run, 103, 3, "async"))
    story.order(4, parents=(Parent(3, "run"),))
    story.run(4, 4, 5)
    assert story.broken == set()


def test_a_child_that_ran_although_its_parent_was_cancelled(story: Story) -> None:
    story.order(3, "cancelled", plan="cancel")
    story.run(3, 2, 3, "cancelled")
    story.order(4, parents=(Parent(3, "cancel"),))
    story.run(4, 4, 5)
    assert story.broken == {"edges"}


def test_a_child_that_runs_when_its_parent_was_cancelled_as_its_edge_says(story: Story) -> None:
    story.order(3, "cancelled", plan="cancel")
    story.run(3, 2, 3, "cancelled")
    story.order(4, parents=(Parent(3, "run"),))
    story.run(4, 4, 5)
    assert story.broken == set()


def test_a_child_of_a_stale_run_may_start_before_that_one_ends(story: Story) -> None:
    story.order(3)
    story.run(3, 2, 9, worker="w2", accepted=False)
    story.fault("frozen", 2.5, 8, "w2")
    story.run(3, 5, 6)
    story.order(4, parents=(Parent(3, "cancel"),))
    story.run(4, 7, 8)
    assert story.broken == set()


def test_an_end_that_was_accepted_from_a_stale_lease(story: Story) -> None:
    story.order(3)
    story.run(3, 2, 9, worker="w2", accepted=True)
    story.fault("frozen", 2.5, 8, "w2")
    story.run(3, 5, 10, worker="w1", accepted=False)
    assert story.broken == {"fenced"}


def test_a_stale_run_that_started_late_is_no_wrong(story: Story) -> None:
    story.order(3)
    story.run(3, 5, 6, worker="w1")
    story.fault("frozen", 2.5, 8, "w2")
    story.run(3, 8.1, 9, worker="w2", accepted=False)
    assert story.broken == set()


def test_a_completion_by_no_run(story: Story) -> None:
    story.order(3)
    assert story.broken == {"fenced"}


def test_a_commit_whose_answer_was_lost_is_no_wrong(story: Story) -> None:
    story.order(3, executor="book")
    run = story.run(3, 2, 3)
    story.lines.append(Line(3.1, "broke", "w1", run, 103, 3, "async"))
    story.fault("restarted", 2.9, 3)
    story.bookings.append((103, run))
    assert story.broken == set()


def test_a_booking_without_its_completion(story: Story) -> None:
    story.order(3, executor="book")
    stale = story.run(3, 2, 3, worker="w2", accepted=False)
    story.fault("frozen", 2.5, 8, "w2")
    story.bookings += [(103, stale), (103, story.run(3, 5, 6))]
    assert story.broken == {"booked"}


@pytest.mark.parametrize("children", [0, 2])
def test_what_a_job_enqueues_appears_once(story: Story, children: int) -> None:
    story.order(3, plan="spawn")
    story.run(3, 2, 3)
    story.jobs += [Job(200 + n, -3, "completed", story.run(100 + n, 4, 5)) for n in range(children)]
    assert story.broken == {"spawned"}


def test_more_jobs_at_once_than_a_worker_may_run(story: Story) -> None:
    for key in (3, 4, 5):
        story.order(key)
        story.run(key, 10, 11, worker="w2")
    assert story.broken == {"concurrency"}


def test_as_many_jobs_at_once_as_a_worker_may_run(story: Story) -> None:
    for key in (3, 4):
        story.order(key)
        story.run(key, 10, 11, worker="w2")
    story.order(5)
    story.run(5, 11, 12, worker="w2")
    assert story.broken == set()


def test_a_second_job_with_a_key_that_is_held(story: Story) -> None:
    story.order(3, unique="key", told_at=1)
    story.run(3, 2, 6)
    story.order(4, unique="key", told_at=4)
    story.run(4, 7, 8)
    assert story.broken == {"unique"}


def test_a_second_job_once_the_key_is_free(story: Story) -> None:
    story.order(3, unique="key", told_at=1)
    story.run(3, 2, 3)
    story.order(4, unique="key", told_at=4)
    story.run(4, 5, 6)
    story.order(5, unique="key", told_at=5.5, created=False, job=104)
    assert story.broken == set()


@pytest.fixture
def keyed(story: Story) -> Story:
    """A job with a key that holds until it has started, and two triggers: one that found it
    waiting, one that found it running, whose job comes behind it; all is well."""
    story.order(3, told_at=1, **UNTIL_STARTED)
    story.order(4, told_at=1.5, **UNTIL_STARTED, created=False, job=103, outcome="existing")
    story.run(3, 2, 6)
    story.order(5, told_at=4, **UNTIL_STARTED, outcome="next")
    story.run(5, 7, 8)
    return story


def test_a_job_whose_key_is_free_once_it_has_started(keyed: Story) -> None:
    keyed.order(6, told_at=5, **UNTIL_STARTED, created=False, job=105, outcome="existing")
    keyed.order(7, told_at=7.5, **UNTIL_STARTED, outcome="next")
    keyed.run(7, 9, 10)
    keyed.order(8, told_at=11, **UNTIL_STARTED)
    keyed.run(8, 12, 13)
    assert keyed.broken == set()


def test_a_second_job_although_the_first_has_not_ended(keyed: Story) -> None:
    keyed.orders[-1] = replace(keyed.orders[-1], outcome="created")
    assert keyed.broken == {"started"}


def test_a_third_job_although_the_first_has_not_ended(keyed: Story) -> None:
    keyed.order(6, told_at=5, **UNTIL_STARTED, outcome="next")
    keyed.run(6, 9, 10)
    assert keyed.broken == {"started"}


def test_a_second_job_that_runs_beside_the_first(keyed: Story) -> None:
    keyed.order(6, told_at=7.5, **UNTIL_STARTED, outcome="next")
    keyed.run(6, 7.9, 9)
    assert keyed.broken == {"started"}


def test_a_second_job_that_runs_before_the_first_runs_again(keyed: Story) -> None:
    keyed.order(6, "discarded", told_at=7.5, **UNTIL_STARTED, outcome="next", plan="discard")
    keyed.run(6, 9, 9.5, "failed")
    keyed.run(6, 11, 12, "discarded")
    keyed.order(7, told_at=9.2, **UNTIL_STARTED, outcome="next")
    keyed.run(7, 13, 14)
    assert keyed.broken == set()
    keyed.lines = [replace(line, at=line.at - 3) if line.key == 7 else line for line in keyed.lines]
    assert keyed.broken == {"started"}


def test_a_second_job_of_unknown_fate_may_have_come_later(keyed: Story) -> None:
    keyed.orders[-1] = replace(keyed.orders[-1], outcome="created")
    keyed.fates[5] = ("unknown", 4)
    assert keyed.broken == set()


def test_a_trigger_that_a_running_job_answered(keyed: Story) -> None:
    keyed.order(6, told_at=7.5, **UNTIL_STARTED, created=False, job=105, outcome="existing")
    assert keyed.broken == {"triggered"}


def test_a_trigger_that_a_job_answered_which_was_to_run_again(keyed: Story) -> None:
    keyed.order(6, told_at=9, **UNTIL_STARTED, plan="fail")
    keyed.run(6, 10, 11, "failed")
    keyed.order(7, told_at=11.5, **UNTIL_STARTED, created=False, job=106, outcome="existing")
    keyed.run(6, 12, 13)
    assert keyed.broken == set()


@pytest.mark.parametrize(
    ("unfinished", "free", "unclaimed"), [(3, 1, 1), (2, 2, 1), (2, 1, 2), (2, 1, 1)]
)
def test_what_a_snapshot_shows_of_a_key(
    keyed: Story, unfinished: int, free: int, unclaimed: int
) -> None:
    seen = Holders("key", unfinished, free, unclaimed)
    facts = replace(keyed.facts, holders={seen})
    broken = {violation.rule for violation in check(facts)}
    assert broken == (set() if (unfinished, free, unclaimed) == (2, 1, 1) else {"started"})


def test_a_job_that_ran_twice_although_nothing_had_happened(story: Story) -> None:
    story.order(3)
    story.run(3, 2, None)
    story.run(3, 5, 6, worker="w2")
    story.fault("killed", 30, 31, "w1")
    assert story.broken == {"rerun"}


def test_a_job_that_ran_twice_because_its_worker_was_killed(story: Story) -> None:
    story.order(3)
    story.run(3, 2, None)
    story.fault("killed", 3, 3.5, "w1")
    story.run(3, 5, 6, worker="w2")
    assert story.broken == set()
    assert [repeat.fault for repeat in repeats(story.facts)] == ["killed"]
    assert recoveries(story.facts) == {"killed": [2]}


def test_a_recovery_amid_other_faults_is_counted_apart(story: Story) -> None:
    story.order(3)
    story.run(3, 20, None)
    story.run(3, 32, 33, worker="w2")
    story.fault("killed", 30, 31, "w1")
    story.fault("row held", 5, 60, held=frozenset(), robs=False)
    story.fault(STARVED, 29, 31, robs=True)
    assert recoveries(story.facts) == {"killed": [2]}
    story.fault("restarted", 15, 19)
    assert recoveries(story.facts) == {"killed": [2]}
    story.fault("restarted", 15, 21)
    assert recoveries(story.facts) == {"killed amid others": [2]}
    story.faults[-1] = replace(story.faults[-1], struck_at=31.5, healed_at=40)
    assert recoveries(story.facts) == {"killed amid others": [2]}


def test_a_fault_of_others_explains_nothing(story: Story) -> None:
    story.order(3)
    story.run(3, 2, None)
    story.fault("killed", 3, 3.5, "w9")
    story.run(3, 5, 6, worker="w2")
    assert story.broken == {"rerun"}


@pytest.mark.parametrize("what", ["failed", "snoozed"])
def test_a_job_that_runs_twice_because_its_order_says_so(story: Story, what: What) -> None:
    story.order(3, plan="fail")
    story.run(3, 2, 3, what)
    story.run(3, 4, 5)
    assert story.broken == set()


def test_a_task_that_broke_although_nothing_had_happened(story: Story) -> None:
    story.order(3)
    story.run(3, 2, 3, "broke")
    story.run(3, 4, 5)
    assert story.broken == {"rerun"}


def test_a_worker_that_was_starved_is_no_wrong(story: Story) -> None:
    story.order(3)
    story.run(3, 2, None)
    story.lines.append(Line(6, "stalled", "w1", "-", 0, 0, "-", 4))
    story.run(3, 7, 8, worker="w2")
    assert story.broken == set()


def test_a_job_that_was_taken_from_a_worker_which_lived_through_an_outage(story: Story) -> None:
    story.order(3)
    story.run(3, 2, 30, accepted=False)
    story.fault("suspended", 5, 20, robs=False)
    story.run(3, 21, 31, worker="w2")
    assert story.broken == {"robbed"}


def test_a_job_of_a_worker_that_died_in_an_outage(story: Story) -> None:
    story.order(3)
    story.run(3, 2, None)
    story.fault("suspended", 5, 20, robs=False)
    story.fault("killed", 6, 7, "w1")
    story.run(3, 21, 31, worker="w2")
    assert story.broken == set()


def test_that_another_worker_died_is_no_reason_to_rob_this_one(story: Story) -> None:
    story.order(3)
    story.run(3, 2, 30, accepted=False)
    story.fault("killed", 6, 7, "w3")
    story.fault("restarted", 6, 7, robs=False)
    story.run(3, 21, 31, worker="w2")
    assert story.broken == {"robbed"}


def test_that_a_suspended_machine_starved_its_workers_is_no_reason_to_rob_one(story: Story) -> None:
    story.order(3)
    story.run(3, 2, 30, accepted=False)
    story.fault("suspended", 5, 20, robs=False)
    story.lines.append(Line(20.5, "stalled", "w1", "-", 0, 0, "-", 15))
    story.run(3, 21, 31, worker="w2")
    assert story.broken == {"robbed"}


def test_a_job_that_waited_behind_what_somebody_else_held(story: Story) -> None:
    story.order(3)
    story.fault("held", 2, 30, robs=False, held=frozenset({101}))
    story.run(3, 25, 26)
    assert story.broken == {"waited"}


def test_a_job_that_waited_in_the_hands_of_a_busy_worker(story: Story) -> None:
    story.order(3, executor="process")
    story.fault("held", 2, 30, robs=False, held=frozenset({101}))
    story.claim(3, 4)
    story.run(3, 25, 26, executor="process")
    assert story.broken == set()


def test_a_job_that_waited_for_a_parent_whose_other_child_was_held(story: Story) -> None:
    """The parent's end is one transaction, which needs all its children's rows."""
    story.order(3)
    for key in (4, 5):
        story.order(key, parents=(Parent(3, "run"),))
    story.run(3, 2, 3)
    story.fault("held", 2.5, 30, robs=False, held=frozenset({104}))
    for key in (4, 5):
        story.run(key, 29, 30)
    assert story.broken == set()


def test_a_job_that_was_claimed_before_its_producer_heard_of_the_commit(story: Story) -> None:
    story.order(3, told_at=3, executor="process")
    story.fault("held", 2, 30, robs=False, held=frozenset({101}))
    story.claim(3, 2.9)
    story.run(3, 25, 26, executor="process")
    assert story.broken == set()


def test_the_claim_of_a_run_before_says_nothing_of_the_next(story: Story) -> None:
    story.order(3)
    story.claim(3, 2)
    story.run(3, 2, 3, "failed")
    story.fault("held", 2, 30, robs=False, held=frozenset({101}))
    story.run(3, 25, 26)
    assert story.broken == {"waited"}


def test_a_job_that_nobody_claimed_for_long_although_its_worker_ran_it_at_once(
    story: Story,
) -> None:
    story.order(3)
    story.fault("held", 2, 30, robs=False, held=frozenset({101}))
    story.claim(3, 24.9)
    story.run(3, 25, 26)
    assert story.broken == {"waited"}


def test_a_job_that_waited_after_the_end_of_the_worker_that_had_claimed_it(story: Story) -> None:
    story.workers[0] = replace(story.workers[0], ended_at=5)
    story.fault("killed", 5, 6, "w1")
    story.order(3)
    story.fault("held", 2, 40, robs=False, held=frozenset({101}))
    story.claim(3, 4)
    story.claim(3, 24.9, "w2")
    story.run(3, 25, 26, worker="w2")
    assert story.broken == {"waited"}


def test_a_job_that_waited_for_the_one_that_was_held(story: Story) -> None:
    story.order(3)
    story.order(4, parents=(Parent(3, "run"),))
    story.run(3, 2, 3)
    story.fault("held", 2.5, 30, robs=False, held=frozenset({103}))
    story.run(4, 29, 30)
    assert story.broken == set()


def test_jobs_of_a_dead_worker_that_waited_for_one_that_is_held(story: Story) -> None:
    story.workers[0] = replace(story.workers[0], ended_at=5)
    story.fault("killed", 5, 6, "w1")
    story.fault("held", 4, 30, robs=False, held=frozenset({103}))
    for key in (3, 4):
        story.order(key)
        story.run(key, 3, None)
    story.run(3, 31, 32, worker="w2")
    story.run(4, 31, 32, worker="w2")
    assert [(each.rule, each.job) for each in check(story.facts)] == [("waited", 104)]


def test_jobs_of_a_dead_worker_whose_own_row_is_held(story: Story) -> None:
    story.workers[0] = replace(story.workers[0], ended_at=5)
    story.fault("killed", 5, 6, "w1")
    story.fault("held", 4, 30, "w9", robs=False, held=frozenset())
    story.order(3)
    story.run(3, 3, None)
    story.run(3, 31, 32, worker="w2")
    assert story.broken == {"waited"}


def test_a_wait_that_an_outage_explains(story: Story) -> None:
    story.order(3)
    story.fault("held", 2, 30, robs=False, held=frozenset())
    story.fault("away", 3, 20, robs=False)
    story.run(3, 22, 23)
    assert story.broken == set()


def test_a_job_is_waited_for_from_when_it_is_due(story: Story) -> None:
    story.order(3, delay=20.0)
    story.fault("held", 2, 30, robs=False, held=frozenset())
    story.run(3, 22, 23)
    assert story.broken == set()


def test_a_worker_that_ended_by_itself(story: Story) -> None:
    story.workers.append(Worker("w3", 2, 0.0, 5.0, asked=False, exit_code=1))
    assert story.broken == {"alive"}


def test_a_worker_that_does_not_stop_when_it_is_told_to(story: Story) -> None:
    story.workers.append(Worker("w3", 2, 0.0, 65.0, hung=True))
    assert story.broken == {"alive"}


def test_a_worker_that_takes_no_jobs_any_more(story: Story) -> None:
    facts = replace(story.facts, roll_call={"w1": True, "w2": False})
    assert {violation.rule for violation in check(facts)} == {"alive"}


def test_a_run_that_was_cut_short_counts_until_its_worker_ends(story: Story) -> None:
    story.workers[0] = replace(story.workers[0], ended_at=20)
    story.fault("killed", 20, 21, "w1")
    for key in (3, 4, 5):
        story.order(key)
        story.run(key, 10 + key, None)
        story.run(key, 30 + 2 * key, 31 + 2 * key, worker="w2")
    assert story.broken == {"concurrency"}
    assert story.workers[1].ended_at == inf


def test_time_in_which_no_worker_was_there_is_nobodys_fault(story: Story) -> None:
    story.workers = [Worker("w1", 2, 0, 12), Worker("w2", 2, 0, ready_at=20)]
    story.fault("frozen", 9, 9.5, "w1")
    assert served(story.facts, 2, 30) == 17
    assert served(story.facts, 10, 19) == 0
    story.workers.append(Worker("w3", 2, 0, 15, ready_at=8))
    assert served(story.facts, 2, 30) == 23
