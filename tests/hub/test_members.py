"""Nodes that misbehave, that share an id, that will not come back: each is handled, and seen as what it is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from becomingone.errors import FrameError
from becomingone.hub.config import HubConfig
from becomingone.hub.intake.forget import Forget
from becomingone.hub.intake.quarantine import BLAMELESS, Quarantine, QuarantineSection
from becomingone.hub.intake.roster import Roster
from becomingone.hub.intake.twins import DISTRUST_S, Twins
from becomingone.hub.mesh.standing import Standing
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench
from becomingone.wire.announce import State
from becomingone.wire.frame import encode_frame
from becomingone.wire.seal import node_key
from becomingone.wire.topics import Topics

from .hostile import SECRET
from .parts import about, frame

SECOND = 1_000_000_000


class Mesh:
    """A roster of two nodes with a row each, and what was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.roster, self.table = Roster(), ChannelTable()
        self.standing = Standing(self.table, self.roster, tell=self.tell)
        for name in ("kitchen", "porch"):
            self.roster.enrol(name, 0)

    def tell(self, kind: str, content: dict[str, Any]) -> None:
        self.told.append((kind, content))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]


class TestQuarantine:
    """Who sends what is wrong again and again is left out, longer each time."""

    def setup_method(self) -> None:
        self.mesh = Mesh()
        section = QuarantineSection(per_s=1.0, burst=10, first_s=30.0, longest_s=100.0)
        self.quarantine = Quarantine(section, self.mesh.standing)

    def wrong(self, node: str, times: int, at_s: float, reason: str = "type") -> bool:
        now = int(at_s * SECOND)
        for _ in range(times):
            self.quarantine.note(node, reason, now_ns=now, now_us=now // 1000)
        return self.quarantine.holds(node, now)

    def test_a_few_wrong_messages_are_borne_and_many_are_not(self) -> None:
        assert not self.wrong("kitchen", 10, 1.0)
        assert self.wrong("kitchen", 1, 1.0)
        assert not self.quarantine.holds("porch", SECOND)
        assert self.mesh.kinds() == ["distrusted"]
        assert "wrong messages a second" in self.mesh.standing.of("kitchen")["quarantine"]

    def test_it_ends_by_itself_and_the_next_one_is_twice_as_long_up_to_the_longest(self) -> None:
        lengths = []
        now = 1.0
        for _ in range(4):
            assert self.wrong("kitchen", 200, now)
            length = next(s for s in range(1, 1000) if not self.quarantine.holds("kitchen", int((now + s) * SECOND)))
            lengths.append(length)
            now += length + 1
        assert lengths == [30, 60, 100, 100]

    def test_after_a_long_time_of_good_behaviour_it_begins_anew(self) -> None:
        assert self.wrong("kitchen", 200, 1.0)
        assert self.wrong("kitchen", 200, 2000.0)
        assert not self.quarantine.holds("kitchen", 2031 * SECOND)

    @pytest.mark.parametrize("reason", sorted(BLAMELESS))
    def test_what_others_can_cause_is_not_held_against_it(self, reason: str) -> None:
        assert not self.wrong("kitchen", 10_000, 1.0, reason)
        assert self.mesh.told == []

    def test_figures_tell_how_many(self) -> None:
        self.wrong("kitchen", 200, 1.0)
        assert self.quarantine.figures(2 * SECOND) == {"now": 1, "ever": 1}
        assert self.quarantine.figures(40 * SECOND) == {"now": 0, "ever": 1}


class TestTwins:
    """A restart is no twin; a life that speaks again after another is."""

    def setup_method(self) -> None:
        self.mesh = Mesh()
        self.twins = Twins(self.mesh.standing, self.mesh.tell)

    def says(self, boot: int, host: str = "a", pid: int = 1) -> None:
        said = about("kitchen").model_copy(update={"boot": boot, "host": host, "pid": pid})
        self.twins.described(said, now_us=1_000_000)

    def test_restarts_and_words_said_twice_are_none(self) -> None:
        for boot in (1, 1, 2, 2, 3, 4, 5, 6, 7):
            self.says(boot)
        assert self.mesh.told == []

    def test_two_that_take_turns_are_told_once_with_where_they_are(self) -> None:
        for _ in range(5):
            self.says(4, "attic", 10)
            self.says(9, "cellar", 20)
        assert self.mesh.kinds().count("twin") == 1
        content = next(content for kind, content in self.mesh.told if kind == "twin")
        assert {life["host"] for life in content["lives"]} == {"attic", "cellar"}
        assert "give one of them another id" in self.mesh.standing.of("kitchen")["twin"]
        assert self.mesh.standing.of("porch") == {}

    def test_when_one_of_them_has_gone_the_other_counts_again(self) -> None:
        for boot in (4, 9, 4):
            self.says(boot)
        self.mesh.standing.take(MeshState(int(1e6 + (DISTRUST_S + 1) * 1e6), ()))
        assert self.mesh.standing.of("kitchen") == {}


class TestForget:
    """What is forgotten leaves nothing at the broker, and may come back."""

    def setup_method(self) -> None:
        self.mesh, self.bench, self.topics = Mesh(), Bench(seed=1), Topics("becomingone", "home")
        self.link = self.bench.client("hub")
        self.link.start()
        self.bench.run_for(1.0)
        self.member = self.mesh.roster.enrol("kitchen", 0)
        self.member.about, self.member.state = about("kitchen"), State.LOST
        self.mesh.roster.keep(self.member, "about", 100)
        for topic in (self.topics.state("kitchen"), self.topics.about("kitchen"), self.topics.health("kitchen")):
            self.link.publish(topic, b"x", retain=True)
        self.bench.run_for(1.0)
        self.forget = Forget(
            self.topics, link=self.link, roster=self.mesh.roster, table=self.mesh.table, tell=self.mesh.tell
        )

    def test_a_node_that_is_gone_leaves_nothing_behind(self) -> None:
        self.forget.forget("kitchen")
        self.bench.run_for(1.0)
        assert not [topic for topic in self.bench.broker.retained if "/node/kitchen/" in topic]
        assert not self.member.known
        assert self.mesh.kinds() == ["forgotten"]
        assert self.mesh.roster.enrol("kitchen", 5) is self.member

    @pytest.mark.parametrize("keys", [False, True])
    def test_in_a_hub_nothing_is_refused_for_it_and_no_frame_counts_any_more(self, keys: bool) -> None:
        secret = {"security": {"secret": SECRET.hex()}} if keys else {}
        bench = Bench(seed=3)
        tone = {"name": "leg", "kind": "synthetic", "options": {"frequency_hz": 1.5, "rate_hz": 20, "floor": 0.05}}
        hub = bench.add_hub(HubConfig.model_validate({"operate": {"verbs": ["forget"]}, **secret}))
        key = {"security": {"key": node_key(SECRET, "becomingone", "home", "porch").hex()}} if keys else {}
        bench.add_node(NodeConfig.model_validate({"node": "porch", "inputs": [tone], **key}))
        bench.run_for(15.0)
        bench.kill("porch")
        bench.run_for(10.0)
        operator = bench.client("operator")
        operator.start()
        bench.run_for(1.0)
        before = Counter(hub.refused)
        operator.publish("becomingone/home/request/porch/cmd/forget", b"{}")
        bench.run_for(3.0)
        assert not [topic for topic in bench.broker.retained if "/node/porch/" in topic]
        assert hub.refused == before
        topic = next(entry.topic for entry in reversed(bench.broker.trace) if "/porch/phase/" in entry.topic)
        if not keys:
            late = encode_frame(frame(seq=1 << 40, time_us=bench.scheduler.time_us()))
            hub._intake._take_frames([(topic, late)])
            assert not hub._table["alive"].any()
            assert sum(hub._roster.members[0].refused.values()) == 1

    def test_one_that_is_there_is_not_forgotten(self) -> None:
        self.member.state = State.READY
        with pytest.raises(FrameError, match="stop it first"):
            self.forget.forget("kitchen")
        assert self.member.known

    def test_one_that_nobody_has_heard_of_is_named(self) -> None:
        for name in ("porch", "nobody"):
            with pytest.raises(FrameError, match=f"no node {name}"):
                self.forget.forget(name)
