"""The Ansible inventory of a cell: who is in which group, and what each host's roles are given.

References
----------
.. [1] Ansible, "How to build your inventory", https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from becomingone.devices.contract import CameraAt, I2cAt, OneWireAt, PinAt, SerialAt, SoundAt, SpiAt
from becomingone.provisioning.inventory.boards import BOARDS
from becomingone.provisioning.inventory.devices_of import Fitted
from becomingone.provisioning.inventory.sections import SSH_PORT, Machine, MeshFile

INTERFACES: Final = ("audio", "camera", "gpio", "i2c", "one_wire", "serial", "spi")
_OF_PLACE: Final[Mapping[type, str]] = {
    PinAt: "gpio",
    I2cAt: "i2c",
    SpiAt: "spi",
    OneWireAt: "one_wire",
    SerialAt: "serial",
    SoundAt: "audio",
    CameraAt: "camera",
}
_EXTRAS: Final = {"audio": "audio", "camera": "camera"}
"""Extras of the package by interface; pins, I²C and 1-Wire need what every node has."""


def interfaces(devices: Sequence[Fitted]) -> list[str]:
    """Name what a machine must have switched on for these devices, in alphabetical order."""
    found = {need for device in devices for need in device.needs}
    found |= {_OF_PLACE[type(wire.at)] for device in devices for wire in device.wires if type(wire.at) in _OF_PLACE}
    return [name for name in INTERFACES if name in found]


def inventory(
    mesh: MeshFile,
    *,
    devices: Mapping[str, Sequence[Fitted]],
    own_modules: Mapping[str, Path],
    cell_dir: Path,
    out: Path,
) -> dict[str, Any]:
    """Make the inventory.

    Parameters
    ----------
    mesh : MeshFile
        The cell.
    devices : mapping of str to sequence of Fitted
        By node.
    own_modules : mapping of str to Path
        By node that has such devices, the folder of the cell's own modules.
    cell_dir, out : Path
        Where the cell and the rendered files are on the operator's machine, absolute.
    """
    by_machine = {mesh.machine_name(node): node for node in mesh.nodes}
    used = {mesh.broker.machine, mesh.hub.machine, *by_machine}
    if mesh.observability is not None:
        used.add(mesh.observability.machine)
    hosts: dict[str, Any] = {}
    for name, machine in mesh.computers.items():
        if name not in used:
            continue
        found = _connection(machine)
        node = by_machine.get(name)
        if node is not None:
            found |= {
                "becomingone_node": node,
                "becomingone_node_config": str(out / "nodes" / node / "node.yaml"),
            }
            if node in own_modules:
                found["becomingone_devices"] = str(own_modules[node])
        if name == mesh.hub.machine:
            found["becomingone_hub_config"] = str(out / "hub" / "hub.yaml")
        if name == mesh.broker.machine:
            found["becomingone_broker_config"] = str(out / "broker" / "broker.yaml")
            found["becomingone_broker_port"] = mesh.broker.port
        needed = interfaces(devices.get(node, ())) if node is not None else []
        found["becomingone_interfaces"] = needed
        found["becomingone_extras"] = [_EXTRAS[one] for one in needed if one in _EXTRAS]
        found["becomingone_arch"] = machine.arch or BOARDS[machine.model].arch
        hosts[name] = found
    groups = {
        "broker": [mesh.broker.machine],
        "hub": [mesh.hub.machine],
        "nodes": [name for name in hosts if name in by_machine],
        "canary": [mesh.machine_name(mesh.canary)],
    }
    if mesh.observability is not None:
        groups["observability"] = [mesh.observability.machine]
    members: dict[str, Any] = {group: {"hosts": {name: {} for name in names}} for group, names in groups.items()}
    # Ansible keeps connections by name and address: without a folder of its own for them a cell would be given the
    # machine that has the same name in another one.
    place = hashlib.sha256(os.fsencode(cell_dir)).hexdigest()[:12]
    common = {"becomingone_cell_dir": str(cell_dir), "ansible_control_path_dir": f"~/.ansible/cp/{place}"}
    return {"all": {"vars": common, "hosts": hosts, "children": members}}


def _connection(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = {"ansible_host": machine.address, "ansible_user": machine.user}
    if machine.ssh_port != SSH_PORT:
        found["ansible_port"] = machine.ssh_port
    return found
