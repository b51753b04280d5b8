"""What is broken on purpose must be there to be broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import broken


@pytest.mark.parametrize("name", broken.ALL)
def test_each_patch_finds_what_it_breaks(tmp_path: Path, name: str) -> None:
    code = broken.build(tmp_path, broken.ALL[name])

    for patch in broken.ALL[name]:
        assert patch.new in patch.path(code).read_text("utf-8")
