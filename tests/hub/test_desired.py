"""The hub tells nodes which configuration they should have, and everybody whether they have it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from becomingone.broker.link import Link
from becomingone.config.loader import ConfigProblems, digest, load
from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig
from becomingone.node.desired import DesiredConfig
from becomingone.node.trust import Trust
from becomingone.scheduling import NANOSECONDS, MeshClock, Repeating
from becomingone.sim.bench import Bench
from becomingone.wire.announce import parse_announcement
from becomingone.wire.remote import Desired
from becomingone.wire.topics import Topics

from .hostile import SECRET
from .parts import about, health
from .sealed_cell import key

BASE = "becomingone/home"
NEW, OLD = "a" * 64, "b" * 64


class Node:
    """What a node does with its configuration's digest, on a link of its own; nothing else of it."""

    def __init__(
        self, bench: Bench, name: str = "n", *, boot: int = 1, secret: bool = False, sha256: str = OLD
    ) -> None:
        self.name, self.boot, self.sha256 = name, boot, sha256
        self.bench = bench
        self.topics = Topics("becomingone", "home")
        self.trust = Trust(key(name) if secret else None, boot)
        self.link: Link = bench.client(f"becomingone.home.node.{name}.{boot}")
        clock = MeshClock(bench.scheduler)
        self.desired = DesiredConfig(
            name, link=self.link, topics=self.topics, trust=self.trust, clock=clock, changed=self.announce
        )
        self.desired.start()
        self.link.start()
        self.bench.run_for(0.1)
        self.announce()
        self.state("ready")
        Repeating(bench.scheduler, NANOSECONDS, self._live)

    def announce(self, **fields: Any) -> None:
        told = {"boot": self.boot, "config_sha256": self.sha256, "desired_sha256": self.desired.sha256, **fields}
        topic = self.topics.about(self.name)
        payload = self.trust.seal_json(topic, about(self.name, **told).model_dump_json().encode())
        self.link.publish(topic, payload, qos=1, retain=True)

    def _live(self) -> None:
        self.link.publish(self.topics.health(self.name), health().model_dump_json().encode(), retain=True)

    def state(self, word: str) -> None:
        self.link.publish(self.topics.state(self.name), word.encode(), qos=1, retain=True)


class Cell:
    def __init__(self, *, secret: bool = False, **desired: str) -> None:
        self.bench = Bench(1)
        self.secret = secret
        self.start_hub(**desired)

    def start_hub(self, **desired: str) -> None:
        security = {"security": {"secret": SECRET.hex()}} if self.secret else {}
        self.bench.add_hub(HubConfig.model_validate({"desired": desired, **security}))
        self.run(2.0)

    def run(self, seconds: float) -> None:
        self.bench.run_for(seconds)

    def shown(self, node: str = "n") -> dict[str, Any]:
        self.run(2.5)
        shown: dict[str, Any] = self.bench.snapshot()["nodes"][node]["config"]
        return shown

    def said(self, topic: str) -> list[bytes]:
        return [entry.payload for entry in self.bench.broker.trace if entry.topic == f"{BASE}/{topic}"]

    def drifts(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.said("event/drifted")]


@pytest.mark.parametrize("secret", [False, True])
def test_a_node_is_told_once_and_shows_it(secret: bool) -> None:
    cell = Cell(secret=secret, n=NEW)
    node = Node(cell.bench, secret=secret)
    assert cell.shown() == {"desired": NEW, "reported": OLD, "agrees": False, "mode": "normal"}
    assert (node.desired.sha256, dict(node.desired.refused)) == (NEW, {})
    cell.run(10.0)
    assert len(cell.said("node/n/desired")) == 1
    node.sha256 = NEW
    node.announce()
    assert cell.shown() == {"desired": NEW, "reported": NEW, "agrees": True, "mode": "normal"}
    retained = parse_announcement(Desired, cell.bench.broker.retained[f"{BASE}/node/n/desired"])
    assert (retained.config_sha256, retained.boot) == (NEW, 1)


@pytest.mark.parametrize("secret", [False, True])
def test_each_life_of_a_node_is_told_anew(secret: bool) -> None:
    cell = Cell(secret=secret, n=NEW)
    Node(cell.bench, secret=secret)
    cell.run(2.5)
    later = Node(cell.bench, boot=7, secret=secret)
    cell.run(2.5)
    assert (later.desired.sha256, dict(later.desired.refused)) == (NEW, {})
    assert len(cell.said("node/n/desired")) == 2


