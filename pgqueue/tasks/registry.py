"""The tasks of an application, found by name: `@app.task`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import (
    Any,
    Concatenate,
    Final,
    ParamSpec,
    TypeVar,
    Unpack,
    overload,
)
from zoneinfo import ZoneInfo

from pgqueue.errors import InvalidJob, InvalidSchedule, InvalidTask, UnknownTask
from pgqueue.jobs import checks
from pgqueue.jobs.events import JobEvent
from pgqueue.jobs.job import EnqueueHook, NewJob
from pgqueue.jobs.limits import Limits, Rate, checked_limits
from pgqueue.jobs.retries import Retries
from pgqueue.jobs.schedules.schedule import Schedule, ScheduleOptions, make_schedule
from pgqueue.jobs.schedules.timing import Timing
from pgqueue.tasks.context import Context
from pgqueue.tasks.hooks import AroundHook, Handler, Hooks, checked
from pgqueue.tasks.task import (
    AsyncTask,
    Duration,
    Executor,
    SyncTask,
    Task,
    _is_coroutine_function,
    _NotAContext,
    _place,
)
from pgqueue.tasks.uniqueness import Key, Uniqueness

P = ParamSpec("P")
R = TypeVar("R")
OnEnqueue = TypeVar("OnEnqueue", bound=EnqueueHook)
OnAttempt = TypeVar("OnAttempt", bound=AroundHook)
OnEvent = TypeVar("OnEvent", bound=Callable[..., Any])

_NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})


class TaskDecorator:
    """Makes functions tasks of one registry: `@app.task`, `@app.task(queue="mail")`.

    Called with options, it returns a decorator that may be kept for several functions: `mail =
    app.task(queue="mail", max_attempts=3)`, then `@mail` or `@mail(priority=-1)`.
    """

    def __init__(self, registry: TaskRegistry, options: Mapping[str, Any] = _NO_OPTIONS) -> None:
        self._registry = registry
        self._options = options

    # Each overload overlaps with a later, wider one: type checkers take the first that fits. The
    # first two are for a first parameter of any type, or without an annotation: it would pass for a
    # context, so a checker cannot tell what the job takes.
    @overload
    def __call__(  # type: ignore[overload-overlap]  # see above
        self, fn: Callable[Concatenate[_NotAContext, ...], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[..., R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[_NotAContext, ...], R], /) -> SyncTask[..., R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # see above
        self, fn: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # see above
        self, fn: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[Context, P], R], /) -> SyncTask[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> SyncTask[P, R]: ...
    @overload
    def __call__(
        self,
        *,
        name: str | None = ...,
        queue: str = ...,
        priority: int = ...,
        max_attempts: int = ...,
        timeout: Duration | None = ...,
        executor: Executor | None = ...,
        retry: Retries | None = ...,
        unique: Uniqueness = ...,
        key: Key | None = ...,
        tags: Iterable[str] = ...,
        expires: Duration | None = ...,
        keep: bool = ...,
        aliases: Iterable[str] = ...,
        schedule: str | timedelta | Timing | None = ...,
        zone: str | ZoneInfo | None = ...,
    ) -> TaskDecorator: ...
    def __call__(self, fn: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Make *fn* a task, or return a decorator with these options.

        *name*: the function's own unless given. *queue* ("default"), *priority* (0; smaller first),
        *max_attempts* (10), *tags*: defaults of its jobs; a worker serves only queues that it is
        told to. *timeout* of an attempt: a timedelta or seconds, no limit unless given. *executor*:
        "async" for a coroutine function, "thread" for a plain one, or "process": only a process can
        be killed when its time is up. *aliases*: earlier names; the task runs their jobs, too.
        *retry*: see `pgqueue.jobs.retries`. *expires*: how long after it is due an attempt may
        begin. *keep* False: completed jobs leave no row. *unique*: True, a template, a function of
        the arguments, or `Unique`; *key*: a template or a function for the key in the queue, a
        tenant say; see `pgqueue.tasks.uniqueness`. *schedule*: when to enqueue a job without
        arguments, again and again, by the clock of *zone*, UTC unless given; see
        `TaskRegistry.schedule`, which takes more options.

        Raises InvalidTask for a declaration that cannot work, InvalidSchedule for its schedule.
        """
        options = {**self._options, **options}
        if fn is None:
            return TaskDecorator(self._registry, options)
        if isinstance(fn, Task):
            raise InvalidTask(f"{fn.name} is a task already; register it elsewhere with add()")
        if not callable(fn):
            raise InvalidTask(f"{fn!r:.60} is no function; options go by name, task(name=...)")
        when, zone = options.pop("schedule", None), options.pop("zone", None)
        kind = AsyncTask if _is_coroutine_function(fn) else SyncTask
        registry = self._registry
        hooks = registry.hooks.enqueue
        task: Task[..., Any] = kind(fn, schema=registry.schema, on_enqueue=hooks, **options)
        registry.add(task)
        if when is not None:
            registry.schedule_task(task, when, zone)
        elif zone is not None:
            raise InvalidTask(
                f"{task.name}: zone: only a schedule has one; give schedule=..., or no zone"
            )
        return task


