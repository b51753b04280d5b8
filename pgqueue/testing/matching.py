"""Find the job that a test expects among those that wait, and say how the nearest one differs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from pgqueue.jobs import jsontext
from pgqueue.jobs.job import Job, NewJob, State
from pgqueue.operations import Plan, inspections
from pgqueue.tasks.registry import TaskRegistry
from pgqueue.tasks.task import Task

WAITING: Final = (State.BLOCKED, State.SCHEDULED, State.AVAILABLE, State.RETRYABLE)
PAGE: Final = 500
SHOWN: Final = 20
_ABSENT: Final = object()


def waiting(
    *, task: str | None = None, queue: str | None = None, states: Iterable[State] = WAITING
) -> Plan[list[Job]]:
    """Read all jobs that wait, in the order in which they were enqueued."""
    found: list[Job] = []
    for state in states:
        before: int | None = None
        while True:
            page: list[Job] = yield inspections.list_jobs(
                state=state, task=task, queue=queue, before=before, limit=PAGE
            )
            found += page
            if len(page) < PAGE:
                break
            before = page[-1].id
    return sorted(found, key=lambda job: job.id)


class Expected:
    """A job as a test describes it: its task, some of its arguments, perhaps its queue.

    *of* is a task, or a job of one, `task.job(...)`, whose arguments a type checker has seen; only
    the arguments that it was given count. Raises TypeError for an argument that the task does not
    have: no job could match it.
    """

    def __init__(
        self,
        registry: TaskRegistry,
        of: Task[..., Any] | NewJob[Any] | None,
        arguments: Mapping[str, Any],
        queue: str | None,
    ) -> None:
        self.queue = queue
        self.task: str | None = None
        self.arguments = dict(arguments)
        self._defaults: dict[str, Any] = {}
        if isinstance(of, NewJob):
            self.task = of.task
            self.arguments = {**msgspec.json.decode(of.args), **self.arguments}
            of = registry.tasks.get(of.task)
        if of is None:
            if arguments and self.task is None:
                raise TypeError("arguments of which task? Give it first")
        elif isinstance(of, Task):
            self.task = of.name
            self._check(of)
        else:
            raise TypeError(f"{of!r:.60} is no task; give one, or task.job(...)")

    def _check(self, task: Task[..., Any]) -> None:
        parameters = {p.name: p for p in task.signature.parameters}
        for name, parameter in parameters.items():
            if parameter.default is not parameter.empty:
                self._defaults[name] = parameter.default
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return
        for name in self.arguments:
            if name not in parameters:
                near = difflib.get_close_matches(name, parameters, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                known = ", ".join(parameters) or "none"
                raise TypeError(f"{task.name} has no argument {name}, it has {known}{hint}")

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        what = "any job" if self.task is None else f"{self.task}({given})"
        return what if self.queue is None else f"{what} in queue {self.queue}"

    def differences(self, job: Job) -> list[str]:
        """Return how *job* is not as expected; nothing if it is. The task is not compared."""
        found = []
        if self.queue is not None and job.queue != self.queue:
            found.append(f"queue is {job.queue!r}, not {self.queue!r}")
        for name, value in self.arguments.items():
            found += _differences(name, value, self._given(job, name))
        return found

    def matches(self, job: Job) -> bool:
        return (self.task is None or job.task == self.task) and not self.differences(job)

    def _given(self, job: Job, name: str) -> Any:
        """Return an argument of *job*; one that was not given has its default, as when the job
        runs."""
        if name in job.args:
            return job.args[name]
        return _as_json(self._defaults[name]) if name in self._defaults else _ABSENT

    def missing(self, jobs: Sequence[Job]) -> str:
        """Return why the test fails: none of *jobs*, all that wait, is as expected."""
        lines = [f"no job waits that is {self}; {_listed(jobs)}"]
        alike = [job for job in jobs if job.task == self.task]
        if alike:
            nearest = min(alike, key=lambda job: len(self.differences(job)))
            lines += [f"the nearest is job {nearest.id}:"]
            lines += [f"  {difference}" for difference in self.differences(nearest)]
        elif self.task is not None:
            near = difflib.get_close_matches(self.task, {job.task for job in jobs}, 1)
            lines += [f"no job of {self.task} waits{f', but of {near[0]}' if near else ''}"]
        return "\n".join(lines)

    def several(self, found: Sequence[Job], wanted: str) -> str:
        """Return why the test fails: all of *found* are as expected."""
        return f"{len(found)} jobs wait that are {self}, not {wanted}; {_listed(found)}"


def shown(job: Job) -> str:
    """Return *job* as one line."""
    given = ", ".join(f"{name}={value!r}" for name, value in job.args.items())
    due = f", due {job.run_at.isoformat()}" if job.state == State.SCHEDULED else ""
    return f"{job.task}({given})  job {job.id}, queue {job.queue}, {job.state}{due}"


def _listed(jobs: Sequence[Job]) -> str:
    if not jobs:
        return "nothing waits at all (was it committed, and on this connection?)"
    lines = [f"  {shown(job)}" for job in jobs[:SHOWN]]
    if len(jobs) > SHOWN:
        lines.append(f"  and {len(jobs) - SHOWN} more")
    return "\n".join([f"there {'is' if len(jobs) == 1 else 'are'} {len(jobs)}:", *lines])


def _differences(path: str, expected: Any, actual: Any) -> Iterator[str]:
    """Yield what differs: of objects only what is expected counts; lists must have the same
    length."""
    if actual is _ABSENT:
        yield f"{path} is not there, expected {expected!r}"
    elif isinstance(expected, Mapping) and isinstance(actual, dict):
        for key, value in expected.items():
            yield from _differences(f"{path}.{key}", value, actual.get(key, _ABSENT))
    elif isinstance(expected, (list, tuple)) and isinstance(actual, list):
        if len(expected) != len(actual):
            yield f"{path} has {len(actual)} elements, not {len(expected)}: {actual!r}"
        else:
            for n, (one, other) in enumerate(zip(expected, actual, strict=True)):
                yield from _differences(f"{path}[{n}]", one, other)
    elif not _is_equal(expected, actual):
        yield f"{path} is {actual!r}, not {expected!r}"


def _is_equal(expected: Any, actual: Any) -> bool:
    """Are both the same as JSON, as the store keeps it?

    What JSON cannot express decides itself what it equals, as `unittest.mock.ANY` and
    `pytest.approx` do.
    """
    try:
        expected = _as_json(expected)
    except (TypeError, ValueError):
        return bool(expected == actual)
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    return bool(expected == actual)


def _as_json(value: Any) -> Any:
    return msgspec.json.decode(jsontext.write(value))
