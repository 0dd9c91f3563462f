"""WE: groups and their patterns, and pairs of fields by formula that belong together, or do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from becomingone.hub.config import HubConfig
from becomingone.hub.we.crossing import CROSS, FIELDS, SHARED
from becomingone.hub.we.groups import Group, overlap
from becomingone.hub.we.we import Groups, WePair, WeSection
from becomingone.runner import InlineRunner, Runner
from becomingone.scheduling import Scheduler
from becomingone.sim.clock import VirtualScheduler

from .mesh_states import Mesh
from .parts import MOTION, STRIDE, RowKey

TICK_S = 0.1
PAIR = {"a": ["anna"], "b": ["ben"], "bands": ["stride"]}


class Walk:
    """Phases of people who walk: their own diffusion, or that of whom they follow, and jitter of their own."""

    def __init__(self, seed: int, seconds: float) -> None:
        self._rng = np.random.default_rng(seed)
        self._ticks = round(seconds / TICK_S)

    def stray(self, diffusion: float = 0.05, *, aside: float = 0.0) -> np.ndarray[Any, np.dtype[np.float64]]:
        """A walk's phase less the band's rotation, rad: diffusion in rad²/s, rate aside in rad/s, behind two poles."""
        steps = self._rng.normal(scale=np.sqrt(2 * diffusion * TICK_S), size=self._ticks)
        return self._filtered(np.cumsum(steps)) + aside * TICK_S * np.arange(self._ticks)

    def jitter(self, size: float) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Noise behind two poles, of this standard deviation in rad."""
        noise = self._filtered(self._rng.normal(size=self._ticks + 200)[200:])
        return noise * size / noise.std()

    def _filtered(self, x: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        for _ in range(2):
            alpha, y = 1.0 - np.exp(-TICK_S / STRIDE.tau_s), 0.0
            made = []
            for value in x.tolist():
                y += alpha * (value - y)
                made.append(y)
            x = np.array(made)
        return x


class Rig:
    """Groups over a mesh of one-channel nodes."""

    def __init__(self, *nodes: str, make_runner: Callable[[Scheduler], Runner] = InlineRunner, **section: Any) -> None:
        self.scheduler = VirtualScheduler()
        self.mesh = Mesh((STRIDE,))
        for name in nodes:
            self.mesh.node(name)
        given = {"pairs": {"we": PAIR}, **section}
        self.groups = Groups(
            WeSection.model_validate(given),
            self.mesh.bands,
            self.mesh.table,
            self.mesh.roster,
            runner=make_runner(self.scheduler),
            tell=self.mesh.tell,
            tick_s=0.05,
        )
        self.one: list[bool] = []

    def run(self, **phases: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        """Let the nodes have these phases; who is not named has none."""
        for n in range(len(next(iter(phases.values())))):
            self.mesh.later(TICK_S)
            turned = STRIDE.omega * (self.mesh.now_us - 1_700_000_000_000_000) * 1e-6
            for key in self.mesh.table.keys:
                there = key.node in phases
                phase = float(phases[key.node][n]) + turned if there else 0.0
                self.mesh.say(key, phase=phase, weight=1.0 if there else 0.0, omega=STRIDE.omega)
            self.groups.take(self.mesh.state(stride=1 + 0j))
            self.scheduler.run_for(TICK_S)
            self.one.append(bool(self.groups.one))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.mesh.told]

    def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = self.groups.figures()["pairs"]["we"]["stride"]
        return found


# -- groups ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("anna", "anna", True),
        ("anna", "ben", False),
        ("anna", "anna/leg", True),
        ("anna/leg", "anna/arm", False),
        ("*", "ben", True),
        ("*/leg", "ben/arm", False),
        ("*/leg", "ben/*", True),
        ("a*", "*n", True),
        ("a*", "b*", False),
        ("a*c", "ab*", True),
        ("a*c", "*b", False),
        ("room1-*", "room2-*", False),
        ("room*", "room2-*", True),
        ("a*a", "a", False),
    ],
)
def test_two_patterns_overlap_where_a_channel_could_match_both(one: str, other: str, meet: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is meet


def test_a_group_finds_rows_that_come_later_and_only_those_of_its_band() -> None:
    mesh = Mesh((STRIDE, MOTION))
    mesh.node("anna", "leg", "arm")
    group = Group(["anna/leg", "b*"], 0)
    found = [mesh.table.keys[row] for row in group.rows(mesh.table)]
    assert found == [RowKey("anna", "stride", "leg")]
    mesh.node("ben", "leg")
    mesh.node("carl", "leg")
    found = [mesh.table.keys[row] for row in group.rows(mesh.table)]
    assert found == [RowKey("anna", "stride", "leg"), RowKey("ben", "stride", "leg")]


@pytest.mark.parametrize(
    ("pair", "where", "what"),
    [
        ({"a": [], "b": ["ben"]}, "a", "at least 1"),
        ({"a": ["anna"]}, "b", "required"),
        ({"a": ["anna", "b*"], "b": ["carl", "ben"]}, "", r"a[1] 'b*' and b[1] 'ben'"),
        ({"a": ["anna"], "b": ["anna/leg"]}, "", "a[0] 'anna' and b[0] 'anna/leg'"),
        ({"a": ["Anna"], "b": ["ben"]}, "a.0", "pattern"),
        ({"a": ["anna/leg/left"], "b": ["ben"]}, "a.0", "pattern"),
        ({"a": ["anna"], "b": ["ben"], "bands": []}, "bands", "at least 1"),
    ],
)
def test_a_pair_that_is_none_is_refused_with_its_field(pair: dict[str, Any], where: str, what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WeSection.model_validate({"pairs": {"couple": pair}})
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == ".".join(filter(None, ("pairs", "couple", where)))
    assert what in error["msg"]


def test_a_band_that_the_plan_has_not_is_refused_with_its_field() -> None:
    with pytest.raises(ValidationError, match=r"we\.pairs\.couple\.bands\.1: the plan has no band trot; it has fast"):
        HubConfig.model_validate({"we": {"pairs": {"couple": {**PAIR, "bands": ["stride", "trot"]}}}})
    pair = WePair.model_validate({**PAIR, "bands": ["motion"]})
    mesh = Mesh((STRIDE,))
    with pytest.raises(ValueError, match="no band motion"):
        Groups(
            WeSection(pairs={"couple": pair}),
            mesh.bands,
            mesh.table,
            mesh.roster,
            runner=InlineRunner(VirtualScheduler()),
            tell=mesh.tell,
        )


def test_hysteresis_and_window_are_checked() -> None:
    for wrong, what in (
        ({"p_false": 0.1, "release_p": 0.05}, "release_p: 0.05 is below p_false"),
        ({"window_tau": 48, "first_tau": 20}, "window_tau: 48 is too short; at least 60"),
    ):
        with pytest.raises(ValidationError, match=what):
            WeSection.model_validate(wrong)


# -- pairs -------------------------------------------------------------------------------------------------------------


def test_two_who_share_their_irregularity_become_one_and_cease_to_be() -> None:
    rig = Rig("anna", "ben")
    walk = Walk(1, 90.0)
    together = walk.stray()
    rig.run(anna=together + walk.jitter(0.1), ben=together + walk.jitter(0.1) + 0.75)
    assert rig.kinds == ["we"]
    (_, event) = rig.mesh.told[0]
    assert (event["name"], event["band"], event["one"]) == ("we", "stride", True)
    assert (event["a_nodes"], event["b_nodes"]) == (["anna"], ["ben"])
    assert event["offset"] == pytest.approx(-0.75, abs=0.2)  # that of a against b: built differently, and locked
    assert event["cross_p"] < 0.01
    assert event["fluctuation_p"] <= event["p_needed"] < 0.005
    assert event["fluctuation_r"] > 0.5
    assert rig.figures()["since_us"] is not None
    apart = Walk(2, 90.0)
    rig.run(anna=apart.stray(0.1), ben=apart.stray(0.1, aside=0.1))
    assert rig.kinds == ["we", "we_dissolution"]
    (_, event) = rig.mesh.told[1]
    assert set(event["why"]) & {CROSS, SHARED}
    assert event["lasted_s"] > 10.0
    assert not rig.groups.one
    json.dumps(rig.groups.figures(), allow_nan=False)


def test_who_stops_is_one_with_nobody() -> None:
    rig = Rig("anna", "ben")
    walk = Walk(1, 90.0)
    together = walk.stray()
    rig.run(anna=together + walk.jitter(0.1), ben=together + walk.jitter(0.1))
    assert rig.one[-1]
    rig.run(anna=Walk(3, 5.0).stray())
    assert rig.kinds == ["we", "we_dissolution"]
    assert rig.mesh.told[1][1]["why"] == [FIELDS]


def test_groups_of_several_meet_through_their_mean_fields() -> None:
    nodes = ("anna-leg", "anna-arm", "ben-leg", "ben-arm", "carl")
    rig = Rig(*nodes, pairs={"we": {"a": ["anna-*"], "b": ["ben-*"]}})
    walk = Walk(4, 90.0)
    together, carl = walk.stray(), walk.stray()
    phases = {name: together + walk.jitter(0.1) + 0.2 * n for n, name in enumerate(nodes)}
    rig.run(**{**phases, "carl": carl})
    assert rig.kinds == ["we"]
    assert rig.figures()["a"]["channels"] == rig.figures()["b"]["channels"] == 2


def test_two_steady_rhythms_of_one_pace_are_not_one() -> None:
    """They keep their difference for ever, and nothing tells whether they have met."""
    rig = Rig("anna", "ben")
    walk = Walk(5, 120.0)
    rig.run(anna=walk.jitter(0.05), ben=walk.jitter(0.05) + 1.0)
    assert rig.kinds == []
    assert rig.figures()["coherence"] > 0.99
    assert rig.figures()["cross_p"] < 0.01
    assert SHARED in rig.figures()["missing"]


def test_a_node_that_nobody_has_heard_of_is_told_of_and_may_come() -> None:
    rig = Rig("anna")
    rig.run(anna=np.zeros(50))
    assert rig.groups.figures()["unheard"] == ["ben"]
    assert rig.figures()["missing"][0] == FIELDS
    rig.mesh.node("ben")
    walk = Walk(6, 90.0)
    together = walk.stray()
    rig.run(anna=together + walk.jitter(0.1), ben=together + walk.jitter(0.1))
    assert rig.groups.figures()["unheard"] == []
    assert rig.kinds == ["we"]


def test_a_look_that_fails_is_counted_and_the_next_one_is_made(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(InlineRunner):
        failures = 2

        def submit(self, work: Any, outcome: Any) -> None:
            if self.failures:
                self.failures -= 1
                outcome(None, MemoryError("none left"))
            else:
                super().submit(work, outcome)

    rig = Rig("anna", "ben", make_runner=Failing)
    walk = Walk(1, 90.0)
    together = walk.stray()
    rig.run(anna=together + walk.jitter(0.1), ben=together + walk.jitter(0.1))
    assert rig.groups.figures()["failed_looks"] == 2
    assert "none left" in caplog.text
    assert rig.kinds == ["we"]
    rig.groups.close()
    looks = rig.figures()["looks"]
    rig.run(anna=together, ben=together)
    assert rig.figures()["looks"] == looks


def test_a_look_that_is_answered_after_they_ceased_to_be_one_is_void() -> None:
    class Slow(InlineRunner):
        waiting: list[Callable[[], None]] | None = None

        def submit(self, work: Any, outcome: Any) -> None:
            if self.waiting is None:
                super().submit(work, outcome)
            else:
                self.waiting.append(lambda: InlineRunner.submit(self, work, outcome))

    made: list[Slow] = []

    def make(scheduler: Scheduler) -> Runner:
        made.append(Slow(scheduler))
        return made[0]

    rig = Rig("anna", "ben", make_runner=make, release_p=0.4)
    walk = Walk(1, 120.0)
    together = walk.stray()
    anna, ben = together + walk.jitter(0.1), together + walk.jitter(0.1)
    rig.run(anna=anna[:900], ben=ben[:900])
    waiting: list[Callable[[], None]] = []
    made[0].waiting = waiting
    rig.run(anna=anna[900:], ben=ben[900:])
    apart = Walk(2, 60.0)
    rig.run(anna=apart.stray(0.1), ben=apart.stray(0.1, aside=0.3))
    assert rig.kinds == ["we", "we_dissolution"]
    assert len(waiting) == 1  # asked for while they were one, against release_p
    looks = rig.figures()["looks"]
    waiting[0]()
    rig.scheduler.run_for(TICK_S)
    assert (rig.figures()["looks"], rig.figures()["p_needed"]) == (looks, None)
