"""JSON text in and out, strict where JSON and its stores are.

NaN, infinity, NUL, lone surrogates and keys that would become one are refused. Beyond what msgspec
knows, `pathlib` paths and, where pydantic is installed, its models (2.11 or later) are written and
read. A model is stored as its own JSON: fields that it hides, as SecretStr does, stay hidden.
pydantic is not imported for this. Refused values raise TypeError or ValueError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from math import isfinite
from pathlib import PurePath
from typing import Any, Final

import msgspec

MAX_DEPTH: Final = 500
# Some stores and some Pythons refuse deeper or longer values, others accept them.
MAX_DIGITS: Final = 1_000
_SUSPECT_NUMBER: Final = re.compile(r"\d{300}|\d[eE][+-]?\d{3}")
_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)
_OFFSET: Final = re.compile(rb'T[0-9:.]+[+-]\d\d:\d\d"|"[0-9]{2}:[0-9:.]+[+-]\d\d:\d\d"')
_MINUTE: Final = timedelta(minutes=1)
_ESCAPED_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class TooLarge(ValueError):
    """The text is larger than its place allows."""


def write(value: Any, limit: int | None = None) -> str:
    """Return *value* as JSON text of at most *limit* bytes of UTF-8."""
    try:
        _require_distinct_keys(value)
        data = _encoder.encode(value)
        if _OFFSET.search(data):
            data = _encoder.encode(_with_exact_offsets(value))
        if b"null" in data:
            _require_finite(msgspec.to_builtins(value, enc_hook=to_json))
    except RecursionError:
        raise ValueError("it contains itself, or is nested too deeply") from None
    except UnicodeEncodeError as error:
        raise _lone_surrogate(error) from None
    if limit is not None and len(data) > limit:
        raise _too_large(len(data), limit)
    text = data.decode()
    _require_shallow(text)
    if "\\u0000" in text:
        _require_no_nul(text)
    return text


def write_sorted(value: Any) -> bytes:
    """Return *value* as JSON with sorted keys: the same for equal values."""
    return _sorting_encoder.encode(value)


def reader(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return a decoder for *kind*; raises TypeError for unions whose types look alike in JSON."""
    return msgspec.json.Decoder(kind, dec_hook=from_json)


def require_object(text: str, limit: int) -> None:
    """Raise unless *text* is a JSON object of at most *limit* bytes that every store can keep."""
    if (length := size(text)) > limit:
        raise _too_large(length, limit)
    _require_shallow(text)
    try:
        _object.decode(text)
        if _SUSPECT_NUMBER.search(text):
            json.loads(text, parse_int=_require_digits, parse_float=_require_double)
        if "\\u" in text:
            msgspec.json.decode(text)
            _require_no_nul(text)
    except msgspec.DecodeError as error:
        raise ValueError(f"not the text of a JSON object: {error}") from None


def size(text: str) -> int:
    """Return the bytes of *text* in UTF-8; raises ValueError for a lone surrogate."""
    try:
        return len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        raise _lone_surrogate(error) from None


def to_json(value: Any) -> Any:
    """Return *value*, of a type msgspec does not know, as one that it does; raises TypeError."""
    if hasattr(value, "model_dump") and hasattr(value, "__pydantic_serializer__"):
        return value.model_dump(mode="json", by_alias=False, round_trip=True)
    if isinstance(value, PurePath):
        return str(value)
    for kind, plain in _PLAIN:
        if isinstance(value, kind):
            return plain(value)
    raise TypeError(f"{_name(type(value))} cannot be written as JSON")


def from_json(kind: Any, value: Any) -> Any:
    """Return *value* as *kind*, a type that msgspec does not know; raises TypeError."""
    if hasattr(kind, "model_validate_json") and hasattr(kind, "__pydantic_validator__"):
        return kind.model_validate_json(_encoder.encode(value), by_alias=True, by_name=True)
    if isinstance(kind, type) and issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise TypeError(f"Expected `{_name(kind)}`, got `{_name(type(value))}`")


