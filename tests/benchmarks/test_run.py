"""The benchmarks measure what they say on every store, and survive a contender that cannot."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.contenders import FOLDER, contenders
from benchmarks.figures import overlaps
from benchmarks.report import sections
from benchmarks.scenarios.limits import measure_overlaps
from benchmarks.stand import Stand, Unsupported
from benchmarks.stores import store as store_of
from benchmarks.venvs import Environments

ROOT = FOLDER.parent.parent
STORES = ("postgres", "sqlite", "redis")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "benchmarks", *map(str, arguments), "--repeat", "1"]


def measure(file: Path, *arguments: object) -> dict[str, Any]:
    run = subprocess.run(
        command(*arguments, "--json", file), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(file.read_text())


@pytest.mark.parametrize("store", STORES)
def test_drains_on_every_store(store: str, tmp_path: Path) -> None:
    found = measure(
        tmp_path / "drain.json", "drain", "--backend", store, "--size", 500, "--case", "one worker"
    )
    rates = {row["contender"]: row for row in found["rows"] if row["figure"] == "jobs/s"}
    assert found["absences"] == []
    assert rates["raw"]["median"] > 0
    ratio = rates["pgqueue"]["median"] / rates["raw"]["median"]
    assert rates["pgqueue"]["ratio"] == pytest.approx(ratio)


def test_a_drain_is_measured_while_somebody_looks_at_the_dashboard(tmp_path: Path) -> None:
    case = "with the dashboard open"
    found = measure(tmp_path / "drain.json", "drain", "--size", 500, "--case", case)
    rates = {row["contender"]: row for row in found["rows"] if row["figure"] == "jobs/s"}
    assert found["absences"] == []
    assert set(rates) == {"pgqueue", "pgqueue/uncounted", "pgqueue/watched"}
    [dashboard] = [row for row in found["rows"] if row["figure"] == "dashboard CPU ms/s"]
    assert dashboard["median"] > 0


def test_measures_latency_from_the_call_to_the_first_line(tmp_path: Path) -> None:
    found = measure(
        tmp_path / "latency.json", "latency", "--size", 1, "--case", "40 jobs", "--only", "pgqueue"
    )
    medians = {row["figure"]: row["median"] for row in found["rows"]}
    assert 0 < medians["start p50 ms"] < medians["done p50 ms"] < 5_000


@pytest.mark.parametrize("store", STORES)
def test_two_workers_are_seen_to_keep_to_the_limit_of_a_key(store: str, tmp_path: Path) -> None:
    found = measure(
        tmp_path / "limits.json", "limits", "--backend", store, "--size", 1_000,
        "--case", "two each: overlaps",
    )  # fmt: skip
    assert found["absences"] == []
    medians = {row["figure"]: row["median"] for row in found["rows"]}
    assert medians["jobs/s"] > 1
    assert medians["most at once"] in {1, 2}
    assert medians["above the limit"] == 0


def test_jobs_of_a_key_that_ran_at_once_above_its_limit_are_counted() -> None:
    others = [("b", 0.0, 9.0), ("c", 0.0, 9.0)]
    hand_over_hand = [("a", 0.0, 1.0), ("a", 1.0, 2.0), ("a", 2.0, 3.0)]
    assert overlaps([*hand_over_hand, *others], 1) == (1, 0)
    late = ("a", 1.5, 2.5)
    assert overlaps([*hand_over_hand, *others, late], 1) == (
        2,
        2,
    )  # it, and the one that began in it
    assert overlaps([*hand_over_hand, *others, late], 2) == (2, 0)
    assert overlaps([*hand_over_hand, *others, late, ("a", 1.6, 1.7)], 2) == (3, 1)


def test_a_contender_without_limits_says_so() -> None:
    raw, environments = contenders("sqlite")["raw"], Environments(None, print)
    with (
        store_of("sqlite", None) as place,
        place.fresh() as url,
        Stand(place, url, raw, environments) as stand,
        pytest.raises(Unsupported, match="no limit of how many jobs of a key run at once"),
    ):
        measure_overlaps(stand, jobs=100, limit=1)


def test_no_peer_joins_a_case_that_is_about_us_alone(tmp_path: Path) -> None:
    found = measure(
        tmp_path / "limits.json", "limits", "--backend", "sqlite", "--size", 100,
        "--case", "no keys", "--peers", "huey", "--peers-dir", tmp_path,
    )  # fmt: skip
    assert {row["contender"] for row in found["rows"]} == {"pgqueue"}
    assert found["absences"] == []


def test_a_peer_that_cannot_be_installed_is_said_so_and_the_run_goes_on(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.touch()
    found = measure(
        tmp_path / "drain.json", "drain", "--backend", "sqlite", "--size", 100, "--peers", "huey",
        "--case", "one worker", "--peers-dir", nowhere,
    )  # fmt: skip
    assert {row["contender"] for row in found["rows"]} == {"raw", "pgqueue"}
    (absence,) = found["absences"]
    assert absence["contender"] == "huey"
    assert absence["reason"].startswith("not installed: ")


def test_interrupted_it_keeps_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "drain.json"
    process = subprocess.Popen(
        command("drain", "--backend", "sqlite", "--size", 500, "--json", file),
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "one worker: raw" in first
    assert "medians, and ratios" in rest
    assert json.loads(file.read_text())["rows"][0]["contender"] == "raw"


@pytest.mark.parametrize("store", STORES)
def test_every_contender_has_its_agent_and_says_its_settings(store: str) -> None:
    for contender in contenders(store).values():
        suffix = "cjs" if contender.language == "node" else "py"
        assert (FOLDER / f"{contender.agent}.{suffix}").exists(), contender.name
        assert contender.settings, contender.name
        pin = "@" if contender.language == "node" else "=="
        assert all(pin in package for package in contender.packages), contender.name


def test_the_report_shows_ratios_and_who_could_not() -> None:
    row = {"case": "one worker", "figure": "jobs/s", "values": [40.0, 60.0]}
    document = {
        "scenario": "drain",
        "backend": "sqlite",
        "began": "2030-01-01 12:00",
        "minutes": 3,
        "command": "python -m benchmarks drain",
        "surroundings": {"cpus": 2},
        "contenders": [{"name": "huey", "packages": ["huey==1"], "settings": "4 threads"}],
        "rows": [
            row | {"contender": "raw", "median": 100.0, "ratio": None},
            row | {"contender": "pgqueue", "median": 50.0, "ratio": 0.5},
        ],
        "absences": [{"case": "one worker", "contender": "huey", "reason": "has no arms"}],
    }
    text = "\n".join(sections([document]))
    assert "| pgqueue | 50 (0.50) | 40% |" in text
    assert "* huey: has no arms" in text
    assert "`huey==1`: 4 threads" in text
