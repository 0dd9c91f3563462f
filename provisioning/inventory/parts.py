"""What every member's configuration is made of: parts of ``mesh.yaml``, which keep their lines, and what is added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from pydantic import BaseModel

from becomingone.config.loader import ConfigProblems, Layers, validated
from becomingone.config.secret import Secrets
from becomingone.config.sections import CellConfig
from becomingone.config.tree import Keys, Node, Place, Problem, Scalar, walk
from becomingone.provisioning.inventory.document import Reference
from becomingone.provisioning.inventory.sections import MeshFile
from becomingone.provisioning.inventory.structure import Fault

ETC: Final = PurePosixPath("/etc/becomingone")
TLS: Final = ETC / "tls"
DROP_IN: Final = ETC / "devices"
"""Where the cell's own device modules are on a node."""

STATE: Final = PurePosixPath("/var/lib/becomingone")
"""Where services keep what they must not forget."""

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

Content = Mapping[str, "Content"] | list["Content"] | Scalar | Node
CELL_FIELDS: Final = tuple(CellConfig.model_fields)


def credential(service: str, name: str) -> str:
    """Give the path of a systemd credential of a service, as systemd.exec(5) has it for system services."""
    return f"/run/credentials/becomingone-{service}.service/{name}"


def made(place: Place, content: Content) -> Node:
    """Make a tree of values that are said to be at `place`; parts that are trees already stay as they are."""
    if isinstance(content, Node):
        return content
    if isinstance(content, Mapping):
        return Node(place, {name: made(place, value) for name, value in content.items()})
    if isinstance(content, list):
        return Node(place, [made(place, value) for value in content])
    return Node(place, content, "" if content is None or isinstance(content, Reference) else str(content))


@dataclass(slots=True)
class Draft:
    """The tree of a member's configuration.

    Parameters
    ----------
    root : Node
        Its values.
    origin : dict of Keys to Keys
        Where in ``mesh.yaml`` its parts come from, by their keys here.
    home : Keys
        What is to blame for everything else.
    """

    root: Node
    origin: dict[Keys, Keys] = field(default_factory=dict[Keys, Keys])
    home: Keys = ()

    def put(self, name: str, node: Node, origin: Keys) -> None:
        """Take a part of ``mesh.yaml`` over as the field `name`."""
        if isinstance(self.root.value, dict):
            self.root.value[name] = node
            self.origin[(name,)] = origin

    def field_of(self, keys: Keys) -> Keys:
        """Say which field of ``mesh.yaml`` a field of this configuration is."""
        for depth in range(len(keys), 0, -1):
            if keys[:depth] in self.origin:
                return (*self.origin[keys[:depth]], *keys[depth:])
        return (*self.home, *keys)

    def problems(self, model: type[BaseModel], context: Mapping[str, object] | None = None) -> list[Problem]:
        """Say what a model finds wrong, in the words and the lines of ``mesh.yaml``."""
        return self.read(model, context)[1]

    def read(
        self, model: type[BaseModel], context: Mapping[str, object] | None = None
    ) -> tuple[BaseModel | None, list[Problem]]:
        """Make the configuration; None, and what is wrong, where it cannot be made."""
        try:
            return validated(model, Layers(self.root, Secrets(Path(), {})), context=context), []
        except ConfigProblems as refused:
            return None, [Problem(one.place, self.field_of(one.keys), one.message) for one in refused.details]


def begin(root: Node, place: Place, home: Keys) -> Draft:
    """Begin a configuration with what all members of the cell have in common."""
    draft = Draft(Node(place, {}), home=home)
    top = root.value if isinstance(root.value, dict) else {}
    for name in CELL_FIELDS:
        if name in top:
            draft.put(name, top[name], (name,))
    return draft


def add_options(draft: Draft, options: Node | None, keys: Keys, given: Iterable[str]) -> list[Fault]:
    """Take ``options`` over, but for what is made from the rest of the file.

    Parameters
    ----------
    options : Node or None
        Its tree.
    keys : Keys
        Where it is.
    given : iterable of str
        Fields that are made, and must not be there.

    Returns
    -------
    list of Fault
        For each that is there all the same.
    """
    faults: list[Fault] = []
    for name, node in (options.value if options is not None and isinstance(options.value, dict) else {}).items():
        if name in given:
            faults.append(Fault((*keys, name), "is made from the rest of this file; leave it out"))
        else:
            draft.put(name, node, (*keys, name))
    return faults


def broker_url(mesh: MeshFile, machine: str) -> str:
    """Give the URL under which a machine reaches the broker: on its own over loopback, where the names allow that."""
    own = [name for name in mesh.broker.names if name.lower() in LOOPBACK]
    others = [name for name in mesh.broker.names if name.lower() not in LOOPBACK]
    name = (own if own and machine == mesh.broker.machine else others)[0]
    return f"mqtts://{f'[{name}]' if ':' in name else name}:{mesh.broker.port}"


def secrets_in(root: Node) -> list[str]:
    """Name the secrets that a tree refers to, in their order."""
    names = [node.value.name for _, node in walk(root) if isinstance(node.value, Reference)]
    return list(dict.fromkeys(names))
