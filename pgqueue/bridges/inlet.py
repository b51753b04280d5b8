"""`app.inlet`: a task whose jobs come from a broker's queue."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pgqueue.bridges import adapters
from pgqueue.bridges.base import TRACE, Addressed, Received, Source
from pgqueue.errors import InvalidTask, PgqueueError
from pgqueue.jobs import checks
from pgqueue.jobs.job import NewJob
from pgqueue.jobs.outcomes import Discard
from pgqueue.jobs.unique import Unique
from pgqueue.tasks.context import Context
from pgqueue.tasks.task import AsyncTask, Task

if TYPE_CHECKING:
    from pgqueue.tasks.registry import TaskRegistry

KEPT_BYTES: Final = 700 * 1024
"""Of a message that cannot become a job, so much is kept; in base64 that fits into a job."""


class Inlet:
    """Makes a job of *task* of each message from *source*, or, where messages say themselves which
    task they are for, of that one.

    *read* gives the arguments: without it the body is a JSON object of them. *key* gives the job's
    key. A message becomes one job, by its id, however often it is delivered: the id is remembered
    for *keep*, a timedelta or seconds, from when the job was enqueued, whatever becomes of the job.
    While more than *high_water* jobs wait in the task's queue, nothing is taken. Raises InvalidTask
    for a *keep* that is not more than 0.

    A message that cannot become a job, *poison*, becomes one of a small task *name*, on a queue of
    that name, which holds the message and ends as a dead letter with the reason. Retried, it is
    read again.
    """

    def __init__(
        self,
        registry: TaskRegistry,
        name: str,
        source: Source | str,
        task: Task[..., Any] | None,
        *,
        read: Callable[[Received], Mapping[str, Any]] | None = None,
        key: Callable[[Received], str | None] | None = None,
        keep: timedelta | float,
        high_water: int | None = None,
    ) -> None:
        self.name: Final = name
        self.source: Final = adapters.source(name, source)
        self.task: Final = task
        self._tasks: Final = registry.tasks
        self._addressed: Final = _addressed(name, self.source, task, read)
        self.keep: Final = _kept(name, keep)
        self.high_water: Final = high_water
        # One for all messages: to make a rule of each was half of what a message costs.
        self._rule: Final = Unique(until=self.keep)
        self._read: Final = read
        self._key: Final = key
        self.poison: Final[AsyncTask[..., Discard | None]] = AsyncTask(
            self._mend,
            name=name,
            queue=name,
            max_attempts=1,
            schema=registry.schema,
            on_enqueue=registry.hooks.enqueue,
        )

    @property
    def queue(self) -> str | None:
        """Where its jobs wait; None: in the queues of several tasks."""
        return None if self.task is None else self.task.queue

    @property
    def queues(self) -> set[str]:
        """Where its jobs may wait."""
        return {task.queue for task in ([self.task] if self.task else self._tasks.values())}

    def job_of(self, message: Received) -> NewJob[Any]:
        """Return the job of *message*, or that of the poison which it is; raises nothing."""
        return self.jobs_of(message)[0]

    def jobs_of(self, message: Received) -> list[NewJob[Any]]:
        """As `job_of`, with those that follow it, if the message asks for several."""
        try:
            return self._jobs_of(message, "inlet")
        except Exception as error:
            return [self.poisoned(message, error)]

    def poisoned(self, message: Received, error: Exception, id: str | None = None) -> NewJob[Any]:
        """Return the job that keeps *message*, which could not become a job because of *error*. It
        is unique by the message's id, or by *id* if the message has none."""
        given: dict[str, Any] = {"raw": message.body[:KEPT_BYTES]}
        for name in ("id", "to", "group", "type"):
            value = getattr(message, name)
            if value is not None and _storable(value):
                given[name] = value
        headers = {name: text for name, text in message.headers.items() if _storable(name + text)}
        if headers and sum(len(text) for text in headers.values()) < 64 * 1024:
            given["headers"] = headers
        if len(message.body) > KEPT_BYTES:
            given["size"] = len(message.body)
        job = self.poison.job(**given, reason=_why(error))
        return self._once(job, id if message.id is None else message.id)

    def _jobs_of(self, message: Received, kind: str) -> list[NewJob[Any]]:
        """Raises whatever keeps *message* from being a job."""
        if len(message.body) > checks.MAX_ARGS_BYTES:
            raise ValueError(f"{len(message.body):,} bytes, beyond the 1 MiB of a job")
        key = None if self._key is None else self._key(message)
        trace = {name: message.headers[name] for name in TRACE if name in message.headers}

        def finish(job: NewJob[Any], id: str | None) -> NewJob[Any]:
            job = job if key is None else job.options(key=key)
            job = job.options(metadata=trace) if trace else job
            return self._once(job, id, kind)

        if self._addressed is not None:
            return self._addressed.jobs(message, self._tasks, finish)
        assert self.task is not None
        read = _arguments(message, self.task) if self._read is None else self._read(message)
        return [finish(self.task.job(**read), message.id)]

    def _once(self, job: NewJob[Any], id: str | None, kind: str = "inlet") -> NewJob[Any]:
        """*job*, and no other one of its *kind* and the message *id* for as long as *keep*."""
        if id is None:
            return job
        return job.given(job.args, self._unique(kind, id), uniqueness=self._rule)

    def _unique(self, kind: str, id: str) -> str:
        text = f"{kind}/{self.name}/{id}"
        if len(text) <= checks.MAX_UNIQUE_CHARS and _storable(text):
            return text
        digest = hashlib.sha256(id.encode(errors="surrogatepass")).hexdigest()
        return f"{kind}/{self.name}/{digest}"

    async def _mend(
        self,
        ctx: Context,
        *,
        raw: bytes,
        reason: str,
        id: str | None = None,
        to: str | None = None,
        group: str | None = None,
        type: str | None = None,
        headers: dict[str, str] | None = None,
        size: int | None = None,
    ) -> Discard | None:
        if size is not None:
            return Discard(f"{reason}; {len(raw):,} of {size:,} bytes are kept")
        message = Received(body=raw, id=id, to=to, group=group, type=type, headers=headers or {})
        try:  # this job holds the message's unique key, so the job that is made of it has another
            ctx.enqueue(*self._jobs_of(message, "mended"))
        except Exception as error:
            return Discard(_why(error))
        return None

    def __repr__(self) -> str:
        return f"<Inlet {self.name}: {self.source.place}>"


