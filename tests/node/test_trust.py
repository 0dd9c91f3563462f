"""What a node takes for the hub's."""

from __future__ import annotations

import json
import logging

import pytest

from becomingone.broker.link import Message
from becomingone.errors import FrameError
from becomingone.node.config import NodeConfig
from becomingone.node.outputs import OutputRunner
from becomingone.node.trust import Trust
from becomingone.scheduling import MeshClock
from becomingone.sim.bench import Bench
from becomingone.sim.clock import VirtualScheduler
from becomingone.wire.announce import About, parse_announcement
from becomingone.wire.command import NodeCommand, OutputCommand, encode_command, encode_node_command
from becomingone.wire.frame import decode_frame
from becomingone.wire.seal import open_json, open_sealed, seal

from .fakes import FakeOutput

KEY = bytes.fromhex("7a1c9d53e2b84f0661d7c3a59be80f2412d5b6a7c98e3f401b2d4c6e8fa09375")
TOPIC = "becomingone/home/node/n/output/light/set"
BASE = "becomingone/home/node/n"
RED = {"hue": 0.0, "brightness": 0.5}
TONE = {"name": "t", "kind": "synthetic", "bands": ["stride"], "options": {"frequency_hz": 0.78, "rate_hz": 50}}


def reason(trust: Trust, payload: bytes, topic: str = TOPIC) -> str | None:
    try:
        trust.open(topic, payload)
    except FrameError as error:
        return error.reason
    return None


class Rig:
    """One output of a node in its life 7."""

    def __init__(self, key: bytes | None = KEY) -> None:
        scheduler = VirtualScheduler()
        self.clock = MeshClock(scheduler)
        self.device = FakeOutput()
        self.trust = Trust(key, 7)
        self.runner = OutputRunner(
            "light",
            self.device,
            stale_s=2.0,
            clock=self.clock,
            scheduler=scheduler,
            report=lambda *_: None,
            trust=self.trust,
        )

    def payload(self, number: int = 0) -> bytes:
        expires_us = self.clock.now_us() + 1_000_000
        return encode_command(OutputCommand(boot=1, id=number, expires_us=expires_us, values=RED))

    def send(self, payload: bytes, topic: str = TOPIC) -> None:
        self.runner.command(Message(topic, payload))


def test_a_node_without_a_key_takes_everything_as_before() -> None:
    trust = Trust(None, 7)
    assert trust.seal("t", b"\xa0") == b"\xa0"
    assert trust.seal_json("t", b"{}") == b"{}"
    assert trust.open("t", b"anything") == b"anything"


def test_a_sealed_command_is_obeyed_once_and_no_other_at_all() -> None:
    rig = Rig()
    sealed = seal(KEY, TOPIC, rig.payload(), 7)
    for payload, topic in (
        (rig.payload(), TOPIC),
        (seal(KEY[::-1], TOPIC, rig.payload(), 7), TOPIC),
        (seal(KEY, TOPIC, rig.payload(), 8), TOPIC),
        (seal(KEY, TOPIC.replace("light", "door"), rig.payload(), 7), TOPIC),
        (sealed, TOPIC.replace("light", "door")),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), TOPIC),
        (seal(KEY, TOPIC, rig.payload(), 6), TOPIC),
    ):
        rig.send(payload, topic)
    assert rig.device.calls == ["rest"]
    assert rig.runner.refused == {"unsealed": 1, "forged": 5, "wrong_epoch": 1}
    rig.send(sealed)
    rig.send(sealed)
    assert rig.device.calls == ["rest", RED]
    assert rig.runner.refused["replayed"] == 1


def test_what_is_refused_uses_up_no_number() -> None:
    rig = Rig()
    rig.send(seal(KEY[::-1], TOPIC, rig.payload(1000), 7))
    rig.send(seal(KEY, TOPIC, rig.payload(0), 7))
    assert rig.device.calls == ["rest", RED]


@pytest.mark.parametrize(("life", "said"), [(6, "wrong_epoch"), (3, "wrong_epoch"), (2, "forged"), (8, "forged")])
def test_a_command_to_a_recent_life_is_told_from_a_forged_one(life: int, said: str) -> None:
    assert reason(Trust(KEY, 7), seal(KEY, TOPIC, b"\xa0", life)) == said


@pytest.mark.parametrize("boot", [0, 1, 2])
def test_a_node_in_its_first_lives_looks_back_no_further_than_there_is(boot: int) -> None:
    assert reason(Trust(KEY, boot), seal(KEY[::-1], TOPIC, b"\xa0", boot)) == "forged"
    assert reason(Trust(KEY, boot), seal(KEY, TOPIC, b"\xa0", boot)) is None


def test_refusals_are_told_at_a_bounded_rate_and_without_the_key(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    with caplog.at_level(logging.INFO):
        for number in range(1000):
            rig.send(rig.payload(number))
            rig.send(seal(KEY, TOPIC, rig.payload(number), 6))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert caplog.messages[0].startswith(f"light: a message refused as unsealed, the last on {TOPIC}: ")
    assert KEY.hex() not in caplog.text
    assert rig.runner.refused == {"unsealed": 1000, "wrong_epoch": 1000}


def test_a_node_seals_its_frames_and_its_description_with_its_own_life() -> None:
    bench = Bench(1)
    config = NodeConfig.model_validate({"node": "n", "inputs": [TONE], "security": {"key": KEY.hex()}})
    for life in (1, 2):
        bench.add_node(config)
        start = len(bench.broker.trace)
        bench.run_for(2.0)
        sent = bench.broker.trace[start:]
        abouts = [entry for entry in sent if entry.topic == f"{BASE}/about"]
        frames = [entry for entry in sent if "/phase/" in entry.topic]
        assert abouts
        assert len(frames) > 10
        for entry in abouts:
            open_json(KEY, entry.topic, entry.payload, life)
            assert parse_announcement(About, entry.payload).boot == life
        for entry in frames:
            assert decode_frame(open_sealed(KEY, entry.topic, entry.payload, life)).boot == life


def test_a_node_describes_itself_to_its_own_hub_only() -> None:
    bench = Bench(1)
    bench.add_node(NodeConfig.model_validate({"node": "n", "security": {"key": KEY.hex()}}))
    stranger = bench.client("stranger")
    stranger.start()
    bench.run_for(1.0)
    topic = f"{BASE}/cmd/rebirth"

    def announced() -> int:
        return sum(entry.topic == f"{BASE}/about" for entry in bench.broker.trace)

    before = announced()
    command = encode_node_command(NodeCommand(1, 5, bench.scheduler.time_us() + 1_000_000))
    for payload in (command, seal(KEY[::-1], topic, command, 1), seal(KEY, topic, command, 0)):
        stranger.publish(topic, payload)
        bench.run_for(0.1)
    assert announced() == before
    stranger.publish(topic, seal(KEY, topic, command, 1))
    bench.run_for(0.1)
    assert announced() == before + 1
    states = [entry.payload for entry in bench.broker.trace if entry.topic == f"{BASE}/state"]
    assert states == [b"ready", b"ready"]  # with its state, for a hub that has just come to know it
    health = json.loads(bench.broker.retained[f"{BASE}/health"])
    assert health["refused_commands"] == {"unsealed": 1, "forged": 1, "wrong_epoch": 1}
