"""Several operations as one: gathered here, and carried out by one script, all of them or none.

Redis rolls nothing back, so nothing is written before all is known. An operation is answered at
once with what the script will make of it: ids are taken beforehand, unique keys and leases are
looked at. The script looks at them again, and does nothing at all when they have changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeAlias, TypeVar

from pgqueue.backends.redis.exchange import Exchange, ask, exchange
from pgqueue.backends.redis.params import given
from pgqueue.errors import MissingCapability, StoreBusy
from pgqueue.operations import Operation, as_json

T = TypeVar("T")
Rows: TypeAlias = list[tuple[Any, ...]]


class Transaction:
    """Gathers operations. *pipelined*: they are carried out by somebody else, who cannot be asked
    again; *known*: jobs that will exist by then."""

    def __init__(self, known: frozenset[int] = frozenset(), *, pipelined: bool = False) -> None:
        self._pipelined = pipelined
        self._operations: list[tuple[str, dict[str, Any]]] = []
        self._known = known
        self.new: frozenset[int] = frozenset()
        self._ours: dict[str, int] = {}
        self._holders: dict[str, int | bool] = {}
        self._leases: list[tuple[int, int]] = []
        self._completed: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._operations)

    def execute(self, operation: Operation[T]) -> Exchange[T]:
        """Answers *operation*; what it changes waits for `commit`."""
        wanted = given(operation)
        match operation.name:
            case "enqueue":
                count = len(wanted["jobs"])
                first, _, _ = yield from self._prepare(count=count)
                self._add(operation.name, wanted, first, count)
                answers: list[Rows] = [[(first + n,) for n in range(count)]]
            case "enqueue_unique":
                answers = yield from self._unique(wanted)
            case "begin":
                first, _, _ = yield from self._prepare(count=1)
                self._add(operation.name, wanted, first, 1)
                answers = [[(first,)]]
            case "hold":
                ours = self._known | self.new
                elsewhere = [id for id in wanted["ids"] if id not in ours]
                [found] = yield from ask("hold", {"ids": elsewhere})
                answers = [[*found, *((id,) for id in wanted["ids"] if id in ours)]]
            case "link":
                self._operations.append((operation.name, wanted))
                answers = []
            case "graft" if not self._pipelined:
                held = yield from self._hold_leases([(wanted["id"], wanted["lease"])])
                if held:
                    self._operations.append((operation.name, wanted))
                answers = [[(wanted["id"],)] if held else []]
            case "complete" if not self._pipelined:
                answers = yield from self._complete(wanted)
            case "wake" if self._operations or self._pipelined:  # what is carried out wakes
                answers = []
            case _ if self._pipelined:
                _refuse(
                    f"{operation.name}: what a pipeline carries out is answered when it is "
                    "executed; only enqueue can do without. Use app.execute(...)"
                )
            case _:
                return (yield from exchange(operation))
        return operation.decode(answers)

    def commit(self) -> Exchange[None]:
        """Carries all out. Raises StoreBusy, and nothing has happened, when something that was
        looked at has changed meanwhile."""
        if self:
            [[(done,)]] = yield from ask("commit", self.document())
            if not done:
                raise StoreBusy("a unique key or a lease has changed hands meanwhile; ask again")

    def document(self) -> dict[str, Any]:
        """What `commit` is given."""
        return {
            "operations": self._operations,
            "holders": self._holders,
            "leases": self._leases,
            "once": self._pipelined,
        }

    def _unique(self, wanted: dict[str, Any]) -> Exchange[list[Rows]]:
        if self._pipelined:
            _refuse(
                "a unique key in a pipeline: who holds it is known when the pipeline is executed, "
                "too late for the handle. Use app.enqueue(...), or PostgreSQL or SQLite, where a "
                "transaction can be asked"
            )
        jobs = wanted["jobs"]
        keys = {job["unique_key"] for job in jobs if "unique_key" in job} - self._ours.keys()
        first, holders, _ = yield from self._prepare(count=len(jobs), keys=sorted(keys))
        self._holders |= {key: holders.get(key, False) for key in keys}
        holders = {key: id for key, id in holders.items() if id not in self._completed}
        holders |= self._ours
        created: Rows = []
        rows: list[dict[str, Any]] = []
        for ordinal, job in enumerate(jobs, 1):
            key = job.get("unique_key")
            if key is None or key not in holders:
                id = first + len(rows)
                rows.append(job)
                created.append((ordinal, id))
                if key is not None:
                    holders[key] = self._ours[key] = id
        self._add("enqueue", {**wanted, "jobs": rows}, first, len(rows))
        return [created, list(holders.items())]

    def _complete(self, wanted: dict[str, Any]) -> Exchange[list[Rows]]:
        pairs = [(id, group["lease"]) for group in wanted["jobs"] for id in group["ids"]]
        held = yield from self._hold_leases(pairs)
        if held:
            self._operations.append(("complete", wanted))
            self._completed |= {id for id, _ in held}
        done = None if len(held) == len(pairs) else as_json(dict(held))
        return [[("read committed", done)], [], [(False, None)]]

    def _hold_leases(self, pairs: Iterable[tuple[int, int]]) -> Exchange[list[tuple[int, int]]]:
        _, _, held = yield from self._prepare(leases=list(pairs))
        self._leases += held
        return held

    def _prepare(
        self,
        *,
        count: int = 0,
        keys: Iterable[str] = (),
        leases: Iterable[tuple[int, int]] = (),
    ) -> Exchange[tuple[int, dict[str, int], list[tuple[int, int]]]]:
        asked = {"count": count, "keys": list(keys), "leases": list(leases)}
        [[(first,)], holders, held] = yield from ask("prepare", asked)
        return first or 0, dict(holders), [(id, lease) for id, lease in held]

    def _add(self, name: str, wanted: dict[str, Any], first: int, count: int) -> None:
        if count:
            self._operations.append((name, {**wanted, "first": first}))
            self.new |= frozenset(range(first, first + count))


def _refuse(message: str) -> NoReturn:
    raise MissingCapability(message)


class Gathering:
    """Operations that wait for the end of their transaction."""

    def __init__(self, transaction: Transaction, run: Callable[[Exchange[Any]], Any]) -> None:
        self._transaction = transaction
        self._run = run

    def execute(self, operation: Operation[T]) -> T:
        answer: T = self._run(self._transaction.execute(operation))
        return answer


class AsyncGathering:
    """Operations that wait for the end of their transaction."""

    def __init__(self, transaction: Transaction, run: Callable[[Exchange[Any]], Any]) -> None:
        self._transaction = transaction
        self._run = run

    async def execute(self, operation: Operation[T]) -> T:
        answer: T = await self._run(self._transaction.execute(operation))
        return answer
