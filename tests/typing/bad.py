"""What type checkers must refuse: each line marked so, and no other; see test_typing."""

from __future__ import annotations

from typing import Any, assert_type

import psycopg

from pgqueue import PARENT, App, Result, chain, group
from pgqueue.contrib import django
from pgqueue.jobs.job import NewJob
from pgqueue.tasks.context import Context
from pgqueue.tasks.registry import TaskRegistry
from pgqueue.testing import Jobs

app = TaskRegistry()


@app.task
async def send(order_id: int, *, note: str = "") -> str:
    return note


@app.task(queue="pdf")
def render(ctx: Context, order_id: int) -> int:
    return order_id


send.job("7")  # refused: wrong type
send.job()  # refused: missing
send.job(order=7)  # refused: wrong name
send.job(7, "x")  # refused: keyword only
send.job(7, note=None)  # refused: wrong type
render.job(Context.detached(), 7)  # refused: the context is not the caller's
render.job(ctx=Context.detached(), order_id=7)  # refused: nor by name
render("7")  # refused: a direct call is checked too

number: NewJob[int] = send.job(7)  # refused: another result
assert_type(render.job(7), NewJob[str])  # refused: another result
send.job(7).options(priority="high")  # refused: wrong type
send.job(7).options(colour="red")  # refused: no such option
send.job(7).after(render)  # refused: a task is no job
send.job(7).after(5, on_failure="ignore")  # refused: no such policy
send.job(7).queue = "mail"  # refused: a job does not change


@app.task(executor="fork")  # refused: no such executor
def forked() -> None: ...


@app.task(colour="red")  # refused: no such option
def coloured() -> None: ...


@app.task
def report(n: int, left: Result[int] = PARENT) -> int:
    return left.upper()  # refused: it is the result itself


report.job("7")  # refused: wrong type
chain(send)  # refused: a task is no job
group([send.job(7)]).then(7)  # refused: no job


async def calls() -> None:
    n: int = await send(7)  # refused: another result
    render(7).bit_length(1)  # refused: the function's own type is known
    print(n)


def tests(queue: App, connection: psycopg.AsyncConnection[Any]) -> None:
    Jobs(queue, connection)  # refused: AsyncJobs takes it
    jobs = Jobs(queue)
    jobs.assert_enqueued("send")  # refused: no task
    jobs.assert_enqueued(send.job("7"))  # refused: wrong type
    jobs.assert_enqueued(send, queue=7)  # refused: wrong type
    jobs.drain(scheduled=7)  # refused: an instant or a duration
    jobs.perform(send)  # refused: a task is no job
    jobs.perform(send.job(7)).result.bit_length()  # refused: it is a str


@django.task(max_attempt=5)  # refused: no such option
def misspelt() -> None: ...


@django.task(takes_context=True)
def of_django(context: Any, order_id: int) -> int:
    return order_id


of_django.enqueue("7")  # refused: wrong type
of_django.using(key="ann").enqueue()  # refused: missing
of_django.using(queue="mail")  # refused: it is queue_name
