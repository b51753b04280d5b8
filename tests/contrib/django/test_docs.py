"""docs/django.md: what it tells to type is typed, in an empty folder, and its tests are run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "django.md").read_text("utf-8")
LATER = ", at its end"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def write(folder: Path) -> None:
    """The files that the page's blocks name in their first line."""
    for block in blocks("python"):
        name, _, text = block.partition("\n")
        path = folder / name.removeprefix("# ").removesuffix(LATER)
        with path.open("a" if name.endswith(LATER) else "w") as file:
            file.write(text)


@pytest.mark.timeout(300)
def test_five_minutes(tmp_path: Path) -> None:
    begin, use = blocks("sh")
    run(tmp_path, "\n".join(line for line in begin.splitlines() if not line.startswith("pip ")))
    write(tmp_path)
    for_backport(tmp_path / "shop" / "settings.py")

    said = run(tmp_path, use)

    assert "sent to" not in said.stderr
    assert "completed" in said.stdout
    assert "Subject: Order 7" in said.stdout
    tests = run(tmp_path, "python manage.py test")
    assert "Ran 2 tests" in tests.stderr
    checked = run(tmp_path, "python manage.py check --database default")
    assert "no issues" in checked.stdout


def for_backport(settings: Path) -> None:
    """What the page says of Django 5.2, and mail that is printed."""
    from django import VERSION

    with settings.open("a") as file:
        file.write('EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"\n')
        if VERSION < (6, 0):
            file.write('INSTALLED_APPS.append("django_tasks")\n')


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    told = {name: value for name, value in os.environ.items() if not name.startswith("PGQUEUE_")}
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env=told | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
