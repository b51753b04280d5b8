"""The key that a task gives its jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pgqueue.errors import InvalidArguments, InvalidJob, InvalidTask
from pgqueue.tasks.context import Context
from pgqueue.tasks.registry import TaskRegistry


def key(of: Any, *args: Any, **kwargs: Any) -> str | None:
    def send(tenant_id: int, kind: str = "mail") -> None: ...

    return TaskRegistry().task(key=of)(send).job(*args, **kwargs).key


def test_no_key_unless_asked_for() -> None:
    assert key(None, 1) is None


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ("all", "all"),
        ("{tenant_id}", "7"),
        ("{kind}/{tenant_id}", "mail/7"),
        ("{{{tenant_id}}}", "{7}"),
        (lambda tenant_id, **_: f"t{tenant_id % 2}", "t1"),
        (lambda **_: None, None),
    ],
)
def test_a_key_is_a_text_a_template_or_a_functions_answer(
    of: str | Callable[..., str | None], expected: str | None
) -> None:
    assert key(of, 7) == expected


def test_a_key_is_no_tasks_own_and_goes_with_a_unique_one() -> None:
    @TaskRegistry().task(key="{n}", unique="{n}")
    def send(n: int) -> None: ...

    job = send.job(7)

    assert (job.key, job.unique) == ("7", "send:7")
    assert job.options(key="other").key == "other"
    assert job.options(key=None).key is None


def test_a_key_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(InvalidArguments, match=r"send: key: '{other}' cannot be filled in"):
        key("{other}", 7)
    with pytest.raises(InvalidJob, match="send: key: a key of 129 characters; give 1 to 128"):
        key("{kind}", 7, kind="k" * 129)
    with pytest.raises(InvalidJob, match="send: key: 7 is not a str"):
        key(lambda tenant_id, **_: tenant_id, 7)


@pytest.mark.parametrize("of", [7, True, "", "k" * 129])
def test_what_can_be_no_key_is_refused_where_it_is_declared(of: Any) -> None:
    with pytest.raises(InvalidTask, match="send: key"):
        key(of, 7)


def test_a_detached_context_has_no_key() -> None:
    assert Context.detached().key is None
