"""A job's arguments as the fields of a form, made from its task's signature, and back.

What looks like a secret is not shown there. A field that comes back as it was shown keeps the value
that it had, whatever that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter
from typing import Any

import msgspec

from pgqueue.dashboard.forms import Form
from pgqueue.dashboard.redaction import redacted
from pgqueue.tasks.task import Task
from pgqueue.views.printable import printable

PREFIX = "given."
_WHOLE = "args"


class Field(msgspec.Struct):
    """One parameter: its *kind* as the signature spells it, and the text of its value."""

    name: str
    label: str
    kind: str
    text: str
    required: bool
    long: bool


def fields_of(task: Task[..., Any] | None, args: Mapping[str, Any]) -> list[Field]:
    """Return a field for each parameter, or one for all where the task's code is not at hand."""
    shown = redacted(dict(args))
    if task is None:
        return [Field(_WHOLE, "arguments", "a JSON object", _text(shown, False), True, True)]
    made = []
    for parameter in _parameters(task):
        name, plain = parameter.name, parameter.annotation is str
        text = _text(shown[name], plain) if name in shown else ""
        made.append(
            Field(
                PREFIX + name,
                name,
                _kind(parameter),
                text,
                parameter.default is parameter.empty,
                len(text) > 60,
            )
        )
    return made


def read_fields(task: Task[..., Any] | None, form: Form, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that *form* gives; *args* are those that its fields were made from.

    Raises ValueError.
    """
    if task is None:
        [field] = fields_of(None, args)
        if _same(form.text(_WHOLE), field.text) and args:
            return dict(args)
        try:
            return msgspec.json.decode(form.text(_WHOLE) or "{}", type=dict[str, Any])
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise ValueError(f"arguments: {error}; write a JSON object: {{}}") from None
    given: dict[str, Any] = {}
    for parameter, field in zip(_parameters(task), fields_of(task, args), strict=True):
        text = next(iter(form.all(field.name)), "")
        if parameter.name in args and _same(text, field.text):
            given[parameter.name] = args[parameter.name]
        elif text or (parameter.annotation is str and field.required):
            given[parameter.name] = _value(text, parameter.annotation is str)
    return given


def _parameters(task: Task[..., Any]) -> list[Parameter]:
    return [p for p in task.signature.parameters if p.kind is not p.VAR_KEYWORD]


def _kind(parameter: Parameter) -> str:
    annotation = parameter.annotation
    kind = getattr(annotation, "__name__", "") if isinstance(annotation, type) else str(annotation)
    kind = kind.replace("typing.", "")
    if parameter.default is parameter.empty:
        return kind
    # By its name, as an argument: a default may be a secret, too.
    [shown] = redacted({parameter.name: repr(parameter.default)}).values()
    return f"{kind} = {shown:.40}"


def _text(value: Any, plain: bool) -> str:
    if plain and isinstance(value, str):
        return printable(value, lines=True)
    document = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return printable(document, lines=True)


def _value(text: str, plain: bool) -> Any:
    if plain:
        return text.replace("\r\n", "\n")
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text  # a date, an id: what is written without quotes


def _same(text: str, shown: str) -> bool:
    return text.replace("\r\n", "\n").strip() == shown.strip()
