"""The last configuration that ran without a fault, kept on the disk for the day on which the next one is refused.

What is kept is the effective configuration, with what the environment and the command line had laid over the file,
so that a wrong variable can be outlived as well as a wrong file. Secrets are kept as the references that they were,
never as what they stand for, and are looked up again when it is read; a configuration in which a secret stands in the
clear is not kept.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, SecretStr

from becomingone.config.atomic import replace_text
from becomingone.config.document import MAX_BYTES
from becomingone.config.shape import Shape
from becomingone.config.tree import Keys, Node, walk
from becomingone.errors import ConfigError

_TAG: Final = "tag:yaml.org,2002:"
_HEAD: Final = (
    "# The last configuration that ran without a fault. The program keeps it; what is written here is lost.\n"
)


class LastGood:
    """The kept configuration of one file.

    Parameters
    ----------
    state_dir : Path
        Where the program may write; need not exist.
    source : Path
        The configuration file. Two files of one name in different folders are kept apart.
    """

    def __init__(self, state_dir: Path, source: Path) -> None:
        place = str(source.absolute()).encode("utf-8", "surrogateescape")
        name = hashlib.blake2b(place, digest_size=4).hexdigest()
        self.path = state_dir / f"{source.stem}-{name}.last_good"  # no name of a cell, whose folder is here, has a dot

    def read(self) -> bytes | None:
        """Give what is kept; None where nothing is.

        Raises
        ------
        ConfigError
            It is there and cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            msg = f"{self.path}: {error.strerror or error}"
            raise ConfigError(msg) from error

    def write(self, text: str) -> bool:
        """Keep this from now on; False, and nothing is written, where the very same is kept already.

        Raises
        ------
        ConfigError
            It cannot be written, or what is there cannot be read; that is still there.
        """
        if self.read() == text.encode("ascii"):
            return False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_text(self.path, text, mode=0o600)
        except OSError as error:
            msg = f"{self.path}: {error.strerror or error}"
            raise ConfigError(msg) from error
        return True


def to_text(root: Node) -> str:
    """Write a tree as ASCII YAML that reads back as the same tree, secrets as ``!secret NAME``."""
    text: str = yaml.serialize(_node(root), Dumper=yaml.SafeDumper, width=math.inf)  # pyright: ignore[reportUnknownMemberType]
    return _HEAD + text


def in_the_clear(model: type[BaseModel], root: Node) -> Iterator[Keys]:
    """Find the secrets of a tree that are written out where a reference could stand."""
    shape = Shape(model, root)
    for keys, node in walk(root):
        plain = not isinstance(node.value, dict | list | SecretStr | None)
        if plain and shape.is_secret(keys):
            yield keys


def _node(node: Node) -> yaml.Node:
    value = node.value
    if isinstance(value, dict):
        pairs = [(_text(name), _node(child)) for name, child in value.items()]
        return yaml.MappingNode(f"{_TAG}map", pairs, flow_style=False)
    if isinstance(value, list):
        return yaml.SequenceNode(f"{_TAG}seq", [_node(item) for item in value], flow_style=False)
    if isinstance(value, SecretStr):
        return yaml.ScalarNode("!secret", node.text, style='"')
    if isinstance(value, str):
        return _text(value)
    return _scalar(value)


def _text(value: str) -> yaml.Node:
    return yaml.ScalarNode(f"{_TAG}str", value, style='"')  # in quotes, so that no text looks like something else


def _scalar(value: float | bool | None) -> yaml.Node:
    if value is None:
        return yaml.ScalarNode(f"{_TAG}null", "null")
    if isinstance(value, bool):
        return yaml.ScalarNode(f"{_TAG}bool", "true" if value else "false")
    if isinstance(value, int):
        return yaml.ScalarNode(f"{_TAG}int", str(value))
    text = repr(value) if math.isfinite(value) else f"{value:+}".replace("+inf", ".inf").replace("-inf", "-.inf")
    return yaml.ScalarNode(f"{_TAG}float", ".nan" if math.isnan(value) else text)
