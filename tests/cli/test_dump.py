"""`pgqueue jobs dump`, `import`, `purge --dump` and `tidy`."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pgqueue import App, Retention, Unique, workflow
from pgqueue.copying.windows import windows
from pgqueue.operations import inspections
from tests.cli import shop
from tests.cli.shop import boom, build, send
from tests.cli.terminal import Terminal
from tests.valkey import Valkey

Work = Callable[..., None]


@pytest.fixture(params=["postgres", "sqlite", "redis"])
def there(
    request: pytest.FixtureRequest, tmp_path: Path, valkey_server: Valkey
) -> Iterator[Terminal]:
    """Another store."""
    if request.param == "postgres":
        yield Terminal(request.getfixturevalue("postgres_url"))
    elif request.param == "sqlite":
        terminal = Terminal(f"sqlite:///{tmp_path}/there.db")
        terminal.ok("migrate")
        yield terminal
    else:
        terminal = Terminal(valkey_server.url)
        yield terminal


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Terminal]:
    """The store that jobs come from."""
    terminal = Terminal(f"sqlite:///{tmp_path}/here.db")
    terminal.ok("migrate")
    shop.app.use(str(terminal.url))
    yield terminal
    shop.app.close()


@pytest.fixture
def work(here: Terminal) -> Work:
    """Runs what can be run now, wherever the application's jobs are."""

    def work(queues: str = "default,mail") -> None:
        asyncio.run(shop.app.run_worker(queues=queues, drain=True))

    return work


def listed(terminal: Terminal, *words: object, **variables: str) -> dict[str, list[Any]]:
    """The jobs by their tasks, the oldest first."""
    found: dict[str, list[Any]] = {}
    for job in reversed(terminal("jobs", "list", *words, "--json", **variables).json):
        found.setdefault(job["task"], []).append(job)
    return found


def fill(app: App) -> None:
    """A graph that has begun, a dead letter, and one for tomorrow."""
    first = send.job(1)
    later = send.job(2).after(first)
    app.enqueue(workflow("import", first, later, build.job(pages=1).after(later)))
    app.enqueue(boom.job(7).options(tags=["t"], metadata={"m": 1}, priority=3))
    app.enqueue(build.job(pages=5).options(delay=timedelta(days=1)))


@pytest.mark.parametrize("name", ["jobs.jsonl", "jobs.jsonl.gz"])
def test_a_graph_goes_on_elsewhere(
    here: Terminal, there: Terminal, work: Work, tmp_path: Path, namespace: str, name: str
) -> None:
    file, variables = tmp_path / name, {"PGQUEUE_SCHEMA": _schema(there, namespace)}
    fill(shop.app)
    work("default")
    assert here.ok("jobs", "dump", file) == f"5 jobs written to {file}\n"

    said = there.ok("jobs", "import", file, "--keep-schedule", **variables)

    assert said == ("5 of 5 jobs imported: 1 available, 2 blocked, 1 discarded, 1 scheduled\n")
    before, after = listed(here), listed(there, **variables)
    [dead], [dead_here] = after["boom"], before["boom"]
    assert dead["errors"][0]["message"] == "order 7 is broken"
    for same in ("state", "tags", "metadata", "priority", "args", "attempt", "max_attempts"):
        assert dead[same] == dead_here[same]
    assert [job["state"] for job in after["send"]] == ["available", "blocked"]
    assert sorted(job["state"] for job in after["build"]) == ["blocked", "scheduled"]
    late, there_late = (
        next(job for job in found["build"] if job["state"] == "scheduled")
        for found in (before, after)
    )
    assert there_late["run_at"] == late["run_at"]
    [flow] = there("workflows", "list", "--json", **variables).json
    assert (flow["name"], sum(flow["states"].values())) == ("import", 3)

    if variables["PGQUEUE_SCHEMA"] == "pgqueue":
        shop.app.use(str(there.url))
        work()
        assert [job["state"] for job in listed(there)["send"]] == ["completed", "completed"]


def _schema(terminal: Terminal, namespace: str) -> str:
    """Where the tables are; all tests share one Redis."""
    return "pgqueue" if str(terminal.url).startswith(("postgresql", "sqlite")) else namespace


def test_what_waits_for_its_time_runs_now_unless_it_is_to_keep_it(
    here: Terminal, tmp_path: Path
) -> None:
    shop.app.enqueue(build.job(pages=5).options(delay=timedelta(days=1)))
    here.ok("jobs", "dump", tmp_path / "a", "--state", "scheduled")

    here.ok("jobs", "import", tmp_path / "a")

    assert [job["state"] for job in listed(here)["build"]] == ["scheduled", "available"]


