"""A node that takes commands, and somebody with its key who plays the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from tests.hub.operated import TOPICS, OperatedNode, key

from becomingone.broker.link import Message
from becomingone.sim.bench import Bench
from becomingone.wire.command import NodeCommand, encode_node_command
from becomingone.wire.remote import Reply
from becomingone.wire.seal import open_json, seal
from becomingone.wire.verbs import MAX_VALID_S, Value, Verb

TARGET: dict[str, Value] = {"band": "stride", "phase": 0.5, "omega": 4.0, "time_us": 1_700_000_000_000_000}
GIVEN: dict[Verb, dict[str, Value]] = {
    Verb.REALIGN: TARGET,
    Verb.IDENTIFY: {"seconds": 2.0},
    Verb.LOGLEVEL: {"level": "debug"},
    Verb.LOG: {"lines": 2},
}
BOTH = pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "unsealed"])


class Rig:
    """A node, and somebody with its key who plays the hub; messages come straight to the node's handler."""

    def __init__(self, *, sealed: bool = True) -> None:
        self.bench = Bench(1)
        self.sealed = sealed
        self.boot = 0
        self.number = -1
        self.start()
        self.run(20.0)  # whatever an earlier life may have obeyed has expired

    def start(self) -> None:
        """Begin another life of the node."""
        if self.boot:
            self.bench.broker.kill(self.node.link.client_id)
        self.boot += 1
        self.node = OperatedNode(
            "n", self.boot, links=self.bench.broker.link, scheduler=self.bench.scheduler, sealed=self.sealed
        ).start()

    def run(self, seconds: float) -> None:
        self.bench.run_for(seconds)

    def command(
        self,
        verb: Verb,
        arguments: Mapping[str, Value] | None = None,
        *,
        holds_s: float = MAX_VALID_S,
        hub_boot: int = 1,
        number: int | None = None,
        boot: int | None = None,
    ) -> bytes:
        """Make a command as the hub does; a new one, unless a number is given."""
        self.number += number is None
        expires_us = self.node.clock.now_us() + int(holds_s * 1e6)
        given = GIVEN.get(verb, {}) if arguments is None else arguments
        issued = NodeCommand(hub_boot, self.number if number is None else number, expires_us, given)
        return self.sealed_for(TOPICS.command("n", verb), encode_node_command(issued, verb), boot)

    def sealed_for(self, topic: str, payload: bytes, boot: int | None = None) -> bytes:
        return seal(key("n"), topic, payload, self.boot if boot is None else boot) if self.sealed else payload

    def give(self, verb: str, payload: bytes, *, retained: bool = False) -> None:
        self.node.operations._take(Message(TOPICS.command("n", verb), payload, retained))
        self.run(0.01)

    @property
    def replies(self) -> list[Reply]:
        found = [entry for entry in self.bench.broker.trace if "/reply/" in entry.topic]
        for entry in found:
            if self.sealed:
                open_json(key("n"), entry.topic, entry.payload, json.loads(entry.payload)["boot"])
        replies = [Reply.model_validate_json(entry.payload) for entry in found]
        assert [entry.topic for entry in found] == [TOPICS.reply("n", reply.id) for reply in replies]
        return replies
