"""Machines on a network: made, booted, rebooted, cut off and removed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.provisioning.prove import cgroups, debian, roots
from tests.provisioning.prove.network import Network
from tests.provisioning.prove.waiting import wait

STATE = Path("/run/becomingone-machines")
OPERATOR = "operator"
NEEDED = {"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "nft": "nftables", "ssh": "openssh-client"}

# 133: the machine has rebooted (systemd-nspawn --keep-unit asks whoever started it to start it again).
_SUPERVISOR = """
for folder in {cgroups}; do echo $$ >"$folder/cgroup.procs"; done
while :; do
    ip netns exec {space} nft flush ruleset
    rc=0
    UNIFIED_CGROUP_HIERARCHY=1 systemd-nspawn -q -D {root} -M {space} --hostname={name} --boot \
        --register=no --keep-unit --network-namespace-path=/run/netns/{space} --capability=CAP_NET_ADMIN \
        --console=pipe || rc=$?
    [ "$rc" = 133 ] || exit "$rc"
done
"""


class Machines:
    """Bare machines on one network; as a context manager they go when it ends, also when this process is killed.

    Parameters
    ----------
    names : sequence of str
        Host names of the machines to start with.
    name : str
        Of all of them together; two of different names can be there at the same time.
    suite : str
        Which Debian.
    """

    def __init__(self, names: Sequence[str] = (), *, name: str = "prove", suite: str = "trixie") -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]{0,15}", name):
            msg = f"{name!r}: a name of small letters and digits, at most 16"
            raise ValueError(msg)
        self.name = name
        self.suite = suite
        self.folder = STATE / name
        self.roots = roots.cache() / "running" / name
        self.ssh_config = self.folder / "ssh_config"
        self.key = self.folder / "key"
        self._wanted = list(names)
        self._reaper: subprocess.Popen[bytes] | None = None
        self.machines: list[str] = []
        self.network = Network(0, name)
        if (self.folder / "state.json").exists():
            self._load()

    def _load(self) -> None:
        state = json.loads((self.folder / "state.json").read_text())
        self.machines = state["machines"]
        self.suite = state["suite"]
        self.network = Network(state["number"], self.name)

    def _save(self) -> None:
        state = {"machines": self.machines, "suite": self.suite, "number": self.network.number}
        (self.folder / "state.json").write_text(json.dumps(state))

    def __enter__(self) -> Self:
        self.down()
        words = [sys.executable, "-m", "tests.provisioning.machines", "--name", self.name, "reap"]
        here = Path(__file__).resolve().parents[3]
        self._reaper = subprocess.Popen(words, cwd=here, stdin=subprocess.PIPE, start_new_session=True)
        try:
            self.up()
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def _let_go(self) -> None:
        """End the reaper, which takes everything down when it hears that nobody is there any more."""
        assert self._reaper is not None
        assert self._reaper.stdin is not None
        self._reaper.stdin.close()
        self._reaper.wait(120)

    # Making and removing

    def up(self) -> None:
        """Make the network and boot the machines.

        Raises
        ------
        RuntimeError
            They are there already, or something is missing here.
        """
        missing = [package for program, package in NEEDED.items() if not shutil.which(program)]
        if missing or os.geteuid() != 0:
            msg = f"takes root, and: apt install {' '.join(missing)}" if missing else "takes root"
            raise RuntimeError(msg)
        if self.machines:
            msg = f"the machines {self.name!r} are up; `down` first"
            raise RuntimeError(msg)
        roots.base(self.suite)
        self.folder.mkdir(parents=True, mode=0o700)
        with (STATE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            free = next(number for number in range(1, 251) if number not in Network.taken())
            self.network = Network(free, self.name)
            self._save()
            self.network.up()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", OPERATOR, "-f", self.key], check=True)
        self.network.add(OPERATOR, 200)
        for name in self._wanted:
            self._make(name)
        self._tell_names()
        for name in self._wanted:
            self.power_on(name)
        for name in self._wanted:
            self.wait_for_ssh(name)

    def add(self, name: str) -> None:
        """Boot another bare machine beside those that run."""
        self._make(name)
        self._tell_names()
        self.power_on(name)
        self.wait_for_ssh(name)

    def _make(self, name: str) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name) or name in (*self.machines, OPERATOR):
            msg = f"{name!r}: no name for a machine, or there already"
            raise ValueError(msg)
        index = len(self.machines)
        self.machines.append(name)
        self._save()
        self.network.add(name, index)
        root = self.root(name)
        roots.copy(self.suite, name, root, public_key=self.key.with_suffix(".pub").read_text(), hosts="")

    def _tell_names(self) -> None:
        hosts = "".join(f"{self.address(name)} {name} {name}.local\n" for name in self.machines)
        for name in self.machines:
            path = self.root(name) / "etc/hosts"
            own = path.read_text().partition("# others\n")[0]
            path.write_text(f"{own}# others\n{hosts}")
        operator = Path("/etc/netns") / self.network.namespace(OPERATOR)
        operator.mkdir(parents=True, exist_ok=True)
        (operator / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
        (operator / "resolv.conf").write_text(roots.resolver())
        known = ""
        config = f"Host *\n  User {roots.USER}\n  IdentityFile {self.key}\n  IdentitiesOnly yes\n  ConnectTimeout 5\n"
        config += f"  UserKnownHostsFile {self.folder}/known_hosts\n  StrictHostKeyChecking yes\n"
        for name in self.machines:
            key = " ".join((self.root(name) / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])
            known += f"{name} {key}\n"
            config += f"Host {name} {name}.local {self.address(name)}\n"
            config += f"  HostName {self.address(name)}\n  HostKeyAlias {name}\n"
        (self.folder / "known_hosts").write_text(known)
        self.ssh_config.write_text(config)

    def down(self) -> None:
        """Remove machines and network, also what a killed run has left."""
        if (self.folder / "state.json").exists():
            self._load()
        for name in self.machines:
            self.power_off(name)
        self.network.down()
        for space in Path("/etc/netns").glob(f"b1-{self.name}-*"):
            shutil.rmtree(space)
        debian.remove(self.roots)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.machines = []

    # What may be done to a machine

    def root(self, name: str) -> Path:
        """Its file system, as seen from here."""
        return self.roots / name

    def address(self, name: str) -> str:
        """Its IPv4 address."""
        return self.network.address(self.machines.index(name))

    def ssh(self, name: str, command: str, *, check: bool = True, timeout: float = 120) -> str:
        """Run a command on it as its user, who may use sudo, and give what it printed.

        Raises
        ------
        RuntimeError
            It failed (only with `check`); with what it said.
        """
        words = ["ssh", "-F", str(self.ssh_config), "-o", "BatchMode=yes", name, command]
        done = subprocess.run(
            self.as_operator(words), capture_output=True, text=True, timeout=timeout, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if check and done.returncode:
            msg = f"{name}: {command}: {done.stderr.strip() or done.stdout.strip()}"
            raise RuntimeError(msg)
        return done.stdout.strip()

    def as_operator(self, words: Sequence[str | Path]) -> list[str]:
        """Give the command line that runs a program on the machines' network, where their names are known."""
        return ["ip", "netns", "exec", self.network.namespace(OPERATOR), *map(str, words)]

    def environment(self) -> dict[str, str]:
        """Give what makes ssh and Ansible find the machines: ``PATH`` with an ``ssh`` that knows them."""
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        for program in ("ssh", "scp", "sftp"):
            path = folder / program
            path.write_text(f'#!/bin/sh\nexec /usr/bin/{program} -F {self.ssh_config} "$@"\n')
            path.chmod(0o755)
        return {"PATH": f"{folder}:{os.environ['PATH']}"}

    def wait_for_ssh(self, name: str, seconds: float = 60) -> None:
        """Wait until one can log in."""

        def answers() -> bool:
            with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
                self.ssh(name, "true", timeout=10)
                return True
            return False

        wait(answers, seconds, f"ssh of {name}; its console is {self.folder / name}.console")

    def boot_id(self, name: str) -> str:
        """Tell one boot from another; empty: it does not answer."""
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            return self.ssh(name, "cat /proc/sys/kernel/random/boot_id", timeout=10)
        return ""

    def reboot(self, name: str, seconds: float = 90) -> None:
        """Reboot it in good order, and wait until one can log in again."""
        before = self.boot_id(name)
        self.ssh(name, "sudo systemctl reboot", check=False)
        wait(lambda: self.boot_id(name) not in ("", before), seconds, f"the reboot of {name}")

    def power_on(self, name: str) -> None:
        """Boot it."""
        folders = cgroups.make(self.network.namespace(name))
        script = _SUPERVISOR.format(
            cgroups=" ".join(map(str, folders)), space=self.network.namespace(name), root=self.root(name), name=name
        )
        with (self.folder / f"{name}.console").open("ab") as console:
            subprocess.Popen(
                ["sh", "-c", script],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
            )  # fmt: skip

    def power_off(self, name: str) -> None:
        """Kill everything on it at once."""
        space = self.network.namespace(name)
        wait(lambda: not cgroups.kill(space), 30, f"the end of {name}")
        cgroups.remove(space)

    def isolate(self, name: str) -> None:
        """Leave it the machines' network, and nothing beyond."""
        self.network.isolate(name)

    def cut(self, name: str) -> None:
        """Take it off the network."""
        self.network.cut(self.machines.index(name))

    def join(self, name: str) -> None:
        """Put it back on the network."""
        self.network.join(self.machines.index(name))
