"""What an import brings along: counted in modules, as seconds depend on the machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Each costs tens of milliseconds, and a plain enqueue or a command needs none of them.
HEAVY = {
    "aiohttp",
    "aiormq",
    "alembic",
    "asyncio",
    "boto3",
    "botocore",
    "importlib.metadata",
    "opentelemetry",
    "prometheus_client",
    "psycopg",
    "psycopg_pool",
    "redis",
    "rich",
    "sentry_sdk",
    "sqlalchemy",
    "tenacity",
    "uvloop",
}


def imported(code: str) -> set[str]:
    """The heavy modules that *code* leads to, in an interpreter of its own."""
    script = f"import sys\n{code}\nprint(*sys.modules, sep='\\n')"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return HEAVY & set(ended.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import pgqueue",
        "from pgqueue import App, Context, enqueue\n"
        "app = App('postgresql:///shop')\n"
        "@app.task(queue='mail', retry=5)\n"
        "async def send(order: int) -> None: ...\n"
        "send.job(7).options(delay=60)\n"
        "from pgqueue.bridges import amqp, http, sns, sqs\n"
        "http.Endpoint('https://a/'), sns.Topic('arn'), sqs.Queue('https://b/')\n"
        "amqp.Exchange('shop').place",
        "import pgqueue.cli",
    ],
    ids=["the package", "an application", "the command line"],
)
def test_imports_nothing_heavy(code: str) -> None:
    assert imported(code) == set()


def test_a_sqlite_connection_brings_no_other_store() -> None:
    code = (
        "import sqlite3\n"
        "from pgqueue.backends.connections import recognise\n"
        "assert recognise(sqlite3.connect(':memory:')).store == 'sqlite'"
    )
    assert imported(code) == set()
