"""Every store answers as the model does, in random histories of a hundred steps."""

from __future__ import annotations

import os

import pytest

from pgqueue.testing.histories import play
from tests.model.stores import STORES

HISTORIES = int(os.environ.get("PGQUEUE_HISTORIES", "500"))
PARTS = 4  # for as many processes


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("store", STORES)
def test_a_store_answers_as_the_model(store: str, part: int) -> None:
    with STORES[store](None) as empty:
        play({store: empty}, histories=HISTORIES // PARTS, seed=part)
