"""`--processes` and `--reload`: several processes, kept running."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from pgqueue import App
from pgqueue.operations import inspections
from tests.cli.conftest import Start
from tests.cli.shop import hang, send
from tests.cli.terminal import Process, Terminal, eventually, is_alive

STARTED = r"\[(\d+)\] worker \d+ started"
ENDED = r"\[(\d+)\] worker \d+ stopped"
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's death")

SUPERVISING = """
import asyncio, sys
from pgqueue.worker.supervisor import Supervisor
sys.exit(asyncio.run(Supervisor([sys.executable, "supervised.py"], 2).run()))
"""
# The second of them ends first; the first one then gives us a second to stop it.
SUPERVISED = """
import os, signal, sys
from pathlib import Path
from pgqueue.worker.supervisor import MISUSED, place
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
if place() == 0:
    while not (other := Path("other")).exists() or Path("/proc", other.read_text()).exists():
        pass
    if signal.sigtimedwait({signal.SIGTERM}, 1) is None:
        print("hopeless, and not stopped before it was said", flush=True)
elif not Path("other").exists():
    Path("pid").write_text(str(os.getpid()))
    Path("pid").rename("other")
sys.exit(MISUSED)
"""

# The first of them is hopeless; the second one is told to stop, and then fails.
STUBBORN = """
import signal, sys
from pathlib import Path
from pgqueue.worker.supervisor import MISUSED, place
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
if place() == 0:
    while not Path("other").exists():
        pass
    sys.exit(MISUSED)
