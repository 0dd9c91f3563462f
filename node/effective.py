"""What the layers of a configuration file make: a configuration to run with, whole or cut down for safe mode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, cast

from pydantic import BaseModel, SecretStr

from becomingone.config.last_good import in_the_clear
from becomingone.config.loader import ConfigProblems, Layers, digest, validated
from becomingone.config.tree import Node, format_keys
from becomingone.node.config import DeviceFaults, DeviceSection, NodeConfig, device_of

_WHO: Final = ("node", "cell", "root", "broker", "security", "state_dir")
_SAFE: Final = (*_WHO, "hardware", "capability", "clock", "logging", "life")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration to run with.

    Parameters
    ----------
    config : NodeConfig
        What the node is and has.
    sha256 : str
        Digest of the effective configuration.
    mode : str
        ``"normal"``; ``"last_good"``: the file was refused, and this is the one before; ``"safe"``: without devices.
    why : str
        Why it is not normal.
    """

    config: NodeConfig
    sha256: str
    mode: Literal["normal", "last_good", "safe"] = "normal"
    why: str = ""


class Proposal(NamedTuple):
    """A configuration that has been read and found good, and is not in effect yet.

    Parameters
    ----------
    loaded : Loaded
        What the node would run with.
    tree : Node
        What it was made of.
    """

    loaded: Loaded
    tree: Node


def made(layers: Layers, faults: DeviceFaults) -> Loaded:
    """Make a configuration, which may have some faults of device modules.

    Raises
    ------
    ConfigProblems
        It is refused.
    """
    config = validated(NodeConfig, layers, context={"device_faults": faults})
    return Loaded(config, digest(config))


def made_safe(layers: Layers, why: str) -> Loaded:
    """Make what a node needs in safe mode: who it is and how it reaches its broker; the rest as far as it is good.

    Raises
    ------
    ConfigProblems
        Not even who it is and how it reaches its broker can be used.
    """
    try:
        config = validated(NodeConfig, _cut(layers, _SAFE))
    except ConfigProblems:
        config = validated(NodeConfig, _cut(layers, _WHO))
    return Loaded(config, digest(config), "safe", why)


def not_to_keep(config: NodeConfig, root: Node) -> Iterator[str]:
    """Say why a configuration is not to be kept on the disk: a secret in the clear, or a device that has no module."""
    for keys in in_the_clear(NodeConfig, root):
        yield f"{format_keys(keys)} is a secret in the clear, write !secret NAME"
    for part, sections in (("inputs", config.inputs), ("outputs", config.outputs)):
        for section in sections:
            for what in _not_to_keep(section, config):
                yield f"{part}[{section.name}].{what}"


def _cut(layers: Layers, names: Sequence[str]) -> Layers:
    """Leave some fields of a configuration, and what is wrong with these."""
    value = layers.root.value
    below = {name: node for name, node in value.items() if name in names} if isinstance(value, dict) else value
    problems = [problem for problem in layers.problems if problem.keys[:1] and problem.keys[0] in names]
    return Layers(Node(layers.root.place, below), layers.secrets, problems)


def _not_to_keep(section: DeviceSection, config: NodeConfig) -> Iterator[str]:
    try:
        options: BaseModel = device_of(section, config.drop_in)[1]
    except ValueError as error:
        yield f"{error}"
        return
    for name, value in section.options.items():
        if _texts(getattr(options, name, None), secret=True) & _texts(value, secret=False):
            yield f"options.{name} is a secret in the clear, write !secret NAME"


def _texts(value: object, *, secret: bool) -> set[str]:
    """Collect the texts in a value that are secrets, or those that are not."""
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        value = list(cast("Mapping[object, object]", value).values())
    if isinstance(value, list | tuple | set | frozenset):
        return {text for item in cast("Sequence[object]", value) for text in _texts(item, secret=secret)}
    if isinstance(value, SecretStr):
        return {value.get_secret_value()} if secret else set()
    return {value} if isinstance(value, str) and not secret else set()
