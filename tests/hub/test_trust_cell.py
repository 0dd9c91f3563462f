"""A whole cell with keys in virtual time: it works, and what strangers and a stolen node say changes nothing."""

from __future__ import annotations

import json
import logging
import random

import pytest

from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench
from becomingone.wire.audit import MAX_SOURCES
from becomingone.wire.cbor import MAX_PAYLOAD
from becomingone.wire.seal import seal, seal_json

from .hostile import SECRET
from .parts import about
from .sealed_cell import BASE, GREEN, SealedCell, key, tone


def test_a_cell_with_keys_works() -> None:
    cell = SealedCell().run(40.0)
    seen = cell.snapshot
    assert seen["authenticated"]
    assert seen["bands"]["stride"]["channels"] == 2
    assert seen["bands"]["stride"]["order"] == pytest.approx(0.9305, abs=0.02)
    assert {name: node["state"] for name, node in seen["nodes"].items()} == dict.fromkeys(
        ("thigh", "shank", "lamp"), "ready"
    )
    assert seen["missing"] == 0
    assert set(seen["refused"]) <= {"before_start"}  # only what the hub's own start forbids, for a second
    state = json.loads(cell.bench.broker.retained[f"{BASE}/node/lamp/output/light/state"])
    assert state["doing"] == "command"
    assert sorted(event["node"] for event in cell.events("joined")) == ["lamp", "shank", "thigh"]
    assert cell.events("distrusted") == []
    assert cell.store.kept == {"thigh": 1, "shank": 1, "lamp": 1}


def test_strangers_read_the_results_as_ever() -> None:
    cell = SealedCell().run(20.0)
    told = json.loads(cell.bench.broker.retained[f"{BASE}/node/thigh/about"])
    assert told["channels"][0]["name"] == "tone"
    assert len(told["mac"]) == 32


def test_a_stranger_s_frames_change_nothing() -> None:
    honest, other = SealedCell().run(20.0), SealedCell().run(20.0)
    for number in range(200):
        for node in ("thigh", "shank", "lamp", "nobody"):
            other.say(f"node/{node}/phase/stride/tone", other.fresh_frame(seq=(1 << 40) + number))
    honest.run(10.0 + 200 * 0.04)
    other.run(10.0)
    seen, expected = other.snapshot, honest.snapshot
    assert sorted(seen["nodes"]) == sorted(expected["nodes"])
    assert seen["frames"] == pytest.approx(expected["frames"], abs=4)  # what is under way when the snapshot is taken
    assert seen["bands"]["stride"]["order"] == pytest.approx(expected["bands"]["stride"]["order"], abs=0.01)
    assert seen["refused"]["unsealed"] == 800
    assert seen["nodes"]["thigh"]["refused"]["unsealed"] == 200


def test_a_stranger_s_commands_move_nothing() -> None:
    cell = SealedCell().run(20.0)
    cell.bench.kill("thigh")
    cell.bench.kill("shank")
    cell.run(15.0)  # nothing has a phase any more: the lamp rests
    screen = cell.bench.ports["lamp"].screen.getvalue()
    for number in range(50):
        cell.say("node/lamp/output/light/set", cell.command((1 << 40) + number))
        cell.say("node/lamp/cmd/rebirth", cell.command((1 << 40) + number))
    assert cell.bench.ports["lamp"].screen.getvalue() == screen
    assert cell.bench.nodes["lamp"].refused["unsealed"] == 100


def test_a_recorded_frame_and_command_are_worth_nothing_later_or_elsewhere() -> None:
    cell = SealedCell().run(30.0)
    trace = cell.bench.broker.trace
    frames = [e for e in trace if "/thigh/phase/" in e.topic][-20:]
    commands = [e for e in trace if e.topic.endswith("/light/set")][-5:]
    assert (len(frames), len(commands)) == (20, 5)
    cell.bench.kill("thigh")
    cell.bench.kill("shank")
    cell.run(1.5)  # the frames are still young enough, the commands are not
    before = cell.snapshot["frames"]
    for entry in frames:
        cell.say(entry.topic.removeprefix(f"{BASE}/"), entry.payload)
        cell.say("node/shank/phase/stride/tone", entry.payload)
    for entry in commands:
        cell.say("node/lamp/output/light/set", entry.payload, retain=True)
    cell.run(1.0)
    assert cell.snapshot["frames"] == before
    assert sum(cell.bench.nodes["lamp"].outputs["light"].refused.values()) == 5
    assert cell.snapshot["nodes"]["thigh"]["refused"]["replayed"] == 20
    assert cell.snapshot["nodes"]["shank"]["refused"]["forged"] == 20


def test_a_stolen_key_speaks_for_its_own_node_only() -> None:
    cell = SealedCell().run(20.0)
    stolen = key("lamp")
    before = cell.snapshot["frames"]
    cell.bench.kill("thigh")
    for number in range(20):
        for node in ("thigh", "shank", "nobody"):
            topic = f"node/{node}/phase/stride/tone"
            payload = cell.fresh_frame(seq=(1 << 40) + number)
            cell.say(topic, seal(stolen, f"{BASE}/{topic}", payload, 1))
        topic = "node/shank/cmd/rebirth"
        cell.say(topic, seal(stolen, f"{BASE}/{topic}", cell.command(), 1))
    cell.run(1.0)
    assert cell.snapshot["nodes"]["thigh"]["refused"]["forged"] == 20
    assert cell.bench.nodes["shank"].refused["forged"] == 20
    assert cell.snapshot["frames"] <= before + 60  # what the two honest ones have said meanwhile
    assert "nobody" not in cell.snapshot["nodes"]
    topic = f"{BASE}/node/lamp/output/light/set"  # to itself it can say what it likes: it is the lamp
    cell.stranger.publish(topic, seal(stolen, topic, cell.command(), 1))
    cell.run(0.01)
    assert cell.bench.nodes["lamp"].outputs["light"].state.values == GREEN


