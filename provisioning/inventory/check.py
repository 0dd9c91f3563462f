"""Everything that is wrong with a ``mesh.yaml``, in one go."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from becomingone.config.loader import ConfigProblems, Layers, validated
from becomingone.config.shape import child
from becomingone.config.tree import Keys, Node, Problem
from becomingone.provisioning.inventory.boards import BOARDS
from becomingone.provisioning.inventory.carried import uncarried
from becomingone.provisioning.inventory.claims import clashes
from becomingone.provisioning.inventory.devices_of import Fitted, fit, own_kinds
from becomingone.provisioning.inventory.document import at, nearest, read_tree, refusal
from becomingone.provisioning.inventory.kit import Kit
from becomingone.provisioning.inventory.members import broker_draft, hub_draft, node_draft
from becomingone.provisioning.inventory.sections import MeshFile
from becomingone.provisioning.inventory.structure import Fault, structural_faults
from becomingone.provisioning.inventory.targets import missing_targets

OWN_MODULES: Final = "devices"
"""Folder beside the file in which the cell's own modules are looked for where none is named."""

_STAND_IN_KEY: Final = bytes(range(32)).hex()


@dataclass(slots=True)
class Checked:
    """What was found.

    Parameters
    ----------
    path : Path
        The file.
    root : Node
        Its tree.
    mesh : MeshFile or None
        What it says; None where not even that can be made out.
    drop_in : Path or None
        The folder of the cell's own modules.
    devices : list of Fitted
        The devices that fit their modules.
    problems : list of Problem
        Everything that is wrong.
    notes : list of Problem
        What could not be found out, and what to look at.
    """

    path: Path
    root: Node
    mesh: MeshFile | None
    drop_in: Path | None
    devices: list[Fitted] = field(default_factory=list[Fitted])
    problems: list[Problem] = field(default_factory=list[Problem])
    notes: list[Problem] = field(default_factory=list[Problem])

    def refuse(self) -> None:
        """Raise everything that is wrong.

        Raises
        ------
        ConfigProblems
            There is something.
        """
        if self.problems:
            raise refusal(self.problems)

    def own_modules(self, node: str) -> bool:
        """Tell whether a node has devices whose modules are the cell's own."""
        return bool(own_kinds(self.root, node, self.drop_in))

    def on(self, machine: str) -> list[Fitted]:
        """Give the devices of a machine."""
        mesh = self.mesh
        return [one for one in self.devices if mesh is not None and mesh.machine_name(one.node) == machine]


def check(path: Path, kit: Kit, *, drop_in: Path | None = None) -> Checked:
    """Find everything that is wrong with a file.

    Parameters
    ----------
    path : Path
        ``mesh.yaml``.
    kit : Kit
        The models that its parts are held against.
    drop_in : Path or None
        The folder of the cell's own modules, in place of the one that the file names.

    Raises
    ------
    ConfigProblems
        It cannot be read as YAML at all.
    """
    layers = read_tree(path)
    mesh, problems = _leniently(layers)
    folder = drop_in or _folder(layers.root, path)
    found = Checked(path, layers.root, mesh, folder, problems=problems)
    if folder is not None and not folder.is_dir():
        found.problems.append(at(layers.root, ("drop_in",), f"{folder}: there is no such folder"))
    found.devices, wrong = fit(layers.root, folder, kit.hardware_of)
    found.problems += wrong
    if mesh is not None:
        found.devices = [device for device in found.devices if device.node in mesh.nodes]
        faults = [*structural_faults(mesh), *_between(found, mesh)]
        faults += _as_faults(found, mesh, kit)
        faults += uncarried(mesh, found.devices, kit.rates_of)
        found.problems += [at(layers.root, fault.keys, fault.message) for fault in faults]
        found.problems += _clashes(found, mesh)
    found.notes += _notes(found, mesh)
    return found


def _leniently(layers: Layers) -> tuple[MeshFile | None, list[Problem]]:
    """Make what can be made: what is wrong is told, taken out, and the rest looked at again."""
    problems = list(layers.problems)
    root = layers.root
    while True:
        try:
            return validated(MeshFile, Layers(root, layers.secrets)), problems
        except ConfigProblems as refused:
            problems += refused.details
            pruned = root
            for one in refused.details:
                pruned = _without(pruned, one.keys)
            if pruned is root:
                return None, problems
            root = pruned


