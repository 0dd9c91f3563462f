"""YAML as a tree in which every value knows the file, the line and the column it came from.

PyYAML composes the nodes; their meaning is decided here after the core schema of YAML 1.2, so that the traps of
YAML 1.1 are gone: ``on`` and ``no`` are text, ``12:30:00`` is text, ``2024-01-01`` is text, ``007`` is text.

References
----------
.. [1] YAML 1.2.2, section 10.3 "Core Schema", https://yaml.org/spec/1.2.2/#103-core-schema
.. [2] YAML 1.1 types (what PyYAML does by itself), https://yaml.org/type/
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import yaml
from pydantic import SecretStr

from becomingone.config.tree import DocumentError, Keys, Node, Place, Problem, Scalar, shorten
from becomingone.errors import ConfigError

MAX_BYTES: Final = 1 << 20
MAX_NODES: Final = 100_000
MAX_DEPTH: Final = 32

_TAG: Final = "tag:yaml.org,2002:"
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,39})|0x[0-9a-fA-F]{1,32}|0o[0-7]{1,40}")
_FLOAT: Final = re.compile(r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)")
_SPECIAL: Final = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NULLS: Final = frozenset({"", "~", "null"})
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class NoFileError(DocumentError):
    """There is no such file."""


def read_bytes(path: Path) -> bytes:
    """Read a file, of which anything beyond 1 MiB is more than `decode` takes."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NoFileError("there is no such file") from None
    except IsADirectoryError:
        raise DocumentError("is a directory; must be a file") from None
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise DocumentError(f"cannot be read: {reason}") from None


def decode(raw: bytes) -> str:
    """Turn the bytes of a document, at most 1 MiB of UTF-8, into text; a byte order mark is dropped."""
    if len(raw) > MAX_BYTES:
        raise DocumentError(f"must be at most {MAX_BYTES} bytes long")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        raise DocumentError(f"must be UTF-8 text (got the byte 0x{exc.object[exc.start]:02x})", line) from None


