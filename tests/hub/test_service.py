"""The hub over a link: who joins and who is lost, whom it asks, and how little a stranger can do to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from becomingone.broker.link import Handler, Qos, Will
from becomingone.hub.config import HubConfig
from becomingone.hub.intake.rebirth import MAX_STRANGERS
from becomingone.hub.intake.roster import MAX_MEMBERS
from becomingone.hub.machine import HubMachine
from becomingone.hub.service import Hub
from becomingone.scheduling import MeshClock
from becomingone.sim.bench import Bench
from becomingone.sim.broker import SimLink
from becomingone.sim.plan import Network
from becomingone.wire.command import decode_node_command
from becomingone.wire.frame import encode_frame

from .parts import NOW_US, about, channel_about, frame, health

BASE = "becomingone/home"


class Cell:
    """A hub on the simulated broker, and a client that says whatever the test wants."""

    def __init__(self, config: HubConfig | None = None) -> None:
        self.bench = Bench(1)
        self.hub = self.bench.add_hub(config or HubConfig())
        self.link: SimLink = self.bench.client("stranger")
        self.link.start()
        self.seq = 0
        self.run(0.01)

    def run(self, seconds: float) -> Cell:
        self.bench.run_for(seconds)
        return self

    def say(self, topic: str, payload: bytes | str, *, retain: bool = True) -> None:
        data = payload if isinstance(payload, bytes) else payload.encode()
        self.link.publish(f"{BASE}/{topic}", data, qos=1, retain=retain)
        self.run(0.01)

    def node(self, name: str = "n", state: str = "ready", **fields: Any) -> None:
        self.say(f"node/{name}/state", state)
        self.say(f"node/{name}/about", about(name, **fields).model_dump_json())

    def frame(self, topic: str = "n/phase/stride/tone", **fields: Any) -> None:
        self.seq += 1
        given = {"seq": self.seq, "time_us": self.bench.scheduler.time_us(), **fields}
        self.say(f"node/{topic}", encode_frame(frame(**given)), retain=False)

    @property
    def snapshot(self) -> dict[str, Any]:
        self.run(1.0)
        content: dict[str, Any] = json.loads(self.bench.broker.retained[f"{BASE}/snapshot"])
        return content

    def events(self) -> list[tuple[str, str | None]]:
        entries = [e for e in self.bench.broker.trace if "/event/" in e.topic and not e.topic.endswith("/last")]
        return [(e.topic.rsplit("/", 1)[1], json.loads(e.payload).get("node")) for e in entries]

    def sent(self, ending: str) -> list[bytes]:
        return [e.payload for e in self.bench.broker.trace if e.topic.endswith(ending) and e.client_id.endswith("hub")]


# Whoever waits for the hub


def test_a_hub_shows_itself_with_its_first_tick_and_again_to_a_broker_that_has_forgotten_it() -> None:
    bench = Bench(1)
    bench.add_hub(HubConfig())
    bench.run_for(0.2)
    assert json.loads(bench.broker.retained[f"{BASE}/snapshot"])["hub"]["ticks"] <= 4
    bench.broker.crash()
    bench.run_for(0.01)
    bench.broker.restart()
    assert f"{BASE}/snapshot" not in bench.broker.retained
    while bench.broker.retained.get(f"{BASE}/hub/state") != b"ready":
        bench.run_for(0.01)
        assert bench.scheduler.monotonic_ns() < 30e9
    bench.run_for(0.1)
    assert f"{BASE}/snapshot" in bench.broker.retained


# Joining and leaving


@pytest.mark.parametrize(("word", "event"), [("lost", "lost"), ("disconnected", "left"), ("sleeping", "slept")])
def test_a_node_that_says_it_goes_counts_no_more(word: str, event: str) -> None:
    cell = Cell()
    cell.node()
    cell.frame()
    assert cell.snapshot["bands"]["stride"]["channels"] == 1
    cell.say("node/n/state", word)
    assert cell.events() == [("joined", "n"), (event, "n")]
    seen = cell.snapshot
    assert seen["bands"] == {}
    assert seen["nodes"]["n"]["state"] == word


def test_a_state_that_is_said_twice_is_one_event() -> None:
    cell = Cell()
    for word in ("init", "ready", "ready", "lost", "lost", "ready"):
        cell.say("node/n/state", word)
    assert [kind for kind, _ in cell.events()] == ["joined", "lost", "joined"]


@pytest.mark.parametrize("word", ["lost", "disconnected", "sleeping"])
def test_a_node_that_was_gone_before_the_hub_came_is_no_news(word: str) -> None:
    cell = Cell()
    cell.say("node/n/state", word)
    assert cell.events() == []
    assert cell.snapshot["nodes"]["n"]["state"] == word


def test_a_silent_node_is_called_lost_once() -> None:
    cell = Cell()
    cell.node()
    cell.run(30.0)
    assert cell.bench.broker.retained[f"{BASE}/node/n/state"] == b"lost"
    assert cell.sent("/node/n/state") == [b"lost"]
    assert cell.events() == [("joined", "n"), ("lost", "n")]


def test_a_silent_node_is_called_lost_once_however_slow_the_network_is() -> None:
    cell = Cell()
    cell.node()
    cell.bench.broker.network.change(Network(paths=({"up": {"delay_ms": 400}, "down": {"delay_ms": 400}},)))
    cell.run(8.0)
    assert cell.sent("/node/n/state") == [b"lost"]


def test_being_called_lost_is_no_sign_of_life() -> None:
    cell = Cell()
    cell.node()
    cell.run(5.0)
    assert cell.snapshot["nodes"]["n"]["silent_s"] > 5.5


def test_what_the_broker_had_stored_is_no_sign_of_life() -> None:
    """A node died together with the broker's knowledge of it; its retained words must not keep it alive."""
    cell = Cell()
    cell.node(interval_s=10.0)
    cell.run(25.0)
    cell.bench.broker.cut(cell.hub._link.client_id)
    cell.run(2.5)  # the hub is back, and has read everything that is retained again
    assert cell.snapshot["nodes"]["n"]["silent_s"] > 27.0


