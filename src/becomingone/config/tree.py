"""The tree that a configuration is read into: values with the place they came from, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from pydantic import SecretStr

from becomingone.errors import ConfigError

Keys: TypeAlias = tuple[str | int, ...]
Scalar: TypeAlias = str | int | float | bool | SecretStr | None
Data: TypeAlias = "dict[str, Data] | list[Data] | Scalar"


class DocumentError(ConfigError):
    """A text that cannot be read at all; `line` is None where no line is to blame."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class Place(NamedTuple):
    """Where a value was written: a line of a file, or an override whose own field is `keys`."""

    source: str
    line: int | None = None
    column: int | None = None
    keys: Keys = ()
    order: int = 0

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(slots=True)
class Node:
    """A value, where it was written, how it was written, and what is wrong with it (None: nothing)."""

    place: Place
    value: dict[str, Node] | list[Node] | Scalar
    text: str = ""
    wrong: str | None = None


class Problem(NamedTuple):
    """One thing that is wrong, at one place."""

    place: Place
    keys: Keys
    message: str

    def __str__(self) -> str:
        where = "" if self.keys == self.place.keys else f"{format_keys(self.keys)}: "
        return printable(f"{self.place}: {where}{self.message}")


def printable(text: str) -> str:
    """Make `text` one line that cannot confuse a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def format_keys(keys: Keys) -> str:
    """Write keys as people do: ``devices[0].options.rate_hz``."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        elif re.fullmatch(r"[\w-]+", key):
            text += f".{key}" if text else key
        else:
            text += f"[{shorten(key)}]"
    return text


def shorten(text: str, limit: int = 60) -> str:
    """Quote `text`, cut to `limit` characters."""
    return f"'{text}'" if len(text) <= limit else f"'{text[: limit - 3]}...'"


def walk(node: Node, keys: Keys = ()) -> Iterator[tuple[Keys, Node]]:
    """Yield every node with its keys, parents first."""
    yield keys, node
    if isinstance(node.value, dict):
        for name, child in node.value.items():
            yield from walk(child, (*keys, name))
    elif isinstance(node.value, list):
        for i, child in enumerate(node.value):
            yield from walk(child, (*keys, i))


def plain(node: Node) -> Data:
    """Give the values alone; what is wrong is left out of a mapping and is None in a list."""
    if isinstance(node.value, dict):
        return {name: plain(child) for name, child in node.value.items() if child.wrong is None}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value