class _Composer(yaml.SafeLoader):
    """PyYAML's composer with limits on depth and size, and with the core schema of YAML 1.2."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.count += 1
        self.depth += 1
        _within_limits(self.depth, self.count, int(self.line) + 1)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool] | bool) -> str:
        if kind is not yaml.ScalarNode or value is None:
            return _TAG + ("map" if kind is yaml.MappingNode else "seq")
        plain = implicit[0] if isinstance(implicit, tuple) else implicit
        return _TAG + (_core_type(value) if plain else "str")


def _within_limits(depth: int, count: int, line: int) -> None:
    if depth > MAX_DEPTH:
        raise DocumentError(f"must be nested at most {MAX_DEPTH} levels deep", line)
    if count > MAX_NODES:
        raise DocumentError(f"must hold at most {MAX_NODES} values (aliases counted each time)", line)


def _core_type(text: str) -> str:
    if text in _NULLS:
        return "null"
    if text in {"true", "false"}:
        return "bool"
    if _INT.fullmatch(text):
        return "int"
    return "float" if _FLOAT.fullmatch(text) or _SPECIAL.fullmatch(text) else "str"


def compose(text: str) -> yaml.Node | None:
    """Compose one document; None when there is nothing in it.

    Raises
    ------
    DocumentError
        With the line, for whatever is not YAML or is beyond the limits.
    """
    line = 1
    try:
        loader = _Composer(text)
        try:
            return loader.get_single_node()
        finally:
            line = int(loader.line) + 1
            loader.dispose()
    except yaml.MarkedYAMLError as exc:
        raise _syntax(exc) from None
    except yaml.reader.ReaderError as exc:
        raise DocumentError("holds a character that YAML forbids", text.count("\n", 0, int(exc.position)) + 1) from None
    except (yaml.YAMLError, ValueError, OverflowError, LookupError) as exc:
        if isinstance(exc, DocumentError):
            raise
        raise DocumentError("is not YAML", line) from None


# What PyYAML says, what a person can act on, and whether the line where it began to read is the one to blame.
_SYNTAX: Final = (
    ("character '\\t'", "a tab cannot indent or begin a value; use spaces", False),
    ("mapping values are not allowed", "a second ': ' or a wrong indentation; text with ': ' needs quotes", False),
    ("could not find expected ':'", "a ':' is missing after the key", True),
    ("expected <block end>", "the indentation does not fit the lines above, or text is left over", False),
    ("found another document", "only one document is allowed (a second '---')", False),
    ("second occurrence", "an anchor (&name) is defined twice", False),
    ("unexpected end of stream", "a quote is not closed", True),
    ("node content, but found '<stream end>'", "the text ends before a '[' or '{' is closed", False),
    ("expected ',' or ']'", "a '[' is not closed, or a ',' is missing", True),
    ("expected ',' or '}'", "a '{' is not closed, or a ',' is missing", True),
)


def _syntax(exc: yaml.MarkedYAMLError) -> DocumentError:
    problem, mark = exc.problem or exc.context or "cannot be read", exc.problem_mark or exc.context_mark
    message = f"is not YAML: {problem}"
    for said, meant, at_context in _SYNTAX:
        if said in f"{problem}":
            message = f"is not YAML: {meant}"
            mark = exc.context_mark or mark if at_context else mark
            break
    return DocumentError(message, mark.line + 1 if mark else None)


class Builder:
    """Turns composed nodes into a tree of values.

    Parameters
    ----------
    source : str
        The name of the file.
    secret : Callable[[str], SecretStr]
        Resolves ``!secret NAME``; raises ConfigError with a message that may be shown.
    problems : list[Problem]
        Receives what is wrong with keys (what is wrong with a value stays with its node).
    place : Place, optional
        Where everything comes from, when it is not a file.
    """

    def __init__(
        self, source: str, secret: Callable[[str], SecretStr], problems: list[Problem], place: Place | None = None
    ) -> None:
        self._source = source
        self._secret = secret
        self._problems = problems
        self._place = place
        self._count = 0

    def build(self, node: yaml.Node, keys: Keys = (), at: yaml.Node | None = None, depth: int = 1) -> Node:
        """Build the value of `node`, which is found at `keys` and said to be where `at` is."""
        self._count += 1
        mark = (at or node).start_mark
        _within_limits(depth, self._count, mark.line + 1)
        place = self._place or Place(self._source, mark.line + 1, mark.column + 1)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return Node(place, self._mapping(node, keys, depth))
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            items: list[yaml.Node] = node.value
            return Node(place, [self.build(item, (*keys, i), None, depth + 1) for i, item in enumerate(items)])
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        try:
            return Node(place, self._scalar(node, text), text)
        except ConfigError as exc:
            return Node(place, None, text, str(exc))

    def _mapping(self, node: yaml.MappingNode, keys: Keys, depth: int) -> dict[str, Node]:
        children: dict[str, Node] = {}
        pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
        for key, value in pairs:
            place = self._place or Place(self._source, key.start_mark.line + 1, key.start_mark.column + 1)
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if not isinstance(key, yaml.ScalarNode) or key.tag != f"{_TAG}str" or _SURROGATE.search(name):
                message = f"a key must be text; put {shorten(name)} in quotes" if name else "a key must be text"
                self._problems.append(Problem(place, keys, message))
            elif name == "<<":
                self._problems.append(Problem(place, keys, "'<<' (merge) is not supported; write the keys out"))
            elif name in children:
                first = children[name].place
                message = "is written twice" + (f" (first on line {first.line})" if first.line else "")
                self._problems.append(Problem(place, (*keys, name), message))
            else:
                children[name] = self.build(value, (*keys, name), key, depth + 1)
        return children

    def _scalar(self, node: yaml.Node, text: str) -> Scalar:
        if node.tag == "!secret":
            if not text:
                raise ConfigError("'!secret' must be followed by a name")
            return self._secret(text)
        kind = node.tag.removeprefix(_TAG)
        if not isinstance(node, yaml.ScalarNode) or kind not in {"str", "int", "float", "bool", "null"}:
            raise ConfigError(
                "has a tag that has no meaning here; only !secret has (text that begins with ! needs quotes)"
            )
        if kind == "str":
            if _SURROGATE.search(text):
                raise ConfigError("must be text; half of a surrogate pair is none")
            return text
        if _core_type(text) != kind:
            raise ConfigError(f"is tagged !!{kind} but is not written as one")
        return _plain_scalar(kind, text)


def _plain_scalar(kind: str, text: str) -> Scalar:
    if kind == "int":
        return int(text, 0)
    if kind == "float":
        special = _SPECIAL.fullmatch(text)
        number = float(text.replace(".", "", 1)) if special else float(text)
        if math.isinf(number) and not special:
            raise ConfigError("is too large for a number")
        return number
    return text == "true" if kind == "bool" else None