def test_the_hub_s_own_absence_is_no_silence() -> None:
    cell = Cell()
    cell.node()
    cell.frame()
    cell.bench.broker.up = False
    cell.bench.broker.cut(cell.hub._link.client_id)
    cell.run(60.0)
    cell.bench.broker.restart()
    before = len(cell.bench.broker.trace)
    while not cell.hub._link.connected:
        cell.run(0.001)
    cell.run(2.9)
    assert not any(e.topic.endswith("/node/n/state") for e in cell.bench.broker.trace[before:])
    cell.run(0.3)
    assert cell.bench.broker.retained[f"{BASE}/node/n/state"] == b"lost"


# Descriptions


def test_a_description_in_another_node_s_place_is_refused() -> None:
    cell = Cell()
    cell.node("n")
    cell.say("node/n/about", about("m").model_dump_json())
    cell.say("node/m/about", about("n").model_dump_json())
    cell.frame()
    seen = cell.snapshot
    assert list(seen["nodes"]) == ["n"]
    assert seen["refused"] == {"announcement": 2}
    assert seen["bands"]["stride"]["channels"] == 1


def test_a_node_of_another_protocol_is_refused() -> None:
    cell = Cell()
    cell.node(protocol=2)
    seen = cell.snapshot
    assert seen["refused"] == {"protocol": 1}
    assert seen["nodes"]["n"]["hardware"] is None


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"null", b"\xff", b'{"node": "n"}', b"{" * 100_000])
@pytest.mark.parametrize("kind", ["about", "health"])
def test_announcements_that_are_none_are_refused_and_change_nothing(kind: str, payload: bytes) -> None:
    cell = Cell()
    cell.node()
    cell.say(f"node/n/{kind}", payload)
    cell.frame()
    seen = cell.snapshot
    assert seen["refused"] == {"announcement": 1}
    assert seen["bands"]["stride"]["channels"] == 1


def test_a_frame_before_the_description_asks_for_it_and_not_too_often() -> None:
    cell = Cell()
    cell.say("node/n/state", "ready")
    for _ in range(40):
        cell.frame()
        cell.run(0.24)
    asked = [decode_node_command(payload) for payload in cell.sent("/node/n/cmd/rebirth")]
    assert [command.id for command in asked] == [0, 1]
    assert asked[0].expires_us > NOW_US
    assert cell.snapshot["refused"] == {"no_about": 40}


# Strangers


def test_a_stranger_that_sends_frames_is_asked_who_it_is() -> None:
    cell = Cell()
    for _ in range(3):
        cell.frame("s/phase/stride/tone")
    assert len(cell.sent("/node/s/cmd/rebirth")) == 1
    seen = cell.snapshot
    assert seen["nodes"] == {}
    assert seen["refused"] == {"no_about": 3}
    cell.node("s")
    cell.frame("s/phase/stride/tone")
    assert cell.snapshot["bands"]["stride"]["channels"] == 1


def test_a_flood_of_strangers_leaves_nothing_behind_and_keeps_no_node_out() -> None:
    cell = Cell()
    payload = encode_frame(frame())
    for number in range(2000):
        cell.link.publish(f"{BASE}/node/s{number}/phase/stride/tone", payload)
        cell.link.publish(f"{BASE}/node/s{number}/health", b"{}")
        cell.link.publish(f"{BASE}/node/s{number}/about", b"{}")
        cell.link.publish(f"{BASE}/node/s{number}/state", b"here")
    cell.run(0.5)
    assert len(cell.sent("/cmd/rebirth")) == MAX_STRANGERS
    cell.say("node/n/state", "ready")
    cell.frame()  # a node that has said something is asked all the same
    assert len(cell.sent("/node/n/cmd/rebirth")) == 1
    cell.node()
    cell.frame()
    seen = cell.snapshot
    assert list(seen["nodes"]) == ["n"]
    assert seen["refused"] == {"no_about": 2001, "announcement": 4000, "state": 2000}
    assert seen["bands"]["stride"]["channels"] == 1


