from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from pgqueue.errors import InvalidArguments, InvalidJob, InvalidTask
from pgqueue.jobs.job import NewJob
from pgqueue.jobs.unique import Merge, Unique
from pgqueue.tasks.registry import TaskRegistry
from pgqueue.tasks.uniqueness import Uniqueness


def key(unique: Uniqueness, *args: Any, name: str = "send", **kwargs: Any) -> str | None:
    def send(order_id: int, day: date | None = None, *, labels: Any = ()) -> None: ...

    return TaskRegistry().task(name=name, unique=unique)(send).job(*args, **kwargs).unique


def test_no_key_unless_asked_for() -> None:
    assert key(False, 1) is None


def test_the_same_arguments_have_the_same_key_however_they_are_given() -> None:
    assert key(True, 1) == key(True, order_id=1) == key(True, 1, None) == key(True, 1, labels=())
    assert key(True, 1, labels={"b": 1, "a": {2, 1}}) == key(True, 1, labels={"a": {1, 2}, "b": 1})


def test_other_arguments_or_another_task_have_another_key() -> None:
    keys = {
        key(True, 1),
        key(True, 2),
        key(True, 1, date(2026, 1, 1)),
        key(True, 1, name="other"),
        key("{order_id}", 1),
        key("{order_id}", 1, name="other"),
    }
    assert len(keys) == 6
    assert all(k is not None and k.startswith(("send:", "other:")) for k in keys)


def test_fills_a_template_with_arguments_and_defaults() -> None:
    assert key("order-{order_id}/{day}", 7) == "send:order-7/None"
    assert key("{day:%Y-%m}", 7, date(2026, 3, 1)) == "send:2026-03"


def test_says_when_a_template_cannot_be_filled_in() -> None:
    for template in ("{order}", "{}", "{order_id.x}", "{order_id"):
        with pytest.raises(InvalidArguments, match=r"send: unique: .* cannot be filled in"):
            key(template, 7)


def test_asks_a_function_of_the_arguments() -> None:
    assert key(lambda order_id, day, labels: f"o{order_id}", 7) == "send:o7"
    assert key(lambda order_id, **_: None, 7) is None


def test_refuses_a_key_that_cannot_be_kept() -> None:
    with pytest.raises(InvalidJob, match=r"send: unique: .* a hash of the rest"):
        key("x" * 600, 7)


def test_says_when_a_default_makes_no_key() -> None:
    @TaskRegistry().task(unique=True)
    def send(order_id: int, sink: Any = object()) -> None: ...  # noqa: B008

    with pytest.raises(InvalidArguments, match="send: unique: a default cannot be written as JSON"):
        send.job(1)


def test_options_give_a_whole_key() -> None:
    @TaskRegistry().task(unique=True)
    def send(order_id: int) -> None: ...

    assert send.job(1).options(unique="shared").unique == "shared"


# Rules


def test_some_arguments_count() -> None:
    some = Unique("order_id")
    assert key(some, 1, labels=1) == key(some, order_id=1) != key(some, 2)
    assert key(Unique(), 1) == key(True, 1)
    assert key(Unique(key="{order_id}"), 7) == "send:7"
    assert key(Unique(key=lambda order_id, **_: None), 7) is None


def test_a_rule_goes_with_the_key_that_it_is_for() -> None:
    @TaskRegistry().task(unique=(rule := Unique("order_id", until="started")), key="{order_id}")
    def send(order_id: int) -> None: ...

    job = send.job(1)
    assert (job.uniqueness, job.key) == (rule, "1")
    assert job.options(priority=1).uniqueness is rule
    for other in (job.options(unique=None), job.options(unique="whole")):
        assert other.uniqueness is None
    whole = job.options(unique=Unique(key="{whole}", until=60), queue="mail")
    assert (whole.unique, whole.unique_key) == ("{whole}", "{whole}")
    assert job.options(unique=Unique(key="k", queue=True), queue="mail").unique_key == "mail k"


def test_what_unique_true_means_is_no_rule() -> None:
    @TaskRegistry().task(unique=Unique("order_id"))
    def send(order_id: int) -> None: ...

    assert send.job(1).uniqueness is None


def test_times_are_seconds_or_timedeltas() -> None:
    assert Unique(until=timedelta(minutes=1)) == Unique(until=60)
    assert Unique(until=60).seconds == 60
    assert Unique(until="started").seconds is None


LEGAL = {
    "finished": {"return", "raise"},
    "started": {"return", "raise", "replace", "merge"},
    60: {"return", "raise"},
}


@pytest.mark.parametrize("until", LEGAL)
@pytest.mark.parametrize("conflict", ["return", "raise", "replace", "merge"])
def test_what_cannot_go_together_is_refused_with_what_can(until: Any, conflict: str) -> None:
    given: Any = Merge("ids") if conflict == "merge" else conflict
    if conflict in LEGAL[until]:
        assert Unique(until=until, conflict=given).conflict == given
    else:
        with pytest.raises(
            InvalidTask, match=r"allows return, raise; until=\"started\" allows all"
        ):
            Unique(until=until, conflict=given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"conflict": "ignore", "until": "started"}, "until=started allows return, raise, replace"),
        ({"until": "ended"}, 'until: .* give seconds, "finished" or "started"'),
        ({"until": 0}, "0 s is no time"),
        ({"until": -1}, "-1.0 s is negative"),
        ({"keep": ("args",)}, 'keep: it belongs to conflict="replace" or Merge'),
        ({"at_most": 5, "until": 60}, 'at_most: it belongs to conflict="replace" or Merge'),
        ({"key": 7}, "give a text, a template or a function"),
    ],
)
def test_says_what_is_wrong_with_a_rule(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidTask, match=message):
        Unique(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": ("id",)}, "keep: 'id'; give some of args, "),
        ({"keep": "args"}, "give a tuple of names"),
        ({"keep": ("run_at",), "at_most": 5}, "it is never put off; give one of them"),
        ({"keep": ("args",), "conflict": Merge("ids")}, "merged cannot stay as they are"),
    ],
)
def test_says_what_is_wrong_with_a_replacement(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidTask, match=message):
        Unique(**{"until": "started", "conflict": "replace", **options})


def test_names_arguments_that_the_task_has() -> None:
    def send(order_id: int) -> None: ...

    for rule in (Unique("order"), Unique(until="started", conflict=Merge("order"))):
        with pytest.raises(InvalidTask, match="send: unique: it has no argument 'order'"):
            TaskRegistry().task(unique=rule)(send)
    with pytest.raises(InvalidTask, match="not both"):
        Unique("order_id", key="x")
    with pytest.raises(InvalidTask, match="give the names of arguments that are lists"):
        Merge()


def test_a_single_job_takes_a_whole_key_alone() -> None:
    with pytest.raises(InvalidJob, match=r"send: unique: .* Unique\(key=\.\.\.\)"):
        NewJob("send").options(unique=Unique("order_id"))
    with pytest.raises(InvalidJob, match="send: uniqueness: there is no unique key"):
        NewJob("send", uniqueness=Unique(until=60))
