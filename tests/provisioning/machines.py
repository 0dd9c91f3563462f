"""Machines to provision: bare Debians with a real systemd and sshd in systemd-nspawn, each in a network of its own.

Needs root, and mmdebstrap, systemd-container, iproute2, nftables and openssh-client. From the project's folder::

    python -m tests.provisioning.machines up attic kitchen porch     # stay until `down`
    python -m tests.provisioning.machines run -- ssh attic hostname  # as the operator, on the machines' network
    python -m tests.provisioning.machines down

What they cannot show: memory and CPU limits are not enforced, the clock is the host's and cannot be set, there is no
kernel of their own and no hardware, and a power cut (`power_off`) loses nothing that was written.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping

from tests.provisioning.prove.fleet import Machines, wait

__all__ = ["Machines", "wait"]


def _told(machines: Machines) -> None:
    for name in machines.machines:
        print(f"ssh -F {machines.ssh_config} {name}    # {machines.address(name)}")
    print(
        "on their network: python -m tests.provisioning.machines --name", machines.name, "run -- ansible-playbook ..."
    )


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.provisioning.machines", description=__doc__)
    parser.add_argument("--name", default="hand", help="of these machines together (default: hand)")
    parser.add_argument("--suite", default="trixie", help="which Debian (default: trixie)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("up", "add", "reboot", "off", "on", "cut", "join"):
        verbs.add_parser(verb).add_argument("machines", nargs="+")
    for verb in ("down", "list", "reap"):
        verbs.add_parser(verb)
    verbs.add_parser("run").add_argument("words", nargs="+", help="a command, after --")
    given = parser.parse_args()
    machines = Machines(given.machines if given.verb == "up" else (), name=given.name, suite=given.suite)
    if given.verb == "reap":
        sys.stdin.read()
        Machines(name=given.name).down()
        return 0
    if given.verb == "run":
        environment: Mapping[str, str] = os.environ | machines.environment()
        return subprocess.run(machines.as_operator(given.words), env=environment, check=False).returncode
    if given.verb == "up":
        try:
            machines.up()
        except BaseException:
            Machines(name=given.name).down()
            raise
    if given.verb == "down":
        machines.down()
    for name in given.machines if given.verb in ("add", "reboot", "off", "on", "cut", "join") else ():
        action = {"off": machines.power_off, "on": machines.power_on}.get(given.verb)
        (action or getattr(machines, given.verb))(name)
    if given.verb in ("up", "list"):
        _told(machines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
