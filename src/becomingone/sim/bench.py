"""A whole cell in virtual time: the real hub and the real nodes on a simulated broker."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from typing import TextIO

from becomingone.config.loader import digest
from becomingone.devices.contract import AudioPort
from becomingone.errors import DeviceUnavailableError
from becomingone.hub.config import HubConfig
from becomingone.hub.service import Hub
from becomingone.node.agent import NodeAgent
from becomingone.node.config import NodeConfig
from becomingone.node.runner import InlineRunner, Runner
from becomingone.scheduling import MeshClock
from becomingone.sim.broker import SimBroker, SimLink
from becomingone.sim.clock import VirtualScheduler


class SimPorts:
    """The hardware of a simulated node: a clock, a terminal that keeps its text, and nothing else.

    Parameters
    ----------
    clock : MeshClock
        The node's clock in virtual time.
    """

    def __init__(self, clock: MeshClock) -> None:
        self.clock = clock
        self.screen = io.StringIO()

    @property
    def audio(self) -> AudioPort:
        """Refuse: there is no sound card in virtual time."""
        msg = "a simulated node has no sound card"
        raise DeviceUnavailableError(msg)

    @property
    def terminal(self) -> TextIO:
        """What a display writes to."""
        return self.screen


class Bench:
    """A cell whose every run with the same seed and the same calls is the same, byte for byte.

    Parameters
    ----------
    seed : int
        Draws network delays and reconnection jitter.

    Examples
    --------
    >>> bench = Bench(seed=1)
    >>> bench.run_for(1.0)
    >>> bench.scheduler.monotonic_ns()
    1000000000
    """

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - replayable on purpose
        self.scheduler = VirtualScheduler()
        self.broker = SimBroker(self.scheduler, self._fork())
        self.nodes: dict[str, NodeAgent] = {}
        self.ports: dict[str, SimPorts] = {}
        self.hub: Hub | None = None
        self._boots: dict[str, int] = {}

    def add_hub(self, config: HubConfig) -> Hub:
        """Start a hub."""
        self.hub = Hub(
            config,
            boot=self._boot("hub"),
            links=self.broker.link,
            clock=MeshClock(self.scheduler),
            scheduler=self.scheduler,
        )
        self.hub.start()
        return self.hub

    def add_node(self, config: NodeConfig, *, make_runner: Callable[[str], Runner] | None = None) -> NodeAgent:
        """Start a node; one of the same id that was there before is killed and thereby started again.

        Parameters
        ----------
        config : NodeConfig
            What it is and has.
        make_runner : callable, optional
            Makes, for a device's name, where its calls run; by default they return at once.
        """
        if config.node in self.nodes:
            self.kill(config.node)
        clock = MeshClock(self.scheduler, config.clock.sigma_s)
        ports = SimPorts(clock)
        node = NodeAgent(
            config,
            config_sha256=digest(config),
            boot=self._boot(config.node),
            links=self.broker.link,
            ports=ports,
            clock=clock,
            scheduler=self.scheduler,
            make_runner=make_runner or (lambda _name: InlineRunner(self.scheduler)),
            rng=self._fork(),
            pid=0,
        )
        self.nodes[config.node] = node
        self.ports[config.node] = ports
        node.start()
        return node

    def kill(self, node: str) -> None:
        """Kill a node as a power cut does: no goodbye, nothing that it still had to say."""
        agent = self.nodes.pop(node)
        agent.halt()
        self.broker.kill(agent.client_id)

    def client(self, client_id: str) -> SimLink:
        """Make a link for a client that is neither node nor hub."""
        return self.broker.link(client_id, None)

    def run_for(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.scheduler.run_for(seconds)

    def _boot(self, name: str) -> int:
        self._boots[name] = self._boots.get(name, 0) + 1
        return self._boots[name]

    def _fork(self) -> random.Random:
        return random.Random(self._rng.random())  # noqa: S311 - replayable on purpose
