"""Graphs of jobs: how to write "Y after X", and what is promised.

    enqueue(session, chain(fetch.job(url), parse.job(), store.job()))
    enqueue(session, group(resize.job(p) for p in photos).then(album.job()))
    enqueue(session, workflow("import", left, right, report.job().after(a=left, b=right)))

A job lists the jobs that it waits for, `job.after(...)`; everything here is shorthand for that. A
`Graph` is a value like a job: nothing happens before `enqueue`, which takes any number of jobs and
graphs in one call and answers with their handles, in the order of *jobs*. Adding an edge makes a
new value, so the job that `then` was given is not the one in the graph: name it by `graph.last`.

**Nothing starts early, nothing is stranded.** A job that waits is *blocked*, and counts how many of
its parents have not finished. Every way in which a parent can end changes the count, only under the
waiting job's row lock and in the transaction that ends the parent. An enqueue keeps parents of
earlier calls from ending, and from being retried, until it commits. So it does not matter whether a
parent had finished long before, finishes at this moment, or runs for another week. The leader looks
for blocked jobs without an unfinished parent now and then, and has never found one.

**A parent that fails** (it is discarded or cancelled) cancels the child, with a reason that names
the parent, and so on down the graph: `on_failure="cancel"`. With `on_failure="run"` the child runs
all the same, once all its parents have ended, and can see which failed. Each edge has its own
policy.

**Retrying** a job revives the descendants that were cancelled because of it, and no others: jobs
that a person cancelled stay cancelled, and a descendant with another failed parent stays cancelled
until that parent is retried, too. A revived job waits anew for those of its parents that have not
finished.

**Results** of parents can be read until the child has finished, however short the retention.

**Cycles cannot be made.** A job is an immutable value, and its parents must exist before it. The
one place where an edge is added to a job that exists is a graft: a running job puts new jobs
between itself and its children. Those jobs may depend on each other only, so no path leads from a
child back to them.

**A workflow** is a name and an id that jobs share, to find, watch, cancel and retry them as one
thing; the edges alone decide what runs in it. Jobs that its jobs enqueue belong to it, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import msgspec

from pgqueue.errors import InvalidJob
from pgqueue.jobs import carrying, checks
from pgqueue.jobs.job import Edge, EnqueueHook, NewJob, OnFailure

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
T = TypeVar("T")
_HOOKS: Final = attrgetter("on_enqueue")


class Graph(msgspec.Struct, Generic[R_co], frozen=True, eq=False):
    """Jobs and their edges, parents first. Jobs after the graph wait for all of *lasts*."""

    jobs: tuple[NewJob[Any], ...]
    firsts: tuple[NewJob[Any], ...]
    lasts: tuple[NewJob[R_co], ...]

    @property
    def last(self) -> NewJob[R_co]:
        """The one job at the end; raises InvalidJob when there are several."""
        if len(self.lasts) != 1:
            raise InvalidJob(f"this graph ends in {len(self.lasts)} jobs; look at `lasts`")
        return self.lasts[0]

    def then(
        self,
        *steps: NewJob[S] | Graph[S],
        on_failure: OnFailure = "cancel",
        name: str | None = None,
    ) -> Graph[S]:
        """Return this graph with *steps*, side by side, after all of its ends.

        *name*: the steps' name for these parents. Two wide steps in a row make an edge for each
        pair: put one job between them.
        """
        step = _side_by_side([_graph(step) for step in steps])
        if not self.jobs:
            return step
        if not step.jobs:
            return self  # type: ignore[return-value]  # nothing follows
        placed: dict[object, NewJob[Any]] = {}
        firsts = set(step.firsts)
        for job in step.jobs:
            moved = _moved(job, placed)
            if job in firsts:
                if name is None:
                    moved = moved.after(*self.lasts, on_failure=on_failure)
                else:
                    moved = moved.after(on_failure=on_failure, **{name: self.lasts})
            placed[job] = moved
        return Graph(
            _once([*self.jobs, *placed.values()]),
            self.firsts,
            tuple(placed[job] for job in step.lasts),
        )


class Workflow(msgspec.Struct, frozen=True, eq=False):
    """A graph with a name; see `workflow`."""

    name: str
    jobs: tuple[NewJob[Any], ...]
    tags: tuple[str, ...] = ()


Step: TypeAlias = NewJob[Any] | Graph[Any]
Jobs: TypeAlias = Iterable[Step] | Graph[Any] | Workflow


class Mode(Protocol):
    """An application's mode: what it does in addition when jobs of its tasks are enqueued."""

    def enqueue(self, batch: Batch, enqueue: Callable[[Batch], T]) -> T:
        """Carry out *enqueue*, the application's own, and the mode's part around it."""
        ...

    async def enqueue_async(self, batch: Batch, enqueue: Callable[[Batch], Awaitable[T]]) -> T: ...

    def enqueued(self, connection: Any) -> None:
        """Carry out the mode's part after jobs were enqueued on the caller's *connection*."""
        ...

    async def enqueued_async(self, connection: Any) -> None: ...


