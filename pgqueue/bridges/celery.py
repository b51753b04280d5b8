"""Celery over RabbitMQ: for leaving it, in either direction. `pip install 'pgqueue[amqp]'`.

    app.inlet("celery", celery.Queue("celery", url="env:AMQP_URL"))      # delay() makes our jobs
    to_celery = app.outlet("to_celery", celery.Exchange(url="env:AMQP_URL"))
    add = celery.Task(to_celery, "shop.tasks.add")
    enqueue(session, add.message(2, 2))                                  # a Celery worker runs it

Messages are those of protocol 2, in JSON. What cannot be kept to is refused by its name, and pickle
always: reading it runs code. Celery itself is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pgqueue.bridges import amqp
from pgqueue.bridges.base import Finish, Message, Received, SinkLine, SourceLine, Unreachable
from pgqueue.bridges.celery_codec import jobs_of, written
from pgqueue.errors import installed
from pgqueue.jobs.job import NewJob

if TYPE_CHECKING:
    from pgqueue.bridges.outlet import Outlet
    from pgqueue.tasks.task import Task as OurTask

EMBED: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


@dataclass(frozen=True, slots=True)
class Queue(amqp.Queue):
    """A queue of Celery's, each of whose messages says which task it is for: the one of that name,
    or alias, in the application. Options are those of `amqp.Queue`.

    eta is when the job is due, expires when it expires, the smaller of timelimit's two is its
    timeout, retries are attempts that are spent; the links of a chain become children.
    """

    name: str = "celery"

    @property
    def place(self) -> str:
        return f"Celery queue {self.name}"

    async def open(self) -> SourceLine:
        with installed("amqp", Unreachable):
            from pgqueue.bridges.celery_lines import CeleryQueueLine
        return await CeleryQueueLine.to(self)

    def jobs(
        self, message: Received, tasks: Mapping[str, OurTask[..., Any]], finish: Finish
    ) -> list[NewJob[Any]]:
        return jobs_of(message, tasks, finish)


@dataclass(frozen=True, slots=True)
class Exchange(amqp.Exchange):
    """Where Celery workers take their messages from: the queue *routing_key* of the default
    exchange, unless a message names another as *to*. Options are those of `amqp.Exchange`.

    A message's *type* is the task's name, its body `[args, kwargs, embed]`: `Task` makes them, and
    who enqueues from SQL writes them.
    """

    name: str = ""
    routing_key: str = "celery"

    @property
    def place(self) -> str:
        return f"Celery queue {self.routing_key}" if not self.name else f"Celery by {self.name}"

    def check(self, message: Message) -> None:
        amqp.Exchange.check(self, message)
        if not message.type:
            raise ValueError("type: give the name of Celery's task")
        if not message.is_text:
            raise ValueError("body: bytes; give Celery's [args, kwargs, embed]")
        match msgspec.json.decode(message.body):
            case [list(), dict(), dict()]:
                return
        raise ValueError("body: give Celery's [args, kwargs, embed], a list and two objects")

    async def open(self) -> SinkLine:
        with installed("amqp", Unreachable):
            from pgqueue.bridges.celery_lines import CeleryExchangeLine
        return await CeleryExchangeLine.to(self)


class Task:
    """A task that Celery workers run, by its *name* there; *outlet* leads to an `Exchange` of this
    module, and *queue* names another queue than that exchange's."""

    def __init__(self, outlet: Outlet, name: str, *, queue: str | None = None) -> None:
        self.outlet: Final = outlet
        self.name: Final = name
        self.queue: Final = queue

    def message(self, *args: Any, **kwargs: Any) -> NewJob[None]:
        """Return the job that sends the task with these arguments, as its `delay` would; what is
        due later waits here: `.options(run_at=...)`. Raises InvalidJob, InvalidArguments."""
        body: Sequence[Any] = [written(args), written(kwargs), EMBED]
        return self.outlet.message(body, type=self.name, to=self.queue)

    def __repr__(self) -> str:
        return f"<celery.Task {self.name}: {self.outlet.name}>"
