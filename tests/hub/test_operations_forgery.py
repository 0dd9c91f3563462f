"""The broker as the adversary of remote operation: it has every command and reply, and the key of another node."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import cbor2

from becomingone.hub.config import HubConfig
from becomingone.hub.machine import HubMachine
from becomingone.hub.service import Hub
from becomingone.scheduling import MeshClock
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.world import KeptEpochs
from becomingone.wire.seal import MAC_BYTES, SEAL_KEY, seal, seal_json
from becomingone.wire.verbs import Verb

from .hostile_broker import HostileBroker
from .operated import SEALED, TOPICS, OperatedNode, key

VICTIM, STOLEN = "n", "m"
BURST = 6
"""Forgeries before and after each request, command and reply."""
EACH_S = 0.5
GIVEN = {"loglevel": {"level": "info"}, "log": {"lines": 5}}
Forgery = tuple[str, bytes]


@dataclass
class Sent:
    """One command or reply, as it was published."""

    topic: str
    payload: bytes
    taken: bool


class Siege:
    """A hub and two nodes, each started anew now and then, and a broker that does what it likes."""

    def __init__(self, seed: int, *, sealed: bool = True) -> None:
        self.rng = random.Random(seed)
        self.sealed = sealed
        self.scheduler = VirtualScheduler()
        self.broker = HostileBroker(self.scheduler)
        self.broker.route = self._route
        self.epochs = KeptEpochs()
        self.boots: Counter[str] = Counter()
        self.nodes: dict[str, OperatedNode] = {}
        self.archive: list[Sent] = []
        self._archived: set[Forgery] = set()
        self.sent: Counter[str] = Counter()
        self.accepted: list[tuple[str, Forgery]] = []
        self.honest = 0
        self.refused: Counter[str] = Counter()
        self.ways: dict[str, Callable[[Sent], Forgery | None]] = {
            "replayed": lambda sent: (sent.topic, sent.payload) if sent.taken else None,
            "moved": self._move,
            "bits flipped": self._flip,
            "cut": self._cut,
            "spliced": self._splice,
            "renewed": self._renew,
            "unsealed": lambda sent: self._renewed(sent, None),
            "sealed with a stolen key": lambda sent: self._renewed(sent, key(STOLEN)),
        }
        self._operator = self.broker.link("operator", None)
        self._operator.start()
        self.start_hub()
        for name in (VICTIM, STOLEN):
            self.start_node(name)

    # -- the cell --------------------------------------------------------------------------------------------------

    def start_hub(self) -> None:
        if self.boots["hub"]:
            self.refused.update(self.hub.refused)
            self.hub._trust.keep()
            for turn in self.hub._turns:
                turn.cancel()
            self.hub._link.cut()
        self.boots["hub"] += 1
        self.hub = Hub(
            HubConfig.model_validate({**(SEALED if self.sealed else {}), "operate": {"per_minute": 600}}),
            HubMachine(
                boot=self.boots["hub"],
                links=self.broker.link,
                clock=MeshClock(self.scheduler),
                scheduler=self.scheduler,
                epochs=self.epochs,
            ),
        )
        self.hub.start()

    def start_node(self, name: str) -> None:
        if name in self.nodes:
            self.refused.update(self.nodes[name].operations.refused)
            self.nodes[name].link.cut()
        self.boots[name] += 1
        self.nodes[name] = OperatedNode(
            name, self.boots[name], links=self.broker.link, scheduler=self.scheduler, sealed=self.sealed
        ).start()

    def run(self, seconds: float) -> None:
        restarts = [
            lambda: self.start_node(VICTIM),
            self.start_hub,
            lambda: (self.start_node(STOLEN), self.start_node(VICTIM)),
        ]
        for step in range(int(seconds / EACH_S)):
            if step % 80 == 79:
                self.rng.choice(restarts)()
                self.scheduler.run_for(2.0)
            verb = self.rng.choice(["identify", "reload", "loglevel", "log", "restart"])
            content = {"token": f"t{step}", "arguments": GIVEN.get(verb, {})}
            topic = TOPICS.operate(self.rng.choice([VICTIM, VICTIM, STOLEN]), verb)
            self._operator.publish(topic, json.dumps(content).encode(), qos=1)
            self.scheduler.run_for(EACH_S)

    def obeyed(self) -> tuple[int, ...]:
        """What a command or a reply can change."""
        return (len(self.hub.operations._pending), *(node.obeyed for node in self.nodes.values()))

    def all_refused(self) -> Counter[str]:
        total = self.refused + self.hub.refused
        for node in self.nodes.values():
            total += node.operations.refused
        return total

    def _route(self, topic: str, payload: bytes) -> None:
        if "/cmd/" not in topic and "/reply/" not in topic:
            self.broker.deliver(topic, payload)
            return
        self._attack()
        if "/request/" in topic:
            self.broker.deliver(topic, payload)
            return
        self._archived.add((topic, payload))
        if self.rng.random() < 0.1:  # withheld
            self.archive.append(Sent(topic, payload, taken=False))
            return
        before = self.obeyed()
        self.broker.deliver(topic, payload)
        taken = self.obeyed() != before
        if self.sealed:  # else the adversary has long pushed the honest ones out
            assert taken or "rebirth" in topic or b'"verb":"rebirth"' in payload, (topic, payload)
        self.honest += taken
        self.archive.append(Sent(topic, payload, taken))
        self._attack()

    # -- the adversary ---------------------------------------------------------------------------------------------

    def _attack(self) -> None:
        for _ in range(BURST if self.archive else 0):
            recent = self.archive[-20:] if self.rng.random() < 0.5 else self.archive
            name = self.rng.choice(list(self.ways))
            forgery = self.ways[name](self.rng.choice(recent))
            if forgery is None or (name != "replayed" and forgery in self._archived):
                continue  # what was withheld, as it was: a delay, which it has the power of
            before = self.obeyed()
            self.broker.deliver(*forgery, retained=self.rng.random() < 0.05)
            self.sent[name] += 1
            if self.obeyed() != before:
                self.accepted.append((name, forgery))

    def _targets(self) -> list[str]:
        numbers = range(len(self.archive))
        return [
            *(TOPICS.command(node, verb) for node in (VICTIM, STOLEN) for verb in Verb),
            *(TOPICS.reply(node, self.rng.choice(numbers)) for node in (VICTIM, STOLEN)),
        ]

    def _move(self, sent: Sent) -> Forgery | None:
        topic = self.rng.choice(self._targets())
        return None if topic == sent.topic else (topic, sent.payload)

    def _flip(self, sent: Sent) -> Forgery:
        payload = bytearray(sent.payload)
        for place in self.rng.sample(range(len(payload)), self.rng.randint(1, 3)):
            payload[place] ^= 1 << self.rng.randrange(8)
        return sent.topic, bytes(payload)

    def _cut(self, sent: Sent) -> Forgery:
        place = self.rng.randrange(len(sent.payload))
        return sent.topic, self.rng.choice([sent.payload[:place], sent.payload + sent.payload[place:]])

    def _splice(self, sent: Sent) -> Forgery | None:
        other = self.rng.choice(self.archive)
        tail = 34 if "/reply/" in sent.topic else MAC_BYTES
        if sent.payload == other.payload or ("/reply/" in sent.topic) != ("/reply/" in other.topic):
            return None
        return sent.topic, sent.payload[:-tail] + other.payload[-tail:]

    def _renew(self, sent: Sent) -> Forgery:
        """As new, with the old code."""
        if "/reply/" in sent.topic:
            content = json.loads(sent.payload)
            if self.hub.operations._pending:
                content["id"] = self.rng.choice(list(self.hub.operations._pending))
            content["hub_boot"] = self.boots["hub"]
            content["result"] = "done"
            return TOPICS.reply(VICTIM, content["id"]), json.dumps(content, separators=(",", ":")).encode()
        return sent.topic, cbor2.dumps(self._fields(sent), canonical=True)

    def _renewed(self, sent: Sent, with_key: bytes | None) -> Forgery | None:
        """As new, sealed anew with a key or not at all."""
        if f"/node/{VICTIM}/" not in sent.topic:
            return None  # what the stolen key is good for
        boot = self.boots[VICTIM]
        if "/reply/" in sent.topic:
            content = json.loads(self._renew(sent)[1]) | {"boot": boot}
            content.pop("mac", None)
            topic = TOPICS.reply(VICTIM, content["id"])
            plain = json.dumps(content, separators=(",", ":")).encode()
            return topic, plain if with_key is None else seal_json(with_key, topic, plain, boot)
        fields = self._fields(sent)
        fields.pop(SEAL_KEY, None)
        plain = cbor2.dumps(fields, canonical=True)
        return sent.topic, plain if with_key is None else seal(with_key, sent.topic, plain, boot)

    def _fields(self, sent: Sent) -> dict[int, object]:
        fields: dict[int, object] = cbor2.loads(sent.payload)
        fields[1] = self.boots["hub"]
        fields[2] = 1_000_000 + self.sent.total()
        fields[3] = self.nodes[VICTIM].clock.now_us() + 10_000_000
        return fields


def test_no_command_is_obeyed_and_no_reply_believed_that_the_broker_makes_or_repeats() -> None:
    siege = Siege(1)
    siege.run(320.0)
    assert siege.accepted == []
    assert siege.sent.total() > 10_000
    assert min(siege.sent.values()) > 500, siege.sent
    assert siege.honest > 800
    assert min(siege.boots.values()) >= 3
    assert siege.all_refused().total() > 0.9 * siege.sent.total()  # others are of verbs that nobody waits for


def test_without_seals_the_same_broker_has_its_way() -> None:
    """Else the test above would prove nothing."""
    siege = Siege(1, sealed=False)
    siege.run(50.0)
    assert {"unsealed", "sealed with a stolen key"} <= {name for name, _ in siege.accepted}
    assert "replayed" not in {name for name, _ in siege.accepted}  # this holds without them too
