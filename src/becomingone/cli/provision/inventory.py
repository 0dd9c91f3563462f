"""The arguments of the cell as one file: check, render."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from becomingone.cli.provision import Commands, Handlers


def add(group: Commands, common: argparse.ArgumentParser, handler: Handlers) -> None:
    """Add the commands."""
    mesh = argparse.ArgumentParser(add_help=False)
    mesh.add_argument("mesh", type=Path, metavar="MESH", help="mesh.yaml; an example: becomingone config example mesh")
    mesh.add_argument(
        "--drop-in", type=Path, metavar="DIR", help="the cell's own device modules (default: drop_in of the file)"
    )
    mesh.add_argument("--json", action="store_true", help="print one JSON object")
    check = group.add_parser(
        "check",
        parents=[common, mesh],
        help="say everything that is wrong in mesh.yaml, with its lines",
        description="Holds the whole cell against what will read it: every device against its module, every pin and "
        "bus against its board, every configuration against the program that it is for, every rule against the outputs "
        "that there are. Prints a line for each fault; ends with 0 where there is none, else with 2.",
    )
    check.set_defaults(run=handler("provision.inventory_run", "check"))
    render = group.add_parser(
        "render",
        parents=[common, mesh],
        help="make the configurations, the Ansible inventory and the wiring sheets of mesh.yaml",
        description="Checks the file first. Then writes nodes/ID/node.yaml, wiring.md and wiring.svg, hub/hub.yaml, "
        "broker/broker.yaml and hosts.yml into the folder OUT, for its owner alone. What has not changed is not "
        "touched, what belongs to a node that is gone is removed, and no secret is in any of it.",
    )
    render.add_argument("--out", type=Path, metavar="OUT", help="the folder (default: out in the cell folder)")
    render.add_argument(
        "--cell-dir",
        type=Path,
        metavar="DIR",
        help="where the cell is kept, with its secrets (default: where mesh.yaml is)",
    )
    render.set_defaults(run=handler("provision.inventory_run", "render"))
