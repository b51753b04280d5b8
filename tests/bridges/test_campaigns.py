"""The campaigns in miniature: everything dies once, every message is counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgqueue.jobs.job import Job, State
from tests.bridges import campaign, campaign_in
from tests.bridges.campaign import Committed, Found
from tests.bridges.outage import Arrivals, outage
from tests.bridges.rabbit import Rabbit
from tests.bridges.stands import STORES, Place, Store, store


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Store]:
    with store("postgres", tmp_path) as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_what_is_committed_is_published_whatever_dies(
    kind: str, broker: Rabbit, postgres: Store, tmp_path: Path
) -> None:
    rounds = ["worker", "connections", "frozen worker", "frozen broker", "store"]
    rounds += ["broker", "alarm", "worker", "queue"]
    place = Place(broker, f"{tmp_path.name}-{kind}", kind)

    assert campaign.outlet(place, postgres, tmp_path, count=1_500, rounds=rounds, pace=0.008) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", STORES)
def test_a_message_is_one_job_and_one_row_whatever_dies(
    name: str, broker: Rabbit, tmp_path: Path
) -> None:
    rounds = ["worker", "connections", "store", "frozen broker", "broker", "frozen worker"]
    place = Place(broker, f"{tmp_path.name}-in")

    with store(name, tmp_path) as where:
        assert (
            campaign_in.inlet(place, where, tmp_path, count=1_000, rounds=rounds, pace=0.004) == []
        )


@pytest.mark.slow
def test_poison_stops_nobody_and_is_read_when_the_code_is_mended(
    broker: Rabbit, postgres: Store, tmp_path: Path
) -> None:
    place = Place(broker, f"{tmp_path.name}-poison")

    assert campaign_in.poison(place, postgres, tmp_path, count=500, share=25) == []


@pytest.mark.slow
def test_an_outage_costs_nothing(broker: Rabbit, postgres: Store, tmp_path: Path) -> None:
    place = Place(broker, f"{tmp_path.name}-outage")

    # Shorter, the statistics would still tell of what was enqueued.
    found = outage(place, postgres, tmp_path, count=1_000, seconds=25)

    assert [wrong for wrong in found if "full rate" not in wrong] == []  # how fast: at length


def test_the_checker_sees_what_goes_wrong() -> None:
    committed = set(range(0, 100, 2))
    fine = [(n, Committed.id_of(n)) for n in sorted(committed)]

    def told(came: list[tuple[int, str]]) -> str:
        return "; ".join(Found(came).complaints(committed, 0))

    assert told(fine) == ""
    assert "1 committed messages never came" in told(fine[1:])
    assert "1 messages came that were rolled back" in told([*fine, (3, Committed.id_of(3))])
    assert "another id" in told([*fine[1:], (0, "x")])
    assert "1 repeats after 0 faults" in told([*fine, fine[0]])
    assert "key k0: first arrivals are out of order" in told([fine[25], *fine])  # 50 before 0


def job(n: int, *, task: str = "settle", state: State = State.COMPLETED) -> Job:
    now = datetime.now(UTC)
    return Job(
        id=n,
        task=task,
        state=state,
        queue="default",
        priority=0,
        args={"n": n},
        attempt=1,
        max_attempts=1,
        run_at=now,
        enqueued_at=now,
    )


def test_the_checker_of_the_inlet_sees_what_goes_wrong() -> None:
    jobs = [job(n) for n in range(3)]

    def told(jobs: list[Job], rows: list[int] | None = None) -> str:
        return "; ".join(campaign_in.complaints(jobs, rows, 3))

    assert told(jobs) == told(jobs, [0, 1, 2]) == ""
    assert "1 messages have no jobs" in told(jobs[1:])
    assert "1 messages have several jobs" in told([*jobs, jobs[0]])
    assert "1 jobs are of no message" in told([*jobs, job(7)])
    assert "1 messages have several rows" in told(jobs, [0, 1, 2, 2])
    assert "1 messages have no rows" in told(jobs, [0, 2])
    assert "1 jobs are not completed" in told([*jobs[1:], job(0, state=State.DISCARDED)])
    assert "1 jobs of other tasks" in told([*jobs, job(0, task="come")])


def test_messages_that_flow_late_are_seen() -> None:
    seen = [(100 + n / 10, max(0, min(1_000, (n - 30) * 10))) for n in range(200)]

    late, rate = Arrivals(seen).late(back=101.0)

    assert (round(late, 1), round(rate)) == (2.0, 100)
