"""A whole cell in virtual time: the real hub and the real nodes on a simulated broker and network."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from becomingone import __version__
from becomingone.broker.kept_store import MemoryStore
from becomingone.broker.link import LinkFactory, Will
from becomingone.config.loader import digest
from becomingone.hub.claim import HubAbout
from becomingone.hub.config import HubConfig
from becomingone.hub.machine import HubMachine
from becomingone.hub.memory.protocol import Memory
from becomingone.hub.memory.volatile import VolatileMemory
from becomingone.hub.service import Hub
from becomingone.node.agent import NodeAgent
from becomingone.node.config import NodeConfig
from becomingone.node.config_file import Loaded
from becomingone.node.machine import Machine
from becomingone.runner import InlineRunner, Runner
from becomingone.scheduling import MeshClock
from becomingone.sim.access import Rules
from becomingone.sim.broker import SimBroker, SimLink
from becomingone.sim.chaos import Chaos
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.events import Log, ignore
from becomingone.sim.fake_host import FakeHost
from becomingone.sim.plan import FaultPlan
from becomingone.sim.ports import SimPorts
from becomingone.sim.streams import stream
from becomingone.sim.world import KeptEpochs, World
from becomingone.wire.announce import State
from becomingone.wire.frame import PROTOCOL
from becomingone.wire.topics import Topics

HUB: Final = "hub"

MakeRunner = Callable[[str], Runner]


class Bench:
    """A cell whose every run with the same seed, faults and calls is the same, byte for byte.

    Parameters
    ----------
    seed : int
        Everything random is drawn from it, in a stream for each client, node and fault.
    faults : FaultPlan, optional
        What goes wrong; by default nothing.
    scheduler : VirtualScheduler, optional
        Whose time it lives in; by default one of its own.
    log : Log, optional
        An `EventLog`, say: takes note of everything that happens.
    rules : callable, optional
        Who may do what at the broker: see `access.Rules`; by default everybody everything.
    keep_trace : bool
        Keep every message in `broker.trace`.

    Attributes
    ----------
    broker : SimBroker
        What is `retained`, and the `trace` of messages.
    nodes : dict of str to NodeAgent
        Those that are alive.
    ports : dict of str to SimPorts
        Each node's hardware: ``ports["lamp"].screen`` holds what its terminal showed.
    hub : Hub or None
        The hub, where it is alive.
    hosts : dict of str to FakeHost
        What each node asked of its process.
    links, agents : list of SimLink, list of NodeAgent
        Every link and node that was ever made.
    memory : Memory
        What the hub has committed, kept frames among it; it outlives the hub.

    Examples
    --------
    >>> bench = Bench(seed=1)
    >>> bench.run_for(1.0)
    >>> bench.scheduler.monotonic_ns()
    1000000000
    """

    def __init__(
        self,
        seed: int,
        *,
        faults: FaultPlan | None = None,
        scheduler: VirtualScheduler | None = None,
        log: Log | None = None,
        rules: Rules | None = None,
        keep_trace: bool = True,
    ) -> None:
        self.scheduler = scheduler or VirtualScheduler()
        self.nodes: dict[str, NodeAgent] = {}
        self.ports: dict[str, SimPorts] = {}
        self.hub: Hub | None = None
        self.hosts: dict[str, FakeHost] = {}
        self.links: list[SimLink] = []
        self.agents: list[NodeAgent] = []
        self._snapshots: dict[int, bytes] = {}
        self.seed = seed
        plan = faults or FaultPlan()
        self._log_note = log.note if log is not None else ignore
        self._snapshot_topic = ""
        self.broker = SimBroker(
            self.scheduler,
            stream(seed, "broker"),
            network=plan.network,
            note=self._note,
            rules=rules,
            keep_trace=keep_trace,
        )
        self._epochs = KeptEpochs()
        self.memory: Memory = VolatileMemory(self.scheduler)
        self._stores: dict[str, MemoryStore] = {}  # a node's disk outlives it
        self._world = World(self.broker, plan, seed, scheduler=self.scheduler, note=self._note)
        self._chaos = Chaos(plan, seed, scheduler=self.scheduler, world=self._world)

    # -- what a test does ------------------------------------------------------------------------------------------

    def add_hub(self, config: HubConfig) -> Hub:
        """Start a hub; one that was there before is killed and thereby started again."""
        topics = Topics(config.root, config.cell)
        client_id = topics.client_id(HUB)
        self._snapshot_topic = topics.snapshot
        process = self._world.start(client_id, HUB, end=self._hub_ended, again=lambda: self.add_hub(config))
        self._chaos.adopt(client_id)
        clock = MeshClock(process)
        self.hub = Hub(
            config,
            HubMachine(
                boot=self._world.boots[HUB],
                links=self._links(config.broker.keepalive_s),
                clock=clock,
                scheduler=process,
                make_runner=lambda _name: InlineRunner(process),
                epochs=self._epochs,
                memory=self.memory,
                about=HubAbout(
                    protocol=PROTOCOL,
                    instance="5" * 16,
                    boot=self._world.boots[HUB],
                    host="simulated",
                    pid=0,
                    started_us=clock.now_us(),
                    software=f"becomingone {__version__}",
                ),
            ),
        )
        self.hub.start()
        return self.hub

    def add_node(
        self,
        config: NodeConfig,
        *,
        make_runner: MakeRunner | None = None,
        make_ports: Callable[[MeshClock], Any] = SimPorts,
    ) -> NodeAgent:
        """Start a node; one of the same id that was there before is killed and thereby started again.

        Parameters
        ----------
        config : NodeConfig
            What it is and has.
        make_runner : callable, optional
            Makes, for a device's name, where its calls run; by default they return at once.
        make_ports : callable, optional
            Makes the node's hardware of its clock; by default a `SimPorts`.
        """
        client_id = Topics(config.root, config.cell).client_id("node", config.node)
        process = self._world.start(
            client_id,
            config.node,
            end=lambda: self.nodes.pop(config.node).halt(),
            again=lambda: self.add_node(config, make_runner=make_runner, make_ports=make_ports),
            sleep=lambda asleep: self.nodes[config.node].stop(asleep, State.SLEEPING),
        )
        self._chaos.adopt(client_id)
        clock = MeshClock(process, config.clock.sigma_s)
        ports = make_ports(clock)
        if isinstance(ports, SimPorts):
            ports.scheduler = process
        machine = Machine(
            boot=self._world.boots[config.node],
            pid=0,
            links=self._links(config.broker.keepalive_s),
            ports=ports,
            clock=clock,
            scheduler=process,
            make_runner=make_runner or (lambda _name: InlineRunner(process)),
            rng=stream(self.seed, "node", config.node, str(self._world.boots[config.node])),
            host=self.hosts.setdefault(config.node, FakeHost()),
            store=self._stores.setdefault(config.node, MemoryStore(int(config.spool.max_mb * 1e6))),
        )
        node = NodeAgent(Loaded(config, digest(config)), machine)
        self.nodes[config.node] = node
        self.agents.append(node)
        self.ports[config.node] = ports
        node.start()
        return node

    def kill(self, name: str, *, silent: bool = False) -> None:
        """Kill a node, or the ``hub``: no goodbye, nothing that it still had to say.

        Parameters
        ----------
        name : str
            Its id.
        silent : bool
            Its machine dies with it, and the broker finds out by the keepalive; otherwise it is told at once.

        Raises
        ------
        ValueError
            It is not alive.
        """
        for client_id, member in self._world.alive.items():
            if member.name == name:
                self._world.kill(client_id, silent=silent)
                return
        alive = ", ".join(member.name for member in self._world.alive.values())
        msg = f"{name} is not alive and cannot be killed; alive are {alive or 'none'}"
        raise ValueError(msg)

    def client(self, client_id: str, **options: Any) -> SimLink:  # noqa: ANN401 - as `SimBroker.link` has them
        """Make a link for a client that is neither node nor hub; no fault but those of its path strikes it."""
        link = self.broker.link(client_id, None, **options)
        self.links.append(link)
        return link

    def adopt(self, link: SimLink) -> None:
        """Let faults strike a client that is neither node nor hub, too."""
        self._chaos.adopt(link.client_id)

    def run_for(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.scheduler.run_for(seconds)

    @property
    def snapshots(self) -> dict[int, dict[str, Any]]:
        """By the hub's boot id, the last snapshot that it sent."""
        return {boot: json.loads(payload) for boot, payload in self._snapshots.items()}

    def snapshot(self) -> dict[str, Any]:
        """Give the last snapshot that the present hub has sent; empty where it has sent none yet."""
        found: dict[str, Any] = json.loads(self._snapshots.get(self._world.boots[HUB], b"{}"))
        return found

    def _note(self, kind: str, client: str, topic: str = "", payload: bytes | None = None, why: str = "") -> None:
        if kind == "send" and topic == self._snapshot_topic and payload:
            self._snapshots[self._world.boots[HUB]] = payload
        self._log_note(kind, client, topic, payload, why)

    def _hub_ended(self) -> None:
        self.hub = None

    def _links(self, keepalive_s: int) -> LinkFactory:
        def make(client_id: str, will: Will | None, *, session_s: int = 0) -> SimLink:
            link = self.broker.link(client_id, will, session_s=session_s, keepalive_s=keepalive_s)
            self.links.append(link)
            return link

        return make
