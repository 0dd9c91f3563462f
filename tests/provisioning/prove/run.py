"""What the parts of a proof share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.provisioning.machines import Machines
from tests.provisioning.prove.cell import Cell
from tests.provisioning.prove.listen import TIMED
from tests.provisioning.prove.observer import Observer
from tests.provisioning.prove.steps import Steps, require

GAP_S = 10.0
"""The longest that a mesh may stop."""

NODES = ("kitchen", "porch")


@dataclass(frozen=True)
class Run:
    """One proof."""

    steps: Steps
    machines: Machines
    cell: Cell
    observer: Observer
    wheels: Path

    def services(self, name: str) -> dict[str, dict[str, str]]:
        """Properties of all of our services that a machine knows, by their names."""
        listed = self.machines.ssh(name, "systemctl list-unit-files --plain --no-legend 'becomingone-*.service'")
        names = [line.split()[0] for line in listed.splitlines()]
        require(names, f"{name} has no service of ours")
        wanted = "Id,ActiveState,SubState,NRestarts,StatusText,UnitFileState,MainPID,Type"
        found = {}
        for block in self.machines.ssh(name, f"systemctl show -p {wanted} {' '.join(names)}").split("\n\n"):
            properties = dict(line.split("=", 1) for line in block.splitlines())
            found[properties["Id"]] = properties
        return found

    def check_services(self, name: str, *, restarts: bool = True) -> None:
        """Require that every service that is switched on runs, and (with `restarts`) has not been started anew."""
        on = {unit: found for unit, found in self.services(name).items() if found["UnitFileState"] == "enabled"}
        require(on, f"{name}: nothing of ours is enabled")
        for unit, found in on.items():
            state = f"{name}: {unit} is {found['ActiveState']} ({found['SubState']}; {found['StatusText']})"
            idle = found["Type"] == "oneshot" and found["ActiveState"] == "inactive"
            require(found["ActiveState"] == "active" or idle, state)
            require(not restarts or found["NRestarts"] == "0", f"{state}, started anew {found['NRestarts']} times")

    def connection(self, name: str) -> set[str]:
        """The node's TCP connections to the broker, each by its own port; another set: it has connected anew."""
        told = self.machines.ssh(name, "ss -Htn state established '( dport = :8883 )'")
        ports = {match[1] for line in told.splitlines() if (match := re.search(r":(\d+)\s+\S+:8883", line))}
        require(ports, f"{name} has no connection to the broker")
        return ports

    def check_gaps(self, since: float) -> dict[str, str]:
        """Require that the mesh has not stopped since an instant (monotonic, s); gives the longest silences."""
        gaps = {topic: self.observer.longest_gap(topic, since) for topic in TIMED}
        for topic, gap in gaps.items():
            require(gap < GAP_S, f"the mesh was silent: no {topic} for {gap:.1f} s; at most {GAP_S:g} s")
        return {f"{topic}_gap_s": f"{gap:.2f}" for topic, gap in gaps.items()}

    def versions(self) -> dict[str, str]:
        """What the nodes say of their software."""
        return {node: str(self.observer.about(node).get("software", "")).rpartition(" ")[2] for node in NODES}
