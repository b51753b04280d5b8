"""For those who write a backend: the suite, `conformance`, and a `model` of what it must do, with
which random `histories` compare it."""

from contextlib import suppress

with suppress(ImportError):
    import pytest

    pytest.register_assert_rewrite("pgqueue.testing.conformance")