def _plain_datetime(value: datetime) -> datetime:
    """Return *value*, of a subclass like pendulum's or freezegun's, as a plain datetime."""
    return datetime(  # noqa: DTZ001  as *value* has a zone, or none
        *(value.year, value.month, value.day, value.hour, value.minute, value.second),
        value.microsecond,
        value.tzinfo,
        fold=value.fold,
    )


# Subclasses that msgspec refuses: numpy.float64, markupsafe.Markup and the like.
_PLAIN: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (str, str.__str__),
    (bool, bool),
    (int, int),
    (float, float.__float__),
    (datetime, _plain_datetime),
)
_encoder: Final = msgspec.json.Encoder(enc_hook=to_json)
encode: Final = _encoder.encode
_sorting_encoder: Final = msgspec.json.Encoder(enc_hook=to_json, order="sorted")
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _require_finite(value: Any) -> None:
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{value} is no JSON number; pass None or a str")
    if isinstance(value, dict):
        for item in value.values():
            _require_finite(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            _require_finite(item)


def _require_distinct_keys(value: Any) -> None:
    """Raise ValueError for keys that are equal in JSON: ``{1: "a", "1": "b"}`` would lose one."""
    if isinstance(value, dict):
        if not all(type(key) is str for key in value):
            names = [_as_key(key) for key in value]
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise ValueError(f"two keys are {twice!r} as JSON; give each its own text")
        for item in value.values():
            _require_distinct_keys(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _require_distinct_keys(item)
    else:
        fields = (
            *getattr(value, "__struct_fields__", ()),
            *getattr(value, "__dataclass_fields__", ()),
        )
        for name in fields:
            _require_distinct_keys(getattr(value, name))


def _as_key(key: Any) -> str:
    try:
        (name,) = msgspec.to_builtins({key: None}, str_keys=True, enc_hook=to_json)
    except TypeError:  # not a possible key: the encoder refuses it with a better message
        return repr(key)
    return str(name)


def _with_exact_offsets(value: Any) -> Any:
    """Return *value* with its datetimes in UTC, where their offset has seconds.

    Offsets in ISO 8601 are whole minutes: msgspec would round, and move the instant by up to 30 s.
    """
    return _in_utc(msgspec.to_builtins(value, builtin_types=(datetime, time), enc_hook=to_json))


def _in_utc(value: Any) -> Any:
    if isinstance(value, datetime) and (value.utcoffset() or _MINUTE) % _MINUTE:
        return value.astimezone(UTC)
    if isinstance(value, time) and (value.utcoffset() or _MINUTE) % _MINUTE:
        raise ValueError(f"{value.isoformat()}: ISO 8601 has no seconds in an offset")
    if isinstance(value, dict):
        return {key: _in_utc(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_in_utc(item) for item in value]
    return value


def _require_shallow(text: str) -> None:
    """Raise ValueError for a text that is nested too deeply.

    Python's recursion limit would not do: it differs by version and by the caller's depth.
    """
    if len(text) > MAX_DEPTH and text.count("[") + text.count("{") > MAX_DEPTH:
        depth = 0
        for token in _BRACKETS.finditer(text):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
            if depth > MAX_DEPTH:
                raise ValueError(f"nested more than {MAX_DEPTH} deep")


def _require_digits(number: str) -> None:
    if len(number) > MAX_DIGITS:
        raise ValueError(f"a number of {len(number)} digits; {MAX_DIGITS} are the limit")


def _require_double(number: str) -> None:
    _require_digits(number)
    value = float(number)
    if not isfinite(value) or (
        not value and number.strip("-0.").partition("e")[0].partition("E")[0]
    ):
        raise ValueError(f"the number {number} is no double; pass it as a str")


def _require_no_nul(text: str) -> None:
    if _ESCAPED_NUL.search(text):
        raise ValueError("NUL (\\u0000) cannot be stored in text; remove it or pass bytes")


def _too_large(size: int, limit: int) -> TooLarge:
    return TooLarge(
        f"{size} bytes of JSON; the limit is {limit}: store the data elsewhere and pass a reference"
    )


def _lone_surrogate(error: UnicodeEncodeError) -> ValueError:
    return ValueError(
        f"the lone surrogate at character {error.start} cannot be stored; remove it or pass bytes"
    )


def _name(kind: Any) -> str:
    return str(getattr(kind, "__qualname__", kind))
