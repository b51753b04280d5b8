"""Interpreters and sources that Django's own tests need: found here, or fetched from the index.

Django 6 needs Python 3.12. What is made is kept in the cache folder, for the next run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
NEWEST_FIRST = ("3.14", "3.13", "3.12")
# What Django, and the tests of django-tasks-db, import besides.
OF_DJANGO = ("asgiref>=3.9.1", "sqlparse>=0.3.1", "setuptools", "typing_extensions")


def interpreter() -> Path:
    """A Python that Django 6 runs on; skips where there is none."""
    if sys.version_info >= (3, 12):
        return Path(sys.executable)
    for version in NEWEST_FIRST:
        found = [Path(path)] if (path := shutil.which(f"python{version}")) else []
        found += sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python"), reverse=True)
        for python in found:
            asked = subprocess.run(
                [python, "-c", "import sys; print(sys.version_info >= (3, 12))"],
                capture_output=True,
                text=True,
                check=False,
            )
            if asked.stdout.strip() == "True":
                return python
    return _absent("Django 6 needs Python 3.12 or later, and there is none here")


def python() -> Path:
    """That Python, in an environment with all that pgqueue needs; Django itself is not in it."""
    found = interpreter()
    wanted = [
        *tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"],
        *OF_DJANGO,
    ]
    key = hashlib.sha256(f"{found} {wanted}".encode()).hexdigest()[:16]
    folder = cache() / f"python-{key}"
    with _alone(folder) as missing:
        if missing:
            subprocess.run([found, "-m", "venv", folder], check=True)
            _pip(folder / "bin" / "python", "install", "-q", *wanted)
    return folder / "bin" / "python"


def source(name: str, version: str) -> Path:
    """The unpacked source distribution of *name*, whose tests no wheel has."""
    folder = cache() / f"{name}-{version}"
    with _alone(folder) as missing:
        if missing:
            folder.mkdir(parents=True)
            _pip(
                python(),
                *("download", "-q", "--no-deps", "--no-binary", ":all:"),
                *("--no-build-isolation", "-d", str(folder), f"{name}=={version}"),
            )
            [archive] = folder.glob("*.tar.gz")
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
    [unpacked] = [path for path in folder.iterdir() if path.is_dir()]
    return unpacked


def run(
    command: list[str],
    path: list[Path],
    settings: Mapping[str, str],
    cwd: Path,
    interpreter: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run *command* by *interpreter*, else by that Python; *path* is before everything else."""
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PGQUEUE_")},
        "PYTHONPATH": os.pathsep.join(map(str, [*path, ROOT])),
        **settings,
    }
    return subprocess.run(
        [str(interpreter or python()), *command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def cache() -> Path:
    found = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(found) / "pgqueue-tests"


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether *folder* is still to be made; nobody else makes it meanwhile."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = folder.with_name(f"{folder.name}.done")
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists():
            yield False
            return
        shutil.rmtree(folder, ignore_errors=True)
        yield True
        done.touch()


def _pip(python: Path, *arguments: str) -> None:
    done = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        _absent(f"the package index does not give what Django's tests need: {done.stderr[-800:]}")


def _absent(what: str) -> NoReturn:
    """Skip, by name; in CI that would hide that nothing was tested."""
    if os.environ.get("CI"):
        raise AssertionError(what)
    pytest.skip(what)