@pytest.mark.parametrize("boot", [0, 1, 2, (1 << 32) - 1])
def test_a_forged_description_shuts_nobody_out(boot: int) -> None:
    cell = SealedCell().run(10.0)
    before = cell.snapshot["nodes"]["thigh"]
    forged = about("thigh", boot=boot, capability=1000.0, channels=()).model_dump_json().encode()
    topic = "node/thigh/about"
    cell.say(topic, forged, retain=True)
    cell.say(topic, seal_json(key("lamp"), f"{BASE}/{topic}", forged, boot), retain=True)
    cell.run(5.0)
    seen = cell.snapshot["nodes"]["thigh"]
    assert seen["frames"] > before["frames"] + 40
    assert seen["hardware"] == before["hardware"]
    assert {event["reason"] for event in cell.events("distrusted")} == {"unsealed", "forged"}
    assert cell.snapshot["refused"]["forged"] == 1


def test_an_earlier_life_s_description_is_refused_and_the_present_one_asked_for() -> None:
    cell = SealedCell().run(5.0)
    earlier = cell.bench.broker.retained[f"{BASE}/node/thigh/about"]
    cell.start_node("thigh", inputs=[tone(0.0)])
    cell.run(5.0)
    frames = cell.snapshot["nodes"]["thigh"]["frames"]
    cell.say("node/thigh/about", earlier, retain=True)
    cell.run(1.5)
    assert cell.snapshot["refused"]["wrong_epoch"] == 1
    assert cell.snapshot["nodes"]["thigh"]["frames"] > frames + 5
    assert json.loads(cell.bench.broker.retained[f"{BASE}/node/thigh/about"])["boot"] == 2  # it has said so again
    assert cell.events("distrusted") == []


def test_made_up_names_take_nobody_s_place() -> None:
    cell = SealedCell()
    for number in range(5000):
        cell.stranger.publish(f"{BASE}/node/s{number}/state", b"ready")
        cell.stranger.publish(f"{BASE}/node/s{number}/health", b"{}")
    cell.run(10.0)
    assert sorted(cell.snapshot["nodes"]) == ["lamp", "shank", "thigh"]
    assert cell.snapshot["bands"]["stride"]["channels"] == 2


def test_forgeries_are_told_with_their_topic_and_never_with_a_key(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        cell = SealedCell().run(5.0)
        for node in ("thigh", "shank"):  # the rest is quicker without them
            cell.bench.kill(node)
        for _ in range(300):
            cell.say("node/thigh/phase/stride/tone", cell.fresh_frame())
        cell.run(62.0)
    told = cell.events("distrusted")
    assert [(event["node"], event["reason"], event["messages"]) for event in told] == [
        ("thigh", "unsealed", 1),
        ("thigh", "unsealed", 299),
    ]
    assert {event["last_topic"] for event in told} == {f"{BASE}/node/thigh/phase/stride/tone"}
    assert sum("refused as unsealed" in line for line in caplog.messages) == 2
    everything = caplog.text.encode() + b"".join(entry.payload for entry in cell.bench.broker.trace)
    for secret in (SECRET, key("thigh")):
        assert secret not in everything
        assert secret.hex().encode() not in everything


def test_a_flood_of_forged_names_is_a_bounded_number_of_events() -> None:
    cell = SealedCell().run(2.0)
    for number in range(1000):
        cell.stranger.publish(f"{BASE}/node/s{number}/phase/stride/tone", b"junk")
    cell.run(2.0)
    told = cell.events("distrusted")
    assert MAX_SOURCES // 2 < len(told) <= MAX_SOURCES + 1
    assert [event["node"] for event in told].count(None) == 1
    assert cell.snapshot["refused"]["unsealed"] == 1000


def test_nodes_and_hubs_with_and_without_keys_do_not_talk() -> None:
    cell = SealedCell()
    plain = NodeConfig.model_validate({"node": "plain", "inputs": [tone(0.0)]})
    cell.bench.add_node(plain)
    wrong = {"node": "wrong", "inputs": [tone(0.0)], "security": {"key": random.Random(1).randbytes(32).hex()}}
    cell.bench.add_node(NodeConfig.model_validate(wrong))
    cell.run(10.0)
    assert sorted(cell.snapshot["nodes"]) == ["lamp", "shank", "thigh"]
    assert {(event["node"], event["reason"]) for event in cell.events("distrusted")} == {
        ("plain", "unsealed"),
        ("wrong", "forged"),
    }


def test_a_cell_without_keys_says_so() -> None:
    bench = Bench(1)
    bench.add_hub(HubConfig())
    bench.run_for(2.0)
    assert json.loads(bench.broker.retained[f"{BASE}/snapshot"])["authenticated"] is False


def test_what_is_too_long_to_be_checked_is_held_against_nobody() -> None:
    cell = SealedCell().run(20.0)
    for _ in range(80):
        cell.say("node/thigh/phase/stride/tone", b"\xa2\x01\x01" + bytes(MAX_PAYLOAD))
    cell.run(2.0)
    seen = cell.snapshot["nodes"]["thigh"]
    assert seen["refused"]["oversize"] == 80
    assert seen["trust"] == {}
