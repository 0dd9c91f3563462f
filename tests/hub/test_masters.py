"""Master, Emissaries, and what is made of the two: bands without hub or broker, fields by formula."""

from __future__ import annotations

import cmath
import json
import math
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from becomingone.hub.masters import Masters, MasterSection, SyncLayerSection
from becomingone.hub.masters.band_pair import FLOOR, look_us
from becomingone.hub.masters.masters import MOST_TOLD
from becomingone.hub.masters.requests import Requests
from becomingone.kairos.bands import DEFAULT_BANDS, Band
from becomingone.kairos.transducers.synchronise import Decision, Synchroniser
from becomingone.kairos.transducers.transducer import Reading, master
from becomingone.wire.verbs import Verb, read_arguments

from .mesh_states import Mesh
from .parts import BANDS, MOTION, NOW_US, STRIDE, RowKey

TICK_S = 0.05
ASIDE = STRIDE.omega + math.pi / STRIDE.lag_s
"""A rhythm whose T is −1: half a turn slips within a lag."""

READING = Reading(0.95 + 0j, 0.9, 80.0, 1e-9, 0.5, STRIDE.omega, 0.001, 1.0, 40.0)


class Rig:
    """Masters and whoever they ask to realign."""

    def __init__(self, mesh: Mesh, *, sync: dict[str, Any] | None = None, **section: Any) -> None:
        self.mesh = mesh
        self.asked: list[tuple[str, str, float, float, int, float]] = []
        self.there = True
        self.masters = Masters(
            MasterSection.model_validate(section),
            SyncLayerSection.model_validate(sync or {}),
            mesh.bands,
            mesh.table,
            mesh.roster,
            p_false=0.001,
            realign=self._realign,
            tell=mesh.tell,
        )

    def _realign(self, *given: Any) -> bool:
        read_arguments(Verb.REALIGN, dict(zip(("band", "phase", "omega", "time_us"), given[1:5], strict=True)))
        if self.there:
            self.asked.append(given)
        return self.there

    def run(self, seconds: float, *, omega: float | None = STRIDE.omega, tick_s: float = TICK_S) -> None:
        """Let the stride band's field turn at a rate; None: there is none."""
        for _ in range(round(seconds / tick_s)):
            self.mesh.later(tick_s)
            field = None if omega is None else 0.9 * self.mesh.turned(omega, 0.5)
            self.masters.take(self.mesh.state(stride=field))

    def off(self, phase: float, time_us: int) -> float:
        """How far a phase at a mesh time is from the field's, rad."""
        field = 0.5 + STRIDE.omega * (time_us - NOW_US) * 1e-6
        return abs(math.remainder(phase - field, math.tau))

    def band(self, name: str = "stride") -> dict[str, Any]:
        found: dict[str, Any] = self.masters.figures()["bands"][name]
        return found

    def node(self, name: str, band: str = "stride") -> dict[str, Any]:
        found: dict[str, Any] = self.masters.figures()["nodes"][name][band]
        return found

    @property
    def counts(self) -> dict[str, int]:
        found: dict[str, int] = self.masters.figures()["realign"]
        return found


def slow_mesh(*nodes: str) -> Mesh:
    """A mesh of the stride band alone, in which T is −1 for whoever is called ``stray``."""
    mesh = Mesh((STRIDE,))
    for name in nodes:
        mesh.node(name)
        if name.startswith("stray"):
            mesh.say(RowKey(name, "stride", "tone"), resonance=-1 + 0j, omega=ASIDE, omega_sigma=0.001, phase=2.0)
    return mesh


# -- the Master --------------------------------------------------------------------------------------------------------


def test_a_master_is_the_kernels_fed_with_the_mean_field() -> None:
    rig = Rig(Mesh())
    expected = master(STRIDE, tau_s=160.0, floor=FLOOR, p_false=0.001)
    field = [0.9 * cmath.exp(1j * (STRIDE.omega * 1.01 * (n + 1) * TICK_S + 0.5)) for n in range(1200)]
    for sample in field:
        reading = expected.tick(sample, TICK_S)
    rig.run(60.0, omega=STRIDE.omega * 1.01)
    found = rig.masters.master("stride", rig.mesh.now_us)
    assert found is not None
    assert reading.resonance is not None
    assert found.resonance == pytest.approx(reading.resonance, abs=1e-9)
    assert found.phase == pytest.approx(reading.phase, abs=1e-6)
    assert found.n_eff == pytest.approx(reading.n_eff)
    assert found.window_s == 160.0
    assert rig.band()["master"]["filled"] == pytest.approx(1 - math.exp(-60 / 160), abs=1e-3)
    assert rig.band("motion") == {"master": None, "why": "no_field"}


