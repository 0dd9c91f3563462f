"""A cell whose broker is the adversary: it has every message, and hands out what, where and when it likes.

Hub and nodes are the real ones. What they publish is handed on at once and must be taken, unless the broker keeps it
back; what the broker invents must never be.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Any

from becomingone.broker.kept_store import MemoryStore
from becomingone.hub.config import HubConfig
from becomingone.hub.machine import HubMachine
from becomingone.hub.service import Hub
from becomingone.node.agent import NodeAgent
from becomingone.node.config import NodeConfig
from becomingone.node.config_file import Loaded
from becomingone.node.machine import Machine
from becomingone.runner import DirectRunner
from becomingone.scheduling import MeshClock
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.fake_host import FakeHost
from becomingone.wire.frame import decode_frame
from becomingone.wire.seal import node_key
from becomingone.wire.topics import Topics

from .hostile_broker import HostileBroker

SECRET = bytes.fromhex("7a1c9d53e2b84f0661d7c3a59be80f2412d5b6a7c98e3f401b2d4c6e8fa09375")
MEMBERS = ("attic", "cellar", "mole")
"""The nodes; the adversary has the key of the last."""


class EpochMemory:
    """Keeps epochs as a file does."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}
        self.saves = 0

    def load(self) -> dict[str, int]:
        return dict(self.kept)

    def save(self, epochs: Mapping[str, int]) -> None:
        self.kept = dict(epochs)
        self.saves += 1


@dataclass
class Sent:
    """One message between the hub and a node, as it was published."""

    topic: str
    payload: bytes
    kind: str
    node: str
    boot: int
    """Of the node, when it was published."""
    number: int
    taken: bool = False
    """Whether its receiver has been given it, and had to take it."""


class Ports:
    """A screen that keeps nothing, and no sound."""

    audio: Any = None

    def __init__(self, clock: MeshClock) -> None:
        self.clock = clock
        self.terminal = StringIO()


class CountingLamp:
    """What stands where the node's display was."""

    role = "display"

    def __init__(self) -> None:
        self.applied = 0

    def apply(self, values: Mapping[str, float]) -> None:
        self.applied += 1

    def rest(self) -> None:
        pass


