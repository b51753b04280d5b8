"""One round: a site, a fleet, a producer, a nemesis, until all jobs have ended; then its facts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from tests.faults import journal
from tests.faults.agent import Agent
from tests.faults.editor import Editor
from tests.faults.facts import EVERYBODY, STARVED, Facts, Fault
from tests.faults.fleet import CONCURRENCY, Fleet
from tests.faults.kinds import Kind, Scene
from tests.faults.lapses import remembered
from tests.faults.lookout import Lookout
from tests.faults.nemesis import Nemesis
from tests.faults.producer import Producer
from tests.faults.timekeeper import Timekeeper

PATIENCE = 180.0  # after so long without progress, the remaining jobs will never end
PROBE_SECONDS = 0.2
SLOW_SECONDS = 1.0
EDITORS = 2
CLASH = re.compile("duplicate key value|UNIQUE constraint failed")  # of a worker's log
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is to be played. *code*: a folder with another pgqueue for the workers."""

    open_site: Callable[[Path], Any]
    kinds: Sequence[type[Kind]]
    seconds: float
    seed: int
    slots: int = 3
    gap: float = 0.15
    longest_pause: float = 2.0
    patience: float = PATIENCE
    code: Path | None = None
    prepare: Callable[[Fleet, Any], None] = field(default=lambda fleet, site: None)


@dataclass(frozen=True)
class Played:
    """A round's facts, and what the workers wrote into their logs."""

    facts: Facts
    logs: dict[str, str]


def play(plan: Plan, folder: Path, tell: Tell = lambda text: None) -> Played:
    """Plays a round in *folder*, which keeps the journal, the faults and the workers' logs."""
    random = Random(plan.seed)
    os.environ[journal.VARIABLE] = str(folder / "journal")
    with plan.open_site(folder) as site:
        fleet = Fleet(folder, site.environment, plan.slots, plan.code)
        plan.prepare(fleet, site)
        producer = Producer(
            site.till(), Random(random.random()), transactional=site.transactional, gap=plan.gap
        )
        numbers = count(1)
        editors = [
            Editor(site, Random(random.random()), numbers, 2 * plan.gap) for _ in range(EDITORS)
        ]
        scene = Scene(site, fleet, producer, Random(random.random()), editors)
        nemesis = Nemesis(scene, plan.kinds, random, plan.longest_pause)
        probe = Probe(site)
        timekeeper = Timekeeper(site, Random(random.random()), producer.still)
        lookout = Lookout(site)
        try:
            fleet.start()
            fleet.await_start()
            for agent in (producer, *editors, probe, timekeeper, lookout, nemesis):
                agent.start()
            _wait(plan, fleet, producer, nemesis, tell)
            tell("healing")
            nemesis.stop()
            for agent in (producer, *editors):
                agent.stop()
                if agent.error:
                    raise agent.error
            quiet_at = monotonic()
            tell("schedules come to rest")
            timekeeper.rest()
            producer.deliver()
            gave_up = _settle(plan, site, fleet, tell)
            present = {} if gave_up else _roll_call(site, fleet, producer, plan, tell)
        finally:
            for agent in (probe, producer, *editors, timekeeper, lookout, fleet):
                agent.stop()
        orders, jobs, bookings = site.read()
        crowds, starts = lookout.seen(orders)
        logs = {path.stem: path.read_text("utf-8", "replace") for path in folder.glob("w*.log")}
        facts = remembered(
            Facts(
                orders,
                producer.fates,
                jobs,
                journal.read(fleet.journal),
                [*nemesis.faults, *probe.stalls],
                fleet.records(),
                bookings,
                gave_up,
                present,
                quiet_at,
                timekeeper.calendar(),
                crowds,
                starts,
                lookout.holders,
                [edit for editor in editors for edit in editor.edits],
                [clash for editor in editors for clash in editor.clashes]
                + [
                    line for log in logs.values() for line in log.splitlines() if CLASH.search(line)
                ],
            )
        )
    (folder / "faults").write_text("".join(f"{fault}\n" for fault in facts.faults))
    return Played(facts, logs)


class Probe(Agent):
    """Notices when the whole machine is so slow that a live worker may look dead."""

    patience = 30

    def __init__(self, site: Any) -> None:
        super().__init__()
        self._site = site
        self.stalls: list[Fault] = []

    def _work(self) -> None:
        while not self._stopping.wait(PROBE_SECONDS):
            began = monotonic()
            try:
                self._site.touch()
            except self._site.away:
                continue
            if monotonic() - began > SLOW_SECONDS:
                self.stalls.append(Fault(STARVED, began, monotonic(), EVERYBODY))


def _wait(plan: Plan, fleet: Fleet, producer: Producer, nemesis: Nemesis, tell: Tell) -> None:
    """Until the time is over, and each kind has had its turn."""
    until = monotonic() + plan.seconds
    while monotonic() < until or not nemesis.dealt:
        time.sleep(0.1)
        fleet.look()
        tell(", ".join(nemesis.now.values()) or "…")
        if nemesis.error is not None:
            return
        if producer.error is not None:
            raise producer.error


def _settle(plan: Plan, site: Any, fleet: Fleet, tell: Tell) -> str | None:
    """Until every job has ended; answers why not, if there is no progress any more."""
    seen: Any = None
    since = monotonic()
    while monotonic() - since < plan.patience:
        fleet.look()
        try:
            left = site.unfinished()
        except site.away:
            time.sleep(0.1)
            continue
        if left == 0:
            return None
        tell(f"{left} jobs left")
        size = fleet.journal.stat().st_size
        if (left, size) != seen:
            seen, since = (left, size), monotonic()
        time.sleep(0.1)
    return f"nothing has gone on for {plan.patience:g} s"


def _roll_call(
    site: Any, fleet: Fleet, producer: Producer, plan: Plan, tell: Tell
) -> dict[str, bool]:
    """Does each worker that lives take jobs? Enough are there for all of them at once."""
    fleet.await_start()
    names = {worker.name for worker in fleet.living()}
    present: set[str] = set()
    for _ in range(10):
        tell(f"roll call: {len(present)} of {len(names)}")
        keys = set(producer.order("async", 1.0, len(names) * CONCURRENCY))
        producer.deliver()
        if _settle(plan, site, fleet, lambda text: None):
            break
        lines = journal.read(fleet.journal)
        present |= {line.worker for line in lines if line.key in keys} & names
        if present == names:
            break
    return {name: name in present for name in names}