def _addressed(
    name: str, source: Source, task: Task[..., Any] | None, read: object
) -> Addressed | None:
    if isinstance(source, Addressed):
        if task is not None or read is not None:
            raise InvalidTask(
                f"{name}: its messages name their tasks: give no task, and no function that reads"
            )
        return source
    if task is None:
        raise InvalidTask(f"{name}: give the task, whose jobs the messages become")
    return None


def _arguments(message: Received, task: Task[..., Any]) -> Mapping[str, Any]:
    """The arguments that the body names, of *task*'s types: JSON itself has no instants."""
    try:
        found = message.json()
    except msgspec.DecodeError as error:
        raise ValueError(f"the body is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"a JSON {type(found).__name__}, not an object of the arguments")
    args, kwargs = task.decode_args(message.text)
    names = (parameter.name for parameter in task.signature.parameters)
    typed = dict(zip(names, args, strict=False)) | kwargs
    return {name: typed[name] for name in found}


def _kept(name: str, keep: timedelta | float) -> timedelta:
    try:
        found = checks.to_duration(keep)
    except (TypeError, ValueError) as error:
        raise InvalidTask(f"{name}: keep: {error}") from None
    if not found:
        raise InvalidTask(f"{name}: keep: 0 s: give more than 0")
    return found


def _storable(text: str) -> bool:
    return text.isprintable()


def _why(error: Exception) -> str:
    """What is wrong, in a text that any store takes."""
    text = str(error)
    if not isinstance(error, PgqueueError):
        text = f"{type(error).__name__}: {text}"
    return text.encode("ascii", "backslashreplace").decode().replace("\0", "\\0")[:500]
