"""What is laid over the file: environment variables, then ``--set``.

``BECOMINGONE__KAIROS__TAU=0.5`` and ``--set kairos.tau=0.5`` both replace one value; the text after the ``=`` is a
YAML scalar or a flow collection (``[1, 2]``, ``{a: 1}``), so that types, quotes and ``!secret`` work as in the file.
No message about such a text shows it, for it may be a password.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import yaml
from pydantic import SecretStr

from becomingone.config.document import Builder, compose
from becomingone.config.tree import DocumentError, Keys, Node, Place, Problem, format_keys
from becomingone.errors import ConfigError

PREFIX: Final = "BECOMINGONE__"
_SEGMENT: Final = re.compile(r"(?P<name>[^.\[\]]+)(?P<items>(?:\[[0-9]{1,6}\])*)")
_KEY_CHARACTERS: Final = f"{string.ascii_letters}{string.digits}_.-[]"
_INDEX: Final = re.compile(r"[0-9]{1,6}")


def lay_over(
    root: Node,
    problems: list[Problem],
    *,
    overrides: Sequence[str],
    environ: Mapping[str, str],
    secret: Callable[[str], SecretStr],
) -> None:
    """Replace values of `root` by those of the environment and then of the command line.

    Parameters
    ----------
    root : Node
        The tree of the file; changed.
    problems : list[Problem]
        Receives what cannot be used.
    overrides : Sequence[str]
        ``key=value`` each, with keys such as ``devices[0].rate_hz`` or ``devices.0.rate_hz``; later ones win.
    environ : Mapping[str, str]
        The environment; variables that begin with ``BECOMINGONE__`` count.
    secret : Callable[[str], SecretStr]
        Resolves ``!secret NAME``.
    """
    for order, (source, key, text) in enumerate([*_variables(environ), *_options(overrides)], start=1):
        place = Place(source, order=order)
        try:
            if text is None:
                raise ConfigError("must be written as key=value")
            keys = _settle(root, key)
            place = Place(source, keys=keys, order=order)
            node = _read(text, keys, place, secret, problems)
            _put(root, keys, node)
        except ConfigError as exc:
            problems.append(Problem(place, place.keys, str(exc)))


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[str, Keys, str | None]]:
    named = sorted((name.lower(), name) for name in environ if name.upper().startswith(PREFIX))
    for lower, name in named:
        yield f"environment {name}", tuple(lower[len(PREFIX) :].split("__")), environ[name]


def _options(overrides: Sequence[str]) -> Iterator[tuple[str, Keys, str | None]]:
    for item in overrides:
        key, equals, text = item.partition("=")
        if not equals:  # whatever follows the key may be a password that was meant as the value
            key = key[: len(key) - len(key.lstrip(_KEY_CHARACTERS))]
        yield f"--set {key}".strip(), _parse_key(key.strip()), text if equals else None


def _parse_key(key: str) -> Keys:
    keys: list[str | int] = []
    for segment in key.split("."):
        match = _SEGMENT.fullmatch(segment)
        if match is None:
            return ("",)
        keys.append(match["name"])
        keys.extend(int(index) for index in re.findall(r"[0-9]+", match["items"]))
    return tuple(keys)


def _settle(root: Node, keys: Keys) -> Keys:
    """Turn the digits in `keys` into indices where the tree has a list."""
    if not all(key != "" for key in keys):
        raise ConfigError("the key must be names with a '.' (in the environment '__') between them")
    settled: list[str | int] = []
    node: Node | None = root
    for key in keys:
        value = node.value if node else None
        here = format_keys(tuple(settled))
        step: str | int = key
        if isinstance(value, list):
            if not isinstance(key, int) and not _INDEX.fullmatch(key):
                raise ConfigError(f"{here} is a list; a number must follow, such as {here}[0]")
            step = int(key)
            if step >= len(value):
                raise ConfigError(f"{here}[{step}] does not exist ({here} has {len(value)} items)")
            node = value[step]
        elif isinstance(key, int):
            raise ConfigError(f"{here} is not a list in the file, so {here}[{key}] does not exist")
        elif isinstance(value, dict):
            node = value.get(key)
        elif value is None:
            node = None
        else:
            raise ConfigError(f"{here} is not a mapping, so {here}.{key} does not exist")
        settled.append(step)
    return tuple(settled)


def _put(root: Node, keys: Keys, new: Node) -> None:
    node = root
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(node.value, list):
            index = int(key)
            if last:
                node.value[index] = new
            node = node.value[index]
            continue
        if not isinstance(node.value, dict):  # an empty value, or one that was wrong: it becomes a mapping
            node.value, node.wrong, node.place = {}, None, new.place
        if last:
            node.value[str(key)] = new
        node = node.value.setdefault(str(key), Node(new.place, {}))


def _read(text: str, keys: Keys, place: Place, secret: Callable[[str], SecretStr], problems: list[Problem]) -> Node:
    """Read the text of an override as a YAML scalar or flow collection."""
    try:
        node = compose(text)
    except DocumentError:
        raise ConfigError("the value is not YAML; put it in quotes") from None
    if node is None:
        return Node(place, None)
    block = isinstance(node, yaml.CollectionNode) and not node.flow_style
    # A plain scalar that came out shorter than it went in has lost a comment or a line break.
    cut = (
        isinstance(node, yaml.ScalarNode)
        and node.style is None
        and text.strip()[:1] not in "!&"
        and node.value != text.strip()
    )
    if block or cut:
        raise ConfigError("the value must be a scalar, [a, b] or {a: b}; put text in quotes")
    return Builder(place.source, secret, problems, place).build(node, keys)
