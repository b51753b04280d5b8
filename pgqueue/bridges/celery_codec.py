"""Celery's messages, protocol 2: what they come to as jobs, what is refused, how values are sent.

https://docs.celeryq.dev/en/stable/internals/protocol.html
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from pgqueue.bridges.base import JSON, Finish, Received
from pgqueue.jobs.job import NewJob

if TYPE_CHECKING:
    from pgqueue.tasks.task import Task

CONTENT_TYPE: Final = "content-type"
CONTENT_ENCODING: Final = "content-encoding"
PRIORITY: Final = "priority"
"""Properties of a message that go among its headers, for when it is read again."""

_REFUSED: Final = {
    "application/x-python-serialize": "pickle, which runs code when it is read,",
    "application/x-yaml": "YAML",
    "application/x-msgpack": "msgpack",
}
# How arguments look to people, cut short: of no use here, and they may hold secrets. And names that
# are those of properties here: such a header is the application's own, and means something else.
_LEFT_OUT: Final = (
    *("argsrepr", "kwargsrepr", "stamps", "stamped_headers"),
    *(CONTENT_TYPE, CONTENT_ENCODING, PRIORITY),
)
_ENCODINGS: Final = ("utf-8", "us-ascii", "ascii")
_EMBEDDED: Final = {"callbacks": "link=", "errbacks": "link_error=", "chord": "a chord"}
# Of a link's options, these say how Celery keeps and routes it; others change what happens.
_ROUTING: Final = frozenset(
    {"task_id", "root_id", "parent_id", "group_id", "group_index", "reply_to", "queue", "exchange"}
    | {"exchange_type", "routing_key", "serializer", "delivery_mode", "priority", "stamped_headers"}
    | {"ignore_result", "retries", "headers"}
)
_VALUES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "datetime": datetime.fromisoformat,
    "date": lambda text: date.fromisoformat(text[:10]),
    "time": time.fromisoformat,
    "decimal": Decimal,
    "uuid": lambda fields: UUID(fields["hex"]),
    "bytes": str.encode,
    "base64": lambda text: base64.b64decode(text, validate=True),
}


def received(
    body: bytes,
    headers: Mapping[str, Any],
    content_type: str | None,
    content_encoding: str | None,
    priority: int | None,
) -> Received:
    """What a message of Celery's is to an inlet."""
    texts = {name: _text(value) for name, value in headers.items() if value is not None}
    for name in _LEFT_OUT:
        texts.pop(name, None)
    id, task = texts.pop("id", None), texts.pop("task", None)
    more = (CONTENT_TYPE, content_type), (CONTENT_ENCODING, content_encoding), (PRIORITY, priority)
    texts |= {name: str(value) for name, value in more if value}
    if id is not None and (retries := texts.get("retries", "0")) != "0":
        id = f"{id}/{retries}"  # a retry of Celery's has the id of the first attempt
    return Received(body=body, id=id, type=task, headers=texts)


