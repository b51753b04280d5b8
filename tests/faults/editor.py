"""Editors: they save documents, several at once, and each time trigger the document's job.

The key of such a job holds until it has started, or for seconds; each document has its own rule
for what happens when there is a job already.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from time import monotonic
from typing import Any, Final

from pgqueue import Merge, Unique, enqueue
from pgqueue.errors import DuplicateJob
from pgqueue.jobs.job import Handle, NewJob
from tests.faults import shop
from tests.faults.agent import Agent
from tests.faults.facts import FIRST_DOCUMENT, Edit, Sees
from tests.faults.orders import STARTED


@dataclass(frozen=True, slots=True)
class Document:
    """*name* is the key of its jobs. *sees*: which edits a job is to have."""

    name: str
    sees: Sees
    until: str | float = "started"
    rule: Mapping[str, Any] = field(default_factory=dict)

    @property
    def window(self) -> float | None:
        return None if isinstance(self.until, str) else self.until

    @property
    def raises(self) -> bool:
        return self.rule.get("conflict") == "raise"

    def job(self, edit: int, random: Random) -> NewJob[Any]:
        """The job that *edit* triggers."""
        return shop.index.job(
            key=FIRST_DOCUMENT - DOCUMENTS.index(self),
            seconds=random.choice([0.0, 0.05, 0.3, 1.0]),
            plan=random.choices(["complete", "fail", "snooze", "discard", "cancel"], PLANS)[0],
            edits=[edit],
        ).options(
            unique=Unique(key=self.name, until=self.until, **self.rule),  # type: ignore[arg-type]
            delay=random.choice([None, 0.05, 0.5, 2.0]),
            tags=[] if self.window else [STARTED],
        )


PLANS: Final = (12, 3, 2, 1, 1)
DOCUMENTS: Final = (
    Document("returning", "first"),
    Document("raising", "first", rule={"conflict": "raise"}),
    Document("debounced", "newest", rule={"conflict": "replace", "at_most": 3}),
    Document("throttled", "newest", rule={"conflict": "replace", "keep": ("run_at",)}),
    Document("merged", "all", rule={"conflict": Merge("edits")}),
    Document("window", "first", 2.0),
    Document("raising window", "first", 1.0, {"conflict": "raise"}),
)
CALM: Final = [each for each in DOCUMENTS if not each.raises]
CLASHES: Final = {"UniqueViolation", "IntegrityError", "DeadlockDetected"}


class Editor(Agent):
    """A thread. *numbers*: those of edits, which no other editor has.

    *clashes*: errors that neither a fault nor the rule of a document explains.
    """

    def __init__(self, site: Any, random: Random, numbers: Iterator[int], gap: float) -> None:
        super().__init__()
        self._site = site
        self._app = site.app()
        self._random = random
        self._numbers = numbers
        self._gap = gap
        self._saving = threading.Lock()
        self.edits: list[Edit] = []
        self.clashes: list[str] = []

    @contextmanager
    def still(self) -> Iterator[None]:
        """It saves nothing meanwhile."""
        with self._saving:
            yield

    def _work(self) -> None:
        while not self._stopping.wait(self._random.expovariate(1 / self._gap)):
            documents = [self._random.choice(DOCUMENTS)]
            if not documents[0].raises:
                documents += self._random.choices(CALM, k=self._random.choice([0, 0, 1, 2]))
            with self._saving:
                self.edits += self._save(documents)
        self._app.close()

    def _save(self, documents: Sequence[Document]) -> list[Edit]:
        """One transaction, which is rolled back now and then."""
        random = self._random
        keep, linger = random.random() > 0.12, random.choice([0, 0, 0, 0.05, 0.3])
        edits = [
            Edit(next(self._numbers), each.name, each.sees, monotonic(), window=each.window)
            for each in documents
        ]
        jobs = [
            document.job(edit.number, random)
            for document, edit in zip(documents, edits, strict=True)
        ]
        handles: list[Handle[Any]] = []
        try:
            if not self._site.transactional:
                edits = _all(edits, fate="unknown", committing_at=monotonic())
                handles = self._app.enqueue(jobs)
            else:
                with closing(self._site.connect()) as connection:
                    handles = enqueue(connection, jobs)
                    self._stopping.wait(linger)
                    if not keep:
                        return edits
                    edits = _all(edits, fate="unknown", committing_at=monotonic())
                    connection.commit()
        except DuplicateJob as error:
            if documents[0].raises:
                return _all(edits, fate="rolled back", outcome="raised", job=error.id)
            self.clashes.append(_told(error))
            return edits
        except Exception as error:
            names = {type(each).__name__ for each in _chain(error)}
            if not isinstance(error, self._site.away) or names & CLASHES:
                self.clashes.append(_told(error))
            return _all(edits, told_at=monotonic())
        return [
            replace(
                each, fate="committed", told_at=monotonic(), job=handle.id, outcome=handle.outcome
            )
            for each, handle in zip(edits, handles, strict=True)
        ]


def _all(edits: Sequence[Edit], **changes: Any) -> list[Edit]:
    return [replace(edit, **changes) for edit in edits]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _told(error: BaseException) -> str:
    return " ← ".join(f"{type(each).__name__}: {each}" for each in _chain(error))