def _without(node: Node, keys: Keys) -> Node:
    """Give a tree without the value at `keys`; the very same where there is none."""
    if not keys:
        return node
    first, *rest = keys
    below = child(node, first)
    inner = _without(below, tuple(rest)) if below is not None and rest else None
    if below is None or inner is below:
        return node
    if isinstance(node.value, dict):
        parts = {name: (inner if name == first else part) for name, part in node.value.items()}
        return dataclasses.replace(node, value={name: part for name, part in parts.items() if part is not None})
    if isinstance(node.value, list):
        items = [inner if number == first else part for number, part in enumerate(node.value)]
        return dataclasses.replace(node, value=[part for part in items if part is not None])
    return node


def _folder(root: Node, path: Path) -> Path | None:
    named = child(root, "drop_in")
    if named is not None and isinstance(named.value, str):
        return path.parent / named.value
    usual = path.parent / OWN_MODULES
    return usual if usual.is_dir() else None


def _as_faults(found: Checked, mesh: MeshFile, kit: Kit) -> Iterator[Fault]:
    """Hold what will be written against the loaders that will read it; what they say goes to the problems."""
    for node in mesh.nodes:
        draft, faults = node_draft(
            found.root, mesh, node, own_modules=found.own_modules(node), hub_public_key=_STAND_IN_KEY
        )
        yield from faults
        found.problems += draft.problems(kit.node, {"device_faults": "all"})
    try:
        draft, faults, problems = hub_draft(found.root, mesh, found.path.parent, desired={}, keys=True)
    except ConfigProblems as refused:
        found.problems += refused.details
    else:
        yield from faults
        found.problems += problems
        config, wrong = draft.read(kit.hub)
        found.problems += wrong
        if config is not None:
            outputs = _outputs(found.root)
            for fault in missing_targets(
                kit.rules_of(config), nodes=list(mesh.nodes), outputs=outputs, devices=found.devices, roles=kit.roles
            ):
                place = nearest(draft.root, fault.keys).place
                found.problems.append(Problem(place, draft.field_of(fault.keys), fault.message))
    draft, faults = broker_draft(found.root, mesh)
    yield from faults
    if _is_embedded(mesh) and isinstance(draft.root.value, dict):
        del draft.root.value["kind"]  # it has been told, and better than by what else does not fit
    found.problems += draft.problems(kit.broker)


def _outputs(root: Node) -> list[str]:
    nodes = child(root, "nodes")
    found: list[str] = []
    for node, entry in nodes.value.items() if nodes is not None and isinstance(nodes.value, dict) else ():
        outputs = child(entry, "outputs")
        for device in outputs.value if outputs is not None and isinstance(outputs.value, list) else []:
            name = child(device, "name")
            found.append(f"{node}/{name.value if name is not None else ''}")
    return found


def _is_embedded(mesh: MeshFile) -> bool:
    return mesh.broker.options.get("kind") == "embedded"


def _between(found: Checked, mesh: MeshFile) -> Iterator[Fault]:
    """Find what the devices, or the hub, do not go together with at the broker."""
    if _is_embedded(mesh):
        motors = [one for one in found.devices if getattr(one.module.device, "role", None) == "motor"]
        why = (
            f", and takes no motor such as {motors[0].node}'s {motors[0].name} (line {motors[0].line})"
            if motors
            else ""
        )
        what = f"the embedded broker serves its own machine alone{why}; use mosquitto, or leave it out"
        yield Fault(("broker", "options", "kind"), what)
    port = child(child(child(found.root, "hub"), "options"), "http")
    taken = child(port, "port")
    if mesh.hub.machine == mesh.broker.machine and taken is not None and taken.value == mesh.broker.port:
        yield Fault(
            ("hub", "options", "http", "port"), f"{mesh.broker.port} is the broker's port on the same machine already"
        )


def _clashes(found: Checked, mesh: MeshFile) -> Iterator[Problem]:
    for name, machine in mesh.computers.items():
        board = BOARDS.get(machine.model)
        if board is not None:
            yield from clashes(found.on(name), machine.model, machine.arch or board.arch)


def _notes(found: Checked, mesh: MeshFile | None) -> Iterator[Problem]:
    for device in found.devices:
        if device.silent:
            needs = ", ".join(sorted(device.needs))
            yield Problem(
                device.entry.place,
                device.keys,
                f"{device.module.kind} uses {needs} and does not say where (Options.wiring): no clash of it is seen",
            )
        machine = mesh.computers.get(mesh.machine_name(device.node)) if mesh is not None else None
        board = BOARDS.get(machine.model) if machine is not None else None
        if board is not None and "camera" in device.needs and not board.camera:
            yield Problem(
                device.entry.place, device.keys, f"a {board.title} has no camera connector: a USB camera is needed"
            )
