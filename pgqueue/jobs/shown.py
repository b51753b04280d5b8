"""Values that web frameworks may return: as a dict of JSON values, and with a pydantic schema."""

from __future__ import annotations

from typing import Any

import msgspec


class Shown:
    """The base of `Job`, `Progress` and `Handle`; imports pydantic only when pydantic asks."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, as JSON values: instants in ISO 8601, states as text."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Tell pydantic how to read and write this, as a model's field or an endpoint's answer."""
        from pydantic_core import core_schema

        def read(value: Any) -> Any:
            return value if isinstance(value, cls) else msgspec.convert(value, cls)

        return core_schema.no_info_plain_validator_function(
            read,
            serialization=core_schema.plain_serializer_function_ser_schema(msgspec.to_builtins),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        """Return the schema that OpenAPI shows."""
        schema: dict[str, Any] = _inlined(
            *msgspec.json.schema_components([cls], ref_template="{name}")
        )
        return schema


def _inlined(shown: Any, parts: dict[str, Any]) -> Any:
    """Return the schema *shown* with its references replaced by the *parts* that they name.

    The document that pydantic assembles does not have those names.
    """
    if isinstance(shown, (list, tuple)):
        (shown,) = shown

    def fill(part: Any) -> Any:
        if isinstance(part, dict):
            if "$ref" in part:
                return fill(parts[part["$ref"]])
            return {name: fill(each) for name, each in part.items()}
        return [fill(each) for each in part] if isinstance(part, list) else part

    return fill(shown)
