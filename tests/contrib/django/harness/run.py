"""Run the tests of one module, and print what became of each: `python -m harness.run MODULE`."""

from __future__ import annotations

import json
import os
import sys
import unittest
from importlib import import_module
from typing import Any


class CountedResult(unittest.TextTestResult):
    """A result that remembers which tests passed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.passed: list[str] = []

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self.passed.append(_name(test))


def _name(test: Any) -> str:
    return ".".join(test.id().split(".")[-2:])


def _leave() -> None:
    """Close what would keep the test database from being dropped: also the connections of the
    event loops in which these tests have asked things that block."""
    from django.db import connection, connections

    from pgqueue.contrib.django import app

    app.close()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    connections.close_all()


def main(module: str) -> int:
    os.environ["DJANGO_SETTINGS_MODULE"] = os.environ.get("HARNESS_SETTINGS", "harness.settings")
    import django
    from django.test.runner import DiscoverRunner

    django.setup()
    runner = DiscoverRunner(verbosity=0, interactive=False)
    runner.setup_test_environment()
    databases = runner.setup_databases(aliases={"default", "other"}, serialized_aliases=set())
    try:
        suite = unittest.TestLoader().loadTestsFromModule(import_module(module))
        result = unittest.TextTestRunner(resultclass=CountedResult, verbosity=2).run(suite)
    finally:
        _leave()
        runner.teardown_databases(databases)
        runner.teardown_test_environment()
    assert isinstance(result, CountedResult)
    print(
        json.dumps(
            {
                "django": django.get_version(),
                "passed": sorted(result.passed),
                "failed": sorted(_name(test) for test, _ in [*result.failures, *result.errors]),
                "skipped": {_name(test): reason for test, reason in result.skipped},
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
