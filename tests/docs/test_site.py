"""The site builds without a warning, and answers the questions that newcomers ask."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUESTIONS = tomllib.loads(Path(__file__).with_name("questions.toml").read_text("utf-8"))


class Anchors(HTMLParser):
    """The ids of a page's elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids.update(value for name, value in attrs if name == "id" and value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"]
    quiet = {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    done = subprocess.run(
        [*build, str(folder), "--config-file", str(ROOT / "docs" / "mkdocs.yml")],
        env=os.environ | quiet,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_reference_shows_what_users_import(site: Path) -> None:
    shown = Anchors((site / "reference" / "index.html").read_text("utf-8")).ids

    text = (ROOT / "pgqueue" / "__init__.py").read_text("utf-8")
    imported = re.findall(r"^from (\S+) import (\w+) as \2$", text, re.MULTILINE)

    missing = [name for home, name in imported if not {f"pgqueue.{name}", f"{home}.{name}"} & shown]

    assert len(imported) > 20
    assert missing == []
    assert {"pgqueue.App.task", "pgqueue.NewJob.options", "pgqueue.Context.progress"} <= shown
    assert {"pgqueue.errors.StoreUnavailable", "pgqueue.worker.Options"} <= shown


def test_every_question_has_its_answer(site: Path) -> None:
    missing = []
    for question, answer in QUESTIONS.items():
        page, _, anchor = answer.partition("#")
        path = site / page / "index.html"
        if not path.exists() or anchor not in {*Anchors(path.read_text("utf-8")).ids, ""}:
            missing.append(f"{question} {answer}")

    assert missing == []


def test_nothing_is_fetched_from_elsewhere_to_read_a_page(site: Path) -> None:
    for page in site.rglob("index.html"):
        text = page.read_text("utf-8")
        assert 'src="http' not in text
        assert 'rel="stylesheet" href="http' not in text
