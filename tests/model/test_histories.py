"""In random histories of a hundred steps every store answers as the model does."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from pgqueue.testing.histories import play
from tests.model.stores import STORES

HISTORIES = int(os.environ.get("PGQUEUE_HISTORIES", "120"))
PARTS = 5  # for as many processes
PLAYED = 2  # the others are slow


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "part",
    [*range(PLAYED), *(pytest.param(n, marks=pytest.mark.slow) for n in range(PLAYED, PARTS))],
)
@pytest.mark.parametrize("store", STORES)
def test_a_store_answers_as_the_model(store: str, part: int) -> None:
    with STORES[store](None) as empty:
        play({store: empty}, histories=HISTORIES // PARTS, seed=part)


@pytest.mark.timeout(300)
def test_the_stores_answer_alike() -> None:
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(open_store(None)) for name, open_store in STORES.items()
        }
        play(opened, histories=max(1, HISTORIES // 20), seed=PARTS)
