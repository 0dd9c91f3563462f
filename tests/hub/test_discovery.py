"""Home Assistant finds the cell and its nodes, loses those that are gone, and finds nothing where it is turned off."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from becomingone.broker.link import Link
from becomingone.hub.home_assistant.devices import cell_device, device_id, node_device
from becomingone.hub.home_assistant.discovery import MOST_A_TURN, PATIENCE_TURNS, Discovery
from becomingone.hub.home_assistant.section import HomeAssistantSection
from becomingone.hub.intake.roster import Roster
from becomingone.sim.bench import Bench
from becomingone.wire.announce import About, DeviceAbout, OutputAbout
from becomingone.wire.topics import Topics

from .parts import about

TOPICS = Topics("becomingone", "home")


def described(node: str = "kitchen") -> About:
    devices = (DeviceAbout(name="dht", kind="dht", available=False, reason="no wire"),)
    outputs = (OutputAbout(name="lamp", kind="led", role="display"),)
    return about(node).model_copy(update={"devices": devices, "outputs": outputs})


class Cell:
    """A hub's discovery at a broker, and what the broker stores."""

    def __init__(self, *, enabled: bool = True, topics: Topics = TOPICS, bench: Bench | None = None) -> None:
        self.bench = bench or Bench(seed=1)
        self.roster = Roster()
        self.link = self.bench.client(f"hub-{len(self.bench.links)}")
        section = HomeAssistantSection(enabled=enabled)
        self.discovery = Discovery(section, topics, ["stride"], self.roster, self.link)
        self.discovery.start()
        self.link.start()
        self.bench.run_for(1.0)

    def node(self, name: str = "kitchen") -> None:
        self.roster.enrol(name, 0).about = described(name)

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.discovery.look()
            self.bench.run_for(1.0)

    @property
    def stored(self) -> dict[str, Any]:
        return {
            topic.split("/")[2]: json.loads(payload)
            for topic, payload in self.bench.broker.retained.items()
            if topic.startswith("homeassistant/device/")
        }


def test_the_cell_and_each_node_are_one_device_each() -> None:
    cell = Cell()
    cell.node()
    cell.look()
    assert set(cell.stored) == {"becomingone_home", "becomingone_home_kitchen"}
    hub, node = cell.stored["becomingone_home"], cell.stored["becomingone_home_kitchen"]
    assert node["device"]["via_device"] in hub["device"]["identifiers"]
    assert hub["components"]["stride_emerged"]["state_topic"] == "becomingone/home/band/stride/emerged"
    assert hub["components"]["emerged"]["platform"] == "binary_sensor"
    assert "state_class" not in hub["components"]["phase"]
    assert node["components"]["device_dht"]["device_class"] == "problem"
    assert node["components"]["output_lamp"]["state_topic"] == "becomingone/home/node/kitchen/output/lamp/state"
    assert node["components"]["identify"]["command_topic"] == "becomingone/home/request/kitchen/cmd/identify"
    assert node["availability"][0]["topic"] == "becomingone/home/node/kitchen/state"
    assert node["components"]["connected"]["availability"][0]["topic"] == "becomingone/home/hub/state"


def test_ids_are_unique_whatever_the_names_are() -> None:
    cells = [Topics("a", "b_c"), Topics("a", "b"), Topics("a_b", "c"), Topics("a/b", "c"), Topics("a", "b-c")]
    ids = [device_id(topics, node) for topics in cells for node in (None, "c_d", "d", "hub", "b")]
    assert len(set(ids)) == len(ids)
    message = cell_device(TOPICS, ["stride", "stride_order"])
    unique = [component["unique_id"] for component in message["components"].values()]
    assert len(set(unique)) == len(unique)


def test_what_has_not_changed_is_not_said_again_and_home_assistants_start_is_answered() -> None:
    cell = Cell()
    cell.node()
    cell.look(3)
    sent = cell.link.metrics.sent
    cell.look(3)
    assert cell.link.metrics.sent == sent
    other = cell.bench.client("homeassistant")
    other.start()
    cell.bench.run_for(1.0)
    other.publish("homeassistant/status", b"online")
    cell.bench.run_for(1.0)
    cell.look()
    assert cell.link.metrics.sent == sent + 2


def test_a_thousand_nodes_do_not_come_at_once() -> None:
    cell = Cell()
    for number in range(100):
        cell.node(f"n{number}")
    before = cell.link.metrics.sent
    cell.look()
    assert cell.link.metrics.sent - before <= MOST_A_TURN
    cell.look(10)
    assert len(cell.stored) == 101


def test_a_forgotten_node_disappears_also_where_the_hub_has_restarted_since() -> None:
    first = Cell()
    first.node("kitchen")
    first.node("porch")
    first.look()
    assert len(first.stored) == 3
    again = Cell(bench=first.bench)
    again.node("porch")
    again.look(PATIENCE_TURNS)
    assert len(again.stored) == 3  # it may yet describe itself
    again.look(2)
    assert set(again.stored) == {"becomingone_home", "becomingone_home_porch"}
    again.roster.release(again.roster.enrol("porch", 0))
    again.look()
    assert set(again.stored) == {"becomingone_home"}


def test_turned_off_it_takes_its_own_away_and_nobody_elses() -> None:
    first = Cell()
    first.node()
    first.look()
    neighbour = Cell(topics=Topics("becomingone", "home2"), bench=first.bench)
    neighbour.look()
    stranger = first.bench.client("zigbee")
    stranger.start()
    first.bench.run_for(1.0)
    stranger.publish("homeassistant/device/becomingone_home_fake/config", b'{"origin":{"name":"z"}}', retain=True)
    stranger.publish("homeassistant/device/broken/config", b"\xff{", retain=True)
    first.bench.run_for(1.0)
    off = Cell(enabled=False, bench=first.bench)
    off.look(3)
    left = {topic.split("/")[2] for topic in off.bench.broker.retained if topic.startswith("homeassistant/device/")}
    assert left == {"becomingone_home2", "becomingone_home_fake", "broken"}


@pytest.mark.parametrize("message", [cell_device(TOPICS, ["stride"]), node_device(TOPICS, described())])
def test_a_message_has_what_home_assistant_requires(message: dict[str, Any]) -> None:
    assert {"device", "origin", "components", "availability"} <= message.keys()
    assert message["origin"]["name"]
    for component in message["components"].values():
        assert {"platform", "unique_id", "name", "default_entity_id"} <= component.keys()
        topic = component.get("state_topic") or component["command_topic"]
        assert topic.startswith("becomingone/home/")


def test_where_the_link_takes_nothing_no_more_is_put_together_than_a_turn_s_share() -> None:
    class Full:
        connected = True
        asked = 0

        def publish(self, *_message: object, **_how: object) -> bool:
            self.asked += 1
            return self.asked == 1

        def subscribe(self, *_filter: object, **_how: object) -> None:
            pass

    link, roster = Full(), Roster()
    for number in range(100):
        roster.enrol(f"n{number}", 0).about = described(f"n{number}")
    discovery = Discovery(HomeAssistantSection(), TOPICS, ["stride"], roster, cast("Link", link))
    discovery.look()
    assert link.asked == MOST_A_TURN
    discovery.look()
    assert link.asked == 2 * MOST_A_TURN
