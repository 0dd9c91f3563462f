"""The operator's side of a proof: a cell folder made by the project's own commands, and its playbooks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.provisioning.machines import Machines

PROJECT = Path(__file__).resolve().parents[3]

MESH = """\
cell: proof
broker: {{machine: attic, names: [attic.local, {attic}], port: 8883}}
hub:
  machine: attic
  options: {{snapshot_s: 1}}
machines:
  attic: {{model: pi_4, address: attic.local, user: pi}}
  kitchen: {{model: pi_4, address: kitchen.local, user: pi}}
  porch: {{model: pi_4, address: porch.local, user: pi}}
{more_machines}nodes:
  kitchen:
    hardware: pi_4
    model: pi_4
    room: kitchen
    inputs: [{kitchen}]
  porch:
    hardware: pi_4
    model: pi_4
    room: porch
    inputs: [{porch}]
{more_nodes}operators: [anna, ben]
observers: [door]
observability: {{machine: attic}}
"""


def tone(seed: int) -> str:
    """An input that agrees with the others, and whose noise is its own: the coherence is never quite the same."""
    options = f"{{frequency_hz: 0.78, rate_hz: 20, noise: 0.2, seed: {seed}}}"
    return f"{{name: tone, kind: synthetic, bands: [stride], keep: true, options: {options}}}"


FURTHER = "  {name}:\n    hardware: pi_4\n    model: pi_4\n    room: {name}\n    inputs: [{tone}]\n"

_RECAP = re.compile(r"^(\S+)\s+: (ok=\d+ .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Recap:
    """What a playbook's run came to."""

    code: int
    seconds: float
    hosts: Mapping[str, Mapping[str, int]]
    log: Path
    output: str = field(repr=False)

    def total(self, word: str) -> int:
        """Sum over all hosts of ``ok``, ``changed``, ``unreachable``, ``failed``, ``skipped``, ``rescued``."""
        return sum(host.get(word, 0) for host in self.hosts.values())

    def ending(self, lines: int = 25) -> str:
        """Its last lines."""
        return "\n".join(self.output.splitlines()[-lines:])


class Cell:
    """A cell folder.

    Parameters
    ----------
    folder : Path
        Where; exists.
    machines : Machines
        Those that it is for.
    ansible : Path
        Folder of Ansible's programs.
    logs : Path
        Takes what the playbooks print.
    """

    def __init__(self, folder: Path, machines: Machines, ansible: Path, logs: Path) -> None:
        self.folder = folder
        self.name = "becomingone/proof"
        self._machines = machines
        self._ansible = ansible
        self._logs = logs
        self._runs = len(list(logs.glob("*.log")))

    def write_mesh(self, further: Sequence[str] = ()) -> None:
        """Write the inventory: broker and hub, two nodes, and further ones."""
        self.write(self.mesh(further))

    def write(self, mesh: str) -> None:
        """Write an inventory."""
        (self.folder / "mesh.yaml").write_text(mesh)

    def mesh(self, further: Sequence[str] = ()) -> str:
        """Give the inventory: broker and hub, two nodes, and further ones."""
        machines = "".join(f"  {name}: {{model: pi_4, address: {name}.local, user: pi}}\n" for name in further)
        nodes = "".join(FURTHER.format(name=name, tone=tone(3 + number)) for number, name in enumerate(further))
        attic = self._machines.address("attic")
        return MESH.format(attic=attic, kitchen=tone(1), porch=tone(2), more_machines=machines, more_nodes=nodes)

    def become(self, *words: str, timeout: float = 120) -> str:
        """Run a command of the project's in the cell folder, and give what it printed.

        Raises
        ------
        RuntimeError
            It failed; with what it said.
        """
        line = self._machines.as_operator([sys.executable, "-m", "becomingone", *words])
        environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
        done = subprocess.run(
            line, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            msg = f"becomingone {' '.join(words)}: {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
            raise RuntimeError(msg)
        return done.stdout

    def _programs(self) -> Path:
        """Give a folder with the command ``becomingone``, which playbooks use here."""
        folder = self.folder.parent / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / "becomingone"
        program.write_text(f'#!/bin/sh\nPYTHONPATH={PROJECT}/src exec {sys.executable} -m becomingone "$@"\n')
        program.chmod(0o755)
        return folder

    def identity(self, name: str) -> Path:
        """Folder of a member's key and certificate."""
        return self.folder / "secrets/identities" / name

    def play(self, playbook: str, *words: str, inventory: str = "", timeout: float = 900, check: bool = True) -> Recap:
        """Run a playbook on the rendered inventory, or on another; paths begin in the cell folder.

        Raises
        ------
        RuntimeError
            It failed (only with `check`); with its last lines.
        """
        project = PROJECT / "ansible"
        hosts = inventory or self.folder / "out/hosts.yml"
        line = self._machines.as_operator([self._ansible / "ansible-playbook", "-i", hosts, project / playbook, *words])
        environment = os.environ | self._machines.environment()
        environment |= {
            "ANSIBLE_CONFIG": str(project / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "PWD": str(self.folder),
            "ANSIBLE_FORCE_COLOR": "0",
        }
        environment["PATH"] = f"{self._programs()}:{self._machines.environment()['PATH']}:{self._ansible}"
        self._runs += 1
        log = self._logs / f"{self._runs:02}-{playbook.removesuffix('.yml')}.log"
        began = time.monotonic()
        with log.open("w") as out:
            done = subprocess.run(
                line, cwd=self.folder, env=environment, stdout=out, stderr=out, timeout=timeout, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        output = log.read_text()
        recaps = {
            host: {word: int(count) for word, count in re.findall(r"(\w+)=(\d+)", rest)}
            for host, rest in _RECAP.findall(output)
        }
        recap = Recap(done.returncode, round(time.monotonic() - began, 1), recaps, log, output)
        if check and done.returncode:
            msg = f"{playbook} ended with {done.returncode} ({log}):\n{recap.ending()}"
            raise RuntimeError(msg)
        return recap
