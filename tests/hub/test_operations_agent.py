"""Remote operation of the whole node: the real agent and the real hub in virtual time."""

from __future__ import annotations

import json
from typing import Any

from becomingone.broker.link import Message
from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench

from .operated import BOTH, SEALED, TOPICS, key


class House:
    """A node with a display, a hub, an operator."""

    def __init__(self, *, sealed: bool) -> None:
        self.bench = Bench(1)
        assert self.bench.add_hub(HubConfig.model_validate(SEALED if sealed else {})) is not None
        self.config = NodeConfig.model_validate(
            {
                "node": "n",
                "outputs": [{"name": "light", "kind": "terminal", "band": "stride"}],
                "health_s": 1,
                **({"security": {"key": key("n").hex()}} if sealed else {}),
            }
        )
        self.bench.add_node(self.config)
        self.answers: dict[str, dict[str, Any]] = {}
        self.operator = self.bench.client("operator")
        self.operator.subscribe(TOPICS.answer("n", "+"), self._hear, qos=1)
        self.operator.start()
        self.bench.run_for(20.0)

    def _hear(self, message: Message) -> None:
        self.answers[message.topic.rsplit("/", 1)[1]] = json.loads(message.payload)

    def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        token = f"t{len(self.answers)}"
        content = {"token": token, "arguments": arguments}
        self.operator.publish(TOPICS.operate("n", verb), json.dumps(content).encode(), qos=1)
        self.bench.run_for(0.1)
        return self.answers[token]

    def health(self) -> dict[str, Any]:
        self.bench.run_for(1.1)
        found: dict[str, Any] = json.loads(self.bench.broker.retained[TOPICS.health("n")])
        return found


@BOTH
def test_each_verb_reaches_the_agent(sealed: bool) -> None:
    house = House(sealed=sealed)
    screen = house.bench.ports["n"].screen
    assert house.ask("identify", seconds=2)["result"] == "done"
    house.bench.run_for(5.0)
    lines = screen.getvalue().splitlines()
    assert lines.count("display hue 300 brightness 1.00") == lines.count("display hue 300 brightness 0.00") == 2
    assert lines[-1] == "display rests"
    assert house.ask("loglevel", level="debug")["result"] == "done"
    assert house.ask("log", lines=5)["result"] == "done"
    declined = house.ask("reload")
    assert (declined["result"], declined["why"]) == ("refused", "a simulated node has no configuration file")
    assert house.ask("restart")["result"] == "done"
    assert house.health()["refused_commands"] == {"declined": 1}


@BOTH
def test_realign_reaches_its_oscillator(sealed: bool) -> None:
    house = House(sealed=sealed)
    hub = house.bench.hub
    assert hub is not None
    now_us = house.bench.scheduler.time_us()
    assert hub.operations.realign("n", "stride", phase=0.5, omega=4.9, time_us=now_us)
    assert hub.operations.realign("n", "nowhere", phase=0.5, omega=4.9, time_us=now_us)
    house.bench.run_for(0.1)
    replies = [json.loads(e.payload) for e in house.bench.broker.trace if "/reply/" in e.topic]
    assert [(r["verb"], r["result"]) for r in replies if r["verb"] == "realign"] == [
        ("realign", "done"),
        ("realign", "refused"),
    ]


@BOTH
def test_refusals_stand_in_health_and_a_captured_restart_is_never_obeyed_again(sealed: bool) -> None:
    house = House(sealed=sealed)
    assert house.ask("restart")["result"] == "done"
    trace = house.bench.broker.trace
    topic = TOPICS.command("n", "restart")
    (captured,) = [entry.payload for entry in trace if entry.topic == topic]
    house.operator.publish(topic, captured, qos=1)
    assert house.health()["refused_commands"] == {"replayed": 1}
    for _ in range(3):
        house.bench.add_node(house.config)  # what the supervisor does
        house.bench.run_for(0.1)
        for _ in range(20):
            house.operator.publish(topic, captured, qos=1)
            house.bench.run_for(0.7)
        refused = house.health()["refused_commands"]
        assert sum(refused.values()) == 20
        assert set(refused) <= ({"wrong_epoch"} if sealed else {"before_start", "replayed", "expired"})
    replies = [json.loads(e.payload) for e in trace if "/reply/" in e.topic]
    assert [r["result"] for r in replies if r["verb"] == "restart"].count("done") == 1
