"""What the producer orders: drawn at random, the same for the same seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from pgqueue.jobs.job import Handle, NewJob
from pgqueue.jobs.unique import Unique
from pgqueue.operations import as_json
from tests.faults import shop
from tests.faults.facts import Parent

# So many unique keys are used, for jobs until they end, and for jobs until they start: few, so
# that a trigger finds one that runs, and one that waits.
KEYS = {"key": 5, "started": 2}
STARTED = "until-started"  # the tag of jobs whose key holds until they have started
LIMITED = 0.15  # of single orders are for queues with limits


@dataclass(frozen=True, slots=True)
class Draft:
    """An order before it has a job. *started*: its key holds until the job has started."""

    key: int
    executor: str
    seconds: float
    plan: str
    delay: float | None = None
    unique: str | None = None
    started: bool = False
    parents: tuple[Parent, ...] = ()
    priority: int = 0

    def job(self, above: Mapping[int, NewJob[Any] | Handle[Any]]) -> NewJob[Any]:
        """The job for it; its parents are found in *above*, by their keys."""
        arguments = {"key": self.key, "seconds": self.seconds, "plan": self.plan}
        if self.executor.startswith("engrave"):  # of the shop's next version, not at hand here
            job: NewJob[Any] = NewJob(self.executor, as_json(arguments), max_attempts=shop.ATTEMPTS)
        else:
            job = shop.TASKS[self.executor].job(**arguments)
        job = job.options(delay=self.delay, unique=self.unique, priority=self.priority)
        if self.unique and self.started:
            job = job.options(unique=Unique(key=self.unique, until="started"), tags=[STARTED])
        for parent in self.parents:
            job = job.after(above[parent.key], on_failure=parent.policy)
        return job


class OrderBook:
    """Draws batches. *transactional*: the store can book and complete in one transaction."""

    def __init__(self, random: Random, *, transactional: bool = True) -> None:
        self._random = random
        self._executors = ["async"] * 5 + ["thread"] * 3 + ["process"] * 2
        self._executors += ["book"] * 2 if transactional else []
        self._key = 0

    def batch(self, earlier: Sequence[int]) -> list[Draft]:
        """A few single orders, or a graph, some of whose parents may be among *earlier* keys."""
        if self._random.random() < 0.3:
            return self._graph(earlier)
        count = 30 if self._random.random() < 0.02 else self._random.randint(1, 5)
        return [self._single() for _ in range(count)]

    def named(
        self, executor: str, seconds: float, count: int, started: str | None = None
    ) -> list[Draft]:
        """Orders of one kind that just complete. *started*: a key, held until the start."""
        return [
            Draft(
                self._next(), executor, seconds, "complete", unique=started, started=bool(started)
            )
            for _ in range(count)
        ]

    def _single(self) -> Draft:
        random = self._random
        executor = random.choice(self._executors)
        plan = "complete"
        if random.random() < LIMITED:
            return self._one_of_a_limited_queue()
        if executor != "book" and random.random() < 0.3:
            plan = random.choice(["fail", "fail", "snooze", "discard", "cancel", "spawn", "spawn"])
        unique = random.choices([None, "key", "started"], [76, 12, 12])[0]
        return Draft(
            self._next(),
            executor,
            self._seconds(),
            plan,
            delay=random.choice([0.05, 0.5, 3.0]) if random.random() < 0.15 else None,
            unique=unique and f"{unique}-{random.randrange(KEYS[unique])}",
            started=unique == "started",
            priority=random.choice([-5, 5]) if random.random() < 0.1 else 0,
        )

    def _one_of_a_limited_queue(self) -> Draft:
        """The job takes its place in its key's line as soon as it is enqueued."""
        random = self._random
        executor = random.choice(["call", "call", "file"])
        seconds = random.choice([0.0, 0.05, 0.3] if executor == "file" else [0.05, 0.3, 1.0])
        plan = random.choices(["complete", "fail", "snooze", "discard"], [12, 2, 2, 1])[0]
        return Draft(self._next(), executor, seconds, plan)

    def _graph(self, earlier: Sequence[int]) -> list[Draft]:
        random = self._random
        drafts: list[Draft] = []
        for _ in range(random.randint(3, 8)):
            above = [draft.key for draft in drafts]
            chosen = random.sample(above, min(len(above), random.choice([0, 1, 1, 2, 3])))
            if earlier and random.random() < 0.2:
                chosen.append(random.choice(earlier))
            drafts.append(
                Draft(
                    self._next(),
                    random.choice(self._executors[:10]),
                    random.choice([0.01, 0.05, 0.2]),
                    random.choices(["complete", "fail", "discard", "cancel"], [12, 2, 1, 1])[0],
                    parents=tuple(
                        Parent(key, random.choice(["cancel", "cancel", "run"]))
                        for key in dict.fromkeys(chosen)
                    ),
                )
            )
        return drafts

    def _seconds(self) -> float:
        return self._random.choices([0.0, 0.05, 0.3, 1.5, 4.0], [20, 25, 25, 20, 10])[0]

    def _next(self) -> int:
        self._key += 1
        return self._key
