"""For tests. `pgqueue.testing.conformance` is the suite for those who write a backend."""

from contextlib import suppress

with suppress(ImportError):
    import pytest

    pytest.register_assert_rewrite("pgqueue.testing.conformance")