def test_ticks_that_come_when_they_may_make_no_difference() -> None:
    """Jitter up to a third of a tick, and two turns that were missed: T and phase stay what they are."""
    even, uneven = Rig(Mesh()), Rig(Mesh())
    even.run(60.0, omega=4.8)
    for n in range(1200):
        if n % 97 not in (50, 51):
            due_us = even.mesh.now_us - round((1199 - n) * TICK_S * 1e6)
            uneven.mesh.now_us = due_us + (n * 7919) % 17_000 * (n < 1199)
            uneven.masters.take(uneven.mesh.state(stride=0.9 * uneven.mesh.turned(4.8, 0.5)))
    there = [rig.masters.master("stride", rig.mesh.now_us) for rig in (even, uneven)]
    assert [found is not None and found.defined for found in there] == [True, True]
    one, other = [found for found in there if found is not None]
    assert abs((one.resonance or 0) - (other.resonance or 0)) < 0.002
    assert abs(math.remainder((one.phase or 0) - (other.phase or 0), math.tau)) < 0.005


@pytest.mark.parametrize(
    ("name", "window_s"),
    [
        ("fast", 60.0),
        ("motion", 80.0),
        ("stride", 160.0),
        ("breath", 640.0),
        ("minute", 3600.0),
        ("replayed_day", 3600.0),
    ],
)
def test_windows_of_the_default_plan(name: str, window_s: float) -> None:
    (band,) = (band for band in DEFAULT_BANDS if band.name == name)
    assert MasterSection().window_s(band) == window_s


def test_a_longer_tau_lengthens_the_windows_and_tau_max_bounds_them() -> None:
    assert MasterSection(tau_s=600).window_s(STRIDE) == 600.0
    assert MasterSection(tau_s=86_400).window_s(STRIDE) == 3600.0
    assert MasterSection(tau_s=600, tau_max=300).window_s(STRIDE) == 300.0
    assert MasterSection(tau_s=1).window_s(MOTION) == 80.0
    assert MasterSection(enabled=False).window_s(STRIDE) is None
    for wrong in ({"tau_max": 59}, {"tau_max": 3601}, {"tau_s": 0}, {"tau_scale": 1}):
        with pytest.raises(ValidationError):
            MasterSection.model_validate(wrong)
    for wrong in ({"phase_threshold": 0}, {"realign_per_s": 0}):
        with pytest.raises(ValidationError):
            SyncLayerSection.model_validate(wrong)


def test_a_band_that_is_too_slow_has_the_master_that_it_is_given() -> None:
    day = Band.of("day", 1 / 86_400, 40_000.0)
    mesh = Mesh((day, STRIDE))
    mesh.node("n")
    rig = Rig(mesh)
    assert rig.band("day") == {"master": None, "why": "too_slow"}
    rig.masters.take(mesh.state(day=1 + 0j))
    assert rig.masters.figures()["nodes"] == {}
    reading = Reading(1 + 0j, 1.0, 20.0, 1e-8, 0.25, day.omega, 1e-7, day.tau_s, 1e6)
    rig.masters.give("day", reading, mesh.now_us)
    rig.masters.give("stride", reading, mesh.now_us)  # it has one of its own
    rig.masters.give("year", reading, mesh.now_us)
    mesh.later(21_600.0)
    later = rig.masters.master("day", mesh.now_us)
    assert later is not None
    assert later.phase == pytest.approx(0.25 + math.pi / 2, abs=1e-6)
    assert rig.masters.master("stride", mesh.now_us) != later
    assert rig.masters.master("year", mesh.now_us) is None
    assert rig.band("day")["master"]["n_eff"] == 20.0
    for _ in range(20):
        mesh.later(10.0)
        rig.masters.take(mesh.state(day=1 + 0j))
    assert rig.node("n", "day")["decision"] == "proceed"


