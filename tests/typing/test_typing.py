"""The types users see, checked as they check them: by mypy and by pyright."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def mypy(file: Path) -> dict[int, str]:
    options = ["--strict", "--no-error-summary", "--hide-error-context", "--config-file="]
    output = run("mypy", *options, str(file))
    return errors(output, rf"{file.name}:(\d+): error: (.*)")


def pyright(file: Path) -> dict[int, str]:
    output = run("pyright", "--pythonpath", sys.executable, str(file))
    return errors(output, rf"{file.name}:(\d+):\d+ - error: (.*)")


def run(tool: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", tool, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def errors(output: str, pattern: str) -> dict[int, str]:
    found = {int(line): message for line, message in re.findall(pattern, output)}
    assert found or "0 errors" in output or not output.strip(), output
    return found


both = pytest.mark.parametrize("check", [mypy, pyright])


@both
@pytest.mark.timeout(300)
def test_accepts_what_is_right(check: Callable[[Path], dict[int, str]]) -> None:
    assert check(HERE / "ok.py") == {}


@both
@pytest.mark.timeout(300)
def test_refuses_what_is_wrong_and_nothing_else(check: Callable[[Path], dict[int, str]]) -> None:
    lines = (HERE / "bad.py").read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if "# refused" in line}
    found = check(HERE / "bad.py")
    assert set(found) == wrong, found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["django", "fastapi", "flask"])
def test_a_shop_is_strict_and_so_are_its_tests(name: str, tmp_path: Path) -> None:
    """As their authors would check it, Django's with django-types: it needs no plugin."""
    folder = tmp_path / name
    shutil.copytree(ROOT / "docs" / "examples" / name, folder)
    config = {"typeCheckingMode": "strict", "include": ["shop", "tests"]}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    for options in (
        ["mypy", "--strict", "shop", "tests"],
        ["pyright", "--pythonpath", sys.executable],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *options],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
