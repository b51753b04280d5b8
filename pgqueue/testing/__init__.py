"""For tests of code that enqueues, and for authors of backends.

Tests of an application use `Jobs` and `AsyncJobs`, see docs/testing.md, and the fixtures for pytest
in `pgqueue.testing.fixtures`. A backend has the suite, `conformance`, and a `model` of what it must
do, with which random `histories` compare it.
"""

from contextlib import suppress

with suppress(ImportError):
    import pytest

    pytest.register_assert_rewrite("pgqueue.testing.conformance")

from pgqueue.testing.async_jobs import AsyncJobs as AsyncJobs
from pgqueue.testing.attempts import Performed as Performed
from pgqueue.testing.clock import Clock as Clock
from pgqueue.testing.jobs import Jobs as Jobs
from pgqueue.testing.unittests import AsyncJobsMixin as AsyncJobsMixin
from pgqueue.testing.unittests import JobsMixin as JobsMixin
