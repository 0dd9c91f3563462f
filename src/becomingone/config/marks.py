"""Which fields of a configuration a running program can take anew, and which only its next start.

Each field says it itself, in its JSON Schema as ``requires_restart``: `RESTART` or `HOT` stands among its annotations.
A field without either counts as its nearest section or list that has one, and as `RESTART` where none has: what
nobody has thought about is not changed under a running program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Final, NamedTuple, Union, cast, get_args, get_origin

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

MARK: Final = "requires_restart"
"""The word in the JSON Schema."""

RESTART: Final[Any] = Field(json_schema_extra={MARK: True})
"""Annotation of a field that only the next start takes."""

HOT: Final[Any] = Field(json_schema_extra={MARK: False})
"""Annotation of a field that a running program takes."""

_MANY: Final[Mapping[object, str]] = {tuple: "[]", list: "[]", dict: "{}"}


def mark_of(field: FieldInfo, above: bool | None = None) -> bool | None:
    """Say whether a field requires a restart: its own mark, or that of what is `above` it where it has none."""
    extra = field.json_schema_extra
    own = cast("Mapping[str, object]", extra).get(MARK) if isinstance(extra, dict) else None
    return own if isinstance(own, bool) else above


def section_of(annotation: object) -> type[BaseModel] | None:
    """Find the section that a field holds: itself, in a list, as the values of a mapping, or where it may be absent."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Annotated, Union, UnionType, tuple, list, dict):
        found = (section_of(part) for part in get_args(annotation))
        return next((section for section in found if section is not None), None)
    return None


class Marked(NamedTuple):
    """A field of a configuration.

    Parameters
    ----------
    path : str
        Such as ``broker.url``, ``inputs[].name`` for each item of a list, ``bands{}.tau_s`` for each of a mapping.
    restart : bool or None
        Its mark; None where neither it nor what it stands in has one.
    description : str
        What it is.
    """

    path: str
    restart: bool | None
    description: str


def fields(model: type[BaseModel]) -> Iterator[Marked]:
    """Give every field of a model down to the last, lists and mappings of sections before what is in them."""
    return _fields(model, "", None)


def _fields(model: type[BaseModel], at: str, above: bool | None) -> Iterator[Marked]:
    for name, field in model.model_fields.items():
        path, mark = f"{at}{name}", mark_of(field, above)
        section = section_of(field.annotation)
        many = _MANY.get(get_origin(field.annotation), "")
        if section is None or many:
            yield Marked(path, mark, field.description or "")
        if section is not None:
            yield from _fields(section, f"{path}{many}.", mark)


def without_marks(schema: object) -> object:
    """Give a JSON Schema without the marks: that of a program which takes nothing while it runs."""
    if isinstance(schema, dict):
        parts = cast("Mapping[str, object]", schema)
        return {name: without_marks(part) for name, part in parts.items() if name != MARK}
    return [without_marks(part) for part in cast("list[object]", schema)] if isinstance(schema, list) else schema
