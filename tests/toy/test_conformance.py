"""The shipped suite, on a store of somebody else's."""

from pathlib import Path

import pytest

from pgqueue.testing import conformance
from tests.toy.backend import ToyBackend

globals().update(conformance.suite())


@pytest.fixture
def backend(tmp_path: Path) -> ToyBackend:
    return ToyBackend(f"toy://{tmp_path}/fresh")


@pytest.fixture
def second_backend(backend: ToyBackend) -> ToyBackend:
    return ToyBackend(backend.url)
