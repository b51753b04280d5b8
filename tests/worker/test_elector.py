"""The Elector: how soon a dead leader is replaced, and what asking for it costs."""

from __future__ import annotations

import pytest

from pgqueue.worker.agents.elector import patience


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_who_is_alone_asks_often(workers: int) -> None:
    assert patience(workers, term=15) == 1.5


@pytest.mark.parametrize("workers", [3, 4, 6, 8])
def test_together_candidates_ask_every_second_or_so(workers: int) -> None:
    assert patience(workers, term=15) / (workers - 1) == 1.25


@pytest.mark.parametrize("workers", [9, 100, 10_000])
def test_none_of_many_waits_so_long_that_a_dead_leader_would_be_missed(workers: int) -> None:
    assert patience(workers, term=15) == 9


def test_asks_in_each_term() -> None:
    assert patience(2, term=1.5) == patience(100, term=1.5) == 1
