"""Machines that go and come back, and a memory that is lost."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.provisioning.prove.run import NODES, Run
from tests.provisioning.prove.steps import require

MEMORY = "/var/lib/becomingone/proof/hub/memory.db"
PROGRAM = "/opt/becomingone/current/bin/becomingone"


def reboots(run: Run) -> None:
    """Reboot each machine; cut one's power, and another's network."""
    for machine in run.machines.machines:
        with run.steps(f"reboot {machine}") as told:
            began = time.monotonic()
            run.machines.reboot(machine)
            told(ssh_s=f"{time.monotonic() - began:.1f}")
            run.observer.wait_for_ready(NODES, 120)
            told(ready_s=f"{time.monotonic() - began:.1f}")
            run.check_services(machine)
    with run.steps("cut the power of kitchen") as told:
        run.machines.power_off("kitchen")
        began = time.monotonic()
        run.machines.power_on("kitchen")
        run.machines.wait_for_ssh("kitchen")
        run.observer.wait_for_ready(NODES, 120)
        told(ready_s=f"{time.monotonic() - began:.1f}")
        run.check_services("kitchen")
    with run.steps("take porch off the network for 20 s") as told:
        pid = run.services("porch")["becomingone-porch.service"]["MainPID"]
        run.machines.cut("porch")
        try:
            time.sleep(20)  # the length of the outage, not a wait for something
            lost = run.observer.latest("node/porch/state")
        finally:
            run.machines.join("porch")
        began = time.monotonic()
        run.observer.wait_for_ready(NODES, 60)
        told(state_meanwhile=lost, ready_s=f"{time.monotonic() - began:.1f}")
        require(lost == "lost", f"porch was shown as {lost!r} while it was away")
        require(run.services("porch")["becomingone-porch.service"]["MainPID"] == pid, "the node was started anew")


def memory(run: Run) -> None:
    """Back the hub's memory up, lose it, bring it back."""
    with run.steps("back up the hub's memory", vital=True) as told:
        head = str(_verified(run)["head"])
        recap = run.cell.play("backup.yml")
        there = sorted((run.cell.folder / "backups").iterdir())
        told(playbook_s=recap.seconds, files=" ".join(sorted(path.name for path in there[-1].iterdir())))
    with run.steps("lose the hub's memory, and restore it") as told:
        run.machines.ssh("attic", "sudo systemctl stop becomingone-hub")
        run.machines.ssh("attic", f"sudo sh -c 'rm -rf {MEMORY} {MEMORY}-*'")
        began = time.monotonic()
        recap = run.cell.play("restore.yml", "-e", f"becomingone_backup=backups/{there[-1].name}")
        run.observer.wait_for_ready(NODES, 60)
        told(playbook_s=recap.seconds, ready_s=f"{time.monotonic() - began:.1f}")
        found = _verified(run, f"--expect {head}")
        told(records=sum(found["records"].values()))


def _verified(run: Run, further: str = "") -> dict[str, Any]:
    """Have the memory verified where it is, as its owner; fails where a byte was altered."""
    line = f"{PROGRAM} memory verify --json --database {MEMORY} {further}"
    found = json.loads(run.machines.ssh("attic", f"sudo -u becomingone-hub {line}"))
    assert isinstance(found, dict)
    require(found["ok"], f"the memory is damaged: {found}")
    require(sum(found["records"].values()) > 0, "the memory is empty")
    return found
