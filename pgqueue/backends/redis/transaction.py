"""Gather several operations for one script, which carries out all of them or none.

Redis cannot roll back, so nothing is written before all operations are known. Each operation is
answered at once with the answer that the script will give: ids are drawn beforehand, unique keys
and leases are read. The script reads keys and leases again, and writes nothing when one has changed
meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NoReturn, TypeAlias, TypeVar

from pgqueue.backends.redis.params import given, instant
from pgqueue.backends.redis.script_plans import ScriptPlan, ask, script_plan
from pgqueue.errors import MissingCapability, StoreBusy
from pgqueue.jobs.job import State
from pgqueue.jobs.unique import MADE
from pgqueue.operations import Operation, as_json

T = TypeVar("T")
Rows: TypeAlias = list[tuple[Any, ...]]


class Transaction:
    """Operations that are gathered until `commit`.

    *pipelined*: the caller's pipeline carries them out, and gives no answers before that; *known*:
    ids of jobs that the same pipeline makes earlier.
    """

    def __init__(self, known: frozenset[int] = frozenset(), *, pipelined: bool = False) -> None:
        self._pipelined = pipelined
        self._operations: list[tuple[str, dict[str, Any]] | tuple[str, dict[str, Any], Any]] = []
        self._known = known
        self.new: frozenset[int] = frozenset()
        self._ours: dict[str, int] = {}
        self._waiting: dict[str, list[int]] = {}
        self._recents: dict[str, int] = {}
        self._holders: dict[str, int | bool] = {}
        self._leases: list[tuple[int, int]] = []
        self._states: list[tuple[int, str]] = []
        self._ended: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._operations)

    def execute(self, operation: Operation[T]) -> ScriptPlan[T]:
        """Answer *operation* now; its changes are written by `commit`."""
        wanted = given(operation)
        match operation.name:
            case "enqueue":
                count = len(wanted["jobs"])
                first, *_ = yield from self._prepare(count=count)
                self._add(operation.name, wanted, first, count)
                answers: list[Rows] = [[(first + n,) for n in range(count)]]
            case "enqueue_unique":
                answers = yield from self._unique(wanted)
            case "enqueue_once":
                answers = yield from self._once(wanted)
            case "begin":
                first, *_ = yield from self._prepare(count=1)
                self._add(operation.name, wanted, first, 1)
                answers = [[(first,)]]
            case "hold":
                ours = self._known | self.new
                elsewhere = [id for id in wanted["ids"] if id not in ours]
                [existing] = yield from ask("hold", {"ids": elsewhere})
                answers = [[*existing, *((id,) for id in wanted["ids"] if id in ours)]]
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
            case "advance" | "fired" if not self._pipelined:
                answers = yield from self._looked(operation.name, wanted)
            case "record" | "audit" if self._operations and not self._pipelined:
                self._operations.append((operation.name, wanted))
                answers = []
            case "cancel" if self._operations and "workflow" not in wanted:
                answers = yield from self._cancel(wanted)
            case "wake" if (
                self._operations or self._pipelined
            ):  # other operations notify by themselves
                answers = []
            case _ if self._pipelined:
                _refuse(
                    f"{operation.name}: a pipeline gives its answers only when it is "
                    "executed; only enqueue needs none before. Use app.execute(...)"
                )
            case _:
                return (yield from script_plan(operation))
        return operation.decode(answers)

    def commit(self) -> ScriptPlan[None]:
        """Carry all operations out.

        Raises StoreBusy, and changes nothing, when a key or a lease that was read has changed.
        """
        if self:
            [[(done,)]] = yield from ask("parts/commit", self.document())
            if not done:
                raise StoreBusy("a unique key or a lease has changed hands meanwhile; try again")

    def document(self) -> dict[str, Any]:
        """Return the parameters of the script that commits."""
        return {
            "operations": self._operations,
            "holders": self._holders,
            "leases": self._leases,
            "states": self._states,
            "once": self._pipelined,
        }

    def _unique(self, wanted: dict[str, Any]) -> ScriptPlan[list[Rows]]:
        self._require_answers()
        jobs = wanted["jobs"]
        keys = {job["unique_key"] for job in jobs if "unique_key" in job} - self._ours.keys()
        first, holders, *_ = yield from self._prepare(count=len(jobs), keys=sorted(keys))
        self._holders |= {key: holders.get(key, False) for key in keys}
        holders = {key: id for key, id in holders.items() if id not in self._ended}
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
                    self._waiting.setdefault(key, []).append(id)
        self._add("enqueue", {**wanted, "jobs": rows}, first, len(rows))
        return [created, list(holders.items())]

    def _once(self, wanted: dict[str, Any]) -> ScriptPlan[list[Rows]]:
        """Return the answer that the script would give after the operations gathered so far; the
        commit writes nothing if it finds another answer."""
        self._require_answers()
        jobs = wanted["jobs"]
        first, *_ = yield from self._prepare(count=len(jobs))
        after = {
            "first": first,
            "ended": sorted(self._ended),
            "ours": {key: list(ids) for key, ids in self._waiting.items()},
            "recents": dict(self._recents),
        }
        rows, [(text,)] = yield from ask("enqueue_once", {**wanted, **after, "look": True})
        self._operations.append(("enqueue_once", {**wanted, **after}, text))
        for ordinal, id, outcome, _ in rows:
            job = jobs[ordinal - 1]
            key = job.get("unique_key")
            if outcome in MADE:
                self.new |= {id}
            if outcome in MADE and "until_seconds" in job:
                self._recents[key] = id
            elif outcome in MADE and key is not None:
                self._ours.setdefault(key, id)
                self._waiting.setdefault(key, []).append(id)
        return [rows]

    def _require_answers(self) -> None:
        if self._pipelined:
            _refuse(
                "a unique key in a pipeline: its holder is known when the pipeline is executed, "
                "too late for the handle. Use app.enqueue(...), or PostgreSQL or SQLite, where a "
                "transaction can be asked"
            )

    def _complete(self, wanted: dict[str, Any]) -> ScriptPlan[list[Rows]]:
        pairs = [(id, group["lease"]) for group in wanted["jobs"] for id in group["ids"]]
        held = yield from self._hold_leases(pairs)
        if held:
            self._operations.append(("complete", wanted))
            self._ended |= {id for id, _ in held}
        done = None if len(held) == len(pairs) else as_json(dict(held))
        return [[("read committed", done)], [], [(False, None)]]

    def _looked(self, name: str, wanted: dict[str, Any]) -> ScriptPlan[list[Rows]]:
        """Return what *name* would answer; the commit writes nothing if it finds another answer."""
        answers = yield from ask(name, {**wanted, "look": True})
        if name == "fired":  # the new instants: from now on they count as noted
            rows, new = iter(wanted["firings"]), []
            for schedule, at in answers[0]:
                moment = instant(datetime.fromisoformat(at))
                for row in rows:
                    if (row["schedule"], row.get("instant", moment)) == (schedule, moment):
                        new.append({**row, "instant": moment})
                        break
            wanted = {**wanted, "firings": new}
        self._operations.append((name, wanted, len(answers[0])))
        return answers

    def _cancel(self, wanted: dict[str, Any]) -> ScriptPlan[list[Rows]]:
        """Cancel at the commit: from now on waiting jobs count as ended, and their keys as free."""
        _, _, _, states = yield from self._prepare(ids=wanted["ids"])
        self._operations.append(("cancel", wanted))
        self._states += states
        self._ended |= {id for id, state in states if state != State.RUNNING}
        told = {id: "running" if state == State.RUNNING else "cancelled" for id, state in states}
        return [list(told.items())]

    def _hold_leases(self, pairs: Iterable[tuple[int, int]]) -> ScriptPlan[list[tuple[int, int]]]:
        _, _, held, _ = yield from self._prepare(leases=list(pairs))
        self._leases += held
        return held

    def _prepare(
        self,
        *,
        count: int = 0,
        keys: Iterable[str] = (),
        leases: Iterable[tuple[int, int]] = (),
        ids: Iterable[int] = (),
    ) -> ScriptPlan[tuple[int, dict[str, int], list[tuple[int, int]], list[tuple[int, str]]]]:
        wanted = {
            "count": count,
            "keys": list(keys),
            "leases": list(leases),
            "ids": list(ids),
        }
        [[(first,)], holders, held, states] = yield from ask("parts/prepare", wanted)
        pairs = [(id, lease) for id, lease in held]
        return first or 0, dict(holders), pairs, [(id, state) for id, state in states]

    def _add(self, name: str, wanted: dict[str, Any], first: int, count: int) -> None:
        if count:
            self._operations.append((name, {**wanted, "first": first}))
            self.new |= frozenset(range(first, first + count))


def _refuse(message: str) -> NoReturn:
    raise MissingCapability(message)


class BufferedRunner:
    """Operations that are carried out at the end of their transaction."""

    def __init__(self, transaction: Transaction, run: Callable[[ScriptPlan[Any]], Any]) -> None:
        self._transaction = transaction
        self._run = run

    def execute(self, operation: Operation[T]) -> T:
        answer: T = self._run(self._transaction.execute(operation))
        return answer


class AsyncBufferedRunner:
    """As `BufferedRunner`, for asyncio."""

    def __init__(self, transaction: Transaction, run: Callable[[ScriptPlan[Any]], Any]) -> None:
        self._transaction = transaction
        self._run = run

    async def execute(self, operation: Operation[T]) -> T:
        answer: T = await self._run(self._transaction.execute(operation))
        return answer
