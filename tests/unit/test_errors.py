from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from pgqueue import errors
from pgqueue.errors import InvalidJob, JobFailed, PgqueueError, SchemaMissing

ALL = [
    error
    for error in vars(errors).values()
    if inspect.isclass(error) and issubclass(error, PgqueueError)
]


@pytest.mark.parametrize("error", ALL)
def test_says_the_first_line_of_its_docstring_by_default(error: type[PgqueueError]) -> None:
    assert error.__doc__ is not None
    assert str(error()) == error.__doc__.splitlines()[0]
    assert str(error("this instead")) == "this instead"


@pytest.mark.parametrize("error", ALL)
def test_stands_in_the_tree_drawn_above(error: type[PgqueueError]) -> None:
    assert error.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("again", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
def test_survives_pickling_with_what_it_knows(again: Callable[[Any], Any]) -> None:
    refused = again(InvalidJob("send: queue: bad", task="send", parameter="queue"))
    assert (str(refused), refused.task, refused.parameter) == ("send: queue: bad", "send", "queue")
    failed = again(JobFailed("discarded", job_id=7, state="discarded", reason="out of attempts"))
    assert (failed.job_id, failed.state, failed.reason) == (7, "discarded", "out of attempts")


def test_names_the_cure_for_a_missing_schema() -> None:
    assert "pgqueue migrate" in str(SchemaMissing())
    assert "manage.py migrate" in str(SchemaMissing())