class HostileCell:
    """Three nodes with a sensor and a lamp each, and a hub; each can be started anew.

    Attributes
    ----------
    archive : list of Sent
        Every message between hub and nodes.
    honest, expected : int
        Messages that were handed on as they came, and those among them that had to be taken.
    """

    def __init__(self, seed: int, *, sealed: bool = True, withheld: float = 0.05) -> None:
        self.rng = random.Random(seed)
        self.sealed = sealed
        self.scheduler = VirtualScheduler()
        self.clock = MeshClock(self.scheduler)
        self.topics = Topics("becomingone", "home")
        self.broker = HostileBroker(self.scheduler)
        self.broker.route = self._route
        self.store = EpochMemory()
        self.archive: list[Sent] = []
        self.newest: dict[str, int] = {}
        self.boots: Counter[str] = Counter()
        self.nodes: dict[str, NodeAgent] = {}
        self.lamps: dict[str, CountingLamp] = {}
        self.refused_before: Counter[str] = Counter()
        self.honest = self.expected = 0
        self.attack: Callable[[], None] = lambda: None
        self._withheld = withheld
        self._started_us = 0
        self.start_hub()
        for node in MEMBERS:
            self.start_node(node)

    def run(self, seconds: float) -> None:
        self.scheduler.run_for(seconds)

    def start_hub(self) -> None:
        """Start the hub, again: what it had in memory is gone."""
        security = {"secret": SECRET.hex()} if self.sealed else {}
        config = HubConfig.model_validate({"tick_hz": 10, "security": security})
        if self.boots["hub"]:
            self.refused_before.update(self._hub_refused())
            self.hub._trust.keep()
            for turn in self.hub._turns:
                turn.cancel()
            self.hub._link.cut()
        self.boots["hub"] += 1
        self._started_us = self.clock.now_us()
        self.hub = Hub(
            config,
            HubMachine(
                boot=self.boots["hub"],
                links=self.broker.link,
                clock=self.clock,
                scheduler=self.scheduler,
                epochs=self.store,
            ),
        )
        self.hub.start()

    def start_node(self, name: str) -> None:
        """Start a node, again."""
        if name in self.nodes:
            self.refused_before.update(self._node_refused(name))
            self.nodes[name].halt()
            self.nodes[name]._link.cut()
        self.boots[name] += 1
        options = {"frequency_hz": 1.5, "rate_hz": 50, "seed": self.boots[name]}
        tone = {"name": "tone", "kind": "synthetic", "bands": ["stride", "motion"], "options": options}
        lamp = {"name": "light", "kind": "terminal"}
        key = {"key": node_key(SECRET, "becomingone", "home", name).hex()} if self.sealed else {}
        content = {"node": name, "inputs": [tone], "outputs": [lamp], "health_s": 3600, "security": key}
        self.lamps[name] = CountingLamp()
        machine = Machine(
            boot=self.boots[name],
            pid=0,
            links=self.broker.link,
            ports=Ports(self.clock),
            clock=self.clock,
            scheduler=self.scheduler,
            make_runner=lambda _name: DirectRunner(),
            rng=random.Random(self.rng.random()),
            host=FakeHost(),
            store=MemoryStore(1 << 20),
        )
        agent = NodeAgent(Loaded(NodeConfig.model_validate(content), "0" * 64), machine)
        self.nodes[name] = agent
        agent.start()
        self.scheduler.run_for(0.0)  # the light is opened
        agent.outputs["light"]._driver._device = self.lamps[name]

    # -- what is taken ---------------------------------------------------------------------------------------------

    def taken(self) -> tuple[object, ...]:
        """Everything that a message between hub and nodes can change; equal, unless one was obeyed."""
        return (
            self.hub._intake.ingest.frames,
            *(id(member.about) for member in self.hub._roster.members),
            *(lamp.applied for lamp in self.lamps.values()),
            self.broker.announcements,
        )

    def stale(self, sent: Sent) -> bool:
        """Tell whether its receiver knows that the node has begun a later life."""
        to_node = sent.kind in ("set", "rebirth")
        return sent.boot < (self.boots[sent.node] if to_node else self.hub._trust._lives.newest(sent.node) or 0)

    def refused(self) -> Counter[str]:
        """Count all refusals by hub and nodes, in all their lives."""
        total = Counter(self.refused_before) + self._hub_refused()
        for name in self.nodes:
            total += self._node_refused(name)
        return total

    def _hub_refused(self) -> Counter[str]:
        total = Counter(self.hub.refused)
        for member in self.hub._roster.members:
            total += member.refused
        return total

    def _node_refused(self, name: str) -> Counter[str]:
        return self.nodes[name].refused

    # -- what is handed on -----------------------------------------------------------------------------------------

    def kind_of(self, topic: str) -> tuple[str, str]:
        """Tell what a topic carries and whose it is; empty where the adversary has no use for it."""
        levels = topic.split("/")
        if len(levels) < 5 or levels[2] != "node":
            return "", ""
        kind = {"phase": "phase", "about": "about", "cmd": "rebirth", "output": levels[-1]}.get(levels[4], "")
        return (kind if kind != "state" else ""), levels[3]

    def _route(self, topic: str, payload: bytes) -> None:
        kind, node = self.kind_of(topic)
        if not kind:
            self.broker.deliver(topic, payload)
            return
        sent = Sent(topic, payload, kind, node, self.boots[node], len(self.archive))
        self.archive.append(sent)
        if self.rng.random() >= (0.5 if kind == "about" else self._withheld):
            self._hand_on(sent)
        self.attack()

    def _hand_on(self, sent: Sent) -> None:
        sent.taken = self._must_be_taken(sent)
        before = self.taken()
        self.broker.deliver(sent.topic, sent.payload)
        self.honest += 1
        self.expected += sent.taken
        if sent.taken:
            self.newest[sent.topic] = sent.number
        if self.sealed:  # else the adversary has long pushed the honest ones out
            assert (self.taken() != before) == sent.taken, sent

    def _must_be_taken(self, sent: Sent) -> bool:
        if sent.kind != "phase":
            return True
        frame = decode_frame(sent.payload)
        if self.sealed and frame.last_time_us <= self._started_us + 1e6:
            return False  # the hub has only just begun to know what it has taken
        member = self.hub._roster.get(sent.node)
        if member is None or member.about is None or member.about.boot != sent.boot:
            return False
        band, channel = sent.topic.split("/")[-2:]  # the newest description may have been withheld
        return any(about.name == channel and band in about.bands for about in member.about.channels)