def test_without_a_master_nothing_is_compared_and_nobody_asked() -> None:
    rig = Rig(slow_mesh("n", "stray"), enabled=False)
    rig.run(60.0)
    assert rig.masters.figures()["nodes"] == {}
    assert rig.band() == {"master": None, "why": "disabled"}
    assert rig.asked == []


def test_a_pause_is_a_gap_and_a_long_one_begins_anew() -> None:
    rig = Rig(Mesh())
    rig.run(80.0)
    before = rig.band()["master"]
    rig.mesh.later(3.0)  # a loop that had no time
    rig.run(1.0)
    after = rig.band()["master"]
    assert after["resonance"] == pytest.approx(before["resonance"], abs=1e-3)
    assert after["filled"] == pytest.approx(before["filled"] * math.exp(-3 / 160) + 0.006, abs=0.005)
    rig.run(20.0, omega=None)
    assert rig.band()["master"]["phase"] is None
    assert rig.band()["sync"]["reason"] == "no_master"
    json.dumps(rig.masters.figures(), allow_nan=False)


# -- the nodes' Emissaries ---------------------------------------------------------------------------------------------


def test_who_goes_with_the_mesh_proceeds_and_who_does_not_is_asked_to_realign() -> None:
    rig = Rig(slow_mesh("one", "two", "stray"))
    rig.run(60.0)
    for name in ("one", "two"):
        assert (rig.node(name)["decision"], rig.node(name)["reason"]) == ("proceed", "coherent")
        assert rig.node(name)["chi"] > 0.99
    stray = rig.node("stray")
    assert stray["decision"] in ("realign", "dissipate")
    assert stray["reason"] == "incoherent"
    assert stray["chi"] < 0.01
    assert abs(stray["phase_gap"]) == pytest.approx(math.pi, abs=0.1)
    assert stray["coherence_gap"] < 0.1  # which alone would have let it pass
    assert stray["simple"] == "proceed"  # as the documents' form does
    assert {node for node, *_ in rig.asked} == {"stray"}
    _, band, phase, omega, time_us, valid_s = rig.asked[0]
    assert band == "stride"
    assert omega == pytest.approx(STRIDE.omega, rel=0.01)
    turned = STRIDE.omega * (time_us - rig.mesh.now_us) * 1e-6
    assert (
        abs(cmath.phase(cmath.exp(1j * phase) / (rig.mesh.turned(STRIDE.omega, 0.5) * cmath.exp(1j * turned)))) < 0.05
    )
    assert 0 < valid_s <= STRIDE.coherence_tau_s
    (event,) = [content for kind, content in rig.mesh.told if kind == "realign"]
    assert (event["node"], event["band"], event["target_time_us"]) == ("stray", "stride", time_us)
    assert event["critical"] > event["synchronised"]


@pytest.mark.parametrize(
    ("gap", "least_chi", "decision", "reason"),
    [
        (1.4, 0.5, "proceed", "coherent"),
        (1.8, 0.5, "dissipate", "apart"),
        (1.8, 0.3, "proceed", "coherent"),
        (2.3, 0.0, "proceed", "coherent"),
    ],
)
def test_two_steady_rhythms_that_differ_are_apart(gap: float, least_chi: float, decision: str, reason: str) -> None:
    """After some time C is far from noise's whatever the two T are: χ tells whether they are the same."""
    mesh = Mesh((STRIDE,))
    mesh.node("n")
    mesh.say(RowKey("n", "stride", "tone"), resonance=cmath.exp(1j * gap))
    rig = Rig(mesh, sync={"least_chi": least_chi})
    rig.run(150.0, tick_s=0.1)
    found = rig.node("n")
    assert found["chi"] == pytest.approx(math.cos(gap / 2) ** 2, abs=0.01)
    assert (found["decision"].replace("realign", "dissipate"), found["reason"]) == (decision, reason)


def test_requests_come_after_1_2_4_windows_and_begin_anew_after_an_agreement() -> None:
    rig = Rig(slow_mesh("stray"))
    rig.run(400.0, tick_s=0.2)
    asked_s = [(given[4] - rig.asked[0][4]) / 1e6 for given in rig.asked]
    window_s, look_s = STRIDE.coherence_tau_s, look_us(STRIDE) / 1e6
    assert len(asked_s) == 4
    for found, least_s in zip(asked_s, (0, window_s, 3 * window_s, 7 * window_s), strict=True):
        assert least_s - 1e-6 <= found <= least_s + 3 * look_s
    assert rig.counts == {"waiting": 0, "sent": 4, "absent": 0, "expired": 0, "unsuitable": 0}
    assert len(rig.mesh.told) == 1
    key = RowKey("stray", "stride", "tone")
    rig.mesh.say(key, omega=STRIDE.omega)
    rig.run(2 * look_s, tick_s=0.2)
    assert rig.node("stray")["decision"] == "proceed"
    rig.mesh.say(key, resonance=-1 + 0j, omega=ASIDE)
    rig.run(2 * look_s, tick_s=0.2)
    assert len(rig.asked) == 5
    assert len(rig.mesh.told) == 2


