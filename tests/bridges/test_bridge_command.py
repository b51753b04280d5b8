"""`pgqueue bridge`: a process that runs outlets and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from pgqueue.bridges import Unreachable, amqp
from pgqueue.migrations import migrate
from tests.bridges.rabbit import Rabbit

SHOP = """
import os
from pgqueue import App
from pgqueue.bridges import amqp

app = App(os.environ["SHOP_URL"])
orders = app.outlet("orders", amqp.Exchange("", url="env:SHOP_AMQP"))
other = app.outlet("other", amqp.Exchange("", url="env:SHOP_AMQP"))

@app.task
def plain() -> None: ...
"""
FILL = """
from shop import app, orders, other, plain
app.enqueue([orders.message(1, to={0!r}), other.message(2, to={0!r}), plain.job()])
"""


def bridge(folder: Path, amqp: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "shop.py").write_text(SHOP)
    url = f"sqlite:///{folder}/jobs.db"
    settings = {"SHOP_URL": url, "SHOP_AMQP": amqp, "SHOP_HOOK": "http://a:%24ecret@127.0.0.1:1/"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_runs_the_outlets_that_are_named_and_nothing_else(
    tmp_path: Path, broker: Rabbit, channel: BlockingChannel, queue: str
) -> None:
    migrate(f"sqlite:///{tmp_path}/jobs.db")
    filled = bridge(tmp_path, broker.url, "-c", FILL.format(queue))
    assert filled.returncode == 0, filled.stderr

    ran = bridge(tmp_path, broker.url, "-m", "pgqueue", "bridge", "shop:app", "orders", "--drain")

    assert ran.returncode == 0, ran.stderr
    assert "queues orders," in ran.stderr
    assert channel.basic_get(queue, auto_ack=True)[2] == b"1"
    assert channel.basic_get(queue, auto_ack=True)[2] is None


def test_an_outlet_that_is_not_there_is_an_error_that_names_those_that_are(tmp_path: Path) -> None:
    told = bridge(tmp_path, "", "-m", "pgqueue", "bridge", "shop:app", "mail")

    assert told.returncode == 2
    assert "shop:app has no bridge mail; it has orders, other" in told.stderr


CHECKED = """
import os
from pgqueue import App
from pgqueue.bridges import amqp, http

app = App(os.environ["SHOP_URL"])
default = app.outlet("default", amqp.Exchange("", url="env:SHOP_AMQP"))
absent = app.outlet("absent", amqp.Exchange("absent", url="env:SHOP_AMQP"))
unset = app.outlet("unset", amqp.Exchange("", url="env:SHOP_UNSET"))
away = app.outlet("away", http.Endpoint("env:SHOP_HOOK"))

@app.task
def settle(n: int) -> None: ...

app.inlet("queue", amqp.Queue("no.such.queue", url="env:SHOP_AMQP"), settle)
"""


def test_check_says_what_is_wrong_and_tells_no_secret(tmp_path: Path, broker: Rabbit) -> None:
    (tmp_path / "checked.py").write_text(CHECKED)

    told = bridge(tmp_path, broker.url, "-m", "pgqueue", "bridge", "check", "checked", "--json")

    assert told.returncode == 1, told.stderr
    problems = {each["name"]: "; ".join(each["problems"]) for each in json.loads(told.stdout)}
    assert problems["default"] == ""
    assert "404 NOT_FOUND - no exchange 'absent'" in problems["absent"]
    assert "404 NOT_FOUND - no queue 'no.such.queue'" in problems["queue"]
    assert problems["unset"] == "the AMQP URL: the environment variable SHOP_UNSET is not set"
    assert problems["away"].startswith("HTTP at 127.0.0.1:1: ConnectionRefusedError")


WRONG = {
    "a wrong password": "amqp://guest:s3cret@127.0.0.1:{port}/",
    "a wrong vhost": "amqp://guest:guest@127.0.0.1:{port}/s3cret",
    "nobody there": "amqp://guest:s3cret@127.0.0.1:1/",
    "no such host": "amqp://guest:s3cret@nowhere.invalid/",
    "no AMQP": "http://guest:s3cret@127.0.0.1:{port}/",
    "no URL": "amqp://guest:s3cret@[/",
    "not verified": "amqps://guest:s3cret@127.0.0.1:{port}/?no_verify_ssl=1",
    "no TLS there": "amqps://guest:s3cret@127.0.0.1:{port}/",
}


async def test_no_failing_connection_tells_a_password(
    broker: Rabbit, caplog: pytest.LogCaptureFixture
) -> None:
    for what, url in WRONG.items():
        secret = url.format(port=broker.port)
        with pytest.raises(Unreachable) as told:
            await amqp.Exchange("", secret).open()
        if what != "a wrong vhost":  # which is no secret
            assert "s3cret" not in str(told.value) + repr(told.value.__cause__) + caplog.text, what
        assert "s3cret" not in repr(amqp.Exchange("", secret))
