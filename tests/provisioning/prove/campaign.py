"""The whole proof of provisioning, on machines that are bare at its beginning. Started by scripts/provision-test."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.provisioning.machines import Machines
from tests.provisioning.prove import bringup, faults, joining, trust, upgrades
from tests.provisioning.prove.cell import Cell
from tests.provisioning.prove.observer import Observer
from tests.provisioning.prove.run import Run
from tests.provisioning.prove.steps import Steps, VitalStepError, require

NAMES = ("attic", "kitchen", "porch")
PARTS = ("watched", "again", "upgrades", "revoke", "reboots", "memory", "join", "decommission", "back")


def prove(steps: Steps, machines: Machines, folder: Path, ansible: Path, parts: Sequence[str]) -> None:
    """Run the steps, on machines that are up."""
    cell_folder, wheels, logs = (folder / name for name in ("cell", "wheels", "logs"))
    for path in (cell_folder, wheels, logs):
        path.mkdir(exist_ok=True)
    cell = Cell(cell_folder, machines, ansible, logs)
    wheel = min(wheels.glob("*.whl"), key=lambda path: len(path.name), default=None) or bringup.build(steps, wheels)
    if not (cell_folder / "mesh.yaml").exists():
        bringup.write_cell(steps, cell, cell.mesh())
    if not (folder / "set-up").exists():
        bringup.looked_at(steps, cell, machines, wheel)
        bringup.from_bare(steps, cell, wheel)
        (folder / "set-up").touch()
    with Observer(
        machines, host="attic.local", cell=cell.name, identity=cell.identity("operator.ben"),
        authority=cell_folder / "secrets/ca.crt", log=folder / f"heard-{time.time_ns()}.jsonl",
    ) as observer:  # fmt: skip
        run = Run(steps, machines, cell, observer, wheels)
        bringup.well(run)
        parted: dict[str, Callable[[], None]] = {
            "watched": lambda: bringup.watched(run, "attic"),
            "again": lambda: bringup.again(run, wheel),
            "upgrades": lambda: upgrades.upgrades(run, wheel.name),
            "revoke": lambda: trust.revoke(run),
            "reboots": lambda: faults.reboots(run),
            "memory": lambda: faults.memory(run),
            "join": lambda: joining.join(run, wheel),
            "decommission": lambda: trust.decommission(run),
            "back": lambda: joining.take_back(run, wheel, "porch"),
        }
        for part in PARTS:
            if part in parts:
                parted[part]()


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="provision-test", description=__doc__)
    parser.add_argument("--ansible", type=Path, required=True, help="folder of ansible-playbook")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    parser.add_argument("--suite", default="trixie", help="which Debian the machines have (default: trixie)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--keep", type=Path, help="work in this folder and on machines that stay up; go on with both")
    given = parser.parse_args()
    steps = Steps(as_json=given.json)
    with contextlib.suppress(VitalStepError), contextlib.ExitStack() as stack:
        machines = Machines(NAMES, name="prove", suite=given.suite)
        if given.keep and machines.machines:
            if not (given.keep / "cell").exists():
                parser.error(
                    f"--keep {given.keep}: the machines are up, and work in another folder, or from a killed run: "
                    "python -m tests.provisioning.machines --name prove down"
                )
            folder = given.keep
        else:
            with steps("boot bare machines", vital=True) as told:
                if given.keep:
                    given.keep.mkdir(parents=True, exist_ok=True)
                    require(not any(given.keep.iterdir()), f"--keep {given.keep}: must be empty, or not there yet")
                    folder = given.keep
                    machines.up()
                else:
                    folder = Path(tempfile.mkdtemp(prefix="becomingone-prove-"))
                    stack.callback(shutil.rmtree, folder, ignore_errors=True)
                    stack.enter_context(machines)
                told(machines=" ".join(machines.machines), suite=given.suite)
        prove(steps, machines, folder.resolve(), given.ansible, given.only)
    return steps.finish()


if __name__ == "__main__":
    sys.exit(main())
