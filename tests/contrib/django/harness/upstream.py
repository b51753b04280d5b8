"""Other people's test cases, subclassed so that they run against pgqueue."""

from __future__ import annotations

import unittest
from collections.abc import Mapping
from typing import Any


def leave_out(case: type[unittest.TestCase], reasons: Mapping[str, str]) -> None:
    """Skip the tests of *case* that *reasons* names; raises for one that it does not have."""
    known = set(unittest.TestLoader().getTestCaseNames(case))
    for name, reason in reasons.items():
        if name not in known:
            raise LookupError(f"{case.__name__} has no {name}")
        setattr(case, name, _skipped(reason))


def _skipped(reason: str) -> Any:
    @unittest.skip(reason)
    def test(self: object) -> None: ...

    return test
