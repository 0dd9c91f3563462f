"""A network of namespaces: a bridge with a way out, and one namespace with a veth on it for each machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


def _run(*words: str, check: bool = True, given: str | None = None) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False, input=given)
    if check and done.returncode:
        msg = f"{' '.join(words)}: {done.stderr.strip()}"
        raise RuntimeError(msg)
    return done.stdout


class Network:
    """One bridge, 198.18.N.0/24 of the range that RFC 2544 sets aside for tests.

    Parameters
    ----------
    number : int
        N, 1..250; two networks of different numbers do not meet.
    name : str
        Begins the names of its namespaces.
    """

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.bridge = f"b1-{number}"

    @staticmethod
    def taken() -> set[int]:
        """Numbers of the bridges that are there."""
        names = [link["ifname"] for link in json.loads(_run("ip", "-json", "link", "show", "type", "bridge") or "[]")]
        return {int(name[3:]) for name in names if name.startswith("b1-") and name[3:].isdigit()}

    def address(self, index: int) -> str:
        """Address of the machine with this index, 0..200."""
        return f"198.18.{self.number}.{10 + index}"

    def namespace(self, machine: str) -> str:
        """Name of a machine's namespace."""
        return f"b1-{self.name}-{machine}"

    def _veth(self, index: int) -> str:
        return f"b1-{self.number}-{index}"

    def up(self) -> None:
        """Make the bridge and its way out."""
        _run("ip", "link", "add", self.bridge, "type", "bridge")
        _run("ip", "address", "add", f"198.18.{self.number}.1/24", "dev", self.bridge)
        _run("ip", "link", "set", self.bridge, "up")
        net = f"198.18.{self.number}.0/24"
        rules = (
            f"table ip b1_{self.number} {{\nchain out {{\ntype nat hook postrouting priority srcnat;\n"
            f"ip saddr {net} ip daddr != {net} masquerade\n}}\n}}\n"
        )
        _run("nft", "-f", "-", given=rules)
        if FORWARD.read_text().strip() == "0":
            FORWARD.write_text("1")

    def add(self, machine: str, index: int) -> None:
        """Make a machine's namespace, with its address and its way out."""
        space = self.namespace(machine)
        veth = self._veth(index)
        _run("ip", "netns", "add", space)
        _run("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", space)
        _run("ip", "link", "set", veth, "master", self.bridge, "up")
        for words in (
            ["link", "set", "lo", "up"],
            ["address", "add", f"{self.address(index)}/24", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["route", "add", "default", "via", f"198.18.{self.number}.1"],
        ):
            _run("ip", "-n", space, *words)

    def isolate(self, machine: str) -> None:
        """Leave a machine its own network only."""
        _run("ip", "-n", self.namespace(machine), "route", "del", "default")

    def cut(self, index: int) -> None:
        """Take a machine off the bridge; it sees no link go down, as when a switch in between dies."""
        _run("ip", "link", "set", self._veth(index), "nomaster")

    def join(self, index: int) -> None:
        """Put it back."""
        _run("ip", "link", "set", self._veth(index), "master", self.bridge)

    def forget_rules(self, machine: str) -> None:
        """Drop a machine's packet filter, as a power cycle would."""
        _run("ip", "netns", "exec", self.namespace(machine), "nft", "flush", "ruleset", check=False)

    def down(self) -> None:
        """Remove all of it, whatever of it is there."""
        for line in _run("ip", "netns", "list").splitlines():
            space = line.split()[0]
            if space.startswith(f"b1-{self.name}-"):
                _run("ip", "netns", "delete", space, check=False)
        _run("ip", "link", "delete", self.bridge, check=False)
        _run("nft", "delete", "table", "ip", f"b1_{self.number}", check=False)
        for link in json.loads(_run("ip", "-json", "link", "show", "type", "veth") or "[]"):
            if link["ifname"].startswith(f"b1-{self.number}-"):
                _run("ip", "link", "delete", link["ifname"], check=False)
