"""What `python -m tests.cli.many` plays on very many jobs, on some thousands; how long does not
matter here."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgqueue import Filter
from tests.cli.many import STORES, Play, Watch, opened

COUNT = 12_000


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("store", STORES)
def test_acts_that_are_interrupted_and_killed_are_exact_when_repeated(
    store: str, tmp_path: Path
) -> None:
    with opened(store, tmp_path) as place:
        play = Play(place, COUNT)
        play.fill()
        with Watch(play.app, place.url) as watch:
            figures = list(play.acts())
        others = play.app.jobs.count(Filter(queue="other"), most=10_000_000)
        play.close()

    assert all(figure.strikes for figure in figures)
    assert others == (watch.enqueued, True)
