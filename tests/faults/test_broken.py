"""The checker, on a pgqueue that is broken on purpose: it reports that, and nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults import broken, editor
from tests.faults.checker import Violation, check
from tests.faults.fleet import Process
from tests.faults.journal import read
from tests.faults.kinds import Kind
from tests.faults.kinds.holders import RowHeld
from tests.faults.kinds.outages import MachineSuspended
from tests.faults.kinds.processes import WorkerFrozen, WorkerKilled
from tests.faults.rounds import Plan, Played, play
from tests.faults.sites.postgres import PostgresSite
from tests.worker.process import eventually

pytestmark = pytest.mark.slow
OF_EDITS = {"heeded", "single"}  # what else breaks then: editors' jobs are jobs like all others


class AtWork(Kind):
    """Befalls a worker that has a job of five seconds in hand."""

    spares_the_leader = False

    def leader(self) -> str | None:
        with self.site.admin() as admin:
            row = admin.execute(
                "SELECT w.name FROM pgqueue.leader AS l JOIN pgqueue.worker AS w ON w.id = l.worker"
            ).fetchone()
        return row and str(row[0])

    def victim(self, jobs: int = 2, in_hand: int = 1) -> Process:
        """Few jobs at a time, until such a worker has *in_hand* of them: others stay free."""
        fleet = self.scene.fleet
        leader = self.leader() if self.spares_the_leader else None

        def found() -> Process | None:
            keys = self.scene.producer.order("async", 5.0, jobs)
            eventually(lambda: keys[-1] in {line.key for line in read(fleet.journal)}, within=60)
            hands = Counter(line.worker for line in read(fleet.journal) if line.key in keys)
            return next(
                (
                    each
                    for each in fleet.living()
                    if hands[each.name] >= in_hand and each.name != leader
                ),
                None,
            )

        return eventually(found, within=60)


class FrozenAtWork(AtWork, WorkerFrozen):
    """It thaws while the job runs elsewhere; unless it leads, when it takes too long until somebody
    else does, and has seen that it is silent."""

    spares_the_leader = True

    @classmethod
    def span(cls) -> tuple[float, float]:
        return 8.0, 8.0

    def strike(self) -> frozenset[str]:
        self.worker = self.victim()
        self.worker.send(signal.SIGSTOP)
        return frozenset({self.worker.name})


class SuspendedAtWork(AtWork, MachineSuspended):
    def strike(self) -> frozenset[str]:
        self.victim()
        return super().strike()


class KilledWhileOneJobIsHeld(AtWork, RowHeld):
    """Another transaction locks one of its jobs; the others have nothing to do with that."""

    name = "killed-and-held"
    condition = False
    always = False
    robs = True

    def strike(self) -> frozenset[str]:
        self.worker = self.victim(jobs=6, in_hand=2)
        with self.site.admin() as admin:
            row = admin.execute(
                "SELECT w.id FROM pgqueue.worker AS w WHERE w.name = %s", [self.worker.name]
            ).fetchone()
        self.find = f"""
            SELECT id FROM pgqueue.job WHERE state = 'running' AND worker = {row[0]}
            ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
        """  # type: ignore[assignment]
        super().strike()
        self.scene.fleet.end(self.worker, signal.SIGKILL)
        self.scene.fleet.relaunch(self.worker.slot)
        return frozenset({self.worker.name})


class KilledAtWork(AtWork, WorkerKilled):
    def strike(self) -> frozenset[str]:
        self.worker = self.victim()
        self.scene.fleet.end(self.worker, signal.SIGKILL)
        return frozenset({self.worker.name})


class LeaderKilled(AtWork, WorkerKilled):
    """The one that fires schedules."""

    def strike(self) -> frozenset[str]:
        self.worker = next(
            (each for each in self.scene.fleet.living() if each.name == self.leader()),
            self.scene.victim(),
        )
        self.scene.fleet.end(self.worker, signal.SIGKILL)
        return frozenset({self.worker.name})


class Rush(Kind):
    """More is ordered of a queue with limits than these allow."""

    name = "rush"
    robs = False
    seconds = 0.2

    def strike(self) -> frozenset[str]:
        self.scene.producer.order("call", self.seconds, 40)
        return frozenset()


class LongRush(Rush):
    """Of jobs so long that it is their keys that limit them, and not the rate."""

    seconds = 1.5


class Triggers(Kind):
    """One after the other, they find the key's job waiting, and running."""

    name = "triggers"
    robs = False

    def strike(self) -> frozenset[str]:
        for _ in range(20):
            self.scene.producer.order("async", 0.5, 1, started="key")
        return frozenset()


class BrokenInside(PostgresSite):
    """The copy brings the store's own functions, which its workers alone would not use."""

    def migrate(self) -> None:
        says = "import sys; from pgqueue import migrations; migrations.migrate(sys.argv[1])"
        subprocess.run(
            [sys.executable, "-c", says, self.url("migrate")], cwd=self.folder / "code", check=True
        )


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
    gap: float = 0.15,
    site: type[PostgresSite] = PostgresSite,
) -> Played:
    folder = folder / f"{seed}"
    folder.mkdir(mode=0o755)
    code = broken.build(folder, patches) if patches else None
    plan = Plan(site, kinds, seconds, seed, slots=2, gap=gap, patience=12, code=code)
    return play(plan, folder)


