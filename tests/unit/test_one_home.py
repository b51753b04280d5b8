"""What several stores must spell alike has one home in Python, and every statement file agrees."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import pgqueue
from pgqueue import statements
from pgqueue.errors import InvalidJob
from pgqueue.operations import ClaimedJob, leases, topics
from pgqueue.testing.conformance import a_job

PACKAGE = Path(pgqueue.__file__).parent
STORES = ["postgres", "sqlite", "redis"]
README = (statements.folder("postgres").parent / "README.md").read_text("utf-8")
in_every_store = pytest.mark.parametrize("store", STORES)


def code(path: Path) -> str:
    """*path* without its comments."""
    return re.sub(r"--[^\n]*", "", path.read_text("utf-8"))


def files(store: str) -> dict[str, str]:
    """The code of each file of *store*, its schema too, by name."""
    folder = statements.folder(store)
    return {
        path.relative_to(folder).as_posix(): code(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".sql", ".lua")
    }


def section(title: str) -> str:
    """What sql/README.md says under *title*."""
    return README.partition(f"## {title}\n")[2].partition("\n## ")[0]


# Topics

# Which of the marks a store's files write; SQLite's are read, the others' are notified.
MARKS = {"postgres": {"@", "#", "!"}, "sqlite": {"@", "#", "!", "+"}, "redis": {"@", "#", "!"}}
# A quoted character that is no quote, bracket or separator: a mark, if one is written.
QUOTED = re.compile(r"'([^\w\s'\"(),.:{}\[\]%_-])'")


@in_every_store
def test_statement_files_write_the_marks_of_topics(store: str) -> None:
    assert {mark for text in files(store).values() for mark in QUOTED.findall(text)} == MARKS[store]
    assert MARKS[store] <= topics.MARKS


def test_every_mark_is_some_stores() -> None:
    assert set().union(*MARKS.values()) == topics.MARKS


@pytest.mark.parametrize("mark", sorted(topics.MARKS))
def test_no_queues_name_begins_with_a_mark(mark: str) -> None:
    with pytest.raises(InvalidJob):
        a_job(queue=f"{mark}7")


def test_a_topic_is_read_as_it_is_written() -> None:
    assert topics.ended(topics.end_of(7)) == 7
    assert topics.is_of_worker(topics.of_worker(7))
    assert topics.ended("7") is None
    assert topics.ended(topics.ANY_END) is None
    assert topics.ended(topics.of_worker(7)) is None
    assert not topics.is_of_worker(topics.end_of(7))


ROOMS_WITH_TEXTS = ("cli", "dashboard", "demo", "doctor", "schedules", "views")


def test_nobody_else_in_python_spells_a_topic() -> None:
    """In addresses, schedules and what people see, these characters mean something else."""
    others = {
        "actors.py",
        "addresses.py",
        "address.py",
        "database.py",
        "migrate.py",
        "namespace.py",
        "topics.py",
    }
    spelled = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name not in others and path.parent.name not in ROOMS_WITH_TEXTS
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Constant) and node.value in topics.MARKS)
        or (
            isinstance(node, ast.JoinedStr)
            and isinstance(node.values[0], ast.Constant)
            and node.values[0].value in topics.MARKS
        )
    ]

    assert spelled == []


@pytest.mark.parametrize("mark", sorted(topics.MARKS))
def test_the_rules_have_a_row_for_each_mark(mark: str) -> None:
    assert re.search(rf"^\| `{re.escape(mark)}", section("Topics"), re.MULTILINE)


# Due soon

# What is due soon is found by these; SQLite's sessions watch the next instant itself.
SOON = {"postgres": r"interval '(\d+) seconds'", "redis": r"SOON = (\d+) \* 1000000"}


@pytest.mark.parametrize("store", sorted(SOON))
def test_soon_is_the_same_everywhere(store: str) -> None:
    found = {
        int(seconds)
        for name, text in files(store).items()
        if name != "rescue.sql"  # it asks when the server was started
        for seconds in re.findall(SOON[store], text)
    }

    assert found == {topics.SOON_SECONDS}


def test_whoever_wakes_for_what_is_due_is_named_in_the_rules() -> None:
    asking = {
        name.rpartition("/")[2].partition(".")[0]
        for name, text in files("postgres").items()
        if "'@'" in text and not name.startswith("schema/")
    }

    assert asking <= set(re.findall(r"`(\w+)`", section("Due soon")))


# Leases


@in_every_store
def test_no_store_hands_out_leases(store: str) -> None:
    """What it once counted would begin again when it goes back, while workers live on."""
    drawing = r"nextval\('pgqueue\.lease'\)|INCR\w*', root \.\. 'lease|name = 'lease'"

    assert [name for name, text in files(store).items() if re.search(drawing, text)] == []


def test_the_blocks_that_postgresql_once_counted_are_as_large_as_those_that_are_drawn() -> None:
    """Workers of an older version still draw from that sequence."""
    declared = re.search(
        r"SEQUENCE pgqueue\.lease AS bigint INCREMENT BY (\d+)",
        files("postgres")["schema/0001_jobs.sql"],
    )

    assert declared is not None
    assert int(declared[1]) == leases.BLOCK


def test_a_block_is_whole_below_what_a_double_counts_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.randbelow", lambda beyond: beyond - 1)

    assert leases.draw_block() + leases.BLOCK - 1 < leases.BEYOND == 2**53
    assert float(leases.BEYOND - 1) + 1 == leases.BEYOND


def test_the_rules_say_how_large_a_block_is() -> None:
    assert f"{leases.BLOCK:,}" in section("Leases")
    assert "2^53" in section("Leases")


# Transaction-local settings


def test_the_rules_name_each_setting_who_sets_it_and_who_reads_it() -> None:
    setting: dict[str, set[str]] = {}
    reading: dict[str, set[str]] = {}
    for name, text in files("postgres").items():
        if name.endswith(".down.sql") or re.match(r"schema/000[123]", name):
            continue  # they were replaced
        verb = "schema" if name.startswith("schema/") else name.rpartition("/")[2][:-4]
        for local in re.findall(r"set_config\('pgqueue_local\.(\w+)'", text):
            setting.setdefault(local, set()).add(verb)
        for local in re.findall(r"current_setting\('pgqueue_local\.(\w+)'", text):
            reading.setdefault(local, set()).add(verb)
    table = {
        row[0]: (set(re.findall(r"`(\w+)`", row[1])), set(re.findall(r"`(\w+)`", row[2])))
        for row in re.findall(
            r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|", section("Transaction-local settings"), re.MULTILINE
        )
    }

    assert table == {
        local: (setting.get(local, set()), reading.get(local, set()))
        for local in setting.keys() | reading.keys()
    }


# What a claim answers

CLAIMED = [field for field in ClaimedJob.__struct_fields__ if field != "lease"]


def columns(listed: str) -> list[str]:
    """The column that each expression of a list is about."""
    expression = re.compile(
        r"date_part\('epoch', (\w+)\)|.* AS (expires_in)|(\w+)(?:::\w+| / 1000000\.0| AS .*)?"
    )
    return [expression.sub(r"\1\2\3", part.strip()) for part in re.split(r",(?![^()]*\))", listed)]


def fields_of_a_record(row: str) -> list[str]:
    """The column that each expression of a row in Lua is about."""
    named = re.sub(r"\w+\[(\w+)\](?: or (?:null|'')| / 1000000)?", r"\1", row).lower()
    named = named.replace("progress_text(job)", "progress").replace("timeout", "timeout_seconds")
    named = named.replace("expires_in(job)", "expires_in")
    return [name.strip() for name in named.split(",")]


def answered(store: str, verb: str) -> list[str]:
    """The columns that *verb* answers with."""
    if store == "redis":
        assert "return {claimed(ids, " in files(store)[f"{verb}.lua"]
        [row] = re.findall(r"rows\[n\] = \{(.*?)\}", files(store)["lib/claimed.lua"], re.DOTALL)
        return fields_of_a_record(row)
    answer = r"RETURNING (.*?);" if verb == "claim" else r"SELECT (.*?)\nFROM"
    [listed] = re.findall(answer, files(store)[f"{verb}.sql"], re.DOTALL)
    return columns(listed)


def test_a_claim_by_keys_answers_as_a_plain_one() -> None:
    _, listed = files("postgres")["shared/claimed.sql"].split("\n", 1)
    plain = listed.strip().replace("j.", "").replace(" AS run_at", "")
    assert columns(plain) == answered("postgres", "claim")


@in_every_store
@pytest.mark.parametrize("verb", ["claim", "recall"])
def test_a_claim_answers_with_the_fields_of_a_claimed_job(store: str, verb: str) -> None:
    assert answered(store, verb) == CLAIMED


@in_every_store
def test_the_header_of_claim_lists_the_fields_of_a_claimed_job(store: str) -> None:
    path = next(statements.folder(store).glob("claim.*"))
    [out] = re.findall(r"^-- out:(.*?)^-- \w+:", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    listed = out.replace("--", "").partition(";")[0].replace(" in seconds since", "")

    assert [re.findall(r"\w+", part)[0] for part in listed.split(",")] == CLAIMED


# Redis's keys


def test_every_key_of_the_scripts_has_a_row() -> None:
    readme = (statements.folder("redis") / "README.md").read_text("utf-8")
    told = set(re.findall(r"`([a-z_]+)[:A-Z]*`", readme.partition("## What is where\n")[2]))
    written = {
        key for text in files("redis").values() for key in re.findall(r"root \.\. '([a-z_]+)", text)
    }

    assert written - told == set()


# Schema files

DJANGOS = sorted(
    path for path in (PACKAGE / "contrib/django/migrations").glob("*.py") if path.stem != "__init__"
)


@pytest.mark.parametrize("store", ["postgres", "sqlite"])
def test_django_has_a_migration_for_each_schema_file(store: str) -> None:
    assert [path.stem for path in DJANGOS] == [file.name for file in statements.schema_files(store)]


def test_each_of_djangos_applies_its_own_file_after_the_one_before() -> None:
    before: list[str] = []
    for path in DJANGOS:
        text = path.read_text("utf-8")
        assert re.findall(r'SchemaFile\("(\w+)"\)', text) == [path.stem]
        assert re.findall(r'\("pgqueue", "(\w+)"\)', text) == before
        before = [path.stem]
