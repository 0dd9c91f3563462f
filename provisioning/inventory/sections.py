"""The sections of ``mesh.yaml``."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from becomingone.broker.access import Identity
from becomingone.broker.sections import IdentitiesSection
from becomingone.config.sections import CellConfig, Name, Section
from becomingone.provisioning.inventory.boards import Arch

Options = Annotated[dict[str, Any], Field(default_factory=dict)]

SSH_PORT = 22


class MachineSection(Section):
    """One computer."""

    model: Annotated[str, Field(description="the board: zero_2_w, pi_4, ... or pc")]
    address: Annotated[
        str | None, Field(description="host name or address under which the operator reaches it; default: <name>.local")
    ] = None
    user: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$", description="who logs in there, with sudo")] = "pi"
    ssh_port: Annotated[int, Field(ge=1, le=65_535, description="TCP port of its SSH server")] = SSH_PORT
    arch: Annotated[
        Arch | None, Field(description="armv7 for a 32-bit system on a 64-bit board; default: the board's own")
    ] = None


class BrokerPart(Section):
    """The broker of the cell."""

    machine: Annotated[str, Field(description="which machine it runs on")]
    names: Annotated[
        tuple[str, ...],
        Field(min_length=1, max_length=32, description="host names and addresses under which clients reach it"),
    ]
    port: Annotated[int, Field(ge=1, le=65_535, description="TCP port for MQTT over TLS")] = 8883
    options: Annotated[Options, Field(description="any other field of broker.yaml")]


class HubPart(Section):
    """The hub of the cell."""

    machine: Annotated[str, Field(description="which machine it runs on")]
    options: Annotated[Options, Field(description="any other field of hub.yaml")]


class NodePart(Section):
    """One node: what it is, where, and what is connected to it."""

    hardware: Annotated[str, Field(description="hardware class, as in node.yaml; decides the range of τ")]
    model: Annotated[str | None, Field(description="the board; default: that of its machine")] = None
    room: Annotated[str | None, Field(max_length=80, description="where it is, for people")] = None
    machine: Annotated[str | None, Field(description="which machine it runs on; default: one of its own name")] = None
    canary: Annotated[bool, Field(description="whether an upgrade is tried on it first; default: the first node")] = (
        False
    )
    inputs: Annotated[tuple[dict[str, Any], ...], Field(max_length=64, description="its sensors, as in node.yaml")] = ()
    outputs: Annotated[
        tuple[dict[str, Any], ...], Field(max_length=64, description="its outputs, as in node.yaml")
    ] = ()
    options: Annotated[Options, Field(description="any other field of node.yaml")]


class ObservabilityPart(Section):
    """Prometheus and Grafana."""

    machine: Annotated[str, Field(description="which machine they run on")]


class Machine(NamedTuple):
    """One computer, with every default filled in.

    Parameters
    ----------
    name : str
        Its name in the inventory.
    model, address, user, ssh_port
        As in `MachineSection`.
    arch : Arch or None
        As it is written; None: the board's own.
    """

    name: str
    model: str
    address: str
    user: str
    ssh_port: int
    arch: Arch | None


class MeshFile(CellConfig):
    """A whole cell: its machines, its broker and hub, its nodes with what is connected to them, and who may ask."""

    drop_in: Annotated[
        Path | None,
        Field(
            description="folder of the cell's own device modules, beside this file; default: devices, if it is there"
        ),
    ] = None
    broker: BrokerPart
    hub: HubPart
    machines: Annotated[
        dict[str, MachineSection],
        Field(max_length=10_000, description="by name; a node whose machine is not here has one of its name"),
    ] = {}  # noqa: RUF012 - pydantic copies it
    nodes: Annotated[dict[Name, NodePart], Field(min_length=1, max_length=10_000, description="by id")]
    operators: Annotated[tuple[Name, ...], Field(description="people and programs that may ask for things")] = ()
    observers: Annotated[tuple[Name, ...], Field(description="displays that see the results")] = ()
    witnesses: Annotated[tuple[Name, ...], Field(description="hubs that only observe and audit")] = ()
    relays: Annotated[tuple[Name, ...], Field(description="child cells that hand their aggregate up")] = ()
    observability: ObservabilityPart | None = None

    @cached_property
    def computers(self) -> dict[str, Machine]:
        """Every machine by name, also those that only their node names."""
        found = {
            name: Machine(name, one.model, one.address or f"{name}.local", one.user, one.ssh_port, one.arch)
            for name, one in self.machines.items()
        }
        for node, part in self.nodes.items():
            if part.machine is None and node not in found and part.model is not None:
                found[node] = Machine(node, part.model, f"{node}.local", "pi", SSH_PORT, None)
        return found

    def machine_name(self, node: str) -> str:
        """Give the name of a node's machine."""
        return self.nodes[node].machine or node

    def machine_of(self, node: str) -> Machine:
        """Give a node's machine.

        Raises
        ------
        KeyError
            There is none; of a file that `load_mesh` has taken there is.
        """
        return self.computers[self.machine_name(node)]

    @property
    def canary(self) -> str:
        """The node on which an upgrade is tried first."""
        return next((node for node, part in self.nodes.items() if part.canary), next(iter(self.nodes)))

    @property
    def identities(self) -> list[Identity]:
        """Everybody who has a name at the broker: the hub, the nodes, then who may ask, see, audit and hand up."""
        return IdentitiesSection(
            nodes=tuple(self.nodes),
            operators=self.operators,
            observers=self.observers,
            witnesses=self.witnesses,
            relays=self.relays,
        ).members
