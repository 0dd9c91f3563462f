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
    with machines.ssh_config.open("a") as config:
        config.write(f"Host kitchen kitchen.local\n  HostName 127.0.0.1\n  Port {SSH_PORT}\n  HostKeyAlias kitchen\n")
        config.write("  StrictHostKeyChecking accept-new\n")
    observer = Observer(
        machines, host="attic.local", cell=cell.name, identity=cell.identity("operator.anna"),
        authority=cell_folder / "secrets/ca.crt", log=folder / "heard.jsonl",
    )  # fmt: skip
    with VirtualMachine(machines, card, vm / kernel.name, vm / ramdisk.name) as machine, observer:
        with steps("it boots, and cloud-init applies everything without errors", vital=True) as told:
            began = time.monotonic()
            wait(lambda: machine.check() or _ssh(machines, "true"), BOOT_S, f"ssh; its console is {machine.console}")
            told(ssh_s=f"{time.monotonic() - began:.1f}")
            _check_first_boot(machines, told)
        with steps("Ansible finishes it", vital=True) as told:
            recap = cell.play("site.yml", "-e", f"becomingone_wheel={wheel}", timeout=3600)
            observer.wait_for_ready(["kitchen"], 300)
            told(playbook_s=recap.seconds, coherence=f"{observer.coherence_now():.3f}")
        with steps("it survives a reboot") as told:
            before, began = _ssh(machines, "cat /proc/sys/kernel/random/boot_id"), time.monotonic()
            _ssh(machines, "sudo systemctl reboot")
            wait(
                lambda: machine.check() or _ssh(machines, "cat /proc/sys/kernel/random/boot_id") not in ("", before),
                BOOT_S, "the reboot",
            )  # fmt: skip
            observer.wait_for_ready(["kitchen"], 300)
            told(ready_s=f"{time.monotonic() - began:.1f}")
            failed = _ssh(machines, "systemctl --failed --plain --no-legend; echo .")
            require(failed == ".", f"failed units: {failed}")


def _check_first_boot(machines: Machines, told: Told) -> None:
    wait(lambda: "done" in _ssh(machines, "cloud-init status"), BOOT_S, "cloud-init")
    status = json.loads(_ssh(machines, "cloud-init status --format json"))
    require(not status["errors"] and not status.get("recoverable_errors"), f"cloud-init: {status}")
    require(_ssh(machines, "hostname") == "kitchen", "it has another name")
    left = _ssh(machines, "sudo ls -a /boot/firmware/becomingone; echo .")
    require(left == ".", f"left on the boot partition: {left}")
    require(_ssh(machines, "cat /boot/firmware/becomingone.txt") == "done", "its own report says something else")
    modes = _ssh(machines, "sudo sh -c 'stat -c \"%a %U %n\" /etc/credstore/becomingone.*'").splitlines()
    require(len(modes) == 2 and all(line.startswith("600 root ") for line in modes), f"credentials: {modes}")
    told(cloud_init=status["status"], datasource=status.get("datasource", ""))


def _ssh(machines: Machines, command: str) -> str:
    """What a command on the card's machine prints; empty where it cannot be reached."""
    with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
        return machines.ssh("kitchen", f"{command} && echo ok" if command == "true" else command)
    return ""


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="provision-test-slow", description=__doc__)
    parser.add_argument("--ansible", type=Path, required=True, help="folder of ansible-playbook")
    parser.add_argument("--json", action="store_true", help="print one JSON document at the end")
    given = parser.parse_args()
    steps = Steps(as_json=given.json)
    folder = Path(tempfile.mkdtemp(prefix="becomingone-prove-"))
    try:
        with contextlib.suppress(VitalStepError), Machines(["attic"], name="slow") as machines:
            prove(steps, machines, folder, given.ansible)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return steps.finish()


if __name__ == "__main__":
    sys.exit(main())
