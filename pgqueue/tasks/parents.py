"""The results of a job's parents: `ctx.parents`, and parameters declared as `Result`.

    @app.task
    def report(count: int, left: Result[int] = PARENT, rest: Results[float] = PARENT) -> str: ...

    app.enqueue(report.job(count=3).after(left=a, rest=[b, c]))

A parameter of type `Result[T]` is not an argument of the job: it is the result of the parent with
this name in `after(left=a)`; else of the parent whose task has this name; else, if it is the only
such parameter, of the only parent. `Results[T]` is a list of the results of all matching parents
that completed, in the order in which they were enqueued. A failed parent has no result: then the
parameter takes its default, and without one the job fails. `PARENT` as a default only tells type
checkers that `job(...)` does not take this parameter.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Sequence
from typing import (
    Annotated,
    Any,
    Final,
    NamedTuple,
    NoReturn,
    Protocol,
    TypeAlias,
    TypeVar,
    get_origin,
)

import msgspec

from pgqueue.errors import InvalidArguments, InvalidTask, PgqueueError
from pgqueue.jobs import jsontext
from pgqueue.jobs.job import Handle, State, job_id

T = TypeVar("T")

PAGE: Final = 200
MAX_LOADED_BYTES: Final = 256 * 1024 * 1024
PARENT_BYTES: Final = 256  # memory that a parent takes beside its result


class _Mark(NamedTuple):
    many: bool


Result: TypeAlias = Annotated[T, _Mark(many=False)]
Results: TypeAlias = Annotated[list[T], _Mark(many=True)]
PARENT: Final[Any] = type("PARENT", (), {"__repr__": lambda self: "PARENT"})()


class Parent(msgspec.Struct, frozen=True):
    """A parent as its child sees it. *name*: the child's name for it; *text*: its result as JSON.

    *task* is None when the parent was deleted after its retention, before a late retry of the
    child.
    """

    id: int
    state: State
    task: str | None = None
    name: str | None = None
    text: str | None = None

    @property
    def completed(self) -> bool:
        return self.state == State.COMPLETED

    @property
    def result(self) -> Any:
        """What it returned, as a JSON value; None if it returned nothing, or failed."""
        return None if self.text is None else msgspec.json.decode(self.text)

    def read(self, kind: type[T]) -> T:
        """Return its result as a *kind*; raises msgspec.ValidationError."""
        result: T = jsontext.reader(kind).decode(self.text or "null")
        return result


class Source(Protocol):
    """A function that reads the next *limit* parents *after* an id, in the order of ids."""

    def parents(self, after: int, limit: int) -> Sequence[Parent]: ...

    async def parents_async(self, after: int, limit: int) -> Sequence[Parent]: ...


class Parents:
    """The parents of a job, read when they are asked for, a page at a time.

    In a plain function `ctx.parents["left"].result`, and `for parent in ctx.parents`. In a
    coroutine `parents = await ctx.parents`, then as above. A key is a handle, an id, the name of an
    edge, or of a task. `[...]` and `await` read every parent once and keep them, up to 256 MiB of
    results; `for` and `async for` keep only a page in memory.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: list[Parent] | None = None

    def __getitem__(self, key: Handle[Any] | int | str) -> Parent:
        matches = self.all(key)
        if len(matches) != 1:
            raise LookupError(
                f"{len(matches) or 'no'} parents are called {key!r}; see parents.all()"
            )
        return matches[0]

    def all(self, key: Handle[Any] | int | str) -> list[Parent]:
        """Return all parents called *key*, perhaps none."""
        if not isinstance(key, str):
            return [parent for parent in self._loaded() if parent.id == job_id(key)]
        return called(key, self._loaded())

    @property
    def failed(self) -> list[Parent]:
        """The parents that were discarded or cancelled."""
        return [parent for parent in self._loaded() if not parent.completed]

    def __len__(self) -> int:
        return len(self._loaded())

    def __iter__(self) -> Iterator[Parent]:
        if self._known is not None:
            yield from self._known
            return
        _require_no_loop()
        after = 0
        while page := self._source.parents(after, PAGE):
            yield from page
            after = page[-1].id

    async def __aiter__(self) -> AsyncIterator[Parent]:
        if self._known is not None:
            for parent in self._known:
                yield parent
            return
        after = 0
        while page := await self._source.parents_async(after, PAGE):
            for parent in page:
                yield parent
            after = page[-1].id

    def __await__(self) -> Generator[Any, None, Parents]:
        return self._load_async().__await__()

    async def _load_async(self) -> Parents:
        if self._known is None:
            known = _Loaded()
            async for parent in self:
                known.add(parent)
            self._known = known.parents
        return self

    def _loaded(self) -> list[Parent]:
        if self._known is None:
            known = _Loaded()
            for parent in self:
                known.add(parent)
            self._known = known.parents
        return self._known


