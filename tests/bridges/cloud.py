"""SQS and SNS for the tests: an emulator in an environment of its own, or the real ones.

The emulator pins a botocore that cannot be installed beside today's boto3. As the real SQS it
remembers the ids of FIFO messages for five minutes, also of those that were deleted.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from tests.valkey import free_port, until

EMULATOR = "ministack==1.5.33"
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


def environment() -> Path:
    """The Python of an environment that has the emulator; made once a machine and a version."""
    home = Path(os.environ.get("XDG_CACHE_HOME", tempfile.gettempdir())) / "pgqueue-tests"
    home.mkdir(parents=True, exist_ok=True)
    folder = home / f"{EMULATOR}-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several test processes one makes it
        if not (folder / "complete").exists():
            venv.create(folder, with_pip=True, clear=True)
            subprocess.run(
                [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", EMULATOR],
                check=True,
                capture_output=True,
                timeout=110,
            )
            (folder / "complete").touch()
    return python


class Cloud:
    """Where SQS and SNS answer; None is the real ones' own address."""

    def __init__(self, url: str | None) -> None:
        self.url = url
        keys = KEYS if url else {}
        self.options = {"region_name": "us-east-1", "endpoint_url": url, **keys}

    def client(self, service: str) -> Any:
        return boto3.client(service, **self.options)  # type: ignore[call-overload]


@contextmanager
def cloud() -> Iterator[Cloud]:
    """An emulator for as long as the block lasts, or the real thing, PGQUEUE_TEST_SQS_URL's."""
    if given := os.environ.get("PGQUEUE_TEST_SQS_URL"):
        yield Cloud(None if given == "aws" else given)
        return
    port = free_port()
    process = subprocess.Popen(
        [environment(), "-m", "ministack"],
        env={
            **os.environ,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "SERVICES": "sqs,sns",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def answers() -> bool:
        assert process.poll() is None, "the emulator ended"
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(answers, within=60)
        yield Cloud(f"http://127.0.0.1:{port}")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
