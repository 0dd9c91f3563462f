"""A site without a network: what it needs is gathered elsewhere, and one machine becomes broker, hub and node of it.

Started by scripts/provision-test-offline.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

from tests.provisioning.machines import Machines
from tests.provisioning.prove import bringup
from tests.provisioning.prove.cell import Cell, tone
from tests.provisioning.prove.observer import Observer
from tests.provisioning.prove.run import Run
from tests.provisioning.prove.steps import Steps, VitalStepError, require

SITE, TWIN = "barn", "twin"
MESH = """\
cell: proof
broker: {{machine: barn, names: [barn.local, {barn}], port: 8883}}
hub:
  machine: barn
  options: {{snapshot_s: 1}}
machines:
  barn: {{model: pi_4, address: barn.local, user: pi}}
nodes:
  barn:
    hardware: pi_4
    model: pi_4
    room: barn
    inputs:
      - {one}
      - {other}
operators: [anna, ben]
observers: [door]
observability: {{machine: barn}}
"""


def prove(steps: Steps, machines: Machines, folder: Path, ansible: Path) -> None:
    """Run the steps, on two bare machines that are up."""
    cell_folder, wheels, logs = (folder / name for name in ("cell", "wheels", "logs"))
    for path in (cell_folder, wheels, logs):
        path.mkdir()
    cell = Cell(cell_folder, machines, ansible, logs)
    wheel = bringup.build(steps, wheels)
    other = tone(2).replace("name: tone", "name: echo, prefix: echo_", 1)
    bringup.write_cell(steps, cell, MESH.format(barn=machines.address(SITE), one=tone(1), other=other))
    with steps("gather packages and wheels on a machine that has a network", vital=True) as told:
        words = ["-e", f"becomingone_cell_dir={cell.folder}", "-e", '{"becomingone_carried_further": ["prometheus"]}']
        cell.play("carry.yml", *words, inventory=f"{TWIN},", timeout=1200)
        files = [path for path in (cell.folder / "carried").rglob("*") if path.is_file()]
        packages, wheels_carried = ([path for path in files if path.suffix == end] for end in (".deb", ".whl"))
        told(packages=len(packages), wheels=len(wheels_carried), mib=sum(path.stat().st_size for path in files) >> 20)
        require(packages, f"nothing was gathered: {files}")
        machines.power_off(TWIN)
    with steps("the site reaches nothing outside", vital=True):
        machines.isolate(SITE)
        code = "import socket; socket.create_connection(('192.0.2.1', 80), 5)"
        said = machines.ssh(SITE, f'python3 -c "{code}" 2>&1 | tail -1', check=False)
        require("unreachable" in said, f"it reaches something: {said}")
        said = machines.ssh(SITE, "sudo apt-get -q update 2>&1 | grep -c ^Err || true")
        require(int(said) > 0, "apt reaches Debian")
    words = ["-e", f"becomingone_wheel={wheel}", "-e", "becomingone_offline=true"]
    with steps("site.yml makes one machine broker, hub and node", vital=True) as told:
        recap = cell.play("site.yml", *words)
        told(changed=recap.total("changed"), ok=recap.total("ok"))
    with Observer(
        machines, host="barn.local", cell=cell.name, identity=cell.identity("operator.ben"),
        authority=cell_folder / "secrets/ca.crt", log=folder / "heard.jsonl",
    ) as observer:  # fmt: skip
        run = Run(steps, machines, cell, observer, wheels)
        with steps("the node is ready, the hub has its frames", vital=True) as told:
            observer.wait_for_ready([SITE], 120)
            told(coherence=f"{observer.coherence_now():.3f}")
        with steps("every service is active and was never started anew"):
            run.check_services(SITE)
        bringup.watched(run, SITE)
        with steps("site.yml again changes nothing") as told:
            recap = cell.play("site.yml", *words)
            told(changed=recap.total("changed"), ok=recap.total("ok"))
            require(recap.total("changed") == 0, f"{recap.total('changed')} changed:\n{recap.ending(400)}")
        with steps("it survives a reboot") as told:
            machines.reboot(SITE)
            observer.wait_for_ready([SITE], 90)
            told(coherence=f"{observer.coherence_now():.3f}")


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="provision-test-offline", description=__doc__)
    parser.add_argument("--ansible", type=Path, required=True, help="folder of ansible-playbook")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    parser.add_argument("--suite", default="trixie", help="which Debian the machines have (default: trixie)")
    given = parser.parse_args()
    steps = Steps(as_json=given.json)
    folder = Path(tempfile.mkdtemp(prefix="becomingone-prove-"))
    try:
        with contextlib.suppress(VitalStepError), Machines([SITE, TWIN], name="site", suite=given.suite) as machines:
            prove(steps, machines, folder, given.ansible)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return steps.finish()


if __name__ == "__main__":
    sys.exit(main())
