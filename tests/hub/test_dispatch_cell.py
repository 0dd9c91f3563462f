"""Commands in a whole cell: a real hub and real nodes on a simulated broker, from the rule to the lamp and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench
from becomingone.wire.topics import Topics

from .hostile import SECRET

TOPICS = Topics("becomingone", "home")
RULES = [
    {"name": "calm", "outputs": ["*/light"], "when": "coherence > 0.5", "set": {"hue": 240, "brightness": "coherence"}},
    {"name": "hello", "outputs": ["*/light"], "event": "joined", "for_s": 2, "set": {"brightness": 1}, "priority": 1},
]


class Cell:
    """A hub with rules and a node with a light, whose rhythm is quick so that little time need pass."""

    def __init__(self, *, sealed: bool = False, **dispatch: Any) -> None:
        self.bench = Bench(3)
        hub: dict[str, Any] = {"dispatch": {"rules": RULES, **dispatch}}
        node: dict[str, Any] = {}
        if sealed:
            from becomingone.wire.seal import node_key  # noqa: PLC0415 - one test's

            hub["security"] = {"secret": SECRET.hex()}
            node["security"] = {"key": node_key(SECRET, "becomingone", "home", "leg").hex()}
        self.bench.add_hub(HubConfig.model_validate(hub))
        options = {"frequency_hz": 9.7, "noise": 0.05, "rate_hz": 50, "seed": 1, "floor": 0.05}
        given = {
            "node": "leg",
            "inputs": [{"name": "leg", "kind": "synthetic", "bands": ["fast"], "options": options}],
            "outputs": [{"name": "light", "kind": "terminal"}],
            **node,
        }
        self.config = NodeConfig.model_validate(given)
        self.bench.add_node(self.config)
        self.operator = self.bench.client("operator")
        self.answers: list[dict[str, Any]] = []
        self.operator.subscribe(
            TOPICS.answer("+", "+"), lambda message: self.answers.append(json.loads(message.payload))
        )
        self.operator.start()

    def run(self, seconds: float) -> None:
        self.bench.run_for(seconds)

    @property
    def light(self) -> dict[str, Any]:
        self.run(1.0)
        snapshot = json.loads(self.bench.broker.retained[TOPICS.snapshot])
        found: dict[str, Any] = snapshot["dispatch"]["outputs"]["leg/light"]
        return found

    @property
    def says(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.bench.broker.retained[TOPICS.output_state("leg", "light")])
        return found

    def ask(self, **request: Any) -> None:
        self.operator.publish(TOPICS.request("leg", "light"), json.dumps(request).encode(), qos=1)

    def commands(self) -> list[Any]:
        topic = TOPICS.output_set("leg", "light")
        return [entry for entry in self.bench.broker.trace if entry.topic == topic]

    def events(self, kind: str) -> list[dict[str, Any]]:
        topic = TOPICS.event(kind)
        return [json.loads(entry.payload) for entry in self.bench.broker.trace if entry.topic == topic]


@pytest.mark.parametrize("sealed", [False, True], ids=["unsealed", "sealed"])
def test_a_rule_drives_a_real_light_which_says_so_and_does_what_somebody_asks_for(sealed: bool) -> None:
    cell = Cell(sealed=sealed)
    cell.run(8.0)
    light = cell.light
    assert (light["is"], light["rule"]) == ("obeying", "calm")
    assert light["ack_age_s"] < 2.0
    assert cell.says["doing"] == "command"
    assert cell.says["values"]["hue"] == 240.0
    assert cell.says["values"]["brightness"] == pytest.approx(light["values"]["brightness"], abs=0.05)
    assert cell.events("output") == []
    assert [event["rule"] for event in cell.events("rule") if event["on"]][-1] == "calm"

    cell.ask(values={"hue": 120, "brightness": 0.5}, hold_s=3, token="t-1", why="the door bell")
    cell.run(1.5)
    (answer,) = cell.answers
    assert (answer["node"], answer["device"], answer["token"], answer["result"]) == ("leg", "light", "t-1", "done")
    assert cell.says["values"] == {"hue": 120.0, "brightness": 0.5}
    assert cell.light["rule"] == "request"
    cell.run(2.0)
    assert cell.light["rule"] == "calm"
    assert [event["result"] for event in cell.events("request")] == ["done"]

    topic = TOPICS.output_state("leg", "light")
    told = [entry for entry in cell.bench.broker.trace if entry.topic == topic and entry.client_id.endswith("leg")]
    assert 10 <= len(told) <= 25  # about once a second
    ids = [number for entry in told if (number := json.loads(entry.payload)["id"]) is not None]
    assert len(ids) >= 8
    assert ids == sorted(ids)


def test_a_node_that_goes_is_offline_and_obeys_again_when_it_is_back() -> None:
    cell = Cell()
    cell.run(6.0)
    cell.bench.kill("leg")
    cell.run(4.0)
    assert cell.light["is"] == "offline"
    cell.ask(values={"hue": 1}, token="t-2")
    cell.run(0.5)
    assert [answer["result"] for answer in cell.answers] == ["refused"]
    count = len(cell.commands())
    cell.bench.add_node(cell.config)
    cell.run(6.0)
    assert cell.light["is"] == "obeying"
    assert len(cell.commands()) > count


def test_a_frame_sets_off_its_command_at_once() -> None:
    """Not at the next tick: in virtual time, nothing but the turn lies between them."""
    cell = Cell(rules=[], rate_hz=1000)
    cell.run(8.0)
    trace = cell.bench.broker.trace
    start_us = trace[0].time_us + 5_000_000
    frames = [entry.time_us for entry in trace if "/phase/fast/" in entry.topic and entry.time_us > start_us]
    commands = [entry.time_us for entry in cell.commands()]
    late = [min(c for c in commands if c >= frame) - frame for frame in frames if frame <= commands[-1]]
    assert len(late) >= 20
    assert sum(delay < 5_000 for delay in late) >= 0.9 * len(late), late