def test_a_node_is_the_mean_of_its_channels_weighted_with_their_coherence() -> None:
    mesh = Mesh((STRIDE,))
    mesh.node("n", "strong", "weak", "mute")
    mesh.say(RowKey("n", "stride", "strong"), coherence=0.9, n_eff=40.0)
    mesh.say(RowKey("n", "stride", "weak"), coherence=0.1, n_eff=20.0, resonance=-1 + 0j)
    mesh.say(RowKey("n", "stride", "mute"), coherence=0.8, resonance=complex(math.nan, math.nan))
    rig = Rig(mesh)
    rig.run(60.0)
    assert rig.node("n")["coherence_gap"] == pytest.approx(0.2, abs=0.01)
    assert rig.node("n")["reason"] == "gap"


def test_a_node_that_sends_no_t_has_no_emissary_and_is_left_alone() -> None:
    mesh = Mesh((STRIDE,))
    mesh.node("mute")
    mesh.say(RowKey("mute", "stride", "tone"), resonance=complex(math.nan, math.nan))
    rig = Rig(mesh)
    rig.run(60.0)
    assert rig.node("mute") == {"decision": "dissipate", "reason": "no_emissary"}
    assert rig.band()["emissary"]["resonance"] == pytest.approx(1.0, abs=1e-3)  # the hub's own, of the mean field
    assert rig.band()["sync"]["decision"] == "proceed"
    assert rig.asked == []


def test_a_t_of_another_lag_is_another_figure() -> None:
    mesh = Mesh((STRIDE,))
    mesh.node("n", stride=2 * STRIDE.lag_s)
    rig = Rig(mesh)
    rig.run(30.0)
    assert rig.node("n") == {"decision": "dissipate", "reason": "other_lag"}
    member = mesh.roster.get("n")
    assert member is not None
    assert member.about is not None
    mesh.node("n")  # it has been configured as the others are
    rig.run(30.0)
    assert rig.node("n")["decision"] == "proceed"


def test_who_falls_silent_proceeds_no_more() -> None:
    mesh = slow_mesh("one", "two")
    rig = Rig(mesh)
    rig.run(40.0)
    mesh.say(RowKey("two", "stride", "tone"), weight=0.0)
    rig.run(4 * look_us(STRIDE) / 1e6)
    assert rig.node("one")["decision"] == "proceed"
    assert rig.node("two") == {"decision": "dissipate", "reason": "no_emissary"}


def test_who_is_forgotten_is_shown_no_more() -> None:
    mesh = slow_mesh("one", "two")
    rig = Rig(mesh)
    rig.run(40.0)
    mesh.say(RowKey("two", "stride", "tone"), weight=0.0)
    member = mesh.roster.get("two")
    assert member is not None
    mesh.roster.release(member)
    rig.run(4 * look_us(STRIDE) / 1e6)
    assert list(rig.masters.figures()["nodes"]) == ["one"]
    assert rig.masters.figures()["decisions"] == {"stride": {"proceed": 1}}
    mesh.node("two")
    rig.run(4 * look_us(STRIDE) / 1e6)
    assert rig.masters.figures()["decisions"] == {"stride": {"proceed": 2}}


