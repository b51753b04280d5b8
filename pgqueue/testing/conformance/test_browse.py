"""browse: pages of jobs, short and bounded: the newest first, what is due next, what runs next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from pgqueue.errors import InvalidFilter
from pgqueue.jobs.filters import Filter
from pgqueue.jobs.unique import Unique
from pgqueue.operations.browsing import BriefJob, Browsed, Mark, Order, browse
from pgqueue.testing.conformance.store import Store, a_job, read
from pgqueue.testing.conformance.test_inspections import one_of_each

HOUR = timedelta(hours=1)


def page(store: Store, filter: Filter | None = None, **how: Any) -> Browsed:
    return store.do(browse(filter or Filter(), now=store.now, **how))


def pages(store: Store, filter: Filter | None = None, **how: Any) -> Iterator[Browsed]:
    """Yield all pages."""
    after: Mark | None = None
    while True:
        yield (found := page(store, filter, after=after, **how))
        if found.rest is None:
            return
        after = found.rest


def ids(found: Browsed | Iterator[Browsed]) -> list[int]:
    return [
        job.id for one in ([found] if isinstance(found, Browsed) else found) for job in one.jobs
    ]


def test_shows_a_job_in_every_state(store: Store) -> None:
    jobs = one_of_each(store)

    found = page(store)

    assert ids(found) == sorted(jobs.values(), reverse=True)
    assert (found.looked, found.rest) == (len(jobs), None)
    for job in found.jobs:
        whole = store.job(job.id)
        for field in BriefJob.__struct_fields__:
            if field != "args" and not field.startswith("error_"):
                assert getattr(job, field) == getattr(whole, field), field
        assert read(job.args) == {}


def test_shows_the_unique_key_of_a_job_that_waits_behind_another(store: Store) -> None:
    job = a_job().options(unique=Unique(key="k", until="started"), delay=60)
    first = store.running(a_job().options(unique=job.uniqueness))
    [behind] = store.enqueue(job)

    def keys(order: Order) -> list[str | None]:
        shown = page(store, Filter(queue="default"), order=order).jobs
        return [each.unique_key for each in shown if each.id == behind.id]

    assert (behind.outcome, keys("newest")) == ("next", ["k"])
    store.complete(first)
    assert keys("due") == ["k"]
    store.passes(minutes=1)
    store.promote()
    assert keys("next") == ["k"]


def test_what_may_be_large_is_cut(store: Store) -> None:
    small = store.add(a_job(args='{"user": "Zoë"}'))
    large = store.running(a_job(queue="large", args=f'{{"text": "{"é" * 100_000}"}}'))
    store.fail(large, error=f'{{"type": "Odd", "message": "{"é" * 900}", "traceback": "long"}}')

    failed, plain = page(store).jobs

    assert (plain.id, read(plain.args), plain.error_type) == (small, {"user": "Zoë"}, None)
    assert failed.args is None or len(failed.args) == 200
    assert (failed.error_type, failed.error_message) == ("Odd", "é" * 200)


def test_the_end_of_a_traceback_comes_where_it_is_asked_for(store: Store) -> None:
    frames = "\n".join(f'  File "é{n}.py", line {n}, in f' for n in range(100))
    message = "é\n" * 300
    error = {"type": "Odd", "message": message, "traceback": f"{frames}\nOdd: {message}"}
    store.fail(store.running(a_job()), error=json.dumps(error))
    other = store.running(a_job(queue="other"))
    store.fail(other, error='{"type": "Odd", "message": "no"}')

    bare, whole = page(store, trace=40).jobs
    longer = page(store, trace=1_000_000).jobs[1]

    assert whole.error_trace == f"{frames}\nOdd: "[-40:]
    assert longer.error_trace == f"{frames}\nOdd: "
    assert whole.error_at == store.job(whole.id).errors[-1].at
    assert bare.error_trace is None
    assert page(store).jobs[1].error_trace is None


def test_pages_leave_nothing_out_and_show_nothing_twice(store: Store) -> None:
    handles = store.enqueue(*(a_job(tags=("odd",) if n % 2 else ()) for n in range(25)))
    store.complete(*store.claim(15))
    all_ids = [handle.id for handle in reversed(handles)]

    assert ids(pages(store, limit=4)) == all_ids
    assert ids(pages(store, Filter(tag="odd"), limit=4)) == all_ids[1::2]
    assert ids(pages(store, Filter(state="completed"), limit=7)) == all_ids[10:]


def test_a_filter_that_means_little_looks_no_further_than_it_may(store: Store) -> None:
    rare = store.add(a_job("rare"))
    store.enqueue(*(a_job() for _ in range(30)))

    first = page(store, Filter(task="rare"), look=10)

    assert (first.jobs, first.looked) == ([], 10)
    assert first.rest is not None
    assert ids(pages(store, Filter(task="rare"), look=10)) == [rare]


@pytest.mark.parametrize(
    "filter",
    [
        {"queue": "mail"},
        {"task": "greet"},
        {"tag": "eu"},
        {"key": "k"},
        {"error": "ValueError"},
        {"args": {"user.id": 7}},
        {"older_than": 60},
        {"state": ("available", "running")},
    ],
    ids=str,
)
def test_means_what_a_filter_means_elsewhere(store: Store, filter: dict[str, Any]) -> None:
    job = a_job("greet", queue="mail", tags=("eu",), key="k", args='{"user": {"id": 7}}')
    store.fail(store.running(job), error='{"type": "ValueError", "message": "no"}')
    store.passes(minutes=2)
    store.add()

    assert ids(page(store, Filter(**filter))) == store.choose(newest=True, **filter) != []


def test_arguments_that_are_large_are_looked_through_to_the_last_job(store: Store) -> None:
    chance = Random(1)
    large = [{"order": n, "text": chance.randbytes(4_000).hex()} for n in range(150)]
    jobs = [a_job(args=json.dumps(args)) for args in large]
    first, *_ = store.enqueue(*jobs)

    found = list(pages(store, Filter(args={"order": 0}), limit=5))

    assert ids(iter(found)) == [first.id]
    assert sum(each.looked for each in found) == len(jobs)


def test_lists_what_is_due_next(store: Store) -> None:
    later = [store.add(a_job(delay=n * HOUR)) for n in (3, 1, 2)]
    failed = store.running(a_job("failed", queue="q"))
    store.fail(failed, retry_in=HOUR / 2)
    store.add()

    assert ids(page(store, order="due")) == [failed.id, later[1], later[2], later[0]]
    assert ids(page(store, Filter(state="scheduled"), order="due", limit=1)) == [later[1]]


def test_pages_of_what_is_due_at_the_same_instant_leave_nothing_out(store: Store) -> None:
    handles = store.enqueue(*(a_job(delay=HOUR) for _ in range(12)))

    found = ids(pages(store, order="due", limit=5))

    assert sorted(found) == [handle.id for handle in handles]


def test_lists_what_runs_next_in_the_order_of_claims(store: Store) -> None:
    jobs = [a_job(priority=n % 3) for n in range(9)]
    store.enqueue(*jobs, a_job(queue="other"), a_job(delay=HOUR))

    listed = ids(pages(store, Filter(queue="default"), order="next", limit=4))

    assert listed == [job.id for job in store.claim()]


def test_what_runs_next_is_seen_of_each_key(store: Store) -> None:
    store.enqueue(*(a_job(key=key, priority=1) for key in "abab"), a_job(priority=2))

    first = page(store, Filter(queue="default"), order="next")
    of_one = page(store, Filter(queue="default", key="b"), order="next")

    assert [job.key for job in first.jobs] == ["a", "b", "a", "b", None]
    assert [job.key for job in of_one.jobs] == ["b", "b"]


def test_an_order_refuses_a_filter_that_it_cannot_have() -> None:
    for refused in (Filter(), Filter(queue="q", task="t"), Filter(queue="q", state="running")):
        with pytest.raises(InvalidFilter, match="one queue"):
            browse(refused, order="next")
    with pytest.raises(InvalidFilter, match="scheduled"):
        browse(Filter(state="available"), order="due")