def test_keys_that_hold_for_a_time_go_along(
    here: Terminal, there: Terminal, work: Work, tmp_path: Path, namespace: str
) -> None:
    """Also that of a job that has left no row. With a filter, those of its jobs."""
    variables = {"PGQUEUE_SCHEMA": _schema(there, namespace)}
    hourly = {n: Unique(key=f"k{n}", until=3600) for n in range(3)}
    shop.app.enqueue(build.job(0).options(unique=hourly[0], keep=False))
    shop.app.enqueue(build.job(1).options(unique=hourly[1]))
    work("default")
    shop.app.enqueue(send.job(2).options(unique=hourly[2]))
    here.ok("jobs", "dump", tmp_path / "all")
    here.ok("jobs", "dump", tmp_path / "mail", "--queue", "mail")
    assert (tmp_path / "mail").read_text().count('"is":"window"') == 1

    said = there("jobs", "import", tmp_path / "mail", "--json", **variables).json
    assert (said["brought"], said["windows"]) == (1, 1)
    said = there.ok("jobs", "import", tmp_path / "all", "--again", **variables)

    assert said.splitlines()[1] == "2 unique keys hold for their time here, too"
    held = {window.key: window.until for window in shop.app.execute(windows())}
    app = App(str(there.url), schema=variables["PGQUEUE_SCHEMA"])
    assert {window.key: window.until for window in app.execute(windows())} == held
    again = [app.enqueue(build.job(n).options(unique=rule)).outcome for n, rule in hourly.items()]
    app.close()
    assert again == ["existing"] * 3


def test_the_same_file_is_refused_twice(here: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "jobs"
    fill(shop.app)
    here.ok("jobs", "dump", file)
    here.ok("jobs", "import", file)

    refused = here("jobs", "import", file)

    assert refused.code == 1
    assert "was imported before, all 5 jobs; --again" in refused.err
    assert sum(map(len, listed(here).values())) == 10
    here.ok("jobs", "import", file, "--again")
    assert sum(map(len, listed(here).values())) == 15


def test_an_import_that_was_interrupted_goes_on(here: Terminal, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    shop.app.enqueue([build.job(pages=n) for n in range(20)])
    here.ok("jobs", "dump", whole)
    part.write_bytes(b"".join(whole.read_bytes().splitlines(keepends=True)[:8]))
    assert here.ok("jobs", "import", part) == "7 of 7 jobs imported: 7 available\n"

    said = here.ok("jobs", "import", whole)

    assert said.startswith("13 of 20 jobs imported: 20 available\n7 were here already")
    assert len(listed(here)["build"]) == 40


def test_a_job_whose_parent_is_not_in_the_file_stays_out(here: Terminal, tmp_path: Path) -> None:
    fill(shop.app)
    here.ok("jobs", "dump", tmp_path / "a", "--state", "blocked")

    said = here.ok("jobs", "import", tmp_path / "a")

    assert "0 of 2 jobs imported" in said
    assert "2 wait for jobs that are not in the file" in said


def test_a_cut_off_file_gives_what_it_has(here: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "jobs"
    shop.app.enqueue([build.job(pages=n) for n in range(3)])
    here.ok("jobs", "dump", file)
    file.write_bytes(file.read_bytes()[:-10])

    assert here.ok("jobs", "import", file) == "2 of 2 jobs imported: 2 available\n"
    refused = here("jobs", "purge", "--state", "completed", "--yes", "--dump", file)
    assert refused.code == 1
    assert "was cut off" in refused.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty"),
        (b'{"is": "job"}\n', "line 1"),
        (b'{"is": "pgqueue", "dump": "x", "at": "2030-01-01T00:00:00Z"}\nno\n', "line 2"),
        (b'{"is": "pgqueue", "dump": "x", "at": "2030-01-01T00:00:00Z", "version": 2}\n', "later"),
    ],
)
def test_another_file_is_refused(here: Terminal, tmp_path: Path, text: bytes, said: str) -> None:
    (tmp_path / "a").write_bytes(text)

    refused = here("jobs", "import", tmp_path / "a")

    assert refused.code == 1
    assert said in refused.err


def test_a_file_that_is_there_is_not_written_over(here: Terminal, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")

    refused = here("jobs", "dump", tmp_path / "a")

    assert refused.code == 1
    assert "is there already" in refused.err
    assert (tmp_path / "a").read_text() == "mine"


@pytest.mark.parametrize("name", ["jobs", "jobs.gz"])
def test_what_is_purged_is_written_before(
    here: Terminal, work: Work, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    parent = build.job(pages=1)
    shop.app.enqueue(parent, send.job(1).after(parent))
    shop.app.enqueue([build.job(pages=n) for n in range(2_100)])
    work("default")

    said = here.ok("jobs", "purge", "--state", "completed", "--dump", file, "-y")

    assert said == "2,100 purged, 1 wanted\n"
    with (gzip.open if name.endswith("gz") else open)(file, "rt") as text:
        lines = [json.loads(line) for line in text]
    assert len(lines) == 2_101
    assert {line["job"]["state"] for line in lines[1:]} == {"completed"}
    work("mail")
    here.ok("jobs", "purge", "--task", "build", "--dump", file, "-y")
    assert here("jobs", "import", file, "--dry-run", "--json").json["jobs"] == {"completed": 2_101}


def test_tidy_deletes_what_retention_would(
    here: Terminal, work: Work, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    shop.app.enqueue(build.job(pages=1), boom.job(1))
    work("default")
    monkeypatch.setattr(shop.app, "retention", Retention(completed=timedelta(0)))
    (folder / "tidied.py").write_text("from tests.cli.shop import app\n")

    assert here.ok("jobs", "tidy", "tidied:app") == "0 days and 1 single jobs deleted\n"
    jobs = shop.app.execute(inspections.list_jobs())
    assert [job.task for job in jobs] == ["boom"]
