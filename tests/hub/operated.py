"""A node that does nothing but obey commands to it as a whole, on whatever link, and an operator in virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from becomingone.broker.link import LinkFactory, Message, Will
from becomingone.broker.presence import Presence
from becomingone.errors import ConfigError
from becomingone.hub.config import HubConfig
from becomingone.hub.machine import HubMachine
from becomingone.hub.service import Hub
from becomingone.node.identify import Identify
from becomingone.node.obey import handlers
from becomingone.node.operations import Operations
from becomingone.node.process import Reloaded
from becomingone.node.trust import Trust
from becomingone.scheduling import MeshClock, Scheduler
from becomingone.sim.bench import Bench
from becomingone.sim.fake_host import FakeHost
from becomingone.sim.world import KeptEpochs
from becomingone.wire.announce import State
from becomingone.wire.operate import Outcome
from becomingone.wire.seal import node_key
from becomingone.wire.topics import Topics
from becomingone.wire.verbs import Value

from .hostile import SECRET
from .parts import about

TOPICS = Topics("becomingone", "home")
BOTH = pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "unsealed"])
SEALED = {"security": {"secret": SECRET.hex()}}


def key(node: str) -> bytes:
    return node_key(SECRET, "becomingone", "home", node)


class RecordingHost(FakeHost):
    """A process with a configuration that can be read again, and a log."""

    def __init__(self) -> None:
        super().__init__()
        self.problem = ""
        self.lines = tuple(f"line {n}" for n in range(300))
        self.on_restart: Callable[[], None] = lambda: None

    def restart(self, why: str) -> None:
        super().restart(why)
        self.on_restart()

    def reload(self) -> Reloaded:
        self.calls.append(("reload", ""))
        if self.problem:
            raise ConfigError(self.problem)
        return Reloaded(("frames_per_s",), ("hardware",))

    def log_lines(self, count: int) -> tuple[str, ...]:
        super().log_lines(count)
        return self.lines[-count:]


@dataclass
class Screen:
    """An output that shows what it is told to."""

    role: str

    def __post_init__(self) -> None:
        self.shown: list[tuple[Mapping[str, float], str, float]] = []

    def show(self, values: Mapping[str, float], why: str, seconds: float) -> bool:
        if self.role == "motor":
            return False
        self.shown.append((values, why, seconds))
        return True


class CountingIdentify(Identify):
    """Counts how often it was begun."""

    begun = 0

    def begin(self, seconds: float) -> list[str]:
        self.begun += 1
        return super().begin(seconds)


class OperatedNode:
    """One life of a node, from its link to what obeys."""

    def __init__(
        self, name: str, boot: int, *, links: LinkFactory, scheduler: Scheduler, sealed: bool, session_s: int = 0
    ) -> None:
        self.name, self.boot = name, boot
        self.host = RecordingHost()
        self.screens = {"light": Screen("display"), "wheel": Screen("motor")}
        self.realigned: list[Mapping[str, Value]] = []
        self.rebirths = 0
        self.clock = MeshClock(scheduler)
        self.trust = Trust(key(name) if sealed else None, boot)
        state = TOPICS.state(name)
        self.link = links(TOPICS.client_id("node", name), Will(state, State.LOST.encode()), session_s=session_s)
        self.presence = Presence(self.link, state, scheduler)
        self.presence.state = State.READY
        self.identify = CountingIdentify(lambda: self.screens, scheduler=scheduler)
        self.operations = Operations(
            name,
            link=self.link,
            topics=TOPICS,
            trust=self.trust,
            clock=self.clock,
            boot=boot,
            verbs=handlers(self.host, self.identify, rebirth=self._reborn, realign=self.realigned.append),
        )

    def start(self) -> OperatedNode:
        self.link.on_up(self.describe)
        self.presence.start()
        self.operations.start()
        self.link.start()
        return self

    def describe(self) -> None:
        topic = TOPICS.about(self.name)
        payload = about(self.name, boot=self.boot, interval_s=3600.0).model_dump_json().encode()
        self.link.publish(topic, self.trust.seal_json(topic, payload), qos=1, retain=True)

    def _reborn(self) -> None:
        self.rebirths += 1
        self.describe()

    @property
    def obeyed(self) -> int:
        """How many commands, of whatever kind, have had their way."""
        return len(self.host.calls) + len(self.realigned) + self.rebirths + self.identify.begun


class Cell:
    """A hub, one node, and an operator, in virtual time."""

    def __init__(self, *, sealed: bool = True, node: bool = True, **hub: Any) -> None:
        self.bench = Bench(1)
        self.sealed = sealed
        self.store = KeptEpochs()
        self.outcomes: list[Outcome] = []
        self.boots: dict[str, int] = {"hub": 0, "n": 0}
        self._hub_config = {**(SEALED if sealed else {}), **hub}
        self.start_hub()
        if node:
            self.start_node()
        self.operator = self.bench.client("operator")
        self.operator.subscribe(TOPICS.answer("+", "+"), self._hear, qos=1)
        self.operator.start()
        self.run(2.0)

    def _hear(self, message: Message) -> None:
        assert not message.retained
        outcome = Outcome.model_validate_json(message.payload)
        assert outcome.token is not None
        assert message.topic == TOPICS.answer(outcome.node, outcome.token)
        self.outcomes.append(outcome)

    def start_hub(self) -> Hub:
        if self.boots["hub"]:
            for turn in self.hub._turns:
                turn.cancel()
            self.bench.broker.kill(self.hub._link.client_id)
        self.boots["hub"] += 1
        scheduler = self.bench.scheduler
        self.hub = Hub(
            HubConfig.model_validate(self._hub_config),
            HubMachine(
                boot=self.boots["hub"],
                links=self.bench.broker.link,
                clock=MeshClock(scheduler),
                scheduler=scheduler,
                epochs=self.store,
            ),
        )
        self.hub.start()
        return self.hub

    def start_node(self) -> OperatedNode:
        if self.boots["n"]:
            self.bench.broker.kill(self.node.link.client_id)
        self.boots["n"] += 1
        self.node = OperatedNode(
            "n", self.boots["n"], links=self.bench.broker.link, scheduler=self.bench.scheduler, sealed=self.sealed
        ).start()
        return self.node

    def run(self, seconds: float) -> Cell:
        self.bench.run_for(seconds)
        return self

    def ask(self, verb: str, arguments: object = None, *, node: str = "n", retain: bool = False, **fields: Any) -> None:
        """Ask as an operator does, and give everybody a moment."""
        content = {**({} if arguments is None else {"arguments": arguments}), **fields}
        self.operator.publish(TOPICS.operate(node, verb), json.dumps(content).encode(), qos=1, retain=retain)
        self.run(0.05)

    @property
    def results(self) -> list[tuple[str, str]]:
        """Each outcome's verb and result."""
        return [(outcome.verb, outcome.result) for outcome in self.outcomes]

    @property
    def whys(self) -> list[str]:
        """Each outcome's reason."""
        return [outcome.why for outcome in self.outcomes]

    def events(self) -> list[dict[str, Any]]:
        topic = TOPICS.event("operation")
        return [json.loads(entry.payload) for entry in self.bench.broker.trace if entry.topic == topic]

    def sent(self, part: str) -> list[tuple[str, bytes]]:
        """Everything that was published on topics with this in them."""
        return [(entry.topic, entry.payload) for entry in self.bench.broker.trace if part in entry.topic]