def test_there_is_an_end_to_nodes() -> None:
    cell = Cell()
    cell.node()
    for number in range(MAX_MEMBERS):
        cell.link.publish(f"{BASE}/node/s{number}/state", b"sleeping")
    cell.run(0.5)
    cell.frame()
    seen = cell.snapshot
    assert sum(seen["states"].values()) == MAX_MEMBERS
    assert len(seen["nodes"]) + seen["left_out"]["nodes"] == MAX_MEMBERS
    assert seen["refused"] == {"too_many_nodes": 1}
    assert seen["bands"]["stride"]["channels"] == 1


def test_what_needs_a_description_is_asked_for_only_once_the_stored_ones_have_come() -> None:
    """A broker that is still giving what it retained lets live messages overtake it: amqtt does, one run in fifty."""
    bench = Bench(1)
    asked: list[tuple[str, bool]] = []

    def links(client_id: str, will: Will | None) -> SimLink:
        link = bench.broker.link(client_id, will)
        subscribe = link.subscribe

        def record(topic_filter: str, handler: Handler, *, qos: Qos = 0, **more: Any) -> None:
            asked.append((topic_filter.rsplit("node/", 1)[-1], f"{BASE}/hub/state" in bench.broker.retained))
            subscribe(topic_filter, handler, qos=qos, **more)

        link.subscribe = record  # type: ignore[method-assign]
        return link

    clock = MeshClock(bench.scheduler)
    Hub(HubConfig(), HubMachine(boot=1, links=links, clock=clock, scheduler=bench.scheduler)).start()
    bench.run_for(1.0)
    assert ("+/about", False) in asked
    later = {what for what, stored in asked if stored and not what.startswith("$SYS/")}
    assert later == {"+/health", "+/phase/+/+", "+/output/+/state"}


def test_health_of_a_stranger_is_refused_and_a_node_s_is_shown() -> None:
    cell = Cell()
    told = health().model_dump_json()
    cell.say("node/n/health", told)
    assert cell.snapshot["nodes"] == {}
    cell.node()
    cell.say("node/n/health", told)
    seen = cell.snapshot
    assert seen["nodes"]["n"]["dropped"] == 3
    assert seen["refused"] == {"no_about": 1}


def test_stored_health_without_a_description_is_early_and_not_wrong() -> None:
    bench = Bench(1)
    link = bench.client("stranger")
    link.start()
    bench.run_for(0.01)
    link.publish(f"{BASE}/node/n/health", health().model_dump_json().encode(), retain=True)
    hub = bench.add_hub(HubConfig())
    bench.run_for(1.0)
    assert hub.refused == {}


@pytest.mark.parametrize(
    "topic", ["node/N/state", "node//state", "node/\u00e9/about", "node/n /health", "node/-/state"]
)
def test_topics_that_name_no_node_are_refused(topic: str) -> None:
    cell = Cell()
    cell.say(topic, "ready")
    seen = cell.snapshot
    assert seen["nodes"] == {}
    assert sum(seen["refused"].values()) == 1


# Figures


def test_figures_of_a_hub_that_died_are_taken_back() -> None:
    bench = Bench(1)
    for name in ("coherence", "band/stride/phase"):
        bench.broker.retained[f"{BASE}/{name}"] = b"0.9"
    bench.add_hub(HubConfig())
    bench.run_for(31.0)
    assert not any(name in bench.broker.retained for name in (f"{BASE}/coherence", f"{BASE}/band/stride/phase"))


def test_a_capability_of_zero_is_shown_and_weighs_nothing() -> None:
    cell = Cell()
    cell.node(capability=0.0)
    cell.frame()
    seen = cell.snapshot
    assert not seen["valid"]
    assert seen["nodes"]["n"]["channels"]["tone"]["bands"]["stride"]["weight"] == 0.0
    assert seen["coherence"] is None


def test_outputs_follow_the_band_that_was_asked_for() -> None:
    cell = Cell(HubConfig.model_validate({"dispatch": {"band": "motion", "rate_hz": 5}}))
    output = {"name": "light", "kind": "terminal", "role": "display"}
    channels = (channel_about("tone", "stride"),)
    cell.node(outputs=(output,), channels=channels)
    cell.frame()
    cell.run(1.0)
    assert cell.sent("/output/light/set") == []  # motion has no phase, and stride does not stand in for it
    cell.node(outputs=(output,))
    for _ in range(10):
        cell.frame("n/phase/motion/tone", omega=9.42)
        cell.run(0.09)
    assert 4 <= len(cell.sent("/output/light/set")) <= 6
