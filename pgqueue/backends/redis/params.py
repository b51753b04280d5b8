"""Write an operation's parameters as its script takes them: one MessagePack document.

Instants become microseconds since the epoch. JSON that a script only passes on, as arguments and
results, becomes text: no script ever decodes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from pgqueue.operations import Operation, Param

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_TEXTS: Final = frozenset(
    {
        "answer",
        "args",
        "asked",
        "changed",
        "declared",
        "environment",
        "error",
        "filter",
        "key",
        "last_key",
        "limits",
        "name",
        "order",
        "owner",
        "profile",
        "queue",
        "reason",
        "session",
        "source",
        "state",
        "tag",
        "target",
        "task",
        "verb",
        "who",
    }
)
_BOOLEANS: Final = frozenset({"counting", "newest", "notify", "paused", "reset", "session"})
_DOCUMENTS: Final = frozenset(
    {
        "edges",
        "elsewhere",
        "floors",
        "gone",
        "ids",
        "keep",
        "keys",
        "merged",
        "names",
        "queues",
        "replaced",
        "silent",
        "spared",
        "states",
        "tags",
        "topics",
        "windows",
        "workers",
        "workflows",
    }
)


class _Row(msgspec.Struct, gc=False):
    task: str
    args: msgspec.Raw
    queue: str | None = None
    priority: int | None = None
    run_at: datetime | None = None
    delay_seconds: float | None = None
    max_attempts: int | None = None
    timeout_seconds: float | None = None
    unique_key: str | None = None
    key: str | None = None
    tags: list[str] | None = None
    metadata: msgspec.Raw = msgspec.Raw()
    workflow: int | None = None
    blocked_by: int | None = None
    expires_at: int | None = None
    expires_seconds: float | None = None
    keep: bool | None = None
    until: str | None = None
    until_seconds: float | None = None
    conflict: str | None = None
    merged: list[str] | None = None
    kept: list[str] | None = None
    at_most_seconds: float | None = None


class _Completed(msgspec.Struct, gc=False):
    lease: int
    ids: str
    results: dict[str, msgspec.Raw]


_PLAIN: Final = (
    "queue",
    "priority",
    "max_attempts",
    "timeout_seconds",
    "unique_key",
    "key",
    "tags",
    "workflow",
    "blocked_by",
    "expires_at",
    "expires_seconds",
    "keep",
    "until",
    "until_seconds",
    "conflict",
    "merged",
    "kept",
    "at_most_seconds",
)
_rows: Final = msgspec.json.Decoder(list[_Row])
_completed: Final = msgspec.json.Decoder(list[_Completed])
_objects: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raws: Final = msgspec.json.Decoder(list[msgspec.Raw])
# Fields of a schedule: those that scripts read, and instants that they only store.
_CHANGING: Final = (
    "name",
    "owner",
    "source",
    "revision",
    "moved",
    "last_at",
    "next_at",
    "paused_at",
    "paused_by",
    "retired_at",
    "problem",
)
_INSTANTS: Final = frozenset({"anchor", "starts_at", "ends_at"})
_PASSING: Final = frozenset({"args", "errors", "metadata", "progress", "result"})


def given(operation: Operation[Any]) -> dict[str, Any]:
    """Return the parameters of *operation* for its script, without those that are None."""
    return {
        name: _value(operation.name, name, text)
        for name, text in operation.params.items()
        if text is not None
    }


def instant(at: datetime) -> int:
    """Return *at* in microseconds since the epoch."""
    return (at - _EPOCH) // _MICROSECOND


def datetime_of(instant: int) -> datetime:
    """Return the instant *instant* microseconds after the epoch."""
    return _EPOCH + instant * _MICROSECOND


def _value(operation: str, name: str, text: str) -> Any:
    if name == "jobs":
        return _JOBS.get(operation, msgspec.json.decode)(text)
    if name == "rows":
        return _counted(text)
    if name in ("schedules", "firings"):
        return (_schedules if operation == "schedule" else _without_nulls)(text)
    if name == "after":
        return text if operation == "schedules" else int(text)
    if name == "now" or (operation == "firings" and name in ("since", "until")):
        return instant(datetime.fromisoformat(text))
    if name in _DOCUMENTS:
        return msgspec.json.decode(text)
    if name == "retention":  # in a Lua table a field that is nil is missing
        return {k: False if v is None else v for k, v in msgspec.json.decode(text).items()}
    if text in ("true", "false") and name in _BOOLEANS:
        return text == "true"
    if name in _TEXTS:
        return text
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _new(text: str) -> list[dict[str, Any]]:
    return [_row(row) for row in _rows.decode(text)]


def _row(row: _Row) -> dict[str, Any]:
    fields: dict[str, Any] = {"task": row.task, "args": str(row.args, "utf-8")}
    for name in _PLAIN:
        if (value := getattr(row, name)) is not None:
            fields[name] = value
    if metadata := _text(row.metadata):
        fields["metadata"] = metadata
    if row.run_at is not None:
        fields["run_at"] = instant(row.run_at)
    if row.delay_seconds is not None:
        fields["delay_seconds"] = row.delay_seconds
    return fields


def _done(text: str) -> list[dict[str, Any]]:
    return [
        {
            "lease": group.lease,
            "ids": msgspec.json.decode(f"[{group.ids[1:-1]}]"),
            "results": {id: _text(result) for id, result in group.results.items()},
        }
        for group in _completed.decode(text)
    ]


def _failed(text: str) -> list[dict[str, Any]]:
    return [
        {
            name: _text(value) if name == "error" else msgspec.json.decode(value)
            for name, value in row.items()
            if bytes(value) != b"null"
        }
        for row in _objects.decode(text)
    ]


def _reported(text: str) -> list[dict[str, Any]]:
    return [
        {
            "id": msgspec.json.decode(row["id"]),
            "lease": msgspec.json.decode(row["lease"]),
            "progress": {k: _text(v) for k, v in _fields.decode(row["progress"]).items()},
        }
        for row in _objects.decode(text)
    ]


def _restored(text: str) -> list[dict[str, Any]]:
    """Return jobs to restore. Their JSON stays text: each error, and each field of progress."""
    rows = []
    for raw in _objects.decode(text):
        row: dict[str, Any] = {
            name: _text(value) if name in _PASSING else msgspec.json.decode(value)
            for name, value in raw.items()
            if bytes(value) != b"null"
        }
        if errors := row.get("errors"):
            row["errors"] = [_text(error) for error in _raws.decode(errors)]
        if progress := row.get("progress"):
            row["progress"] = {name: _text(v) for name, v in _fields.decode(progress).items()}
        row["edges"] = [{k: v for k, v in e.items() if v is not None} for e in row["edges"]]
        rows.append(row)
    return rows


def _schedules(text: str) -> list[dict[str, Any]]:
    """Return schedules to write; what a declaration fills in stays text, of a JSON object."""
    rows = []
    for raw in _objects.decode(text):
        fields: dict[str, Any] = {
            name: value for name, value in raw.items() if bytes(value) != b"null"
        }
        row: dict[str, Any] = {
            k: msgspec.json.decode(fields.pop(k)) for k in _CHANGING if k in fields
        }
        for name in _INSTANTS & fields.keys():
            at = datetime_of(msgspec.json.decode(fields[name]))
            fields[name] = msgspec.Raw(msgspec.json.encode(at))
        rows.append({**row, "definition": msgspec.json.encode(fields).decode()})
    return rows


def _without_nulls(text: str) -> list[dict[str, Any]]:
    rows: Iterable[Mapping[str, Param]] = msgspec.json.decode(text)
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _counted(text: str) -> list[dict[str, Any]]:
    """Return rows of the tally; their figures stay text."""
    return [
        {k: _text(v) if k == "figures" else msgspec.json.decode(v) for k, v in row.items()}
        for row in _objects.decode(text)
    ]


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode()


_JOBS: Final[Mapping[str, Callable[[str], Any]]] = {
    "enqueue": _new,
    "enqueue_unique": _new,
    "enqueue_once": _new,
    "complete": _done,
    "fail": _failed,
    "progress": _reported,
    "release": _without_nulls,
    "restore": _restored,
}
