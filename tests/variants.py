"""The conformance suite runs whole on each kind of store; on a variant of one, a sample by default.

A variant is the same code in other surroundings. Of each topic it plays the first tests; the rest
are marked *slow*: `python -m pytest -m slow` plays them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pytest

PLAYED = 2
VARIANTS = {
    "tests/conformance/test_stores.py": ("sqlite_memory", "redis_cluster"),
    "tests/settings/test_conformance.py": ("",),
    "tests/toy/test_conformance.py": ("",),
}


def sample(items: Iterable[pytest.Item]) -> None:
    """Mark as slow what a variant does not play by default."""
    played: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for item in items:
        file, _, rest = item.nodeid.partition("::")
        topic, _, test = rest.partition("::")
        function, _, parameters = test.partition("[")
        for variant in VARIANTS.get(file, ()):
            if not parameters.startswith(variant):
                continue
            functions = played[variant or file, topic]
            if function in functions or len(functions) == PLAYED:
                item.add_marker(pytest.mark.slow)
            else:
                functions.add(function)
