"""docs/monitoring: the dashboard, the rules and the query ask for what there is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgqueue import operations
from tests.worker import shop as tasks
from tests.worker.store import Store
from tests.worker.test_metrics import STORE, WORKER

FOLDER = Path(__file__).parents[2] / "docs" / "monitoring"
PAGE = FOLDER.with_suffix(".md").read_text("utf-8")
PROMTOOL = os.environ.get("PROMTOOL") or shutil.which("promtool")
promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not there: install Debian's prometheus, or set PROMTOOL"
)
KNOWN = {
    *(name for name in WORKER if name.endswith(("_running", "_slots", "_lag_seconds"))),
    *STORE,
    *("pgqueue_jobs_finished_total", "pgqueue_lease_lost_total"),
    *(f"pgqueue_job_{what}_seconds_bucket" for what in ("run", "wait")),
}


def expressions() -> list[str]:
    """What the dashboard asks Prometheus."""
    dashboard: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text("utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def run(*words: str, stdin: str | None = None) -> str:
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *words], input=stdin, cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def postgres_url(fresh_url: str) -> str:
    """Without anybody's pages."""
    return fresh_url


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    named = {name for each in expressions() for name in re.findall(r"\bpgqueue_\w+", each)}

    assert named <= KNOWN
    assert KNOWN - named == set()


def test_the_rules_ask_for_metrics_that_there_are() -> None:
    text = (FOLDER / "alerts.yml").read_text("utf-8")
    rules = re.findall(r"expr: (.*?)\n +(?:for|labels):", text, re.DOTALL)

    assert len(rules) == 8
    assert {name for rule in rules for name in re.findall(r"\bpgqueue_\w+", rule)} <= KNOWN


def test_the_page_has_a_row_for_each_metric() -> None:
    told = set(re.findall(r"`(pgqueue_\w+)`", PAGE))
    of_bridges = {name for name in told if re.match("pgqueue_(bridge|inlet|outlet)_", name)}

    assert told - of_bridges == {name.removesuffix("_bucket") for name in KNOWN}


@promtool
def test_promtool_accepts_the_rules_and_their_tests_pass() -> None:
    assert "SUCCESS" in run("check", "rules", "alerts.yml")
    assert "SUCCESS" in run("test", "rules", "alerts_test.yml")


@promtool
def test_promtool_reads_what_the_dashboard_asks(tmp_path: Path) -> None:
    rules = [
        {
            "record": f"panel:{n}",
            "expr": each.replace("$queue", ".*").replace("$__rate_interval", "5m"),
        }
        for n, each in enumerate(expressions())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    assert f"{len(rules)} rules found" in run("check", "rules", str(file))


@promtool
def test_promtool_finds_nothing_wrong_with_a_scrape(store: Store) -> None:
    from pgqueue.jobs.tally import Figures, Series
    from pgqueue.worker.telemetry.exposition import exposition
    from pgqueue.worker.telemetry.store import StoreMeter

    store.enqueue(tasks.ring.job())
    series = Series("default", "ring")
    series.count("completed")
    series.ran.add(0.5)
    found = StoreMeter(store.app).figures()
    assert found is not None

    assert run("check", "metrics", stdin=exposition(Figures([series]), found)) == ""


def test_the_query_for_autoscalers_counts_what_waits_and_what_runs(store: Store) -> None:
    [query] = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    store.enqueue(*[tasks.ring.job().options(queue="mail") for _ in range(1_200)])
    store.enqueue(*[tasks.ring.job() for _ in range(20_000)])
    store.enqueue(tasks.ring.job().options(queue="mail", delay=60))
    assert store.value(query) == 1_000
    profile = {"name": "w", "host": "h", "pid": 1, "queues": ["mail"], "info": {}}
    joined = store.app.execute(operations.join({**profile, "started_at": "2030-01-01T00:00:00Z"}))
    store.app.execute(
        operations.alive(joined.worker, 7, {**profile, "started_at": "2030-01-01T00:00:00Z"})
    )
    assert store.value(query) == 1_007

    with psycopg.connect(store.url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE pgqueue.job")
        plan = next(connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}".encode()))
        [(pages,)] = connection.execute(
            "SELECT relpages FROM pg_class WHERE oid = 'pgqueue.job'::regclass"
        )
    [[whole]] = plan
    assert "Seq Scan" not in {
        node["Node Type"] for node in nodes(whole["Plan"]) if node.get("Relation Name") == "job"
    }
    assert whole["Plan"]["Shared Hit Blocks"] + whole["Plan"]["Shared Read Blocks"] < pages / 4


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from nodes(below)
