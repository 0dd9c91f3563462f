"""Each planted fault is found by the layer whose job it is, in the time stated, and nobody else is blamed."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from becomingone.hub.witnessing import WitnessingSection
from becomingone.hub.witnessing.accusations import MOST_EVENTS
from becomingone.hub.witnessing.findings import Limits
from becomingone.kairos.bands import Band

from .harness import STRIDE, Fault, Harness

SETTLED = 200
"""Lags in which all witnesses have learnt: a first epoch of 32, and a whole one."""


def found(harness: Harness, **fields: Any) -> list[int]:
    """Lags after the fault began at which something was found."""
    return [step - SETTLED for step, _ in harness.of("witness", **fields)]


def planted(fault: Fault, steps: int = 150, **options: Any) -> Harness:
    harness = Harness(**options)
    harness.step(SETTLED)
    assert harness.events == []
    harness.step(steps, fault)
    return harness


def since(harness: Harness) -> int:
    return harness.steps - SETTLED


# -- in health ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("nodes", "wander"), [(10, 0.8), (3, 0.0), (2, 0.1), (1, 0.1)])
def test_in_health_nothing_is_found(nodes: int, wander: float) -> None:
    harness = Harness(nodes, wander=wander)
    harness.step(500)
    assert harness.events == []
    figures = harness.witnesses.figures()
    assert figures["looks"] == 500 * nodes
    assert figures["watched"] == {"stride": nodes}


def test_what_they_share_is_nobody_s_fault() -> None:
    """The rhythm jumps, stops making sense to each alone, and comes back: for all of them."""

    def shared(harness: Harness) -> None:
        harness.common += 2.0 * (since(harness) in {5, 30, 60})

    assert planted(shared).events == []


@pytest.mark.slow
def test_another_offset_and_another_rhythm_from_the_start_are_no_faults() -> None:
    rates = np.zeros(10)
    rates[:3] = [0.4, -0.9, 2.0]
    harness = Harness(10, rates=rates)
    harness.step(500)
    assert harness.lowered == {}
    assert harness.of("witness", layer="macro") == []


def test_noise_without_any_rhythm_is_not_witnessed_and_not_blamed() -> None:
    harness = Harness(6, sigma=1.8)
    harness.step(400)
    assert harness.events == []
    assert harness.witnesses.figures()["watched"] == {}


@pytest.mark.slow
def test_a_rhythm_that_stops_at_one_node_says_so_itself() -> None:
    """Its coherence falls with the window of the band, and its claims with it."""

    def stops(harness: Harness) -> None:
        harness.added[0] = harness.rng.uniform(-np.pi, np.pi)
        coherence = max(0.2, float(np.exp(-since(harness) * STRIDE.lag_s / STRIDE.coherence_tau_s)))
        harness.claimed[0] = min(1.8, float(np.sqrt(0.01 - 2 * np.log(coherence))))

    assert planted(stops, 400).lowered == {}


def test_one_step_is_noted_and_not_held_against_a_node() -> None:
    def moved(harness: Harness) -> None:
        harness.added[0] = 1.0

    harness = planted(moved)
    assert found(harness) == [1]
    assert harness.of("witness")[0][1] | {"p": 0, "figures": 0} == {
        "layer": "micro",
        "fault": "jumps",
        "node": "n0",
        "band": "stride",
        "channel": "c0",
        "p": 0,
        "why": "its phase has jumped, apart from the others, and not for the first time",
        "lowered": False,
        "figures": 0,
    }
    assert harness.lowered == {}


# -- planted -----------------------------------------------------------------------------------------------------------


def jumps(harness: Harness) -> None:
    harness.added[0] = since(harness) // 10 % 2


def stuck(harness: Harness) -> None:
    harness.frozen[0] = True


def drifts(rate: float) -> Fault:
    def fault(harness: Harness) -> None:
        harness.slip[0] = rate

    return fault


def lies_about_phase(harness: Harness) -> None:
    harness.added[0] = harness.rng.uniform(-np.pi, np.pi)


def halves_its_sigma(harness: Harness) -> None:
    harness.claimed[0] = 0.5 * harness.claimed[1]


def says_that_p_is_high(harness: Harness) -> None:
    harness.p[0] = harness.rng.uniform(0.9, 1.0)


@pytest.mark.parametrize(
    ("fault", "layer", "reason", "within", "options"),
    [
        (jumps, "micro", "jumps", 20, {}),
        (stuck, "meso", "stuck", 17, {}),
        (stuck, "meso", "stuck", 17, {"nodes": 1}),
        (drifts(0.1), "meso", "clock", 24, {}),
        (drifts(0.05), "meso", "clock", 60, {}),
        (drifts(0.015), "meta", "clock", 300, {}),
        (halves_its_sigma, "macro", "liar", 17 * 8, {"wander": 0.0}),
        (says_that_p_is_high, "macro", "liar", 17 * 8, {}),
        (lies_about_phase, "macro", "liar", 15 * 8, {}),
        (jumps, "micro", "jumps", 20, {"nodes": 2, "wander": 0.0}),
    ],
)
def test_a_planted_fault_is_found_by_its_layer(
    fault: Fault, layer: str, reason: str, within: int, options: dict[str, Any]
) -> None:
    harness = planted(fault, within, **options)
    assert found(harness, layer=layer, fault=reason, node="n0", lowered=True)
    assert set(harness.lowered) == {"n0"}
    assert reason in harness.lowered["n0"]


@pytest.mark.slow
def test_a_calibration_that_drifts_is_found_by_the_meta_layer() -> None:
    def grows(harness: Harness) -> None:
        harness.sigma[0] = 0.1 * 1.35 ** (since(harness) / 128)

    harness = planted(grows, 900, wander=0.0)
    (first, *_) = found(harness, layer="meta", fault="calibration", node="n0")
    assert first <= 7 * 128
    assert {content["node"] for _, content in harness.of("witness")} == {"n0"}


def test_of_two_nodes_that_drift_apart_neither_is_blamed() -> None:
    harness = planted(drifts(0.1), nodes=2)
    assert harness.lowered == {}
    assert {content["node"] for _, content in harness.of("witness", fault="clock", lowered=False)} == {"n0", "n1"}


def test_a_steady_lie_about_the_phase_is_a_mounting_offset() -> None:
    """It was so from the start: nothing can tell it from a sensor that is mounted the other way round."""
    harness = Harness(10)
    harness.added[0] = 2.0
    harness.step(300)
    assert harness.events == []


@pytest.mark.slow
def test_where_most_do_the_same_nobody_is_blamed() -> None:
    """Seven of ten drift away, each its own way: the mesh dissolves."""
    harness = planted(lambda h: h.slip.__setitem__(slice(0, 7), np.linspace(-0.3, 0.3, 7)), 200)
    assert len(harness.lowered) <= 2
    assert harness.of("witness", fault="clock")
    assert sum(harness.standing.trust(f"n{n}") < 1.0 for n in range(10)) <= 2


def test_a_clock_moves_all_channels_of_its_node() -> None:
    """One channel alone that moves away, while the node's other one stays, is no clock."""

    def one_of_two(harness: Harness) -> None:
        harness.slip[0] = 0.05

    def both(harness: Harness) -> None:
        harness.slip[:2] = 0.05

    alone = planted(one_of_two, 100, channels=2)
    assert alone.lowered == {}
    assert alone.witnesses.figures()["withheld"] > 0
    assert planted(both, 100, channels=2).lowered == {"n0": {"clock"}}


