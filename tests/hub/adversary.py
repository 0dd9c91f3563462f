"""What a broker that has every message, and the key of one node, can send to the others and to the hub."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable

import cbor2

from becomingone.wire.seal import MAC_BYTES, SEAL_KEY, node_key, seal, seal_json

from .hostile import MEMBERS, SECRET, HostileCell, Sent

RECENT = 300
"""Messages that are still young enough to be taken for live ones."""

LOOK_EVERY = 20
"""Of so many messages one is followed into the counters."""

Forgery = tuple[str, bytes]


class Adversary:
    """Invents messages, none of which may be taken.

    Parameters
    ----------
    cell : HostileCell
        Whose archive it works with.
    total : int
        How many messages it sends.
    bursts : int
        Messages of the cell after each of which it sends a share of them.
    """

    def __init__(self, cell: HostileCell, total: int, bursts: int) -> None:
        self.sent: Counter[str] = Counter()
        self.accepted: list[tuple[str, Forgery]] = []
        self._cell = cell
        self._total = total
        self._burst = -(-total // bursts)
        self._rng = random.Random(cell.rng.random())
        self._stolen = node_key(SECRET, "becomingone", "home", MEMBERS[-1])
        self._targets = [topic for node in MEMBERS for topic in self._topics_of(node)]
        self._ways: dict[str, Callable[[Sent], Forgery | None]] = {
            "replayed": self._replay,
            "moved": self._move,
            "bits flipped": self._flip,
            "cut": self._cut,
            "spliced": self._splice,
            "edited": self._edit,
            "unsealed": self._strip,
            "reordered": self._reorder,
            "sealed with a stolen key": self._steal,
        }
        cell.attack = self.attack

    def attack(self) -> None:
        """Send one burst."""
        for _ in range(min(self._burst, self._total - self.sent.total())):
            name = self._rng.choice(list(self._ways))
            forgery = self._ways[name](self._any())
            if forgery is not None:
                self._send(name, forgery)

    def _send(self, name: str, forgery: Forgery) -> None:
        cell = self._cell
        looks = cell.sealed and self.sent.total() % LOOK_EVERY == 0
        counted = cell.refused().total() if looks else 0
        before = cell.taken()
        reached = cell.broker.deliver(*forgery, retained=self._rng.random() < 0.1)
        assert reached == 1, forgery[0]
        self.sent[name] += 1
        if cell.taken() != before:
            self.accepted.append((name, forgery))
        elif looks:
            assert cell.refused().total() == counted + 1, forgery  # every refusal is counted

    def _topics_of(self, node: str) -> list[str]:
        topics = self._cell.topics
        phases = [topics.phase(node, band, name) for band in ("stride", "motion") for name in ("tone", "other")]
        return [*phases, topics.about(node), topics.output_set(node, "light"), topics.command(node, "rebirth")]

    def _any(self) -> Sent:
        archive = self._cell.archive
        if self._rng.random() < 0.7:
            return archive[-1 - self._rng.randrange(min(RECENT, len(archive)))]
        return self._rng.choice(archive)

    # -- ways ------------------------------------------------------------------------------------------------------

    def _replay(self, sent: Sent) -> Forgery | None:
        stale = self._cell.stale(sent)
        if not sent.taken and not stale:
            return None  # the first time it comes in its time, it is only late
        if sent.kind == "about" and not stale:
            return None  # what a node says of itself in this life holds, however often it is said
        return sent.topic, sent.payload

    def _reorder(self, sent: Sent) -> Forgery | None:
        if sent.taken or sent.kind == "about" or self._cell.newest.get(sent.topic, -1) < sent.number:
            return None
        return sent.topic, sent.payload

    def _move(self, sent: Sent) -> Forgery | None:
        topic = self._rng.choice(self._targets)
        return None if topic == sent.topic else (topic, sent.payload)

    def _flip(self, sent: Sent) -> Forgery:
        payload = bytearray(sent.payload)
        for place in self._rng.sample(range(len(payload)), self._rng.randint(1, 3)):
            payload[place] ^= 1 << self._rng.randrange(8)
        return sent.topic, bytes(payload)

    def _cut(self, sent: Sent) -> Forgery:
        place = self._rng.randrange(len(sent.payload))
        way = self._rng.randrange(3)
        parts = (sent.payload[:place], sent.payload[place + 1 :], sent.payload + self._rng.randbytes(place + 1))
        return sent.topic, parts[way]

    def _splice(self, sent: Sent) -> Forgery | None:
        """One message's content with another's MAC."""
        other = self._any()
        if (sent.kind == "about") != (other.kind == "about") or sent.payload == other.payload:
            return None
        tail = 34 if sent.kind == "about" else MAC_BYTES
        if sent.payload[-tail:] == other.payload[-tail:]:
            return None
        return sent.topic, sent.payload[:-tail] + other.payload[-tail:]

    def _edit(self, sent: Sent) -> Forgery:
        """The same as new: numbers raised, times set to now, the old MAC kept or another one invented."""
        if sent.kind == "about":
            about = json.loads(sent.payload)
            about["boot"] = self._rng.choice([about["boot"] + 1, (1 << 32) - 1, 0, about["boot"]])
            about["capability"] = 1000.0
            return sent.topic, json.dumps(about, separators=(",", ":")).encode()
        fields = self._renewed(sent)
        if self._rng.random() < 0.5:
            fields[SEAL_KEY] = self._rng.randbytes(MAC_BYTES)
        return sent.topic, cbor2.dumps(fields, canonical=True)

    def _strip(self, sent: Sent) -> Forgery:
        """No seal at all, on a message that would be a fresh one without."""
        if sent.kind == "about":
            about = json.loads(sent.payload)
            about.pop("mac", None)
            return sent.topic, json.dumps(about, separators=(",", ":")).encode()
        fields = self._renewed(sent)
        fields.pop(SEAL_KEY, None)
        return sent.topic, cbor2.dumps(fields, canonical=True)

    def _steal(self, sent: Sent) -> Forgery | None:
        """A message to or from another node, freshly sealed with the key of the one that was stolen."""
        if sent.node == MEMBERS[-1]:
            return None
        boot = self._cell.boots[sent.node] + self._rng.choice([0, 0, 0, 1])
        if sent.kind == "about":
            about = json.loads(sent.payload) | {"boot": boot}
            about.pop("mac", None)
            return sent.topic, seal_json(self._stolen, sent.topic, json.dumps(about).encode(), boot)
        fields = self._renewed(sent)
        fields.pop(SEAL_KEY, None)
        if sent.kind == "phase":
            fields[1] = boot
        return sent.topic, seal(self._stolen, sent.topic, cbor2.dumps(fields, canonical=True), boot)

    def _renewed(self, sent: Sent) -> dict[int, object]:
        fields: dict[int, object] = cbor2.loads(sent.payload)
        now_us = self._cell.clock.now_us()
        if sent.kind == "phase":
            fields[1] = self._cell.boots[sent.node]
            fields[2] = int(str(fields[2])) + 1_000_000 + self.sent.total()
            fields[3] = now_us
        else:
            fields[1] = self._cell.boots["hub"]
            fields[2] = int(str(fields[2])) + 1_000_000 + self.sent.total()
            fields[3] = now_us + 5_000_000
        return fields


def siege(seed: int, total: int, seconds: float, *, sealed: bool = True) -> tuple[HostileCell, Adversary]:
    """Let an adversary work on a cell while it lives, and while its members are started anew."""
    cell = HostileCell(seed, sealed=sealed)
    adversary = Adversary(cell, total, bursts=int(seconds * 60))
    restarts: list[Callable[[], None]] = [
        lambda: None,
        lambda: cell.start_node("attic"),
        cell.start_hub,
        lambda: cell.start_node("cellar"),
        lambda: cell.start_node("attic"),
        cell.start_hub,
        lambda: cell.start_node("mole"),
    ]
    for restart in restarts:
        restart()
        cell.run(seconds / len(restarts))
    return cell, adversary
