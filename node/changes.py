"""What differs between two configurations, and what of it a running node can take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from pydantic import BaseModel, SecretStr

from becomingone.config.marks import mark_of
from becomingone.config.tree import format_keys

_Parts: TypeAlias = Mapping[str, Any]


class Changes(NamedTuple):
    """The fields whose values differ, in the order of the model.

    Parameters
    ----------
    hot : tuple of str
        Those that a running node takes: ``inputs[leg].options.rate_hz``, or ``inputs[leg]`` for a device that is
        there only before or only after.
    restart : tuple of str
        Those that only its next start takes.
    """

    hot: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.hot or self.restart)


def changes(old: BaseModel, new: BaseModel) -> Changes:
    """Compare two configurations field by field.

    The marks of the fields decide what requires a restart (`becomingone.config.marks`); a field without any does.
    Sections of a list are matched by their names, and a list of them in another order has changed as a whole. Secrets
    are compared too, although no digest tells them apart.

    Parameters
    ----------
    old, new : BaseModel
        Two configurations of one model.
    """
    found: dict[str, bool] = {}
    _sections(found, "", old, new, above=None)
    hot = tuple(path for path, restart in found.items() if not restart)
    return Changes(hot, tuple(path for path, restart in found.items() if restart))


def _sections(found: dict[str, bool], at: str, old: BaseModel, new: BaseModel, *, above: bool | None) -> None:
    for name, field in type(old).model_fields.items():
        path = f"{at}.{name}" if at else name
        _values(found, path, getattr(old, name), getattr(new, name), restart=mark_of(field, above))


def _values(found: dict[str, bool], path: str, old: Any, new: Any, *, restart: bool | None) -> None:  # noqa: ANN401
    if isinstance(old, BaseModel) and type(old) is type(new):
        _sections(found, path, old, new, above=restart)
    elif isinstance(old, dict) and isinstance(new, dict):
        _pairs(found, cast("_Parts", old), cast("_Parts", new), lambda key: _below(path, key), restart)
    elif (before := _by_name(cast("object", old))) is not None and (after := _by_name(new)) is not None:
        if [name for name in before if name in after] != [name for name in after if name in before]:
            _note(found, path, restart)
        _pairs(found, before, after, lambda name: f"{path}[{name}]", restart)
    elif not _same(old, new):
        _note(found, path, restart)


def _pairs(
    found: dict[str, bool], before: _Parts, after: _Parts, show: Callable[[str], str], restart: bool | None
) -> None:
    for key in dict.fromkeys([*before, *after]):
        if key in before and key in after:
            _values(found, show(key), before[key], after[key], restart=restart)
        else:
            _note(found, show(key), restart)


def _note(found: dict[str, bool], path: str, restart: bool | None) -> None:
    found[path] = restart is not False


def _below(path: str, key: str) -> str:
    text = format_keys((key,))
    return f"{path}{text}" if text.startswith("[") else f"{path}.{text}"


def _by_name(value: object) -> _Parts | None:
    """Give the sections of a list by their names; None where this is no list of sections that have names."""
    if not isinstance(value, list | tuple):
        return None
    items = cast("Sequence[Any]", value)
    if not all(isinstance(item, BaseModel) and "name" in type(item).model_fields for item in items):
        return None
    return {item.name: item for item in items}


def _same(old: Any, new: Any) -> bool:  # noqa: ANN401
    """Whether two values are one, for a digest as for a device: 1 is not 1.0, and what is no number is itself."""
    if isinstance(old, SecretStr) and isinstance(new, SecretStr):
        return old.get_secret_value() == new.get_secret_value()
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        ours, theirs = cast("Sequence[Any]", old), cast("Sequence[Any]", new)
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if isinstance(old, dict) and isinstance(new, dict):
        one, other = cast("_Parts", old), cast("_Parts", new)
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(old, float) and isinstance(new, float):
        return repr(old) == repr(new)
    return type(cast("object", old)) is type(new) and bool(old == new)