def test_a_node_recovers_by_itself_when_its_fault_is_over() -> None:
    harness = planted(jumps, 60)
    assert harness.standing.trust("n0") == 0.5
    harness.added[0] = 0.0
    harness.step(200)
    assert harness.standing.of("n0") == {}
    assert [content["node"] for _, content in harness.of("restored")] == ["n0"]
    assert len(harness.of("distrusted")) == 1


@pytest.mark.slow
def test_a_stuck_sensor_stays_lowered_while_it_is_stuck_and_is_told_once() -> None:
    harness = planted(stuck, 300)
    assert harness.standing.of("n0").keys() == {"stuck"}
    assert [len(harness.of(kind)) for kind in ("distrusted", "restored", "witness")] == [1, 0, 1]


# -- coming and going --------------------------------------------------------------------------------------------------


def test_gaps_are_no_faults() -> None:
    """Every node is away now and then, for a lag or for many."""

    def comes_and_goes(harness: Harness) -> None:
        harness.silent = harness.rng.random(10) < 0.1
        harness.silent[3] = since(harness) % 100 > 60

    harness = planted(comes_and_goes, 300)
    assert harness.events == []


def test_what_is_only_extrapolated_is_no_look() -> None:
    harness = Harness(4)
    harness.step(5)
    before = harness.witnesses.figures()["looks"]
    for _ in range(5):
        harness.now_us += harness.step_us
        harness.witnesses.take(harness.state())
    assert harness.witnesses.figures()["looks"] == before


