"""A mesh for the tests of a device: a hub, nodes, and a way to run one file in a node of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from becomingone.devices.registry import load
from becomingone.errors import DeviceError
from becomingone.hub.config import HubConfig
from becomingone.node.agent import NodeAgent
from becomingone.node.config import NodeConfig
from becomingone.scheduling import MeshClock
from becomingone.sim.bench import Bench, MakeRunner
from becomingone.sim.cells import walkers
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.plan import FaultPlan
from becomingone.sim.ports import SimPorts
from becomingone.wire.frame import PhaseFrame, decode_frame
from becomingone.wire.topics import Topics

FIGURES = ("coherence", "order", "locking", "phase", "bands")


class Mesh(Bench):
    """A `Bench` with a hub, and what tests of devices need most.

    Parameters
    ----------
    seed, faults, scheduler
        See `Bench`.
    """

    def __init__(
        self, seed: int = 1, *, faults: FaultPlan | None = None, scheduler: VirtualScheduler | None = None
    ) -> None:
        super().__init__(seed, faults=faults, scheduler=scheduler)
        self.topics = Topics("becomingone", "home")
        self.add_hub(HubConfig.model_validate({}))

    def add_node(
        self,
        config: NodeConfig | str,
        *,
        make_runner: MakeRunner | None = None,
        make_ports: Callable[[MeshClock], Any] = SimPorts,
        **fields: Any,  # noqa: ANN401 - whatever the configuration has
    ) -> NodeAgent:
        """Start a node.

        Parameters
        ----------
        config : NodeConfig or str
            What it is and has; or its id, and the rest as `fields`: ``add_node("desk", hardware="pi_4")``.
        make_runner, make_ports
            See `Bench.add_node`.
        fields
            Of ``node.yaml``.

        Raises
        ------
        ValueError
            A field is wrong.
        """
        made = config if isinstance(config, NodeConfig) else NodeConfig.model_validate({"node": config, **fields})
        return super().add_node(made, make_runner=make_runner, make_ports=make_ports)

    def add_walkers(self, number: int = 2) -> None:
        """Start nodes that walk at one pace by formula: a rhythm for outputs to follow."""
        for config in walkers(number, seed=self.seed):
            self.add_node(config.model_copy(update={"outputs": ()}))

    def run_until(self, condition: Callable[[], object], timeout_s: float = 60.0) -> bool:
        """Let virtual time pass until a condition is met, in steps of 10 ms; False when it was not in time."""
        end = self.scheduler.monotonic_ns() + round(timeout_s * 1e9)
        while not condition():
            if self.scheduler.monotonic_ns() >= end:
                return False
            self.run_for(0.01)
        return True

    def figures(self) -> dict[str, Any]:
        """Give the cell's coherence, order, locking and phase, and each band's; None where there is nothing to tell."""
        snapshot = self.snapshot()
        return {name: snapshot.get(name) for name in FIGURES}

    def retained_json(self, topic: str) -> dict[str, Any]:
        """Give what is retained at a topic, which must be JSON; empty where nothing is."""
        return cast("dict[str, Any]", json.loads(self.broker.retained.get(topic, b"{}")))

    def run_device(
        self,
        file: str | Path,
        *,
        options: Mapping[str, Any] | None = None,
        bands: tuple[str, ...] | None = None,
        node: str | None = None,
        make_ports: Callable[[MeshClock], Any] = SimPorts,
        **fields: Any,  # noqa: ANN401 - whatever the configuration has
    ) -> DeviceRun:
        """Run a device file in a node of its own, as from a drop-in folder.

        Parameters
        ----------
        file : str or Path
            ``<kind>.py``, with ``Options`` and ``Device``.
        options : mapping, optional
            The device's options.
        bands : tuple of str, optional
            The bands to demodulate a sensor in; by default all that its rate and the node's hardware class allow.
        node : str, optional
            The node's id; by default made of the file's name.
        make_ports : callable, optional
            Makes the device's hardware, your fake of it, of the node's clock; by default a `SimPorts`.
        fields
            Further fields of ``node.yaml``: ``hardware="pi_4"``.

        Returns
        -------
        DeviceRun
            The device at work.

        Raises
        ------
        DeviceError
            There is no such file, or it breaks the contract.
        ValueError
            An option or a field is wrong.
        """
        path = Path(file)
        if path.suffix != ".py" or not path.is_file():
            msg = f"{path}: there is no such device file"
            raise DeviceError(msg)
        module = load(path.stem, drop_in=path.parent)
        sensor = hasattr(module.device, "read")
        device: dict[str, Any] = {"name": "device", "kind": path.stem, "options": dict(options or {})}
        if sensor and bands is not None:
            device["bands"] = list(bands)
        name = node or path.stem.replace("_", "-")
        part = "inputs" if sensor else "outputs"
        wanted: dict[str, Any] = {"drop_in": path.parent.absolute(), part: [device], **fields}
        self.add_node(name, make_ports=make_ports, **wanted)
        self.run_for(0.0)  # it is opened in a turn of its own
        return DeviceRun(self, name, sensor=sensor)

    def close(self) -> None:
        """Stop everything, and let every device go."""
        for name in list(self.nodes):
            self.kill(name)


class DeviceRun:
    """A device at work in a node of its own; made by `Mesh.run_device`.

    Parameters
    ----------
    mesh : Mesh
        Where it runs.
    node : str
        The node's id.
    sensor : bool
        Whether it is a sensor; otherwise it is an output.
    """

    def __init__(self, mesh: Mesh, node: str, *, sensor: bool) -> None:
        self.node = node
        self._mesh = mesh
        self._sensor = sensor

    @property
    def state(self) -> str:
        """The node's state: ``init``, ``ready``, ``lost``, ..."""
        return self._mesh.broker.retained.get(self._mesh.topics.state(self.node), b"").decode()

    @property
    def about(self) -> dict[str, Any]:
        """What the node says of itself and its channels; empty until it has."""
        return self._mesh.retained_json(self._mesh.topics.about(self.node))

    @property
    def problem(self) -> str | None:
        """Why the device does not work; None where it does, or where that is not known yet."""
        for device in self.about.get("devices", ()):
            if not device["available"]:
                return str(device["reason"])
        return None

    @property
    def output(self) -> dict[str, Any]:
        """What an output does and why: ``doing``, ``why``, ``values``; empty until it has said so."""
        return self._mesh.retained_json(self._mesh.topics.output_state(self.node, "device"))

    @property
    def screen(self) -> str:
        """What the device has written to its terminal."""
        return self._mesh.ports[self.node].screen.getvalue()

    def frames(self, channel: str | None = None, band: str | None = None) -> list[PhaseFrame]:
        """Give the phase frames that the broker has taken of it, in order.

        Parameters
        ----------
        channel, band : str, optional
            Only of these.
        """
        found: list[PhaseFrame] = []
        prefix = self._mesh.topics.node(self.node, "phase") + "/"
        for entry in self._mesh.broker.trace:
            if entry.topic.startswith(prefix):
                of_band, of_channel = entry.topic.removeprefix(prefix).split("/")
                if band in (None, of_band) and channel in (None, of_channel):
                    found.append(decode_frame(entry.payload))
        return found

    def phase(self, channel: str, band: str) -> dict[str, Any]:
        """Give what the hub makes of a channel in a band: ``valid``, ``phase``, ``coherence``, ``frequency_hz``, ...

        Raises
        ------
        KeyError
            The hub knows of no such channel in such a band, or not yet.
        """
        nodes = self._mesh.snapshot().get("nodes", {})
        found: dict[str, Any] = nodes[self.node]["channels"][channel]["bands"][band]
        return found