class _Loaded:
    """Parents kept in memory, up to a number of bytes: their count says nothing about the size of
    results."""

    def __init__(self) -> None:
        self.parents: list[Parent] = []
        self._bytes = 0

    def add(self, parent: Parent) -> None:
        """Keep *parent*; raises PgqueueError when all of them together are too large."""
        self._bytes += PARENT_BYTES + len(parent.text or "")
        if self._bytes > MAX_LOADED_BYTES:
            raise PgqueueError(
                f"the parents' results take more than {MAX_LOADED_BYTES >> 20} MiB: go through "
                "them, one by one, with `for parent in ctx.parents`, or `async for`"
            )
        self.parents.append(parent)


class Wanted:
    """A parameter of the task *task* that takes the result of one parent, or of several."""

    def __init__(self, task: str, parameter: inspect.Parameter, kind: Any, many: bool) -> None:
        self.name: Final = parameter.name
        self._task = task
        self._many = many
        self._default = parameter.default
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_KEYWORD):
            raise InvalidTask(f"{task}: {self.name}: a parent's result is given by name")
        try:
            self._reader = jsontext.reader(kind)
        except (TypeError, NameError) as error:
            raise InvalidTask(f"{task}: {self.name}: {error}") from error

    def find(self, parents: Sequence[Parent], alone: bool) -> Any:
        """Return the parameter's value, read from *parents*; raises InvalidArguments.

        *alone*: no other parameter is a result, so where no parent has its name, every parent
        matches.
        """
        matches = called(self.name, parents) or (list(parents) if alone else [])
        if self._many:
            return [self._read(parent) for parent in matches if parent.completed]
        if len(matches) > 1:
            self._refuse(f"{len(matches)} parents are called so; declare it as Results[...]")
        if matches and matches[0].completed:
            return self._read(matches[0])
        if self._default is not inspect.Parameter.empty and self._default is not PARENT:
            return self._default
        if matches:
            self._refuse(f"job {matches[0].id} was {matches[0].state}; a default would be taken")
        return self._refuse(f"no parent is called so; say .after({self.name}=...)")

    def _read(self, parent: Parent) -> Any:
        if parent.task is None:
            self._refuse(f"the result of job {parent.id} is past its retention")
        try:
            return None if parent.text is None else self._reader.decode(parent.text)
        except msgspec.ValidationError as error:
            return self._refuse(f"the result of job {parent.id}: {error}")

    def _refuse(self, problem: str) -> NoReturn:
        raise InvalidArguments(
            f"{self._task}: {self.name}: {problem}", task=self._task, parameter=self.name
        )


def wanted(task: str, parameter: inspect.Parameter) -> Wanted | None:
    """Return which results *parameter*, its annotation resolved, takes; None if it is an
    argument."""
    if get_origin(parameter.annotation) is Annotated:
        kind = parameter.annotation.__origin__
        for mark in parameter.annotation.__metadata__:
            if isinstance(mark, _Mark):
                return Wanted(task, parameter, kind.__args__[0] if mark.many else kind, mark.many)
    return None


def called(name: str, parents: Iterable[Parent]) -> list[Parent]:
    """Return those of *parents* whose edge has this *name*; if there are none, those whose task has
    it."""
    parents = list(parents)
    by_name = [parent for parent in parents if parent.name == name]
    return by_name or [p for p in parents if p.name is None and p.task == name]


def _require_no_loop() -> None:
    asyncio = sys.modules.get("asyncio")  # not imported: no loop runs
    if asyncio is None or asyncio._get_running_loop() is None:
        return
    raise PgqueueError("in a coroutine: `parents = await ctx.parents`, or `async for`")