Path("other").touch()
signal.sigwait({signal.SIGTERM})
sys.exit(7)
"""

# Works for a while and crashes; then the database is away, and then it is back.
OUTAGE = """
import sys, time
from pathlib import Path
from pgqueue.worker.supervisor import UNREACHABLE, place
place()
runs = len(Path("runs").read_text()) if Path("runs").exists() else 0
Path("runs").write_text("." * (runs + 1))
time.sleep(0 if runs else 0.5)
sys.exit((7, UNREACHABLE, UNREACHABLE, 0)[runs])
"""
STEADY_SOON = """
import asyncio, sys
from pgqueue.worker import supervisor
supervisor.STEADY_SECONDS = 0.1
command = [sys.executable, "supervised.py"]
sys.exit(asyncio.run(supervisor.Supervisor(command, 1, drain=True).run()))
"""


def pids(process: Process, times: int) -> list[int]:
    """Those of the worker processes that have started so far."""
    return [int(found[1]) for found in process.says(STARTED, times)]


def test_runs_that_many_workers(worker: Start, terminal: Terminal) -> None:
    process = worker("--processes", 3, "--name", "till")
    pids(process, 3)
    names = {shown["name"] for shown in terminal("workers", "--json").json}
    assert names == {"till-1", "till-2", "till-3"}
    process.send(signal.SIGTERM)
    assert process.ends() == 0
    assert len(process.says(ENDED)) == 3
    assert terminal("workers", "--json").json == []


def test_a_process_that_dies_is_replaced(worker: Start) -> None:
    process = worker("--processes", 2)
    victim = pids(process, 2)[0]
    os.kill(victim, signal.SIGKILL)
    process.says(rf"process {victim} was killed by SIGKILL; starting another in 0\.5 s")
    assert victim not in pids(process, 3)[2:]


def test_the_job_of_a_killed_process_is_done_by_another(
    worker: Start, app: App, tmp_path: Path
) -> None:
    gate, note = tmp_path / "gate", tmp_path / "gate.pid"
    handle = app.enqueue(hang.job(str(gate)))
    process = worker("--processes", 2)
    pids(process, 2)
    eventually(note.exists)
    victim = int(eventually(note.read_text))
    os.kill(victim, signal.SIGKILL)
    gate.touch()
    assert app.result(handle, timeout=30) != victim


def test_drain_ends_when_all_have_nothing_left(worker: Start, app: App) -> None:
    handles = app.enqueue([send.job(n) for n in range(50)])
    assert worker("--processes", 2, "--queues", "mail", "--drain").ends() == 0
    assert {job.state for job in app.execute(inspections.get(handles)).values()} == {"completed"}


def test_signals_are_passed_on(worker: Start, app: App, tmp_path: Path) -> None:
    app.enqueue(hang.job(str(tmp_path / "never")))
    process = worker("--processes", 2)
    pids(process, 2)
    eventually((tmp_path / "never.pid").exists)
    process.send(signal.SIGINT)
    process.says(ENDED)  # the one that has nothing to do
    process.send(signal.SIGINT)
    assert process.ends() == 0
    process.says("stopping now")


def test_a_signal_to_all_processes_leaves_each_its_grace_period(
    worker: Start, app: App, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    handle = app.enqueue(hang.job(str(gate)))
    process = worker("--processes", 1, "--reload")
    [child] = pids(process, 1)
    eventually((tmp_path / "gate.pid").exists)
    os.kill(child, signal.SIGTERM)
    process.says("SIGTERM: finishing what runs")
    process.send(signal.SIGTERM)
    process.says("SIGTERM: stopping")
    os.kill(child, signal.SIGTERM)
    gate.touch()
    assert process.ends() == 0
    assert app.result(handle, timeout=5) == child


@linux
def test_its_processes_stop_when_it_is_killed(worker: Start) -> None:
    process = worker("--processes", 2)
    children = pids(process, 2)
    process.kill()
    eventually(lambda: not any(map(is_alive, children)))
    assert process.output.count("SIGTERM: finishing what runs") == 2


def test_what_is_hopeless_is_not_tried_again(worker: Start, empty_url: str) -> None:
    process = worker("--processes", 2, PGQUEUE_URL=empty_url)
    assert process.ends() == 1
    assert process.output.count("run `pgqueue migrate`") == 1


def test_an_app_that_is_not_there_is_misuse(start: Start) -> None:
    process = start("-m", "pgqueue.worker", "nowhere", "--processes", 2)
    assert process.ends() == 2
    assert process.output.count("there is no module nowhere") == 1


@linux
def test_its_exit_code_says_why_it_stopped_however_the_others_end(
    start: Start, folder: Path
) -> None:
    (folder / "supervised.py").write_text(STUBBORN)
    assert start("-c", SUPERVISING).ends() == 2


@linux
def test_the_first_process_says_for_all_why_it_is_hopeless(start: Start, folder: Path) -> None:
    (folder / "supervised.py").write_text(SUPERVISED)
    process = start("-c", SUPERVISING)
    assert process.ends() == 2
    assert process.output.count("hopeless, and not stopped before it was said") == 1


def test_a_changed_file_starts_them_anew(worker: Start, folder: Path) -> None:
    process = worker("--processes", 2, "--reload")
    before = pids(process, 2)
    with (folder / "shop.py").open("a") as file:
        file.write("# changed\n")
    process.says(r"shop\.py changed: starting anew")
    assert not set(before) & set(pids(process, 4)[2:])
    assert len(process.says(ENDED)) == 2


def test_a_mistake_is_waited_out(worker: Start, folder: Path) -> None:
    process = worker("--reload")
    pids(process, 1)
    right = (folder / "shop.py").read_text()
    (folder / "shop.py").write_text("def\n")
    process.says("shop cannot be imported: SyntaxError")
    process.says("waiting for a change")
    (folder / "shop.py").write_text(right)
    pids(process, 2)
    process.send(signal.SIGTERM)
    assert process.ends() == 0


def test_files_of_others_are_not_looked_at(worker: Start, folder: Path) -> None:
    for place in (".hidden", "node_modules", "venv", "site-packages"):
        (folder / place).mkdir()
        (folder / place / "theirs.py").touch()
    (folder / "venv" / "pyvenv.cfg").touch()
    process = worker("--reload")
    pids(process, 1)
    for place in (".hidden", "node_modules", "venv", "site-packages"):
        (folder / place / "theirs.py").write_text("# changed\n")
    (folder / "ours.py").touch()
    [line] = process.says("(.*) changed: starting anew")
    assert line[1].endswith(" ours.py")


def test_an_outage_of_a_database_that_was_there_is_outlived(start: Start, folder: Path) -> None:
    (folder / "supervised.py").write_text(OUTAGE)
    assert start("-c", STEADY_SOON).ends() == 0
    assert (folder / "runs").read_text() == "...."