def _text(value: Any) -> str:
    """A header as text: one that is none as JSON."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()


def jobs_of(
    message: Received, tasks: Mapping[str, Task[..., Any]], finish: Finish
) -> list[NewJob[Any]]:
    """Return the job of *message*, and of each link of its chain one more, made ready by *finish*.

    Raises ValueError, and what a task raises for wrong arguments.
    """
    args, kwargs, embed = _body(message)
    assert message.type is not None
    head = _task(message.type, tasks).job(*args, **kwargs).options(**_options(message, tasks))
    made = [finish(head, message.id)]
    for n, link in enumerate(reversed(embed.get("chain") or []), 1):
        id = message.id and f"{message.id}/link/{n}"
        made.append(_link(link, tasks, made[-1], finish, id))
    return made


def _body(message: Received) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    headers = message.headers
    if message.type is None:
        raise ValueError("no header task: protocol 1 is refused; set task_protocol = 2")
    content = headers.get(CONTENT_TYPE, "")
    if content != JSON:
        what = _REFUSED.get(content, content or "no content type")
        raise ValueError(f"{what} is refused; set task_serializer = 'json'")
    if compression := headers.get("compression"):
        raise ValueError(f"compression {compression} is refused; leave task_compression out")
    encoding = headers.get(CONTENT_ENCODING, "utf-8").lower()
    if encoding not in _ENCODINGS:
        raise ValueError(f"content encoding {encoding} is refused; utf-8 is read")
    try:
        read = msgspec.json.decode(message.body)
    except msgspec.DecodeError as error:
        raise ValueError(f"the body is no JSON: {error}") from None
    match read:
        case [list() as args, dict() as kwargs, dict() | None as embed]:
            pass
        case _:
            raise ValueError("the body is not [args, kwargs, embed]")
    embed = embed or {}
    for name, what in _EMBEDDED.items():
        if embed.get(name):
            raise ValueError(f"{what} is refused: jobs follow one another by .after(...)")
    return [_value(each) for each in args], _value(kwargs), embed


def _task(name: str, tasks: Mapping[str, Task[..., Any]]) -> Task[..., Any]:
    found = tasks.get(name)
    if found is None or found.fn.__module__.startswith("pgqueue.bridges."):  # of an outlet or inlet
        raise ValueError(f"no task is called {name}; say @app.task(name={name!r})")
    return found


def _options(message: Received, tasks: Mapping[str, Task[..., Any]]) -> dict[str, Any]:
    """What the headers say of when and how often the job may run."""
    headers, found = message.headers, dict[str, Any]()
    assert message.type is not None
    task = _task(message.type, tasks)
    if eta := headers.get("eta"):
        found["run_at"] = _instant("eta", eta)
    if expires := headers.get("expires"):
        found["expires"] = _instant("expires", expires)
        if eta:  # later is no poison: a retry with a countdown keeps the first attempt's expires
            found["run_at"] = min(found["run_at"], found["expires"])
    limits = [each for each in msgspec.json.decode(headers.get("timelimit", "[]")) or () if each]
    if limits:
        found["timeout"] = float(min(limits))
    if retries := int(headers.get("retries", 0)):
        found["max_attempts"] = max(1, task.max_attempts - retries)
    if priority := int(headers.get(PRIORITY, 0)):  # of RabbitMQ, where more is sooner
        found["priority"] = task.priority - priority
    return found


def _instant(what: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{what}: {text!r:.60} is no instant") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _link(
    link: Mapping[str, Any],
    tasks: Mapping[str, Task[..., Any]],
    parent: NewJob[Any],
    finish: Finish,
    id: str | None,
) -> NewJob[Any]:
    """The job of a chain's *link*, which follows *parent*; *id*: if the link has none."""
    name, options = link["task"], link.get("options") or {}
    if name.startswith("celery."):
        raise ValueError(f"{name} in a chain is refused")
    if others := sorted(key for key in options.keys() - _ROUTING if options[key]):
        raise ValueError(f"{', '.join(others)} of {name}, a chain's link, is refused")
    task = _task(name, tasks)
    if not link.get("immutable") and len(task.signature.wanted) != 1:
        raise ValueError(
            f"{name} follows in a chain and takes the result of the one before: let one parameter "
            "of its function be a Result[...], or send it as .si(...)"
        )
    args: Sequence[Any] = link.get("args") or ()
    job = task.job(*(_value(each) for each in args), **_value(link.get("kwargs") or {}))
    return finish(job, options.get("task_id") or id).after(parent)


def _value(given: Any) -> Any:
    """What Celery's JSON means: of some types it writes the name beside the value."""
    if isinstance(given, list):
        return [_value(each) for each in given]
    if not isinstance(given, dict):
        return given
    if given.keys() != {"__type__", "__value__"}:
        return {name: _value(each) for name, each in given.items()}
    kind = given["__type__"]
    if kind not in _VALUES:
        raise ValueError(f"a value of the type {kind!r:.60} is refused: only its application knows")
    return _VALUES[kind](given["__value__"])


def written(given: Any) -> Any:
    """*given* as Celery's JSON has it: what `_value` reads."""
    match given:
        case dict():
            return {name: written(each) for name, each in given.items()}
        case list() | tuple():
            return [written(each) for each in given]
        case bytes():
            try:
                return _typed("bytes", given.decode())
            except UnicodeDecodeError:
                return _typed("base64", base64.b64encode(given).decode())
        case UUID():
            return _typed("uuid", {"hex": given.hex})
        case Decimal():
            return _typed("decimal", str(given))
        case datetime():  # which is a date, too
            return _typed("datetime", given.isoformat())
        case date():
            return _typed("date", given.isoformat())
        case time():
            return _typed("time", given.isoformat())
    return given


def _typed(kind: str, value: Any) -> dict[str, Any]:
    return {"__type__": kind, "__value__": value}