def test_a_drift_is_an_event_once() -> None:
    cell = Cell(n=NEW)
    node = Node(cell.bench)
    cell.run(10.0)
    drifts = cell.drifts()
    assert [drifts[0].pop("time_us") > 0, drifts] == [
        True,
        [{"id": "1-2", "kind": "drifted", "node": "n", "desired": NEW, "reported": OLD, "mode": "normal"}],
    ]
    node.sha256 = NEW
    node.announce()
    cell.run(2.5)
    node.announce(config_sha256="c" * 64, mode="last_good")  # started again with a file that is refused
    cell.run(2.5)
    assert [(drift["reported"], drift["mode"]) for drift in cell.drifts()] == [(OLD, "normal"), ("c" * 64, "last_good")]
    node.announce(config_sha256="d" * 64)  # from one wrong one to the next
    cell.run(2.5)
    assert len(cell.drifts()) == 3


def test_of_a_node_that_is_not_there_nothing_is_said_to_be_done() -> None:
    cell = Cell(n=NEW)
    node = Node(cell.bench, sha256=NEW)
    assert cell.shown()["agrees"] is True
    node.state("disconnected")
    assert cell.shown() == {"desired": NEW, "reported": NEW, "agrees": None, "mode": "normal"}
    told = len(cell.said("node/n/desired"))
    node.announce(config_sha256=OLD)
    node.state("disconnected")
    cell.run(5.0)
    assert cell.drifts() == []
    assert len(cell.said("node/n/desired")) == told


def test_a_node_of_which_nothing_is_desired_is_told_nothing() -> None:
    cell = Cell(other=NEW)
    node = Node(cell.bench)
    assert cell.shown() == {"desired": None, "reported": OLD, "agrees": None, "mode": "normal"}
    assert (cell.said("node/n/desired"), cell.drifts(), node.desired.sha256) == ([], [], "")


@pytest.mark.parametrize("secret", [False, True])
def test_a_hub_that_desires_nothing_any_more_takes_back_what_the_one_before_has_said(secret: bool) -> None:
    cell = Cell(secret=secret, n=NEW)
    node = Node(cell.bench, secret=secret)
    cell.run(2.5)
    assert node.desired.sha256 == NEW
    cell.start_hub()
    node.announce()
    cell.run(5.0)
    assert (node.desired.sha256, dict(node.desired.refused)) == ("", {})
    assert cell.shown()["desired"] is None


def test_a_broker_that_has_forgotten_is_told_again() -> None:
    cell = Cell(n=NEW)
    Node(cell.bench)
    cell.run(2.5)
    before = len(cell.said("node/n/desired"))
    assert before == 1
    link = next(link for link in cell.bench.links if link.client_id.endswith(".hub"))
    cell.bench.broker.retained.pop(f"{BASE}/node/n/desired", None)
    cell.bench.broker.cut(link.client_id)
    cell.run(10.0)
    assert len(cell.said("node/n/desired")) == 2


@pytest.mark.parametrize("secret", [False, True])
def test_a_whole_node_shows_what_it_has_and_what_it_should_have(secret: bool) -> None:
    security = {"security": {"key": key("n").hex()}} if secret else {}
    has = NodeConfig.model_validate({"node": "n", **security})
    should = NodeConfig.model_validate({"node": "n", "health_s": 5, **security})
    cell = Cell(secret=secret, n=digest(should))
    for config in (has, should, has):  # each a life of its own
        cell.bench.add_node(config)
        shown = cell.shown()
        assert (shown["desired"], shown["reported"]) == (digest(should), digest(config))
        assert shown["agrees"] is (config is should)
        told = json.loads(cell.bench.broker.retained[f"{BASE}/node/n/about"])
        assert (told["config_sha256"], told["desired_sha256"]) == (digest(config), digest(should))
        assert not cell.bench.nodes["n"].refused
    assert len(cell.drifts()) == 2


def test_what_is_wrong_with_a_digest_is_told_with_its_line(tmp_path: Any) -> None:
    path = tmp_path / "hub.yaml"
    path.write_text("desired:\n  kitchen: abc\n")
    with pytest.raises(ConfigProblems, match=r"hub\.yaml:2: desired\.kitchen: must match the pattern"):
        load(HubConfig, path, environ={})
