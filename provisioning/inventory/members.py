"""The configurations of the cell's members, made from ``mesh.yaml``: nodes, hub and broker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from becomingone.config.shape import child
from becomingone.config.tree import Node, Problem
from becomingone.provisioning.inventory.document import Reference, read_tree
from becomingone.provisioning.inventory.parts import (
    CELL_FIELDS,
    DROP_IN,
    STATE,
    TLS,
    Content,
    Draft,
    add_options,
    begin,
    broker_url,
    credential,
    made,
)
from becomingone.provisioning.inventory.sections import MeshFile
from becomingone.provisioning.inventory.structure import Fault

_OF_CELL: Final = tuple(name for name in CELL_FIELDS if name != "logging")
_OF_NODE: Final = (*_OF_CELL, "node", "hardware", "inputs", "outputs", "broker", "security")
_OF_HUB: Final = (*_OF_CELL, "broker", "security", "desired")
_OF_BROKER: Final = (*_OF_CELL, "tls", "identities")


def node_draft(
    root: Node, mesh: MeshFile, node: str, *, own_modules: bool, hub_public_key: str | None
) -> tuple[Draft, list[Fault]]:
    """Make a node's configuration.

    Parameters
    ----------
    root, mesh : Node, MeshFile
        The file.
    node : str
        Its id.
    own_modules : bool
        Whether it has devices whose modules are the cell's own.
    hub_public_key : str or None
        64 hexadecimal digits; None: the cell has no keys.
    """
    entry = child(child(root, "nodes"), node) or root
    draft = begin(root, entry.place, ("nodes", node))
    service, machine = credential(node, "tls_key"), mesh.machine_name(node)
    _add(draft, {"node": node, "broker": _client(mesh, machine, "node", service)})
    if machine in (mesh.hub.machine, mesh.broker.machine):
        _add(draft, {"state_dir": str(STATE / node)})  # its user would take over the folder that they share
    for name in ("hardware", "inputs", "outputs"):
        part = child(entry, name)
        if part is not None:
            draft.put(name, part, ("nodes", node, name))
    if hub_public_key is not None:
        _add(draft, {"security": {"key": Reference("node_key"), "hub_public_key": hub_public_key}})
    if own_modules:
        _add(draft, {"drop_in": str(DROP_IN)})
    faults = add_options(draft, child(entry, "options"), ("nodes", node, "options"), _OF_NODE)
    return draft, faults


def hub_draft(
    root: Node, mesh: MeshFile, folder: Path, *, desired: Mapping[str, str], keys: bool
) -> tuple[Draft, list[Fault], list[Problem]]:
    """Make the hub's configuration, with the rules of the file that it names.

    Parameters
    ----------
    root, mesh : Node, MeshFile
        The file.
    folder : Path
        Where it is, and where the rules' file is looked for.
    desired : mapping of str to str
        By node, the digest of its configuration.
    keys : bool
        Whether the cell has keys.

    Returns
    -------
    draft : Draft
        The configuration.
    faults : list of Fault
        What must not stand in ``hub.options``.
    problems : list of Problem
        What is wrong with the rules' file, with its own lines.
    """
    entry = child(root, "hub") or root
    draft = begin(root, entry.place, ("hub",))
    _add(draft, {"broker": _client(mesh, mesh.hub.machine, "hub", credential("hub", "tls_key"))})
    if keys:
        _add(draft, {"security": {"secret": Reference("hub_secret"), "signing_key": Reference("hub_signing_key")}})
    options = child(entry, "options")
    faults = add_options(draft, options, ("hub", "options"), _OF_HUB)
    problems = _inline_rules(draft, folder)
    if desired:
        _add(draft, {"desired": dict(desired)})
    return draft, faults, problems


def _inline_rules(draft: Draft, folder: Path) -> list[Problem]:
    """Put the rules of ``dispatch.rules_file`` behind those of the section: one file less to carry."""
    dispatch = child(draft.root, "dispatch")
    named = child(dispatch, "rules_file")
    if dispatch is None or named is None or not isinstance(named.value, str):
        return []
    layers = read_tree(folder / named.value)
    further = child(layers.root, "rules")
    others = [name for name in _fields(layers.root) if name != "rules"]
    if further is None or not isinstance(further.value, list) or others:
        place = (further or layers.root).place
        return [*layers.problems, Problem(place, ("rules",), "the file must hold a list of rules, and nothing else")]
    own = child(dispatch, "rules")
    before = own.value if own is not None and isinstance(own.value, list) else []
    parts = {name: node for name, node in _fields(dispatch).items() if name != "rules_file"}
    joined = Node(own.place if own is not None else further.place, [*before, *further.value])
    draft.put("dispatch", Node(dispatch.place, {**parts, "rules": joined}), draft.origin["dispatch",])
    draft.origin |= {
        ("dispatch", "rules", len(before) + number): ("rules", number) for number in range(len(further.value))
    }
    return layers.problems


def broker_draft(root: Node, mesh: MeshFile) -> tuple[Draft, list[Fault]]:
    """Make the broker's configuration: TLS and a certificate for everybody, also for programs on its machine.

    A listener without either, on loopback, would give every program there the rights of the whole cell.
    """
    entry = child(root, "broker") or root
    draft = begin(root, entry.place, ("broker",))
    if isinstance(draft.root.value, dict):
        for name in ("bands", "kairos"):  # a broker has none
            draft.root.value.pop(name, None)
    identities: dict[str, Content] = {"nodes": list(mesh.nodes)}
    for kind in ("operators", "observers", "witnesses", "relays"):
        part = child(root, kind)
        if part is not None:
            identities[kind] = part
    addresses = ["0.0.0.0"]  # noqa: S104 - with a certificate
    if any(":" in name for name in mesh.broker.names):
        addresses.append("::")
    listeners: list[Content] = [
        {"address": address, "port": mesh.broker.port, "tls": True, "login": "certificate"} for address in addresses
    ]
    tls: dict[str, Content] = {
        "certificate": str(TLS / "broker.crt"),
        "key": credential("broker", "tls_key"),
        "ca": str(TLS / "ca.crt"),
        "revoked": str(TLS / "crl.pem"),
    }
    faults = add_options(draft, child(entry, "options"), ("broker", "options"), _OF_BROKER)
    further = child(draft.root, "listeners")
    if further is not None and isinstance(further.value, list):
        draft.origin |= {
            ("listeners", len(listeners) + number): ("broker", "options", "listeners", number)
            for number in range(len(further.value))
        }
        listeners += further.value
    place = entry.place
    if isinstance(draft.root.value, dict) and (further is None or isinstance(further.value, list)):
        draft.root.value["listeners"] = made(place, listeners)
        draft.origin.pop(("listeners",), None)
    _add(draft, {"tls": tls, "identities": identities})
    draft.origin |= {("identities", kind): (kind,) for kind in identities}
    if child(draft.root, "kind") is None:
        _add(draft, {"kind": "mosquitto"})
    return draft, faults


def _fields(node: Node) -> Mapping[str, Node]:
    return node.value if isinstance(node.value, dict) else {}


def _client(mesh: MeshFile, machine: str, part: str, key: str) -> Content:
    certificate = str(TLS / f"{part}.crt")
    return {"url": broker_url(mesh, machine), "ca": str(TLS / "ca.crt"), "certificate": certificate, "key": key}


def _add(draft: Draft, content: Mapping[str, Content]) -> None:
    if isinstance(draft.root.value, dict):
        draft.root.value |= {name: made(draft.root.place, value) for name, value in content.items()}
