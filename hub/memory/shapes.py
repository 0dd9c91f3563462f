"""What was read from JSON as what it should be, or as nothing."""

from __future__ import annotations

from typing import Any, cast

Object = dict[str, Any]


def as_object(value: object) -> Object:
    """Give an object; an empty one where it is none."""
    return cast("Object", value) if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Give a list; an empty one where it is none."""
    return [*value] if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]