def test_every_node_has_its_turn_in_each_round() -> None:
    names = [f"stray-{n}" for n in range(100)]
    rig = Rig(slow_mesh(*names), sync={"realign_per_s": 1000})
    rig.run(30.0)
    assert rig.asked == [] or rig.band()["master"]["p"] < 0.001
    rig.run(60.0)
    counts = {name: sum(given[0] == name for given in rig.asked) for name in names}
    assert set(counts.values()) <= {1, 2}
    assert len(counts) == 100


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_cell_out_of_step_is_asked_slowly_and_no_request_comes_too_late() -> None:
    names = [f"stray-{n}" for n in range(100)]
    rig = Rig(slow_mesh(*names), sync={"realign_per_s": 1})
    rig.run(120.0)
    assert 60 <= len(rig.asked) <= 121
    for (
        _,
        _,
        phase,
        omega,
        time_us,
        valid_s,
    ) in rig.asked:  # however long it waited, it aims at where the Master is then
        seconds = (time_us - rig.mesh.now_us) * 1e-6
        expected = rig.mesh.turned(STRIDE.omega, 0.5) * cmath.exp(1j * STRIDE.omega * seconds)
        assert abs(cmath.phase(cmath.exp(1j * phase) / expected)) < 0.05
        assert omega == pytest.approx(STRIDE.omega, rel=0.01)
        assert 0 < valid_s <= 2 * STRIDE.coherence_tau_s
    assert rig.counts["sent"] == len(rig.asked)
    assert rig.counts["waiting"] <= 100


def test_switched_off_nobody_is_asked() -> None:
    rig = Rig(slow_mesh("stray"), sync={"realign": False})
    rig.run(60.0)
    assert rig.node("stray")["reason"] == "incoherent"
    assert rig.asked == []
    assert rig.counts == {"waiting": 0, "sent": 0, "absent": 0, "expired": 0, "unsuitable": 0}


def test_a_node_that_cannot_be_spoken_to_is_counted() -> None:
    rig = Rig(slow_mesh("stray"))
    rig.there = False
    rig.run(60.0)
    assert rig.counts["absent"] >= 1
    assert rig.mesh.told == []


def test_what_waited_too_long_is_dropped_and_counted() -> None:
    names = [f"stray-{n}" for n in range(200)]
    rig = Rig(slow_mesh(*names), sync={"realign_per_s": 0.2})
    rig.run(60.0, tick_s=0.1)
    assert rig.counts["waiting"] > 150
    for name in names:  # nobody asks again for who is silent
        rig.mesh.say(RowKey(name, "stride", "tone"), weight=0.0)
    rig.run(100.0, tick_s=0.1)
    counts = rig.counts
    assert counts["expired"] > 150
    assert counts["waiting"] == 0
    assert counts["sent"] == len(rig.asked) <= 32


def test_a_master_that_turns_as_no_rhythm_of_its_band_does_is_no_target() -> None:
    requests = Requests(lambda *_given: True, 10.0, [STRIDE])
    found = Synchroniser().update(READING, replace(READING, resonance=-1 + 0j), 0)
    assert found.decision is Decision.REALIGN
    masters = {"stride": READING}
    for bad in (replace(READING, omega=-1.0), replace(READING, omega=2.1 * STRIDE.omega), replace(READING, phase=None)):
        masters["stride"] = bad
        requests.ask("n", "stride", found, 0)
        assert requests.send(1_000_000, masters.get) == []
    masters["stride"] = READING
    assert requests.send(2_000_000, masters.get) == []
    requests.ask("n", "stride", found, 0)
    (sent,) = requests.send(2_000_000, masters.get)
    assert (sent.node, sent.phase) == ("n", READING.phase)
    assert requests.counts == {"unsuitable": 3, "sent": 1}


def test_of_many_nodes_the_snapshot_tells_of_those_that_do_not_proceed() -> None:
    mesh = Mesh(BANDS)
    for n in range(300):
        mesh.node(f"n{n}")
    mesh.say(RowKey("n250", "stride", "tone"), resonance=-1 + 0j)
    mesh.say(RowKey("n260", "motion", "tone"), resonance=-1 + 0j)
    rig = Rig(mesh)
    for _ in range(700):
        mesh.later(0.1)
        fields = {band.name: 0.9 * mesh.turned(band.omega) for band in BANDS}
        rig.masters.take(mesh.state(**fields))
    found = rig.masters.figures()
    assert found["decisions"]["stride"]["proceed"] == found["decisions"]["motion"]["proceed"] == 299
    assert len(found["nodes"]) == MOST_TOLD
    assert list(found["nodes"])[:2] == ["n250", "n260"]
    assert found["nodes"]["n250"]["stride"]["chi"] < 0.01
    assert found["nodes"]["n250"]["motion"]["decision"] == "proceed"
    assert found["nodes"]["n260"]["stride"]["decision"] == "proceed"
