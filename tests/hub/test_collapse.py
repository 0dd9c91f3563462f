"""Events of collapse say what was found, by which rule, and what each node had to do with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from becomingone.hub.mesh.collapse import MAX_NODES, Collapses
from becomingone.hub.showing.snapshot import Milestones

from .mesh_world import MeshWorld
from .parts import NOW_US

TICK_US = 50_000


class Watched:
    """A mesh whose collapses are told of."""

    def __init__(self, count: int = 3, *, knows_nodes: bool = True, **mesh: Any) -> None:
        self.world = MeshWorld([(f"n{number}", "stride") for number in range(count)], **mesh)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.milestones = Milestones()
        self._collapses = Collapses(
            self.world.config, self.milestones, self._tell, table=self.world.table if knows_nodes else None
        )
        self.tick = 0

    def _tell(self, kind: str, content: dict[str, Any]) -> None:
        assert json.loads(json.dumps(content, allow_nan=False)) == content
        self.told.append((kind, content))

    def run(self, ticks: int = 40, **columns: Any) -> None:
        for _ in range(ticks):
            self.tick += 1
            now_us = NOW_US + self.tick * TICK_US
            self.world.set(time_us=now_us, **columns)
            self._collapses.look(self.world.at(now_us))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]


def test_a_collapse_and_a_dissipation_are_told_once() -> None:
    watched = Watched()
    watched.run(p=1e-6)
    assert watched.kinds == ["collapse"]
    assert watched.milestones.first_significant_us == NOW_US + 21 * TICK_US  # a dwell after the first tick
    watched.run(p=0.5)
    watched.run(p=1e-6)
    assert watched.kinds == ["collapse", "dissipation", "collapse"]
    assert watched.milestones.first_significant_us == NOW_US + 21 * TICK_US


def test_a_collapse_says_what_and_why() -> None:
    watched = Watched()
    watched.run(p=1e-6, phasor=[1.0, 1.0, -1.0], coherence=0.9, clock_sigma_s=0.05)
    ((_, content),) = watched.told
    assert content["order"] == pytest.approx(1 / 3, abs=1e-4)
    assert content["without"] == {"n0": 0.0, "n1": 0.0, "n2": 1.0}
    assert (content["band"], content["channels"], content["coherence"]) == ("stride", 3, 0.9)
    assert (content["p_false"], content["dwell_s"]) == (0.001, 1.0)
    assert content["clock_ceiling"] == pytest.approx(0.9704, abs=1e-4)
    assert 0.5 < content["order_p"] <= 1.0
    assert "threshold" not in content


def test_the_documents_threshold_is_told_where_it_decides() -> None:
    watched = Watched(mode="documents", coherence_threshold=0.6)
    watched.run(p=1.0, coherence=0.7)
    assert watched.kinds == ["collapse"]
    assert watched.told[0][1]["threshold"] == 0.6


def test_of_very_many_nodes_those_are_named_that_make_most_of_a_difference() -> None:
    watched = Watched(200)
    watched.run(p=1e-6, phasor=[-1.0] * 5 + [1.0] * 195)
    without = watched.told[0][1]["without"]
    assert len(without) == MAX_NODES
    assert {f"n{number}" for number in range(5)} <= without.keys()


def test_a_band_that_has_nothing_left_dissipates_and_names_nobody() -> None:
    watched = Watched()
    watched.run(p=1e-6)
    watched.run(alive=False)
    assert watched.kinds == ["collapse", "dissipation"]
    assert (watched.told[1][1]["channels"], watched.told[1][1]["without"]) == (0, {})


def test_who_does_not_know_the_nodes_names_none() -> None:
    watched = Watched(knows_nodes=False)
    watched.run(p=1e-6)
    assert watched.told[0][1]["without"] == {}