class EnqueueHooks(list[EnqueueHook]):
    """The hooks of one application, and its *mode*; None: jobs are left to workers."""

    mode: Mode | None = None

    def __bool__(self) -> bool:
        return len(self) > 0 or self.mode is not None


class Batch(NamedTuple):
    """The jobs given to a call of `enqueue`, and whether that was a single job."""

    jobs: list[NewJob[Any]]
    single: bool = False
    workflow: Workflow | None = None

    @property
    def mode(self) -> Mode | None:
        """The mode of the application whose jobs they are."""
        return None


class ModedBatch(Batch):
    """A batch of an application that has a mode."""

    its_mode: Mode | None = None

    @property
    def mode(self) -> Mode | None:
        return self.its_mode


def chain(*steps: Step, on_failure: OnFailure = "cancel") -> Graph[Any]:
    """Return *steps* one after the other; a step may be a graph itself."""
    graph: Graph[Any] = group(())
    for step in steps:
        graph = graph.then(step, on_failure=on_failure)
    return graph


def group(jobs: Iterable[NewJob[R] | Graph[R]]) -> Graph[R]:
    """Return *jobs* side by side: `group(jobs).then(job)` waits for all of them."""
    return _side_by_side([_graph(job) for job in jobs])


def map_reduce(
    each: Callable[[T], NewJob[Any]], items: Iterable[T], reduce: NewJob[R], name: str | None = None
) -> Graph[R]:
    """Return a job for each of *items*, and *reduce* after them all.

    `map_reduce(count.job, pages, total.job())`. *name*: the name of the others for *reduce*.
    Without items the graph is *reduce* alone.
    """
    return group(each(item) for item in items).then(reduce, name=name)


def workflow(name: str, *parts: Step | Iterable[Step], tags: Iterable[str] = ()) -> Workflow:
    """Return *parts* as one thing with a name, to be enqueued by itself.

    Jobs that *parts* wait for are added, and all are sorted: giving the last ones is enough. Raises
    InvalidJob for a name or a tag that is not valid.
    """
    jobs = [job for part in parts for job in _jobs(part)]
    checks.name("workflow", "name", name)
    return Workflow(name, _with_parents(jobs), checks.tags("workflow", "tags", tags))


def gather(
    given: Sequence[Any],
    hooks: Sequence[EnqueueHook] | None = None,
    replaced: dict[object, NewJob[Any]] | None = None,
) -> Batch:
    """Return the batch of an `enqueue`, made of jobs, graphs, an iterable of them, or one workflow.

    Its jobs are changed by *hooks*, or else by those of the application that declared the job's
    task, and have the carried texts in their metadata. *replaced* maps each given job to the
    changed one, so that edges lead there.
    """
    batch = _gathered(given)
    texts = carrying.texts_for(batch.jobs) if carrying.carriers else {}
    # An application's jobs share their hooks: look at those once, not once a job.
    if texts or hooks or any({id(each): each for each in map(_HOOKS, batch.jobs)}.values()):
        stamp = carrying.Stamp(texts)
        return _hooked(batch, hooks, {} if replaced is None else replaced, stamp)
    return batch


def lone(given: Sequence[Any]) -> NewJob[Any] | None:
    """Return the job of a call with a single one that `gather` would not change; else None."""
    if len(given) == 1 and isinstance(job := given[0], NewJob):
        return None if carrying.carriers or job.on_enqueue else job
    return None


