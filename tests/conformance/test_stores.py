"""Every store, every verb: the suite that ships, on the stores of conftest.py."""

from __future__ import annotations

from pgqueue.testing import conformance

globals().update(conformance.suite())