def found(
    folder: Path, kind: type[Kind], patches: tuple[broken.Patch, ...], gap: float = 0.15
) -> list[Violation]:
    """What the checker finds, once the fault has hit where it is broken: who is struck, and when,
    depends on the machine. So this is part of the campaigns, not of the suite."""
    rounds = (check(played(folder, [kind], patches, 3, seed, gap).facts) for seed in range(1, 5))
    return next(filter(None, rounds), [])


def rules(violations: list[Violation]) -> Counter[str]:
    return Counter(violation.rule for violation in violations)


@pytest.mark.timeout(300)
def test_finds_nothing_wrong_when_nothing_is(folder: Path) -> None:
    violations = check(played(folder, [FrozenAtWork, Triggers], (), 3).facts)

    assert violations == []


@pytest.mark.timeout(300)
def test_reports_a_broken_fence(folder: Path) -> None:
    broken_rules = set(rules(found(folder, FrozenAtWork, broken.FENCING, gap=2.0)))

    assert "fenced" in broken_rules
    # What a stale end enqueues is there too.
    assert broken_rules <= {"fenced", "spawned", *OF_EDITS}


@pytest.mark.timeout(300)
def test_reports_broken_edges(folder: Path) -> None:
    violations = check(played(folder, [], broken.EDGES, 8).facts)

    assert set(rules(violations)) == {"edges"}


@pytest.mark.timeout(300)
def test_reports_a_broken_rescue(folder: Path) -> None:
    assert set(rules(found(folder, KilledAtWork, broken.RESCUE))) == {"terminal"}


@pytest.mark.timeout(300)
def test_finds_nothing_wrong_when_machines_are_suspended_and_rows_are_held(folder: Path) -> None:
    assert check(played(folder, [SuspendedAtWork], (), 3).facts) == []
    assert check(played(folder, [KilledWhileOneJobIsHeld], (), 3, 2, gap=0.5).facts) == []


@pytest.mark.timeout(300)
def test_reports_that_live_workers_were_robbed_after_an_outage(folder: Path) -> None:
    broken_rules = set(rules(found(folder, SuspendedAtWork, broken.ROBBERY)))

    assert "robbed" in broken_rules
    # It robs them when nothing has happened, too.
    assert broken_rules <= {"robbed", "rerun", *OF_EDITS}


@pytest.mark.timeout(300)
def test_reports_jobs_that_wait_behind_a_row_of_somebody_else(folder: Path) -> None:
    violations = check(played(folder, [KilledWhileOneJobIsHeld], broken.HELD, 3, gap=0.5).facts)

    assert set(rules(violations)) == {"waited"}


@pytest.mark.timeout(300)
def test_reports_nothing_when_everybody_leads(folder: Path) -> None:
    assert check(played(folder, [], broken.ALL_LEAD, 8).facts) == []


@pytest.mark.timeout(300)
def test_reports_schedules_that_are_not_compared_with_what_was_read(folder: Path) -> None:
    assert "fired" in rules(check(played(folder, [], broken.NOT_COMPARED, 8).facts))


@pytest.mark.timeout(300)
def test_reports_instants_that_were_lost_between_two_transactions(folder: Path) -> None:
    broken_rules = set(rules(found(folder, LeaderKilled, broken.TORN)))

    assert broken_rules & {"fired", "unfired"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("patches", "rule"),
    [(broken.NOT_REPLACED, "fired"), (broken.NOT_STOPPED, "replaced")],
    ids=["nothing is replaced", "what runs is not stopped"],
)
def test_reports_older_jobs_that_go_on(
    folder: Path, patches: tuple[broken.Patch, ...], rule: str
) -> None:
    assert rule in rules(check(played(folder, [], patches, 16, gap=0.5).facts))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["FIRST_SNAPSHOT", "NO_LOCK"])
def test_reports_more_jobs_of_a_key_than_may_run(folder: Path, name: str) -> None:
    assert "crowded" in rules(found(folder, LongRush, broken.ALL[name], gap=0.5))


@pytest.mark.timeout(300)
def test_reports_a_rate_that_is_held_in_fixed_windows_only(folder: Path) -> None:
    assert set(rules(found(folder, Rush, broken.FIXED_WINDOW, gap=0.5))) == {"rated"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("KEY_NOT_KEPT", "started"),
        ("NOT_BEHIND", "started"),
        ("HELD_BEYOND_START", "triggered"),
    ],
)
def test_reports_what_a_key_that_holds_until_the_start_lets_through(
    folder: Path, name: str, rule: str
) -> None:
    violations = check(played(folder, [Triggers], broken.ALL[name], 8, site=BrokenInside).facts)

    assert rule in rules(violations)
    assert set(rules(violations)) <= {rule, *OF_EDITS}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "document", "rule"),
    [
        ("NOT_LOCKED", "returning", "heeded"),
        ("LOST_IN_MERGE", "merged", "heeded"),
        ("ARGUMENTS_KEPT", "debounced", "heeded"),
        ("NOT_BEHIND", "throttled", "single"),
        ("NO_WINDOW", "window", "windowed"),
        ("MEETS_THE_INDEX", "returning", "clashed"),
    ],
)
def test_reports_what_edits_of_a_document_lose(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, document: str, rule: str
) -> None:
    only = [each for each in editor.DOCUMENTS if each.name == document]
    monkeypatch.setattr(editor, "DOCUMENTS", only)
    monkeypatch.setattr(editor, "CALM", only)

    violations = check(played(folder, [], broken.ALL[name], 12, site=BrokenInside).facts)

    assert rule in rules(violations)
