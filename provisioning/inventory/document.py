"""``mesh.yaml`` as a tree that knows its lines, and in which secrets stay references."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pydantic import SecretStr

from becomingone.config.document import Builder, compose, decode, read_bytes
from becomingone.config.loader import ConfigProblems, Layers
from becomingone.config.secret import PREFIX, Secrets
from becomingone.config.shape import child
from becomingone.config.tree import DocumentError, Keys, Node, Place, Problem


class Reference(SecretStr):
    """A secret by its name: ``!secret NAME``. What it stands for is nobody's business here.

    Its text is none of anybody's secrets: it is made from the name, is always the same, and is there so that a model
    which looks at a secret's form has one to look at.

    Parameters
    ----------
    name : str
        What stands after ``!secret``.
    """

    def __init__(self, name: str) -> None:
        super().__init__(hashlib.sha256(name.encode()).hexdigest())
        self.name = name


def stand_ins(names: Iterable[str]) -> dict[str, str]:
    """Give an environment in which every one of these secrets is something, so that a loader can go on."""
    return {
        PREFIX + name.upper().replace("-", "_").replace(".", "_"): Reference(name).get_secret_value() for name in names
    }


def read_tree(path: Path) -> Layers:
    """Read a file into a tree.

    Raises
    ------
    ConfigProblems
        It cannot be read as a mapping at all.
    """
    layers = Layers(Node(Place(str(path), 1), {}), Secrets(path.parent, {}))
    try:
        node = compose(decode(read_bytes(path)))
        root = Builder(str(path), Reference, layers.problems).build(node) if node is not None else None
    except DocumentError as exc:
        raise refusal([Problem(Place(str(path), exc.line), (), str(exc))]) from None
    if root is None or not isinstance(root.value, dict):
        raise refusal([Problem(Place(str(path), 1), (), "must hold a mapping (name: value)")])
    layers.root = root
    return layers


def refusal(problems: Iterable[Problem]) -> ConfigProblems:
    """Make one error of all problems, each once, in the order of their lines."""
    lines: dict[str, Problem] = {}
    for problem in sorted(problems, key=lambda problem: (problem.place.source, problem.place.line or 0)):
        lines.setdefault(str(problem), problem)
    return ConfigProblems(list(lines), list(lines.values()))


def nearest(root: Node, keys: Keys) -> Node:
    """Give the node at `keys`, or the nearest one above."""
    node = root
    for key in keys:
        below = child(node, key)
        if below is None:
            break
        node = below
    return node


def at(root: Node, keys: Keys, message: str) -> Problem:
    """Make a problem of what is wrong at `keys`."""
    return Problem(nearest(root, keys).place, keys, message)
