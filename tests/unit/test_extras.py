"""Without its library a module names the extra that brings it, in one sentence."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pgqueue.contrib
from pgqueue.errors import MissingExtra, StoreUnavailable, installed

CONTRIB = Path(pgqueue.contrib.__file__).parent
# What each imports first of its library, and the extra that brings it.
LIBRARIES = {
    "django": ("django", "django"),
    "fastapi": ("fastapi", "fastapi"),
    "flask": ("flask", "flask"),
    "litestar": ("litestar", "litestar"),
    "otel": ("opentelemetry", "otel"),
    "prometheus": ("prometheus_client", "prometheus"),
    "quart": ("quart", "quart"),
    "sentry": ("sentry_sdk", "sentry"),
    "sentry_monitors": ("sentry_sdk", "sentry"),
}
# Nothing but pgqueue, and click, which comes with it.
NONE_NEEDED = {"extensions", "hosting", "starlette"}
# Imported by others, which name the extra.
PARTS = {"otel_metrics"}
CODE = {name: f"import pgqueue.contrib.{name}" for name in LIBRARIES} | {
    "django": "from pgqueue.contrib.django import PgqueueBackend"
}


def ended(code: str, library: str) -> str:
    """What *code* says at its end where *library* is not installed."""
    hidden = (
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {library!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
    )
    script = [sys.executable, "-c", hidden + code]
    return subprocess.run(script, capture_output=True, text=True).stderr


def test_every_module_is_tried_here() -> None:
    there = {path.stem for path in CONTRIB.iterdir() if path.name[0] != "_"}
    assert there == LIBRARIES.keys() | NONE_NEEDED | PARTS


def test_every_extra_exists(request: pytest.FixtureRequest) -> None:
    project = tomllib.loads((request.config.rootpath / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    assert {extra for _, extra in LIBRARIES.values()} <= extras.keys()


@pytest.mark.parametrize("module", sorted(LIBRARIES))
def test_without_its_library_a_module_names_the_extra(module: str) -> None:
    library, extra = LIBRARIES[module]

    said = ended(CODE[module], library).splitlines()[-1]

    assert (
        said == f"pgqueue.errors.MissingExtra: pip install 'pgqueue[{extra}]': {library} is missing"
    )


@pytest.mark.parametrize("module", sorted(NONE_NEEDED))
def test_the_others_need_none(module: str) -> None:
    assert ended(f"import pgqueue.contrib.{module}", module) == ""


@pytest.mark.parametrize("library", ["jinja2", "starlette"])
def test_the_dashboard_names_its_extra(library: str) -> None:
    said = ended("import pgqueue.dashboard", library).splitlines()[-1]

    assert said.endswith(f"pip install 'pgqueue[dashboard]': {library} is missing")


def test_a_command_says_it_without_a_traceback() -> None:
    code = "from pgqueue.cli import main; main.main(['dashboard', '--url', 'sqlite:///jobs.db'])"

    said = ended(code, "uvicorn")

    assert said.strip() == "Error: pip install 'pgqueue[dashboard]': uvicorn is missing"


def test_a_store_names_its_extra() -> None:
    said = ended("from pgqueue import App; App('redis://x').backend", "redis").splitlines()[-1]

    assert said.endswith("pip install 'pgqueue[redis]': redis is missing")


def test_it_is_an_import_error_so_that_a_caller_can_do_without() -> None:
    with pytest.raises(ImportError):
        raise MissingExtra


def test_a_library_too_old_is_named_with_what_it_lacks() -> None:
    missing = pytest.raises(MissingExtra, match=r"pgqueue\[flask\]': cannot import name 'sprint'")
    with missing, installed("flask"):
        from math import sprint  # type: ignore[attr-defined]  # noqa: F401


def test_a_kind_of_error_can_be_given() -> None:
    with pytest.raises(StoreUnavailable), installed("flask", StoreUnavailable):
        raise ModuleNotFoundError("No module named 'flask'", name="flask")


def test_what_pgqueue_itself_lacks_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"pgqueue\.nowhere"), installed("flask"):
        import pgqueue.nowhere  # type: ignore[import-not-found]  # noqa: F401
