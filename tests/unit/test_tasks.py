from __future__ import annotations

import copy
import functools
import logging
import pickle
from datetime import timedelta
from typing import Any

import pytest

from pgqueue.errors import InvalidArguments, InvalidJob, InvalidTask, UnknownTask
from pgqueue.jobs.outcomes import Snooze
from pgqueue.jobs.retries import DEFAULT, Constant, Never
from pgqueue.tasks.context import Context
from pgqueue.tasks.registry import TaskRegistry
from pgqueue.tasks.task import AsyncTask, SyncTask

app = TaskRegistry()


@app.task(queue="mail", priority=-2, max_attempts=5, timeout=30, tags=["billing"], retry=Never())
async def send_receipt(order_id: int, copy: bool = False) -> str:
    """Send it."""
    return f"{order_id} {copy}"


@app.task
def render_pdf(ctx: Context, order_id: int) -> int | Snooze:
    ctx.progress(0.5, "half", checkpoint=order_id)
    return order_id * ctx.attempt


@pytest.fixture
def registry() -> TaskRegistry:
    return TaskRegistry()


def test_a_number_that_no_store_takes_is_refused() -> None:
    with pytest.raises(InvalidJob, match=r"send_receipt: args: a number of 1201 digits"):
        send_receipt.job(10**1200)


def test_a_job_has_what_its_task_says() -> None:
    job = send_receipt.job(7, copy=True)
    assert (job.task, job.args) == ("send_receipt", '{"order_id":7,"copy":true}')
    assert (job.queue, job.priority, job.max_attempts) == ("mail", -2, 5)
    assert (job.timeout, job.tags) == (timedelta(seconds=30), ("billing",))
    assert (job.unique, job.run_at, job.delay, job.edges) == (None, None, None, ())


def test_a_job_may_differ_from_its_task() -> None:
    job = send_receipt.job(7).options(queue="slow", timeout=None)
    assert (job.queue, job.timeout, job.priority) == ("slow", None, -2)
    assert send_receipt.job(7).queue == "mail"


def test_the_bare_decorator_takes_the_defaults() -> None:
    assert (render_pdf.name, render_pdf.queue, render_pdf.executor) == (
        "render_pdf",
        "default",
        "thread",
    )
    assert (render_pdf.priority, render_pdf.max_attempts, render_pdf.timeout) == (0, 10, None)
    assert render_pdf.retry is DEFAULT


async def test_calling_a_task_runs_it() -> None:
    assert await send_receipt(7, copy=True) == "7 True"
    assert render_pdf(7) == 7
    assert render_pdf.fn(Context.detached(attempt=3), 7) == 21


async def test_runs_what_a_job_says() -> None:
    assert await send_receipt.call(Context.detached(), send_receipt.job(7).args) == "7 False"
    context = Context.detached("render_pdf", attempt=2)
    assert render_pdf.call(context, render_pdf.job(order_id=7).args) == 14
    assert context.checkpoint == 7


def test_refuses_wrong_arguments_before_anything_is_enqueued() -> None:
    with pytest.raises(InvalidArguments, match="send_receipt: order_id: Expected `int`"):
        send_receipt.job("7")  # type: ignore[arg-type]
    with pytest.raises(InvalidArguments, match="render_pdf: missing a required argument"):
        render_pdf.job()  # type: ignore[call-arg]


def test_results_come_back_typed() -> None:
    assert render_pdf.decode_result(render_pdf.encode_result(7)) == 7
    assert send_receipt.encode_result(None) is None


def test_is_still_its_function_to_the_eye() -> None:
    assert (send_receipt.__name__, send_receipt.__doc__) == ("send_receipt", "Send it.")
    assert repr(send_receipt) == "<AsyncTask send_receipt>"
    assert repr(render_pdf) == "<SyncTask render_pdf>"


def test_pickles_as_the_name_it_has_in_its_module() -> None:
    assert pickle.loads(pickle.dumps(send_receipt)) is send_receipt
    assert copy.deepcopy(render_pdf) is render_pdf


def test_chooses_the_executor_by_the_function(registry: TaskRegistry) -> None:
    @registry.task
    async def coroutine() -> None: ...
    @registry.task
    def plain() -> None: ...
    @registry.task(executor="process")
    def heavy() -> None: ...

    assert (coroutine.executor, plain.executor, heavy.executor) == ("async", "thread", "process")
    assert isinstance(coroutine, AsyncTask)
    assert isinstance(plain, SyncTask)


async def test_takes_partials_and_callable_objects(registry: TaskRegistry) -> None:
    class Greeter:
        async def __call__(self, name: str) -> str:
            return f"hello {name}"

    greet = registry.task(name="greet")(Greeter())
    assert greet.executor == "async"
    assert await greet.call(Context.detached(), greet.job("you").args) == "hello you"

    partial = registry.task(name="partial")(functools.partial(send_receipt.fn, copy=True))
    assert await partial.call(Context.detached(), '{"order_id":1}') == "1 True"


