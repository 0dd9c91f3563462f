"""A flashed card boots, is finished by Ansible, and survives a reboot. Started by scripts/provision-test-slow."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.provisioning.machines import Machines, wait
from tests.provisioning.prove import bringup, card_image
from tests.provisioning.prove.cell import Cell, tone
from tests.provisioning.prove.observer import Observer
from tests.provisioning.prove.steps import Steps, Told, VitalStepError, require
from tests.provisioning.prove.virtual import SSH_PORT, VirtualMachine

MESH = """\
cell: proof
broker: {{machine: attic, names: [{attic}, attic.local], port: 8883}}
hub: {{machine: attic}}
machines:
  attic: {{model: pi_4, address: attic.local, user: pi}}
  kitchen: {{model: pi_4, address: kitchen.local, user: pi}}
nodes:
  kitchen:
    hardware: pi_4
    model: pi_4
    room: kitchen
    inputs: [{tone}]
operators: [anna]
observers: [door]
"""
BOOT_S = 600
CARD_SIZE = 4 << 30


def prove(steps: Steps, machines: Machines, folder: Path, ansible: Path) -> None:
    """Run the steps, on a bare attic that is up."""
    wheels, logs, vm, cell_folder = (folder / name for name in ("wheels", "logs", "vm", "cell"))
    for path in (wheels, logs, vm, cell_folder):
        path.mkdir()
    cell = Cell(cell_folder, machines, ansible, logs)
    wheel = bringup.build(steps, wheels)
    bringup.write_cell(steps, cell, MESH.format(attic=machines.address("attic"), tone=tone(1)))
    with steps("make a stand-in for Raspberry Pi OS, once", vital=True) as told:
        stock, kernel, ramdisk = card_image.image()
        for path in (kernel, ramdisk):
            shutil.copyfile(path, vm / path.name)
        told(mib=stock.stat().st_size >> 20)
    card = vm / "kitchen.img"
    with steps("flash kitchen's card", vital=True):
        words = ["--image", str(stock), "--unchecked", "--node", "kitchen", "--out", str(card), "--identity"]
        cell.become("provision", "flash", *words, "--ssh-key", f"{machines.key}.pub", timeout=600)
        with card.open("ab") as file:
            file.truncate(CARD_SIZE)  # a card is larger than the image on it
    host = f"Host kitchen kitchen.local\n  HostName 127.0.0.1\n  Port {SSH_PORT}\n  HostKeyAlias kitchen\n"
    host += "  StrictHostKeyChecking accept-new\n"  # of two values ssh takes the first
    machines.ssh_config.write_text(host + machines.ssh_config.read_text())
    observer = Observer(
        machines, host="attic.local", cell=cell.name, identity=cell.identity("operator.anna"),
        authority=cell_folder / "secrets/ca.crt", log=folder / "heard.jsonl",
    )  # fmt: skip
    with VirtualMachine(machines, card, vm / kernel.name, vm / ramdisk.name) as machine, observer:
        with steps("it boots, and cloud-init applies everything without errors", vital=True) as told:
            began = time.monotonic()
            wait_for_ssh(machine, lambda: _ssh(machines, "echo ok"), f"ssh; its console is {machine.console}")
            told(ssh_s=f"{time.monotonic() - began:.1f}")
            _check_first_boot(machines, told)
        with steps("Ansible finishes it", vital=True) as told:
            recap = cell.play("site.yml", "-e", f"becomingone_wheel={wheel}", timeout=3600)
            observer.wait_for_ready(["kitchen"], 300)
            told(playbook_s=recap.seconds, coherence=f"{observer.coherence_now():.3f}")
        with steps("it survives a reboot") as told:
            before, began = _ssh(machines, "cat /proc/sys/kernel/random/boot_id"), time.monotonic()
            _ssh(machines, "sudo systemctl reboot")
            wait_for_ssh(
                machine, lambda: _ssh(machines, "cat /proc/sys/kernel/random/boot_id") not in ("", before), "the reboot"
            )
            observer.wait_for_ready(["kitchen"], 300)
            told(ready_s=f"{time.monotonic() - began:.1f}")
            failed = _ssh(machines, "systemctl --failed --plain --no-legend; echo .")
            require(failed == ".", f"failed units: {failed}")


def wait_for_ssh(machine: VirtualMachine, condition: Callable[[], object], what: str) -> None:
    """Wait for something that is asked over ssh, seldom: sshd shuts who comes often and does not log in."""
    wait(lambda: machine.check() or condition(), BOOT_S, what, every=3)


def _check_first_boot(machines: Machines, told: Told) -> None:
    status = json.loads(_ssh(machines, "cloud-init status --wait --format json || true", timeout=BOOT_S))
    require(not status["errors"] and not status.get("recoverable_errors"), f"cloud-init: {status}")
    require(_ssh(machines, "hostname") == "kitchen", "it has another name")
    left = _ssh(machines, "sudo ls -a /boot/firmware/becomingone; echo .")
    require(left == ".", f"left on the boot partition: {left}")
    require(_ssh(machines, "cat /boot/firmware/becomingone.txt") == "done", "its own report says something else")
    modes = _ssh(machines, "sudo sh -c 'stat -c \"%a %U %n\" /etc/credstore/becomingone.*'").splitlines()
    require(len(modes) == 2 and all(line.startswith("600 root ") for line in modes), f"credentials: {modes}")
    size = int(_ssh(machines, "df --block-size=1 --output=size / | tail -1"))
    require(size > card_image.ROOT_SIZE, f"the root has not grown: {size >> 20} MiB")
    told(root_mib=size >> 20, cloud_init=status["status"], datasource=status.get("datasource", ""))


def _ssh(machines: Machines, command: str, timeout: float = 120) -> str:
    """What a command on the card's machine prints; empty where it cannot be reached."""
    with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
        return machines.ssh("kitchen", command, timeout=timeout)
    return ""


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="provision-test-slow", description=__doc__)
    parser.add_argument("--ansible", type=Path, required=True, help="folder of ansible-playbook")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    parser.add_argument("--logs", type=Path, help="leave the machine's console and what Ansible said in this folder")
    given = parser.parse_args()
    steps = Steps(as_json=given.json)
    folder = Path(tempfile.mkdtemp(prefix="becomingone-prove-"))
    try:
        with contextlib.suppress(VitalStepError), Machines(["attic"], name="slow") as machines:
            prove(steps, machines, folder, given.ansible)
    finally:
        if given.logs:
            given.logs.mkdir(parents=True, exist_ok=True)
            for log in (folder / "vm/console", *(folder / "logs").glob("*.log")):
                with contextlib.suppress(FileNotFoundError):  # it was not reached
                    shutil.copy(log, given.logs)
        shutil.rmtree(folder, ignore_errors=True)
    return steps.finish()


if __name__ == "__main__":
    sys.exit(main())
