"""The checker, on a pgqueue that is broken on purpose: it reports that, and nothing else."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults import broken
from tests.faults.checker import Violation, check
from tests.faults.fleet import Process
from tests.faults.journal import read
from tests.faults.kinds import Kind
from tests.faults.kinds.processes import WorkerFrozen, WorkerKilled
from tests.faults.rounds import Plan, Played, play
from tests.faults.sites.postgres import PostgresSite
from tests.worker.process import eventually

pytestmark = pytest.mark.skipif(
    "PGQUEUE_SLOW" not in os.environ, reason="slow: set PGQUEUE_SLOW=1, as before a campaign"
)


class AtWork(Kind):
    """Befalls a worker that has a job of five seconds in hand."""

    def victim(self) -> Process:
        keys = self.scene.producer.order("async", 5.0, 4)
        fleet = self.scene.fleet

        def found() -> Process | None:
            at_work = {line.worker for line in read(fleet.journal) if line.key in keys}
            return next((each for each in fleet.living() if each.name in at_work), None)

        return eventually(found, within=60)


class FrozenAtWork(AtWork, WorkerFrozen):
    """It thaws while the job runs elsewhere."""

    lasts = (8.0, 8.0)

    def strike(self) -> frozenset[str]:
        self.worker = self.victim()
        self.worker.send(signal.SIGSTOP)
        return frozenset({self.worker.name})


class KilledAtWork(AtWork, WorkerKilled):
    def strike(self) -> frozenset[str]:
        self.worker = self.victim()
        self.scene.fleet.end(self.worker, signal.SIGKILL)
        return frozenset({self.worker.name})


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that the server's user can reach, which pytest's own is not."""
    with TemporaryDirectory(prefix="pgqueue-faults-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def played(
    folder: Path,
    kinds: list[type[Kind]],
    patches: tuple[broken.Patch, ...],
    seconds: float,
    seed: int = 1,
) -> Played:
    folder = folder / f"{seed}"
    folder.mkdir(mode=0o755)
    code = broken.build(folder, patches) if patches else None
    return play(Plan(PostgresSite, kinds, seconds, seed, slots=2, patience=12, code=code), folder)


def found(folder: Path, kind: type[Kind], patches: tuple[broken.Patch, ...]) -> list[Violation]:
    """What the checker finds, once the fault has hit where it is broken: who is struck, and when,
    depends on the machine. So this is part of the campaigns, not of the suite."""
    rounds = (check(played(folder, [kind], patches, 3, seed).facts) for seed in range(1, 5))
    return next(filter(None, rounds), [])


def rules(violations: list[Violation]) -> Counter[str]:
    return Counter(violation.rule for violation in violations)


@pytest.mark.timeout(180)
def test_finds_nothing_wrong_when_nothing_is(folder: Path) -> None:
    violations = check(played(folder, [FrozenAtWork], (), 3).facts)

    assert violations == []


@pytest.mark.timeout(180)
def test_reports_a_broken_fence(folder: Path) -> None:
    broken_rules = set(rules(found(folder, FrozenAtWork, broken.FENCING)))

    assert "fenced" in broken_rules
    assert broken_rules <= {"fenced", "spawned"}  # what a stale end enqueues is there too


@pytest.mark.timeout(180)
def test_reports_broken_edges(folder: Path) -> None:
    violations = check(played(folder, [], broken.EDGES, 8).facts)

    assert set(rules(violations)) == {"edges"}


@pytest.mark.timeout(180)
def test_reports_a_broken_rescue(folder: Path) -> None:
    assert set(rules(found(folder, KilledAtWork, broken.RESCUE))) == {"terminal"}