def test_a_band_is_looked_at_a_lag_apart() -> None:
    harness = Harness(4)
    harness.step_us //= 10
    harness.step(101)
    assert harness.witnesses.figures()["looks"] == 4 * 11


@pytest.mark.slow
def test_a_hub_that_was_away_itself_blames_nobody() -> None:
    harness = Harness(6)
    harness.step(SETTLED)
    for lags in (7, 40):
        harness.now_us += lags * harness.step_us
        harness.common += 3.0
        harness.step(100)
    assert harness.events == []


def test_bands_that_no_channel_has_cost_nothing_and_say_nothing() -> None:
    slow = Band.of("day", 1 / 86_400, 3600.0)
    harness = Harness(4, bands=(STRIDE, slow))
    harness.table["weight"][:] = 0.0
    harness.witnesses.take(harness.state())
    assert harness.witnesses.figures()["looks"] == 0


# -- records -----------------------------------------------------------------------------------------------------------


def test_each_layer_records_what_json_can_say() -> None:
    harness = planted(jumps, 60)
    last: dict[str, dict[str, Any]] = {}
    for layer, record in harness.records:
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        last[layer] = record
    assert set(last) == {"micro", "meso", "macro", "meta"}
    assert set(last["micro"]) == {"time_us", "looks", "notable", "left_out"}
    (note,) = last["micro"]["notable"]
    assert (note["node"], note["band"], note["channel"], note["fault"]) == ("n0", "stride", "c0", "jumps")
    assert last["meso"]["watched"] == {"stride": 10}
    assert [seen["name"] for seen in last["meso"]["transducers"]] == ["emissary/stride"]
    assert last["macro"]["names"] == 10
    assert 0.0 < last["macro"]["pool_p"] <= 1.0
    assert (last["meta"]["witnesses"], last["meta"]["settled"]) == (20, 20)
    assert last["meta"]["lipschitz"] < 1.0
    assert last["meta"]["not_converged"] == 0
    assert last["meta"]["lowered"] == {"n0": ["jumps (stride)"]}


def test_records_keep_their_pace() -> None:
    harness = Harness(10, record_s=60.0)
    harness.step(300)
    seconds = 300 * harness.step_us / 1e6
    count = Counter(layer for layer, _ in harness.records)
    assert 0.8 * seconds / 60 < count["meso"] <= seconds / 60
    assert 0 < count["macro"] <= seconds / 360 + 1
    assert 0 < count["meta"] <= seconds / 360 + 1
    assert "micro" not in count


def test_the_macro_layer_looks_at_events() -> None:
    harness = Harness(4)
    harness.step(200)
    harness.records.clear()
    for emerged in (frozenset({"stride"}), frozenset[str]()):
        harness.emerged = emerged
        harness.witnesses.take(harness.state())
    assert [(layer, record["why"]) for layer, record in harness.records] == [
        ("macro", "emergence"),
        ("macro", "dissolution"),
    ]


