"""The wheel, installed elsewhere, is as complete as the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from pgqueue import statements
from pgqueue.migrations.migrate import head

CHECKOUT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, CHECKOUT, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; the folder of its programs."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    run(programs / "python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    return programs


def test_the_wheel_carries_statements_migrations_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    assert "pgqueue/py.typed" in names
    assert "pgqueue/_migrations/env.py" in names
    assert "pgqueue/testing/conformance/test_claim.py" in names
    for store in ("postgres", "sqlite"):
        for name in statements.load(store):
            assert f"pgqueue/_sql/{store}/{name}.sql" in names


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_installed_wheel_migrates(elsewhere: Path, empty_url: str, tmp_path: Path) -> None:
    run(elsewhere / "pgqueue", "migrate", "--url", empty_url, cwd=tmp_path)

    check = run(elsewhere / "pgqueue", "migrate", "--check", "--url", empty_url, cwd=tmp_path)
    assert head() in check


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_installed_wheel_finds_its_own_files(elsewhere: Path, tmp_path: Path) -> None:
    code = "from pgqueue import statements; print(statements.folder('postgres'))"

    found = run(elsewhere / "python", "-c", code, cwd=tmp_path).strip()

    assert Path(found).is_relative_to(elsewhere.parent)
