"""What every store must do, as tests; the author of a backend gives two constructors.

    # tests/test_conformance.py
    import pytest
    from pgqueue.testing import conformance

    globals().update(conformance.suite())

    @pytest.fixture
    def backend(tmp_path):
        return MyBackend(f"mystore://{tmp_path}/fresh")  # a fresh, empty store

    @pytest.fixture
    def second_backend(backend):
        return MyBackend(backend.url)  # what another process has: the same store

Everything else goes through the port. Tests of what is not among a store's *capabilities* are
skipped. Some tests are coroutines, which need pytest-asyncio.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest

from pgqueue.backends.base import Backend
from pgqueue.testing.conformance.store import NOON as NOON
from pgqueue.testing.conformance.store import PROFILE as PROFILE
from pgqueue.testing.conformance.store import Store as Store
from pgqueue.testing.conformance.store import a_job as a_job
from pgqueue.testing.conformance.store import a_session as a_session
from pgqueue.testing.conformance.store import ids as ids
from pgqueue.testing.conformance.store import needs as needs
from pgqueue.testing.conformance.store import read as read
from pgqueue.testing.conformance.store import until as until

_MODULES = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py"))


def suite(*modules: str) -> dict[str, Any]:
    """Return the tests, a class for each file, and the fixtures that they share.

    *modules*: only these, ``"claim"`` for ``test_claim.py``.
    """
    chosen = [f"test_{module}" for module in modules] or _MODULES
    classes = {_title(module): _tests(module) for module in chosen}
    return {**classes, "store": store, "_skip_what_the_store_cannot": _skip_what_the_store_cannot}


@pytest.fixture
def store(backend: Backend) -> Iterator[Store]:
    """Yield a fresh store with one worker; check at the end that nothing is stranded and no counter
    wrong."""
    store = Store(backend)
    yield store
    store.check()


@pytest.fixture(autouse=True)
def _skip_what_the_store_cannot(request: pytest.FixtureRequest, backend: Backend) -> None:
    for mark in request.node.iter_markers("needs"):
        if missing := set(mark.args) - backend.capabilities:
            pytest.skip(f"this store has no {', '.join(sorted(missing))}")


def _title(module: str) -> str:
    return "".join(word.title() for word in module.split("_"))


def _tests(module: str) -> type:
    """Return the tests of *module* as a class: several modules may have tests of the same name."""
    found = vars(import_module(f"{__name__}.{module}"))
    tests = {name: value for name, value in found.items() if name.startswith("test_")}
    for test in tests.values():
        if iscoroutinefunction(test):
            pytest.mark.asyncio(test)
    return type(
        _title(module),
        (),
        {"__module__": __name__, "__doc__": found["__doc__"]}
        | {name: staticmethod(test) for name, test in tests.items()},
    )
