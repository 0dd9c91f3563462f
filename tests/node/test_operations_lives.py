"""Commands over the lives of a node, and floods of them: obeyed once, at a bounded cost."""

from __future__ import annotations

import gc
import random
import sys
import time

import pytest
from tests.hub.operated import TOPICS

from becomingone.broker.link import Message
from becomingone.node import operations
from becomingone.node.operations import Operations
from becomingone.wire.command import NodeCommand
from becomingone.wire.verbs import MAX_COMMAND, Verb

from .command_rig import BOTH, Rig

# Over the node's lives


@BOTH
def test_a_command_is_not_obeyed_twice_whenever_it_comes_again(sealed: bool) -> None:
    """A broker redelivers, or an enemy replays: at every moment, in this life and in those after it."""
    rig = Rig(sealed=sealed)
    captured = [(verb, rig.command(verb)) for verb in Verb if verb is not Verb.REBIRTH]
    for verb, payload in captured:
        rig.give(verb, payload)
    assert rig.node.obeyed == len(captured)
    lives = [rig.node]
    for step in range(240):
        if step % 40 in (3, 17):  # restarts, also while the commands hold still
            rig.start()
            lives.append(rig.node)
        rig.run(0.1)
        for verb, payload in captured:
            rig.give(verb, payload)
    assert [node.obeyed for node in lives] == [len(captured)] + [0] * (len(lives) - 1)
    assert len(lives) == 13
    assert len(rig.replies) < 200  # a flood of them is not answered one by one
    rig.run(20.0)
    rig.number = 100
    rig.give("restart", rig.command(Verb.RESTART))
    assert rig.node.host.calls == [("restart", "a command")]


def test_it_would_be_without_the_rule_on_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would prove nothing."""

    def only_expiry(self: Operations, command: NodeCommand, _verb: Verb) -> None:
        assert command.expires_us >= self._clock.now_us()

    monkeypatch.setattr(Operations, "_check_time", only_expiry)
    rig = Rig(sealed=False)
    captured = rig.command(Verb.RESTART)
    for _ in range(3):  # a loop of restarts
        rig.give("restart", captured)
        assert rig.node.host.calls == [("restart", "a command")]
        rig.start()


def test_without_keys_a_new_life_takes_new_commands_after_a_second_and_a_rebirth_at_once() -> None:
    rig = Rig(sealed=False)
    rig.start()
    rig.run(0.5)
    rig.give("rebirth", rig.command(Verb.REBIRTH))
    rig.give("reload", rig.command(Verb.RELOAD))
    rig.run(0.6)
    rig.give("reload", rig.command(Verb.RELOAD))
    assert [(reply.verb, reply.result) for reply in rig.replies] == [
        ("rebirth", "done"),
        ("reload", "refused"),
        ("reload", "done"),
    ]
    assert rig.node.operations.refused == {"before_start": 1}


def test_with_keys_a_new_life_takes_new_commands_at_once() -> None:
    rig = Rig()
    rig.start()
    rig.run(0.01)
    rig.give("reload", rig.command(Verb.RELOAD))
    assert rig.replies[-1].result == "done"


# Floods


@BOTH
def test_who_asks_too_often_is_not_heard(sealed: bool) -> None:
    rig = Rig(sealed=sealed)
    for _ in range(100):
        rig.node.operations._take(Message(TOPICS.command("n", "reload"), rig.command(Verb.RELOAD)))
    rig.run(1.0)
    assert len(rig.replies) == rig.node.obeyed == operations.COMMANDS_AT_ONCE
    assert rig.node.operations.refused == {"too_often": 80}
    rig.give("reload", rig.command(Verb.RELOAD))
    assert len(rig.replies) == 21


def garbage(rig: Rig, count: int) -> list[tuple[str, bytes]]:
    """Bytes that are nothing, commands with a piece replaced, and 1 MiB of zeros now and then."""
    rng = random.Random(1)
    right = rig.command(Verb.LOG)
    big = bytes(1 << 20)
    made: list[tuple[str, bytes]] = []
    for number in range(count):
        way = number % 5
        if way == 0:
            payload = rng.randbytes(rng.randrange(64))
        elif way == 1:
            place = rng.randrange(len(right))
            payload = right[:place] + rng.randbytes(rng.randrange(8)) + right[place + 1 :]
        elif way == 2:
            payload = rng.randbytes(MAX_COMMAND)
        elif way == 3:
            payload = b"\x9f" * rng.randrange(MAX_COMMAND)
        else:
            payload = big
        verb = rng.choice([*Verb, "dance", "a" * 63, "A", "", "x/y"])
        made.append((TOPICS.command("n", verb), payload))
    return made


@BOTH
def test_100_000_commands_of_garbage_cost_little_time_and_no_memory(sealed: bool) -> None:
    rig = Rig(sealed=sealed)
    messages = [Message(*one) for one in garbage(rig, 1000)]
    take = rig.node.operations._take

    def flood(times: int) -> None:
        for _ in range(times):
            for message in messages:
                take(message)
        rig.node.trust.audit.flush(rig.node.clock.monotonic_ns())

    flood(2)
    gc.collect()
    before, began = sys.getallocatedblocks(), time.process_time()
    flood(98)
    assert time.process_time() - began < 30.0  # of the processor's own time; it takes half a second
    gc.collect()
    assert sys.getallocatedblocks() - before < 2000  # 98,000 messages: nothing is kept of them
    refused = rig.node.operations.refused
    assert refused.total() + rig.node.obeyed >= 99_000  # what happened to be right without keys was answered
    assert len(refused) < 20
    rig.run(1.0)
    assert len(rig.replies) <= operations.COMMANDS_AT_ONCE
    rig.run(10.0)
    rig.give("restart", rig.command(Verb.RESTART, hub_boot=(1 << 32) - 1, number=(1 << 64) - 1))
    assert rig.replies[-1].result == "done"
