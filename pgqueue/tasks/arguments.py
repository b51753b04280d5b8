"""A task's arguments as JSON text and back, typed by its signature.

The text is an object of the arguments *that were given*, by name. A default is not written: the
function fills it in when it runs, so a new deploy's default also holds for waiting jobs.

Writing is strict: the text is read back before it is accepted, so arguments that the worker could
not read fail at the caller. Values of types that JSON knows only as text (bytes, datetimes, UUIDs,
decimals …) must be given in their type: "aGk=" is no bytes. A parameter without an annotation, or
with Any, gets the JSON value: a datetime arrives as text. An argument that the worker does not
know, added by a newer deploy, fails there: the job is better tried again than run without it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, NoReturn, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET

from pgqueue.errors import InvalidArguments, InvalidTask, JobTooLarge
from pgqueue.jobs import jsontext
from pgqueue.jobs.checks import MAX_ARGS_BYTES, SUSPECT_CHARS
from pgqueue.tasks.signatures import Signature

Call: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]

_NATIVE: Final = (
    bytes,
    bytearray,
    memoryview,
    datetime,
    date,
    time,
    timedelta,
    Decimal,
    UUID,
)
# Types of parameters as which no JSON text is ever read.
_PLAIN: Final = frozenset({int, float, bool})
# Types of values and parameters whose values are read exactly as written, or not at all.
_SIMPLE: Final = _PLAIN | {str}
_NO_ARGUMENTS: Final[Call] = ((), {})
_QUOTED: Final = re.compile(r"'(\w+)'")
_PATH: Final = re.compile(r" - at `\$\.?(\w*)(.*)`$")
_MISSING: Final = re.compile(r"^Object missing required field `(\w+)`$")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(.+)`$")


class ArgumentsCodec:
    """Writes and reads the arguments of the task *task*."""

    def __init__(self, task: str, signature: Signature) -> None:
        self._task = task
        self._signature = signature
        named = [p for p in signature.parameters if p.kind is not p.VAR_KEYWORD]
        self._keywords = tuple(p.name for p in named if p.kind is p.KEYWORD_ONLY)
        self._positional = len(named) - len(self._keywords)
        self._names = frozenset(p.name for p in named)
        self._extra = next((p for p in signature.parameters if p.kind is p.VAR_KEYWORD), None)
        self._plain = self._extra is None and all(p.annotation in _PLAIN for p in named)
        self._simple = self._extra is None and all(p.annotation in _SIMPLE for p in named)
        self._given = _given(named)
        self._read = _read(named, strict=self._extra is None)
        self._decode = self._reader(self._read).decode
        if self._extra is not None:
            self._decode_extra = self._reader(self._extra.annotation).decode

    def write(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return the text of these arguments; raise InvalidArguments or JobTooLarge."""
        # Simple values need no check but reading back, a third of the cost of the code below.
        if self._plain or (
            self._simple and _SIMPLE.issuperset(map(type, (*args, *kwargs.values())))
        ):
            try:
                text = jsontext.encode(self._given(*args, **kwargs)).decode()
                self._decode(text)
            except Exception:
                pass  # fails again below, where the message is made
            else:
                if len(text) < SUSPECT_CHARS and (self._plain or "\\u0000" not in text):
                    return text
        extra: dict[str, Any] = {}
        if self._extra is not None:
            extra = {name: kwargs[name] for name in kwargs.keys() - self._names}
            kwargs = {name: kwargs[name] for name in kwargs.keys() & self._names}
        try:
            given: Any = self._given(*args, **kwargs)
        except TypeError:
            self._refuse_call(args, kwargs)
        if extra:
            given = {**_as_dict(given), **extra}
        try:
            text = jsontext.write(given, MAX_ARGS_BYTES)
        except jsontext.TooLarge as error:
            raise JobTooLarge(f"{self._task}: args: {error}", task=self._task) from None
        except (TypeError, ValueError) as error:
            self._refuse_value(_as_dict(given), error)
        if not self._plain:
            self._require_native(given)
        self.read(text)
        return text

    def read(self, text: str) -> Call:
        """Return the positional and the keyword arguments in *text*, to call the function with."""
        if text == "{}" and not self._names:
            return _NO_ARGUMENTS
        try:
            values = msgspec.structs.astuple(self._decode(text))
            if self._positional == len(values) and self._extra is None:
                return values, {}
            extra = {} if self._extra is None else self._read_extra(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._refuse(str(error), error)
        except RecursionError as error:
            self._refuse("nested too deeply", error)
        keywords = dict(zip(self._keywords, values[self._positional :], strict=True))
        return values[: self._positional], keywords | extra

    def read_named(self, text: str) -> dict[str, Any]:
        """Return all arguments in *text* by name, defaults included."""
        args, kwargs = self.read(text)
        return dict(zip((p.name for p in self._signature.parameters), args, strict=False)) | kwargs

    def _read_extra(self, text: str) -> dict[str, Any]:
        everything = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        extra = {}
        name = None
        try:
            for name in everything.keys() - self._names:
                extra[name] = self._decode_extra(everything[name])
        except msgspec.ValidationError as error:
            self._refuse(str(error), error, name)
        return extra

    def _require_native(self, given: Any) -> None:
        known = msgspec.to_builtins(given, builtin_types=_NATIVE, enc_hook=jsontext.to_json)
        name = None
        try:
            _convert(known, self._read)
            if self._extra is not None:
                for name in known.keys() - self._names:
                    _convert(known[name], self._extra.annotation)
        except msgspec.ValidationError as error:
            self._refuse(str(error), error, name)

    def _reader(self, kind: Any) -> msgspec.json.Decoder[Any]:
        try:
            return jsontext.reader(kind)
        except (TypeError, NameError) as error:
            parameter = self._culprit()
            raise InvalidTask(f"{self._task}: {parameter}: {error}") from error

    def _culprit(self) -> str:
        for parameter in self._signature.parameters:
            try:
                jsontext.reader(parameter.annotation)
            except (TypeError, NameError):
                return parameter.name
        return str(self._signature)

    def _refuse(self, problem: str, error: Exception, parameter: str | None = None) -> NoReturn:
        """Raise InvalidArguments: msgspec's *problem*, with the name of the task's parameter."""
        if match := _MISSING.search(problem):
            parameter, problem = match[1], f"it is missing; the task takes {self._signature}"
        elif match := _UNKNOWN.search(problem):
            parameter, problem = match[1], f"there is no such one; the task takes {self._signature}"
        elif match := _PATH.search(problem):
            parameter = parameter or match[1] or None
            where = f" at {parameter}{match[2]}" if match[2] else ""
            problem = problem[: match.start()] + where
        at = f"{self._task}: {parameter}" if parameter else self._task
        raise InvalidArguments(f"{at}: {problem}", task=self._task, parameter=parameter) from error

    def _refuse_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        try:
            self._signature.bind(args, kwargs)
            problem = "wrong arguments"
        except TypeError as error:
            problem = str(error)
        quoted = _QUOTED.search(problem)
        raise InvalidArguments(
            f"{self._task}: {problem}; it takes {self._signature}",
            task=self._task,
            parameter=quoted[1] if quoted else None,
        ) from None

    def _refuse_value(self, given: Mapping[str, Any], error: Exception) -> NoReturn:
        """Raise InvalidArguments for the first of *given* that cannot be written by itself."""
        for name, value in given.items():
            try:
                jsontext.write(value)
            except (TypeError, ValueError) as cause:
                raise InvalidArguments(
                    f"{self._task}: {name}: {cause}", task=self._task, parameter=name
                ) from cause
        raise InvalidArguments(f"{self._task}: {error}", task=self._task) from error


def _given(parameters: list[inspect.Parameter]) -> type[msgspec.Struct]:
    """Return a struct that is called as the function is, and leaves out what was not given."""

    def field(p: inspect.Parameter) -> Any:
        return (p.name, Any) if p.default is p.empty else (p.name, Any, UNSET)

    positional = [field(p) for p in parameters if p.kind is not p.KEYWORD_ONLY]
    keywords = [field(p) for p in parameters if p.kind is p.KEYWORD_ONLY]
    given = msgspec.defstruct("Arguments", positional)
    if keywords:
        given = msgspec.defstruct("Arguments", keywords, bases=(given,), kw_only=True)
    return given


def _read(parameters: list[inspect.Parameter], *, strict: bool) -> type[msgspec.Struct]:
    """Return a struct of the arguments' types, with the function's own defaults."""

    def field(p: inspect.Parameter) -> Any:
        if p.default is p.empty:
            return (p.name, p.annotation)
        if p.default is None or isinstance(p.default, (int, str)):
            return (p.name, p.annotation, p.default)
        # The default object itself, as in a Python call: msgspec would copy or refuse it.
        return (p.name, p.annotation, msgspec.field(default_factory=lambda: p.default))

    return msgspec.defstruct(
        "Arguments", [field(p) for p in parameters], kw_only=True, forbid_unknown_fields=strict
    )


def _convert(value: Any, kind: Any) -> None:
    msgspec.convert(value, kind, builtin_types=_NATIVE, dec_hook=jsontext.from_json)


def _as_dict(given: Any) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    return {
        name: value for name, value in msgspec.structs.asdict(given).items() if value is not UNSET
    }
