"""Turns pydantic's validation errors into lines that a person can act on.

Each names the field as it is written in the file, what was found and what would be right. Where a union was tried in
several ways, the way that came furthest is explained.

References
----------
.. [1] The kinds of errors, https://docs.pydantic.dev/latest/errors/validation_errors/
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr
from pydantic_core import ErrorDetails

from becomingone.config.shape import Shape, child
from becomingone.config.tree import Data, Keys, Node, Problem, shorten

HIDDEN: Final = "(a secret)"
_MAX_WAYS: Final = 32
_MAX_GUESSES: Final = 100

_MAPPING: Final = "must be a mapping (name: value)"
_WHOLE: Final = "must be a whole number"
_MESSAGES: Final = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "finite_number": "must be a finite number",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "must be a whole number of fewer digits",
    "int_from_float": _WHOLE,
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dataclass_type": _MAPPING,
    "none_required": "must be null",
    "path_type": "must be a path",
}
_OWN: Final = frozenset({"value_error", "assertion_error"})
_UNKNOWN: Final = frozenset({"extra_forbidden", "unexpected_keyword_argument"})
_MISSING: Final = frozenset({"missing", "missing_argument", "missing_keyword_only_argument", "union_tag_not_found"})


@dataclass(frozen=True, slots=True)
class _Found:
    keys: Keys
    message: str
    got: str = ""
    hint: str = ""
    shallow: bool = False
    """Whether a union was tried here and the type did not even fit."""


class Explainer:
    """Explains the errors of one validation.

    Parameters
    ----------
    root : Node
        The tree that was validated.
    data : Data
        Its plain values, as they were given to the model.
    shape : Shape
        What the model allows.
    secrets : Iterable[str]
        Texts that no message may show.
    """

    def __init__(self, root: Node, data: Data, shape: Shape, secrets: Iterable[str]) -> None:
        self._root = root
        self._data = data
        self._shape = shape
        texts = {form for text in secrets for form in (text, text.strip(), repr(text)[1:-1]) if form}
        hidden = "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))
        self._hidden = re.compile(hidden) if hidden else None
        self._guesses = 0

    def explain(self, errors: Iterable[ErrorDetails]) -> list[Problem]:
        """Give one problem for every place that is wrong."""
        found = [self._one(error) for error in errors]
        above = {one.keys[:depth] for one in found for depth in range(len(one.keys))}
        places: dict[Keys, list[_Found]] = {}
        for one in found:
            if not (one.shallow and one.keys in above):
                places.setdefault(one.keys, []).append(one)
        return [Problem(self._place(keys).place, keys, _join(ones)) for keys, ones in places.items()]

    def _one(self, error: ErrorDetails) -> _Found:
        kind, context = error["type"], error.get("ctx", {})
        keys, skipped = self._locate(error)
        if kind.startswith("union_tag"):
            field = re.search(r"'(.+?)'", str(context.get("discriminator", "")))
            keys = (*keys, field[1]) if field else keys
        if kind in _MISSING and child(self._place(keys[:-1]), keys[-1] if keys else "") is None:
            wanted = self._shape.wanted(keys)
            return _Found(keys, f"is missing (must be {wanted})" if wanted else "is missing")
        if kind in _UNKNOWN:
            return _Found(keys, self._unknown(keys))
        if isinstance(self._place(keys).value, SecretStr) and kind == "string_type":
            return _Found(keys, "must not be a secret, for this field is shown in logs; write the text itself")
        message = self._message(error, context)
        if kind in _OWN:
            keys, message = self._point(keys, message)
        shallow = skipped and kind.endswith("_type")
        return _Found(keys, message, self._got(keys, kind), self._hint(error, context), shallow)

    def _point(self, keys: Keys, message: str) -> tuple[Keys, str]:
        """Follow a model's message that begins with a field, ``bands.slow: ...``, to that field."""
        field, colon, rest = message.partition(": ")
        below, node = keys, self._place(keys)
        for name in re.findall(r"[\w-]+", field):
            key = int(name) if isinstance(node.value, list) and re.fullmatch("[0-9]{1,6}", name) else name
            found = child(node, key)
            if found is None or not colon:
                return keys, message
            below, node = (*below, key), found
        return (below, rest) if re.fullmatch(r"[\w.\[\]-]+", field) else (keys, message)

    def _locate(self, error: ErrorDetails) -> tuple[Keys, bool]:
        """Find the keys in the file for pydantic's location, which also names the branches of unions.

        A branch may bear the name of a key, so every reading is tried; the right one ends at the very object that
        the error is about.
        """
        location = error["loc"]
        if location[-1:] == ("[key]",):
            location = location[:-1]
        names_field = error["type"] in _MISSING and error["type"] != "union_tag_not_found"
        inner = location[:-1] if names_field else location
        ways: list[tuple[Keys, Data]] = [((), self._data)]
        for part in inner:
            after: list[tuple[Keys, Data]] = []
            for keys, value in ways:
                if isinstance(value, dict):
                    after += [((*keys, part), value[part])] if isinstance(part, str) and part in value else []
                elif isinstance(value, list):
                    after += [((*keys, part), value[part])] if isinstance(part, int) and part < len(value) else []
                after.append((keys, value))
            ways = after[:_MAX_WAYS]
        best = next((keys for keys, value in ways if value is error["input"]), ways[0][0])
        return (*best, *location[len(inner) :]), len(best) < len(inner)

    def _place(self, keys: Keys) -> Node:
        """Give the node at `keys`, or the nearest one above."""
        node = self._root
        for key in keys:
            below = child(node, key)
            if below is None:
                break
            node = below
        return node

    def _unknown(self, keys: Keys) -> str:
        known = self._shape.names(keys[:-1])
        near = self._nearest(str(keys[-1]), known) if keys else None
        if near:
            return f"unknown field; did you mean '{near}'?"
        return f"unknown field; known here: {', '.join(known)}" if known else "unknown field"

    def _message(self, error: ErrorDetails, context: Mapping[str, Any]) -> str:
        kind = error["type"]
        if kind == "union_tag_invalid":
            return f"must be one of {context['expected_tags']}"
        if kind == "union_tag_not_found":
            return "must be a kind that is known"
        if kind in _MESSAGES:
            return _MESSAGES[kind].format_map({name: _number(value) for name, value in context.items()})
        own = context.get("error")
        message = str(own) if isinstance(own, Exception) else re.sub(r"^Input should be", "must be", error["msg"])
        message = self._hidden.sub(HIDDEN, message) if self._hidden else message
        return " ".join(message.split()) or "is not acceptable"

    def _hint(self, error: ErrorDetails, context: Mapping[str, Any]) -> str:
        if error["type"] == "string_type" and isinstance(error["input"], int | float):
            return "; put it in quotes"
        choices = str(context.get("expected_tags", context.get("expected", "")))
        found = context.get("tag", error["input"])
        if not choices or not isinstance(found, str):
            return ""
        near = self._nearest(found, re.findall(r"'([^']*)'", choices))
        return f"; did you mean '{near}'?" if near else ""

    def _nearest(self, name: str, known: list[str]) -> str | None:
        """Guess what was meant; only a file's first hundred mistakes are worth the time."""
        self._guesses += 1
        if self._guesses > _MAX_GUESSES:
            return None
        return next(iter(difflib.get_close_matches(name[:64].lower(), known, n=1)), None)

    def _got(self, keys: Keys, kind: str) -> str:
        node = self._place(keys)
        if isinstance(node.value, SecretStr) or self._shape.is_secret(keys):
            return f" {HIDDEN}"
        own = kind in _OWN
        if isinstance(node.value, dict):
            return "" if own else " (got a mapping)"
        if isinstance(node.value, list):
            return "" if own else f" (got a list of {len(node.value)})"
        if isinstance(node.value, str):
            return f" (got {shorten(node.value)})"
        return f" (got {node.text[:60] or 'nothing'})"


def _join(found: list[_Found]) -> str:
    messages = list(dict.fromkeys(one.message for one in found))
    if len(messages) > 1 and all(message.startswith("must be ") for message in messages):
        messages = [messages[0] + "".join(f" or {message[8:]}" for message in messages[1:])]
    return "; ".join(messages) + found[0].got + "".join(dict.fromkeys(one.hint for one in found))


def _number(value: object) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