def test_a_transducer_is_witnessed_at_its_own_lag() -> None:
    harness = Harness(4)
    rng = np.random.default_rng(1)
    for k in range(3000):
        time_us = harness.now_us + k * 100_000
        phase = 0.05 * rng.standard_normal() + 0.3 * k * 0.1
        harness.witnesses.transducer("master/stride", phase, 0.9, omega=0.3, time_us=time_us, lag_s=0.2)
    harness.step(60)
    (seen,) = [
        transducer
        for layer, record in harness.records
        if layer == "meso"
        for transducer in record["transducers"]
        if transducer["name"] == "master/stride"
    ][-1:]
    assert seen["scale"] == pytest.approx(0.0025, rel=0.3)
    assert 0.0 < seen["p"] <= 1.0


@pytest.mark.slow
def test_a_storm_of_findings_is_a_few_events() -> None:
    def storm(harness: Harness) -> None:
        harness.added[:] = harness.rng.uniform(-np.pi, np.pi, 60)

    harness = planted(storm, 40, nodes=60)
    minutes = 40 * harness.step_us / 60e6
    assert len(harness.of("witness")) <= MOST_EVENTS * (minutes + 1)
    records = [record for layer, record in harness.records if layer == "micro"]
    assert max(len(record["notable"]) for record in records) == 16
    assert max(len(json.dumps(record)) for record in records) < 8192


# -- configuration -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"enabled": False}, {"layers": ()}])
def test_switched_off_nothing_is_looked_at(options: dict[str, Any]) -> None:
    harness = Harness(4, **options)
    harness.step(50)
    figures = harness.witnesses.figures()
    assert (figures["enabled"], figures["looks"], harness.records) == (False, 0, [])


def test_a_layer_that_does_not_look_finds_nothing() -> None:
    harness = planted(jumps, 60, layers=("meso", "macro", "meta"))
    assert harness.of("witness", layer="micro") == []
    assert {layer for layer, _ in harness.records} == {"meso", "macro", "meta"}


def test_it_can_observe_without_lowering_anybody() -> None:
    harness = planted(stuck, 60, lower=False)
    assert found(harness, fault="stuck", lowered=False)
    assert harness.lowered == {}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"window": 7}, "window"),
        ({"window": 32, "epoch": 256}, "epoch"),
        ({"epoch": 128, "window": 8, "first_epoch": 129}, "first_epoch"),
        ({"layers": ("nano",)}, "layers"),
        ({"false_alarm_s": 1.0}, "false_alarm_s"),
    ],
)
def test_a_wrong_section_names_its_field(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        WitnessingSection(**options)


def test_the_more_there_are_the_rarer_each_one_s_chance() -> None:
    few, many = Limits(1.0, 1 / 16, 1 / 256, 1e6), Limits(1000.0, 1000 / 16, 1000 / 256, 1e6)
    assert few.p_jump == pytest.approx(1e-6)
    assert many.p_jump == pytest.approx(1e-9)
    assert many.jump > few.jump > 4.0
    assert many.slow > few.slow
    assert many.window < few.window


def test_the_same_mesh_is_witnessed_the_same_twice() -> None:
    def run() -> tuple[Any, ...]:
        harness = planted(jumps, 60, seed=7)
        return harness.events, harness.records

    assert run() == run()


# -- how often it cries wolf -------------------------------------------------------------------------------------------

DEFAULTS = {"window": 16, "epoch": 256, "first_epoch": 64}

RATES: list[tuple[int, int, float]] = [(10, 1, 0.2), (10, 2, 0.0), (3, 3, 0.2), (30, 4, 0.2)]


@pytest.mark.campaign
@pytest.mark.parametrize(("nodes", "seed", "wander"), RATES)
def test_false_alarms_are_as_rare_as_stated(nodes: int, seed: int, wander: float) -> None:
    """At a mean time between false alarms of 5 h, in 71 h: 14 expected of each layer."""
    harness = Harness(nodes, seed=seed, wander=wander, false_alarm_s=18_000.0, **DEFAULTS)
    harness.step(40_000)
    expected = 40_000 * harness.step_us / 1e6 / 18_000.0
    count = Counter(content["layer"] for _, content in harness.of("witness"))
    print(nodes, seed, wander, f"expected {expected:.1f} a layer", dict(count), harness.lowered)
    for layer in ("micro", "meso", "macro", "meta"):
        assert count[layer] <= 2.0 * expected