class TaskRegistry:
    """The tasks of an application, by name."""

    def __init__(self, schema: str = "pgqueue") -> None:
        self.schema: Final = schema
        self.hooks: Final = Hooks()
        self._tasks: dict[str, Task[..., Any]] = {}
        self._schedules: dict[str, Callable[[], Schedule]] = {}
        self.limits: Final[dict[str, Limits]] = {}
        """The declarations of queues, by name."""

    @property
    def task(self) -> TaskDecorator:
        """The decorator that makes functions tasks of this registry; see `TaskDecorator`."""
        return TaskDecorator(self)

    def on_enqueue(self, hook: OnEnqueue) -> OnEnqueue:
        """Have *hook* change each job when it is enqueued: a pure function from NewJob to NewJob.

        `app.enqueue` calls it for every job; `enqueue(connection, ...)` and `ctx.enqueue` for jobs
        of tasks that are declared here. Several hooks are called in the order of their
        registration.
        """
        checked("on_enqueue", hook)
        self.hooks.enqueue.append(hook)
        return hook

    def around(self, hook: OnAttempt) -> OnAttempt:
        """Enter the context manager that *hook* returns for an attempt's context, around every
        attempt.

        It runs where the task does: in its thread, its coroutine or its process; the first is the
        outermost. An error that it raises before the task fails the attempt. An error that it
        raises afterwards is only logged, and it cannot swallow an error of the task: the attempt
        ends as the task has ended.
        """
        checked("around", hook)
        self.hooks.around.append(hook)
        return hook

    def on(self, kind: type[JobEvent], /, *kinds: type[JobEvent]) -> Callable[[OnEvent], OnEvent]:
        """Tell a function, plain or a coroutine's, of events; see `pgqueue.jobs.events`.

        The worker that ran the attempt calls it once the store has confirmed the end, for one event
        after the other, beside the jobs. A handler takes no job's slot and delays no shutdown:
        events are dropped when 1,000 wait already, or a second after the last job has ended; the
        log says how many.
        """
        given: tuple[Any, ...] = (kind, *kinds)
        for each in given:
            if not (isinstance(each, type) and issubclass(each, JobEvent)):
                raise InvalidTask(
                    f"on: {each!r:.60} is no event; give JobCompleted, JobRetried, JobDiscarded or "
                    "JobWasCancelled, from pgqueue.jobs.events"
                )

        def register(function: OnEvent) -> OnEvent:
            checked("on", function)
            self.hooks.handlers.append(Handler(function, (kind, *kinds)))
            return function

        return register

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """The tasks by name and alias: a live, read-only view."""
        return MappingProxyType(self._tasks)

    def schedule(
        self,
        name: str,
        when: str | timedelta | Timing,
        job: NewJob[Any],
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Declare when to enqueue *job* again and again; workers write the schedule when they
        start.

        *when*: five cron fields, `@daily`, `@every 5m`, English (`every weekday at 9:00`) or a
        timedelta; by the clock of *zone*, UTC unless given. *anchor*: the instant from which an
        interval is counted. *missed*, *catch_up*, *overlap*, *jitter*, *starts*, *ends*,
        *immediately*: see `pgqueue.jobs.schedules.schedule.Schedule`. Raises InvalidSchedule.
        """
        made = make_schedule(name, when, job, **options)
        self.declare(made)
        return made

    def declare(self, schedule: Schedule) -> None:
        """Declare *schedule*; raises InvalidSchedule if its name is taken."""
        self._declare(schedule.name, lambda: schedule)

    def schedule_task(
        self, task: Task[..., Any], when: str | timedelta | Timing, zone: str | ZoneInfo | None
    ) -> None:
        """Declare a schedule with *task*'s own name; raises InvalidTask, InvalidSchedule."""
        if needed := task.signature.required():
            raise InvalidTask(
                f"{task.name}: {needed[0]} has no default: a schedule gives no arguments; give it "
                f"one, or say app.schedule(..., {task.name}.job({needed[0]}=...))"
            )
        timing = make_schedule(task.name, when, NewJob(task.name), zone=zone).timing
        # The job is made later, as annotations may not be resolvable yet.
        self._declare(task.name, lambda: Schedule(task.name, timing, task.job()))

    @property
    def declared(self) -> dict[str, Schedule]:
        """The schedules that the code declares, by name."""
        return {name: make() for name, make in self._schedules.items()}

    def _declare(self, name: str, make: Callable[[], Schedule]) -> None:
        if name in self._schedules:
            raise InvalidSchedule(f"{name}: two schedules of this name are declared; rename one")
        self._schedules[name] = make

    def queue(
        self,
        name: str,
        *,
        concurrency: int | None = None,
        rate: Rate | None = None,
        key_concurrency: int | None = None,
        key_rate: Rate | None = None,
        ordered: bool = False,
        lowest_share: float | None = None,
    ) -> None:
        """Declare limits of the queue *name*, for all workers together; a worker tells the store
        when it starts.

        *concurrency*: how many of its jobs run at once. *rate*: how many attempts begin, `Rate(100,
        per=60)` for 100 in any minute. *key_concurrency*, *key_rate*: the same for the jobs of each
        key. *ordered*: jobs of a key start in their order, each when the one before has ended.
        *lowest_share*: the part of its jobs, 0.1 say, that is claimed in turn from priorities other
        than the most urgent one; not together with limits. Changes made at run time hold until the
        code declares the field differently.

        Raises InvalidTask for impossible values.
        """
        declared = Limits(concurrency, rate, key_concurrency, key_rate, ordered, lowest_share)
        try:
            checks.name("queue", "name", name)
            self.limits[name] = checked_limits(f"queue {name}", declared)
        except InvalidJob as error:
            raise InvalidTask(str(error)) from error

    def add(self, task: Task[..., Any]) -> None:
        """Add *task*, perhaps another registry's; raises InvalidTask if its name is taken."""
        names = (task.name, *task.aliases)
        for name in names:
            known = self._tasks.get(name)
            if known is not None and _place(known.fn) != _place(task.fn):
                raise InvalidTask(
                    f"{name}: {_place(known.fn)} has this name already, {_place(task.fn)} needs "
                    'another, @app.task(name="...")'
                )
        self._tasks.update(dict.fromkeys(names, task))

    def find(self, name: str) -> Task[..., Any]:
        """Return the task *name*; raises UnknownTask."""
        try:
            return self._tasks[name]
        except KeyError:
            raise UnknownTask(
                f"{name}: no task of this name; import the module that declares it, "
                "before the worker starts"
            ) from None

    def prepare(self) -> None:
        """Prepare all tasks; raises InvalidTask for the first that cannot work."""
        for task in self._tasks.values():
            task.prepare()
