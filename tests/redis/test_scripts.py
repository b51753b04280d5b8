"""The rules of sql/redis/README.md, checked; and the loader that is the only door to the files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pgqueue
from pgqueue import operations, statements
from pgqueue.backends.redis.params import given
from pgqueue.operations import Operation
from pgqueue.statements.files import load_scripts
from pgqueue.testing.conformance import Store, a_job
from tests.rules import of_each
from tests.unit.test_statements import DESCRIBED, field, header
from tests.valkey import Valkey

PACKAGE = Path(pgqueue.__file__).parent
FOLDER = statements.folder("redis")
FILES = sorted(FOLDER.rglob("*.lua"))
SCRIPTS = load_scripts("redis")
FIELDS = ["in", "out", "uses", "runs", "walks", "full", "trap"]
# Files that another store has and Redis has not, or the other way round, and why.
WITHOUT = {
    "purge_day": "there are no days that could be dropped",
    "session/idle_since": "who waits for an answer gives up in time, as no script takes that long",
    "session/is_direct": "no pooler stands between a client and its server",
    "enqueue_alike": "a script reads what they share once a job, in no time",
    "enqueue_one": "one job costs it no more in the script for many",
    "door": "a transaction of its callers' is no place for a script",
    "session/listen": "a subscription is a connection's state, which no script can change",
    "session/listening": "what the server knows of a subscription, `present` tells",
    "session/reading": "what a page asks reads, and there is no transaction around it",
    "session/quiet": "no transaction has a second phase",
    "session/encoding": "all text is UTF-8",
    "session/time_limit": "a statement takes the time it takes",
    "session/replace": "what a connection was asked late is asked after once more",
    "session/settings": "a connection has none",
    "hand_over": "no two operations are sent together",
    "session/hurried": "each write is as durable as the server's configuration says",
}
OWN = {
    "parts/commit": "several operations as one: there is no transaction around several scripts",
    "parts/prepare": "and what must be known before",
    "parts/proceed": "scripts are bounded, so a large graph takes several",
}
every_file = of_each(FILES, lambda path: path.stem)
every_verb = of_each(sorted(SCRIPTS))


@every_file
def test_a_header_begins_with_the_files_name_and_a_promise(path: Path) -> None:
    name, _, promise = header(path).partition("\n")[0].partition(": ")

    assert name == path.stem
    assert len(promise) > 15


@every_file
def test_a_headers_fields_are_known_and_in_order(path: Path) -> None:
    named = re.findall(r"^([a-z]+):", header(path), re.MULTILINE)
    named = [name for name in named if name != path.stem]

    assert named == [name for name in FIELDS if name in named]
    assert named[:2] == ["in", "out"]


@every_verb
def test_a_header_names_all_that_a_verb_is_given(name: str) -> None:
    path = FOLDER / f"{name}.lua"
    said = field(path, "in")
    for other in re.findall(r"as for (\w+)", said):
        said += field(FOLDER / f"{other}.lua", "in")
    body = "\n".join(path.read_text("utf-8").splitlines()[header(path).count("\n") + 1 :])

    assert set(re.findall(r"\bgiven\.(\w+)", body)) <= set(re.findall(r"\w+", said)) | {"once"}


@every_file
def test_what_a_file_uses_exists(path: Path) -> None:
    for name in ("uses", "runs"):
        for other in filter(None, field(path, name).split(", ")):
            assert FOLDER / f"{other}.lua" in FILES


@every_file
def test_a_large_number_is_never_written_by_lua(path: Path) -> None:
    """It would become 1e+15: `text` writes it in full."""
    assert not re.search(
        r"\btostring\((?!job\[CANCEL|worker\[SESSION|leads|is_led)", path.read_text()
    )


@every_file
def test_only_the_store_file_knows_how_a_call_is_made(path: Path) -> None:
    text = path.read_text("utf-8")

    assert path.stem == "store" or "redis.call" not in text
    assert "pcall" not in text  # half a script must not go on


def test_a_server_takes_the_scripts(valkey_server: Valkey) -> None:
    client = valkey_server.client()

    assert [client.script_load(script.text) for script in SCRIPTS.values()] == [
        script.sha for script in SCRIPTS.values()
    ]


def test_the_verbs_are_those_of_the_other_stores() -> None:
    own_rooms = ("parts/", "rights/", "doctor/", "django/")
    others = {name for name in statements.texts("postgres") if not name.startswith(own_rooms)}

    assert SCRIPTS.keys() >= others - WITHOUT.keys()
    assert SCRIPTS.keys() - others == OWN.keys()
    assert not WITHOUT.keys() & SCRIPTS.keys()


@of_each([operation for operation in DESCRIBED if operation.name not in WITHOUT])
def test_an_operation_gives_its_script_what_it_needs(operation: Operation[Any]) -> None:
    path = FOLDER / f"{operation.name}.lua"
    said = field(path, "in")
    for other in re.findall(r"as for (\w+)", said):
        said += field(FOLDER / f"{other}.lua", "in")

    assert operation.name in SCRIPTS
    assert given(operation).keys() <= set(re.findall(r"\w+", said)) | {"keep"}


def test_no_lua_is_written_in_python() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text("utf-8")
        assert not re.search(r"redis\.call\(|\bcmsgpack\b|KEYS\[|ARGV\[", text), path


def test_ids_near_the_last_one_come_back_exactly(store: Store, valkey_server: Valkey) -> None:
    """Lua's numbers are doubles: exact up to 2^53, and above 10^14 only if nobody prints them."""
    last = 2**53 - 10_000
    client, tag = valkey_server.client(), store.backend.namespace.tag  # type: ignore[attr-defined]
    client.set(f"{tag}:id", last)
    client.set(f"{tag}:position", last)
    worker = store.join().worker
    parent = store.running(by=worker)
    child, flow = store.enqueue(
        a_job("child", unique="k").after(parent.id), a_job("other", queue="other")
    )
    assert parent.id == last + 1

    assert set(store.heartbeat(parent, by=worker)) == {parent.id}
    assert store.do(operations.recall(worker, parent.lease)) == [parent]
    assert store.do(operations.recollect(worker)) == {(parent.id, parent.lease)}
    assert store.complete(parent, result="1") == {parent.id}
    assert store.complete(parent) == {parent.id}
    assert (store.state(child), store.job(child).position) == ("available", last + 4)
    assert store.outcomes(child) == {(child.id, parent.id): "completed"}
    assert [job.id for job in store.listing()] == [flow.id, child.id, parent.id]
    assert store.cancel(flow) == {flow.id: "cancelled"}
    assert store.retry(flow, parent.id) == {flow.id: "available", parent.id: "available"}
    assert store.enqueue(a_job(unique="k"))[0].id == child.id


def test_instants_come_back_to_the_microsecond(store: Store) -> None:
    store.passes(microseconds=1)
    id = store.add(a_job())
    store.passes(seconds=0.1, microseconds=7)
    job = store.take()

    assert store.now is not None
    assert store.job(id).claimed_at == store.now
    assert store.job(id).enqueued_at.microsecond == 1
    store.now = store.now.replace(year=2100, month=2, day=28, hour=23, minute=59, second=59)
    store.fail(job, error='{"type": "E", "message": "m"}')
    assert store.job(id).errors[0].at == store.now