def test_a_decorator_with_options_serves_several_functions(registry: TaskRegistry) -> None:
    mail = registry.task(queue="mail", max_attempts=3)

    @mail
    def one() -> None: ...
    @mail(max_attempts=4)
    def two() -> None: ...

    assert (one.queue, one.max_attempts) == ("mail", 3)
    assert (two.queue, two.max_attempts) == ("mail", 4)


def test_finds_tasks_by_name(registry: TaskRegistry) -> None:
    task = registry.task(name="mail/send.v2")(lambda: None)
    assert registry.find("mail/send.v2") is task
    assert list(registry.tasks) == ["mail/send.v2"]
    with pytest.raises(UnknownTask, match="missing: no task of this name; import the module"):
        registry.find("missing")


def test_refuses_a_second_task_of_the_same_name(registry: TaskRegistry) -> None:
    registry.task(name="send_receipt")(lambda: None)
    with pytest.raises(InvalidTask, match=r"has this name already.*another, @app.task\(name="):
        registry.add(send_receipt)


def test_a_module_loaded_again_declares_its_tasks_again(registry: TaskRegistry) -> None:
    def load() -> Any:
        @registry.task
        def job(n: int) -> None: ...

        return job

    first, second = load(), load()
    assert registry.find("job") is second is not first


def test_shares_a_task_between_registries(registry: TaskRegistry) -> None:
    registry.add(send_receipt)
    registry.add(send_receipt)
    assert registry.find("send_receipt") is send_receipt


def generator() -> Any:
    yield 1


async def async_generator() -> Any:
    yield 1


def plain() -> None: ...


async def coroutine() -> None: ...


@pytest.mark.parametrize(
    ("fn", "options", "problem"),
    [
        (lambda: None, {}, r"has no name; give one, @app.task\(name="),
        (functools.partial(plain), {}, "has no name"),
        (generator, {}, "generator: a generator cannot be a task"),
        (async_generator, {}, "a generator cannot be a task"),
        (plain, {"executor": "async"}, "plain: a plain function would block the event loop"),
        (coroutine, {"executor": "thread"}, "coroutine: a coroutine runs on the event loop"),
        (coroutine, {"executor": "process"}, "to run it in a process"),
        (plain, {"executor": "fork"}, "executor 'fork'; give"),
        (plain, {"name": "no good"}, "name: 'no good' is no name"),
        (plain, {"queue": "no good"}, "plain: queue: 'no good' is no name"),
        (plain, {"priority": 99999}, "plain: priority: "),
        (plain, {"max_attempts": 0}, "plain: max_attempts: "),
        (plain, {"timeout": 0}, "plain: timeout: "),
        (plain, {"timeout": "1h"}, "plain: timeout: "),
        (plain, {"tags": "billing"}, "plain: tags: "),
        (plain, {"retry": Never}, "plain: retry is the class Never"),
        (plain, {"retry": "twice"}, "plain: retry is 'twice'"),
        (plain, {"unique": 3}, "plain: unique: give"),
        (send_receipt, {}, "send_receipt is a task already"),
        ("mail", {}, "'mail' is no function"),
    ],
)
def test_refuses_a_declaration_that_cannot_work(
    registry: TaskRegistry, fn: Any, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidTask, match=problem):
        registry.task(**options)(fn)
    assert not registry.tasks


def test_refuses_an_unknown_option(registry: TaskRegistry) -> None:
    with pytest.raises(TypeError, match="colour"):
        registry.task(colour="red")(plain)  # type: ignore[call-overload]


def test_prepare_finds_what_the_first_job_would(registry: TaskRegistry) -> None:
    @registry.task
    def unresolved(order: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(InvalidTask, match="unresolved: order: its annotation cannot be resolved"):
        registry.prepare()
    app.prepare()


def test_a_policy_that_fails_loses_no_job(
    registry: TaskRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(attempt: int, error: BaseException) -> float:
        raise ZeroDivisionError

    fragile = registry.task(name="fragile", retry=broken)(plain)
    with caplog.at_level(logging.ERROR):
        delay = fragile.retry_after(1, ValueError())
    assert delay is not None
    assert timedelta(seconds=2) < delay <= timedelta(seconds=3)
    assert "fragile: its retry policy failed" in caplog.text


def test_asks_its_policy(registry: TaskRegistry) -> None:
    assert send_receipt.retry_after(1, ValueError()) is None
    patient = registry.task(name="patient", retry=5)(plain)
    assert patient.retry == Constant(5)
    assert patient.retry_after(1, ValueError()) == timedelta(seconds=5)


def test_a_task_has_its_earlier_names_too() -> None:
    app = TaskRegistry()

    @app.task(aliases=["send_invoice", "invoice"])
    def send_bill(order: int) -> None: ...

    assert app.find("invoice") is app.find("send_bill") is send_bill
    assert send_bill.job(1).task == "send_bill"
    with pytest.raises(InvalidTask, match=r"invoice: .* has this name already"):

        @app.task
        def invoice() -> None: ...
