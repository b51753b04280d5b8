"""Each shop in docs/examples starts by its README's commands and takes an order; its tests pass."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PATIENCE_SECONDS = 120

if shutil.which("curl") is None and not os.environ.get("CI"):
    pytest.skip("curl is not installed", allow_module_level=True)


class Example:
    """A copy of an example's folder and its README's commands, on a port and a database of ours."""

    def __init__(self, name: str, folder: Path, url: str) -> None:
        self.folder = folder / name
        shutil.copytree(EXAMPLES / name, self.folder)
        self.port = free_port()
        self.deadline = time.monotonic() + PATIENCE_SECONDS
        text = (self.folder / "README.md").read_text("utf-8").replace("8000", str(self.port))
        blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        self.start, self.use, self.test = blocks
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = os.environ | {"PATH": path, "PYTHONPATH": ".", "DATABASE_URL": url}

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euc", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def started(self) -> Iterator[None]:
        """Runs the first block, but for installing and naming a database, until it listens."""
        ours = re.compile(r"^(pip |export DATABASE_URL)")
        lines = [line for line in self.start.splitlines() if not ours.match(line)]
        process = subprocess.Popen(
            ["bash", "-euc", "\n".join(lines)],
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
        )
        try:
            while not answers(self.port):
                assert process.poll() is None, "a command of the README failed"
                assert time.monotonic() < self.deadline, "it does not listen"
                time.sleep(0.05)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            with suppress(ProcessLookupError):  # the worker, whose database is about to go
                while True:
                    os.killpg(process.pid, 0)
                    time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["django", "fastapi", "flask"])
def test_a_shop_starts_takes_an_order_and_passes_its_tests(
    name: str, tmp_path: Path, empty_url: str
) -> None:
    shop = Example(name, tmp_path, empty_url)
    with shop.started():
        order, invoice = commands(shop.use)
        placed = shop.run(f"{order} -sS")
        assert json.loads(placed.stdout) == {"id": 1}, placed.stderr
        while '"job"' in (answer := shop.run(f"{invoice} -sS")).stdout:
            assert time.monotonic() < shop.deadline, "the invoice is not rendered"
        assert "Invoice 1 for ann@example.com: 12.50 EUR" in answer.stdout, answer.stderr

    tests = shop.run(shop.test)
    assert tests.returncode == 0, tests.stdout + tests.stderr


def commands(block: str) -> list[str]:
    """The lines of *block* without their comments."""
    return [line.partition(" #")[0] for line in block.splitlines()]
