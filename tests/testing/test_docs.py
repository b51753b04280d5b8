"""The pages of docs/ whose blocks are the files of projects: their tests are run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def files(page: str) -> dict[str, str]:
    """The text of each block of *page* by the file that its first line names."""
    text = DOCS.joinpath(page).read_text("utf-8")
    found = {}
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        if language == "python":
            first = block.partition("\n")[0]
            assert first.startswith("# "), f"a block that names no file: {first}"
            assert first[2:] not in found
            found[first[2:]] = block
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("page", "at_least"),
    [
        ("testing.md", 14),
        ("bridges.md", 5),
        ("control.md", 3),
        ("start.md", 4),
        ("tasks.md", 6),
        ("monitoring.md", 2),
        ("schedules.md", 8),
        ("web.md", 6),
    ],
)
def test_every_block_of_the_page_works(page: str, at_least: int, tmp_path: Path) -> None:
    tests = 0
    for name, text in files(page).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        tests += len(re.findall(r"^ *(?:async )?def test_", text, re.MULTILINE))

    done = run_pytest(tmp_path)

    assert f"{tests} passed" in done.stdout, done.stdout + done.stderr
    assert tests >= at_least


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."]
    return subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, check=False
    )
