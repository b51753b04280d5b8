"""Parts of a campaign, in processes of their own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.faults import journal
from tests.faults.checker import check
from tests.faults.parts import Part, perform


def a_part(folder: Path, *, stage: str = "file", seed: int = 1) -> Part:
    place = folder / f"{stage}-{seed}"
    place.mkdir()
    return Part("sqlite", stage, ("worker-killed",), 0.5, seed, place, 0.5)


def test_two_parts_are_played_side_by_side(tmp_path: Path) -> None:
    parts = [a_part(tmp_path, seed=1), a_part(tmp_path, seed=2)]
    told = set()

    played = dict(perform(parts, 2, lambda part, text: told.add(part)))

    assert set(played) == told == set(parts)
    spans = []
    for each in played.values():
        assert check(each.facts) == []
        runs = [run for runs in each.facts.runs.values() for run in runs]
        spans.append((min(run.started_at for run in runs), max(run.started_at for run in runs)))
    (began, ended), (other_began, other_ended) = spans
    assert began < other_ended
    assert other_began < ended


def test_a_part_that_stumbles_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    parts = [a_part(tmp_path), a_part(tmp_path, stage="nowhere")]

    with pytest.raises(RuntimeError, match="nowhere"):
        list(perform(parts, 2, lambda part, text: None))

    assert [process for process in psutil.process_iter() if _is_in(tmp_path, process)] == []


def _is_in(folder: Path, process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.environ().get(journal.VARIABLE, "").startswith(str(folder))
    return False
