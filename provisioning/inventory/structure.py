"""What is wrong between the parts of a ``mesh.yaml``, each of which is right by itself."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from becomingone.config.tree import Keys, shorten
from becomingone.provisioning.inventory.boards import BOARDS
from becomingone.provisioning.inventory.sections import MeshFile

_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*", re.IGNORECASE)
_NUMERIC: Final = re.compile(r"(.*\.)?[0-9]+")

GROUPS: Final = ("all", "ungrouped", "broker", "hub", "nodes", "canary", "observability")
"""Ansible's names of groups, which no machine may have."""

PARTS: Final = ("hub", "broker", "join")
"""What is a service and an identity already, and so cannot be a node."""

_IDENTITY_KINDS: Final = ("operators", "observers", "witnesses", "relays")


class Fault(NamedTuple):
    """Something that is wrong at a place of the file.

    Parameters
    ----------
    keys : Keys
        The field.
    message : str
        What is wrong, and what would be right.
    """

    keys: Keys
    message: str


def is_host(text: str) -> bool:
    """Tell whether a text is an IP address, or a host name after RFC 1123, section 2.1.

    A name whose last label is a number is none: it would be read as an address. Nor is an address with a zone
    (``fe80::1%eth0``), which means something on one machine alone.
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= 253 and _HOST.fullmatch(text) is not None and _NUMERIC.fullmatch(text) is None
    return "%" not in text


def structural_faults(mesh: MeshFile) -> list[Fault]:
    """Find all of them, in no particular order."""
    return [*_machines(mesh), *_addresses(mesh), *_parts(mesh), *_broker(mesh), *_nodes(mesh), *_people(mesh)]


def _machines(mesh: MeshFile) -> Iterator[Fault]:
    for name, machine in mesh.machines.items():
        yield from _machine_name(("machines", name), name)
        yield from _model(("machines", name, "model"), machine.model)
        board = BOARDS.get(machine.model)
        if board is not None and machine.arch is not None and machine.arch not in board.archs:
            wanted = " or ".join(board.archs)
            yield Fault(
                ("machines", name, "arch"), f"{board.title} does not run {machine.arch}; must be {wanted}, or left out"
            )
        if machine.address is not None and not is_host(machine.address):
            yield Fault(
                ("machines", name, "address"), f"must be a host name or an IP address (got {shorten(machine.address)})"
            )


def _machine_name(keys: Keys, name: str) -> Iterator[Fault]:
    other = "; list one of another name in machines, and name it here (machine: ...)" if keys[0] == "nodes" else ""
    if re.fullmatch(_LABEL, name) is None:
        yield Fault(
            keys,
            f"{shorten(name)} cannot be a machine's name, which is a host name: a-z, 0-9 and '-', which neither begins "
            f"nor ends it, at most 63 characters (RFC 1123){other}",
        )
    elif name in GROUPS:
        yield Fault(keys, f"a machine cannot be called {name}, which is a group of Ansible's{other}")


def _model(keys: Keys, model: str) -> Iterator[Fault]:
    if model not in BOARDS:
        yield Fault(keys, f"there is no board {shorten(model)}; known are {', '.join(BOARDS)}")


def _addresses(mesh: MeshFile) -> Iterator[Fault]:
    taken: dict[tuple[str, int], str] = {}
    for name, machine in mesh.computers.items():
        at = (machine.address.lower(), machine.ssh_port)
        if at in taken:
            keys = ("machines", name, "address") if name in mesh.machines else ("nodes", name)
            yield Fault(keys, f"{machine.address} is the address of {taken[at]} already; each machine has its own")
        taken.setdefault(at, name)


def _parts(mesh: MeshFile) -> Iterator[Fault]:
    named: Mapping[Keys, str | None] = {
        ("broker", "machine"): mesh.broker.machine,
        ("hub", "machine"): mesh.hub.machine,
        ("observability", "machine"): None if mesh.observability is None else mesh.observability.machine,
        **{("nodes", node, "machine"): part.machine for node, part in mesh.nodes.items()},
    }
    there = mesh.computers
    for keys, name in named.items():
        listed = name in mesh.machines if keys[0] == "nodes" else name in there
        if name is not None and not listed:
            yield Fault(keys, f"there is no machine {name}; {_listed(list(there))}, add it under machines")


def _listed(names: list[str]) -> str:
    return f"there are {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}" if names else "there is none"


def _broker(mesh: MeshFile) -> Iterator[Fault]:
    seen: set[str] = set()
    for number, name in enumerate(mesh.broker.names):
        keys = ("broker", "names", number)
        if not is_host(name):
            yield Fault(keys, f"must be a host name or an IP address (got {shorten(name)})")
        if name.lower() in seen:
            yield Fault(keys, f"{name} is there twice; take one out")
        seen.add(name.lower())
    machine = mesh.computers.get(mesh.broker.machine)
    if machine is not None and machine.address.lower() not in seen:
        yield Fault(
            ("broker", "names"),
            f"do not cover {machine.address}, the address of its machine {machine.name}: its certificate would not be "
            "taken there; add it",
        )
    if seen <= {"localhost", "127.0.0.1", "::1"}:
        yield Fault(("broker", "names"), "must have one under which other machines reach it")


def _nodes(mesh: MeshFile) -> Iterator[Fault]:
    runs: dict[str, str] = {}
    for node, part in mesh.nodes.items():
        if node in PARTS:
            yield Fault(("nodes", node), f"a node cannot be called {node}, which is a service of its own here")
        machine = mesh.machine_name(node)
        if part.machine is None and node not in mesh.machines:
            yield from _machine_name(("nodes", node), node)
            if part.model is None:
                yield Fault(
                    ("nodes", node), f"model: is missing: say which board it is, or list its machine {node} in machines"
                )
        if part.model is not None:
            yield from _model(("nodes", node, "model"), part.model)
            listed = mesh.machines.get(machine)
            if listed is not None and listed.model != part.model:
                yield Fault(
                    ("nodes", node, "model"), f"its machine {machine} is a {listed.model}, not a {part.model}; say one"
                )
        if machine in runs:
            yield Fault(
                ("nodes", node),
                f"its machine {machine} runs the node {runs[machine]} already, and a machine runs one: connect all "
                "its devices to that one, or give this one a machine",
            )
        runs.setdefault(machine, node)
    canaries = [node for node, part in mesh.nodes.items() if part.canary]
    for node in canaries[1:]:
        yield Fault(("nodes", node, "canary"), f"{canaries[0]} is the canary already; there is one")


def _people(mesh: MeshFile) -> Iterator[Fault]:
    for kind in _IDENTITY_KINDS:
        names: tuple[str, ...] = getattr(mesh, kind)
        for number, name in enumerate(names):
            if name in names[:number]:
                yield Fault((kind, number), f"{name} is there twice; take one out")
