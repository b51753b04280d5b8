"""Random graphs on a Redis, with scripts that tell three children at most, and then want more."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator

import pytest

from pgqueue.backends.redis import RedisBackend
from pgqueue.backends.redis.script_plans import SCRIPTS
from pgqueue.statements.lua import Script
from pgqueue.testing.conformance import Store
from tests.graphs.test_random_graphs import (
    test_every_job_ends_as_the_model_says as test_every_job_ends_as_the_model_says,
)
from tests.valkey import Valkey


@pytest.fixture(scope="module")
def store(valkey_server: Valkey) -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch:
        for name, script in SCRIPTS.items():
            patch.setitem(SCRIPTS, name, _shorter(script))  # type: ignore[arg-type]
        backend = RedisBackend(valkey_server.url, schema="random")
        store = Store(backend)
        yield store
        store.check()
        backend.close()


def _shorter(script: Script) -> Script:
    text = script.text.replace("local BUDGET, WHOLE = 1000,", "local BUDGET, WHOLE = 3,")
    assert script.settles == (text != script.text)
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return dataclasses.replace(script, text=text, sha=sha)
