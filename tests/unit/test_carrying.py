"""`pgqueue.carry`: what goes into the metadata of jobs, in which words."""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import Any

import pytest

import pgqueue
from pgqueue import App, NewJob, chain
from pgqueue.errors import InvalidJob
from pgqueue.jobs import carrying
from pgqueue.jobs.graphs import gather
from pgqueue.operations.rows import are_alike


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests carry is not carried here, and the other way round."""
    monkeypatch.setattr(carrying, "carriers", [])
    monkeypatch.setattr(carrying, "variables", {})


@pytest.fixture
def tenant() -> ContextVar[Any]:
    variable: ContextVar[Any] = ContextVar("tenant")
    pgqueue.carry(variable)
    return variable


def metadata(*given: Any, hooks: Any = None) -> list[Any]:
    return [job.metadata and json.loads(job.metadata) for job in gather(given, hooks).jobs]


def test_a_text_goes_with_every_job_of_a_call(tenant: ContextVar[Any]) -> None:
    tenant.set("acme")
    own = NewJob("b").options(metadata={"page": 2})
    theirs = NewJob("c").options(metadata={"tenant": "other"})

    assert metadata([NewJob("a"), own, theirs]) == [
        {"tenant": "acme"},
        {"tenant": "acme", "page": 2},
        {"tenant": "other"},
    ]
    assert own.metadata == '{"page":2}'


def test_a_variable_without_a_value_is_not_carried(tenant: ContextVar[Any]) -> None:
    assert metadata(NewJob("a")) == [None]
    tenant.set(None)
    assert metadata(NewJob("a")) == [None]


def test_what_is_no_text_is_refused(tenant: ContextVar[Any]) -> None:
    tenant.set(7)
    with pytest.raises(InvalidJob, match=r"a: tenant: 7 is not a str"):
        gather([NewJob("a")])


def test_a_hook_that_replaces_the_metadata_does_not_lose_it(tenant: ContextVar[Any]) -> None:
    tenant.set("acme")

    def hook(job: NewJob[Any]) -> NewJob[Any]:
        return job.options(metadata={"page": 1})

    assert metadata(NewJob("a"), hooks=[hook]) == [{"tenant": "acme", "page": 1}]


def test_many_jobs_that_carry_the_same_stay_alike(tenant: ContextVar[Any]) -> None:
    tenant.set("acme")
    jobs = gather([NewJob("a", args=f'{{"n":{n}}}') for n in range(100)]).jobs

    assert are_alike(jobs)
    assert len({id(job.metadata) for job in jobs}) == 1


def test_edges_lead_to_the_jobs_that_carry(tenant: ContextVar[Any]) -> None:
    tenant.set("acme")
    first, second = gather([chain(NewJob("a"), NewJob("b"))]).jobs

    assert second.edges[0].parent is first
    assert first.metadata == second.metadata == '{"tenant":"acme"}'


def test_a_name_is_one_variables(tenant: ContextVar[Any]) -> None:
    pgqueue.carry(tenant)
    with pytest.raises(ValueError, match=r"another variable is carried as 'tenant'"):
        pgqueue.carry(ContextVar("tenant"))
    other: ContextVar[str] = ContextVar("tenant")
    pgqueue.carry(other, name="other tenant")
    tenant.set("acme")
    other.set("b")

    assert metadata(NewJob("a")) == [{"tenant": "acme", "other tenant": "b"}]


def test_a_text_too_long_for_metadata_is_refused(tenant: ContextVar[Any]) -> None:
    tenant.set("x" * 70_000)
    with pytest.raises(InvalidJob, match=r"a: metadata: .* the limit is 65536"):
        App().enqueue(NewJob("a"))
