"""JSON text in and out, strict where JSON is: no NaN, no infinity, nothing that would come back changed.

Beyond what msgspec knows, `pathlib` paths and, where pydantic is installed, its models (2.11 or later)
are written and read. pydantic is not imported for it.
"""

from __future__ import annotations

from math import isfinite
from pathlib import PurePath
from typing import Any, Final

import msgspec

RECURSION: Final = "it contains itself, or is nested too deeply"


def write(value: Any) -> str:
    """Return *value* as JSON text; raise TypeError or ValueError saying what cannot be written."""
    try:
        text = _encoder.encode(value).decode()
        if "null" in text:
            _require_finite(msgspec.to_builtins(value, enc_hook=to_json, str_keys=False))
    except RecursionError:
        raise ValueError(RECURSION) from None
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the lone surrogate at character {error.start} of a text cannot be stored; pass bytes"
        ) from None
    return text


def write_sorted(value: Any) -> bytes:
    """Return *value* as JSON with sorted keys: the same for equal values."""
    return _sorting_encoder.encode(value)


def reader(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return a decoder for *kind*; raises TypeError for one that JSON cannot tell apart."""
    return msgspec.json.Decoder(kind, dec_hook=from_json)


def to_json(value: Any) -> Any:
    """Encode what msgspec does not know."""
    if hasattr(value, "model_dump") and hasattr(value, "__pydantic_serializer__"):
        return value.model_dump(mode="json", by_alias=False, round_trip=True)
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{_name(type(value))} cannot be written as JSON")


def from_json(kind: Any, value: Any) -> Any:
    """Decode what msgspec does not know."""
    if hasattr(kind, "model_validate_json") and hasattr(kind, "__pydantic_validator__"):
        return kind.model_validate_json(_encoder.encode(value), by_alias=True, by_name=True)
    if isinstance(kind, type) and issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise TypeError(f"Expected `{_name(kind)}`, got `{_name(type(value))}`")


_encoder: Final = msgspec.json.Encoder(enc_hook=to_json)
_sorting_encoder: Final = msgspec.json.Encoder(enc_hook=to_json, order="sorted")


def _require_finite(value: Any) -> None:
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{value} is no JSON number; pass None or a str")
    if isinstance(value, dict):
        for item in value.values():
            _require_finite(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            _require_finite(item)


def _name(kind: Any) -> str:
    return str(getattr(kind, "__qualname__", kind))