def _hooked(
    batch: Batch,
    hooks: Sequence[EnqueueHook] | None,
    replaced: dict[object, NewJob[Any]],
    stamp: carrying.Stamp,
) -> Batch:
    jobs = []
    mode = getattr(hooks, "mode", None)
    for given in batch.jobs:
        job = _moved(given, replaced)
        mode = mode or getattr(given.on_enqueue, "mode", None)
        for hook in hooks or given.on_enqueue or ():
            changed: object = hook(job)
            if not isinstance(changed, NewJob):
                name = getattr(hook, "__qualname__", repr(hook))
                said = f"{name} returned {checks.shown(changed)}; return the job"
                checks.refuse(given.task, "on_enqueue", said)
            job = changed
        jobs.append(stamp.put(job))
        replaced[given] = jobs[-1]
    flow = batch.workflow
    if flow is not None:
        flow = Workflow(flow.name, tuple(jobs), flow.tags)
    if mode is None:
        return Batch(jobs, batch.single, flow)
    moded = ModedBatch(jobs, batch.single, flow)
    moded.its_mode = mode
    return moded


def _gathered(given: Sequence[Any]) -> Batch:
    if len(given) == 1:
        if isinstance(given[0], NewJob):
            return Batch([given[0]], True)
        if isinstance(given[0], Workflow):
            return Batch(list(given[0].jobs), workflow=given[0])
        if not isinstance(given[0], Graph):
            return Batch(_jobs(given[0]))
    return Batch([job for part in given for job in _jobs(part)])


def _jobs(part: Any) -> list[NewJob[Any]]:
    if isinstance(part, NewJob):
        return [part]
    if isinstance(part, Graph):
        return list(part.jobs)
    if isinstance(part, Workflow):
        raise InvalidJob(f"the workflow {part.name} is not alone: enqueue it in a call of its own")
    if isinstance(part, (str, bytes)) or not isinstance(part, Iterable):
        raise InvalidJob(f"{checks.shown(part)} is no job; give task.job(...)")
    jobs: list[NewJob[Any]] = []
    for job in part:
        if isinstance(job, NewJob):
            jobs.append(job)
        elif isinstance(job, Graph):
            jobs += job.jobs
        else:
            raise InvalidJob(f"{checks.shown(job)} is no job; give task.job(...)")
    return jobs


def _graph(step: NewJob[R] | Graph[R]) -> Graph[R]:
    if isinstance(step, Graph):
        return step
    if isinstance(step, NewJob):
        return Graph((step,), (step,), (step,))
    raise InvalidJob(f"{checks.shown(step)} is no job; give task.job(...)")


def _side_by_side(graphs: Sequence[Graph[R]]) -> Graph[R]:
    if len(graphs) == 1:
        return graphs[0]
    return Graph(
        _once(job for graph in graphs for job in graph.jobs),
        _once(job for graph in graphs for job in graph.firsts),
        _once(job for graph in graphs for job in graph.lasts),
    )


def _moved(job: NewJob[Any], placed: dict[object, NewJob[Any]]) -> NewJob[Any]:
    """Return *job* with edges to the replacements that *placed* has for its parents."""
    edges = tuple(
        Edge(placed[edge.parent], edge.on_failure, edge.name) if edge.parent in placed else edge
        for edge in job.edges
    )
    return job if edges == job.edges else msgspec.structs.replace(job, edges=edges)


def _once(jobs: Iterable[NewJob[Any]]) -> tuple[NewJob[Any], ...]:
    return tuple({id(job): job for job in jobs}.values())


def _with_parents(jobs: Sequence[NewJob[Any]]) -> tuple[NewJob[Any], ...]:
    """Return *jobs* and all the new jobs they wait for, parents first."""
    ordered: dict[int, NewJob[Any]] = {}
    for job in jobs:
        path = [(job, iter(job.edges))]
        while path:
            at, edges = path[-1]
            for edge in edges:
                parent = edge.parent
                if isinstance(parent, NewJob) and id(parent) not in ordered:
                    path.append((parent, iter(parent.edges)))
                    break
            else:
                ordered.setdefault(id(at), at)
                path.pop()
    return tuple(ordered.values())
