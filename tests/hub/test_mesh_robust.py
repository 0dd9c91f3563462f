"""Who may say how much: liars, nodes of many channels, nodes that fade, nodes that are trusted less."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.hub.mesh.weighing import FAIR

from .mesh_world import MeshWorld
from .parts import MOTION, NOW_US, STRIDE


def nodes(count: int) -> list[tuple[str, str]]:
    return [(f"n{number}", "stride") for number in range(count)]


# Liars


@pytest.mark.parametrize(("share", "most_deg"), [(0.2, 8.0), (0.3, 11.0), (0.4, 18.0)])
def test_liars_move_the_robust_field_less_than_the_documents_one(share: float, most_deg: float) -> None:
    random = np.random.default_rng(5)
    robust, simple = [], []
    for _ in range(20):
        world = MeshWorld(nodes(100))
        phases = 0.2 * random.standard_normal(100)
        phases[: round(100 * share)] = math.pi / 2
        world.say(phases, NOW_US)
        band = world.band()
        assert band.simple is not None
        robust.append(abs(math.degrees(cmath.phase(band.mean_field))))
        simple.append(abs(math.degrees(cmath.phase(band.simple.mean_field))))
        documents = MeshWorld(nodes(100), mode="documents")
        documents.say(phases, NOW_US)
        assert documents.band().mean_field == band.simple.mean_field
    assert np.mean(robust) < 0.4 * np.mean(simple)
    assert max(robust) < most_deg < min(simple)


def test_a_liar_s_rate_does_not_carry_the_field_away() -> None:
    world = MeshWorld(nodes(10))
    omega = np.full(10, STRIDE.omega)
    omega[:3] = 1e6
    world.set(omega=omega)
    assert world.band().omega == STRIDE.omega
    documents = MeshWorld(nodes(10), mode="documents")
    documents.set(omega=omega)
    assert documents.band().omega == pytest.approx(float(omega.mean()))


def test_of_two_none_is_outvoted() -> None:
    world = MeshWorld(nodes(2))
    world.set(phasor=[1.0, 1j], omega=[4.0, 5.0])
    band = world.band()
    assert band.mean_field == pytest.approx(0.5 + 0.5j)
    assert band.omega == pytest.approx(4.5)


# The share of one node


def test_a_node_of_forty_channels_does_not_outvote_forty_others() -> None:
    world = MeshWorld([("big", "stride")] * 40 + nodes(40))
    world.set(phasor=[1j] * 40 + [1.0] * 40)
    band = world.band()
    assert world.shares["big"] == pytest.approx(0.25)
    assert world.weights[40:] == [1.0] * 40
    assert world.weights[:40] == pytest.approx([1.0 / 3.0] * 40)
    assert (band.channels, band.nodes, band.weight) == (80, 41, pytest.approx(40.0 + 40.0 / 3.0))
    assert abs(cmath.phase(band.mean_field)) < 0.1
    assert band.simple is not None
    assert cmath.phase(band.simple.mean_field) == pytest.approx(math.pi / 4)
    documents = MeshWorld([("big", "stride")] * 40 + nodes(40), mode="documents")
    documents.set(phasor=[1j] * 40 + [1.0] * 40)
    assert documents.band().weight == 80.0
    assert documents.shares["big"] == 0.5


def test_a_node_that_says_it_is_very_capable_has_its_share_and_no_more() -> None:
    world = MeshWorld(nodes(20))
    world.set(capability=[1e6] + [1.0] * 19)
    world.at()
    assert world.shares["n0"] == pytest.approx(0.25)
    assert world.weights[1:] == [1.0] * 19


@pytest.mark.parametrize("max_share", [0.1, 0.25, 0.5])
def test_the_limit_is_configured(max_share: float) -> None:
    world = MeshWorld([("big", "stride")] * 40 + nodes(40), max_share=max_share)
    world.at()
    assert max(world.shares.values()) == pytest.approx(max_share)


def test_no_limit_is_no_limit() -> None:
    world = MeshWorld([("big", "stride")] * 40 + nodes(2), max_share=1.0)
    world.at()
    assert world.weights == [1.0] * 42


@pytest.mark.parametrize(("others", "most"), [(1, 0.75), (2, 0.5), (3, 0.375), (4, 0.3), (5, 0.25), (9, 0.25)])
def test_of_few_nodes_each_may_have_half_as_much_again_as_its_equal_share(others: int, most: float) -> None:
    world = MeshWorld([("big", "stride")] * 40 + nodes(others))
    world.at()
    assert world.shares["big"] == pytest.approx(most)
    assert most == max(0.25, FAIR / (others + 1))


def test_a_node_alone_has_all_of_it() -> None:
    world = MeshWorld([("big", "stride")] * 3)
    assert world.band().weight == 3.0


def test_equal_nodes_are_never_limited() -> None:
    for count in (1, 2, 3, 5, 30):
        world = MeshWorld(nodes(count))
        assert world.band().weight == count


def test_one_that_fades_away_does_not_take_the_others_with_it() -> None:
    """As the second of two it would be due an equal share to its last moment, and the first brought down to it."""
    world = MeshWorld(nodes(2))
    for spread in np.linspace(0.0, 6.2, 60):
        world.set(phase_sigma=[0.0, spread])
        world.at()
        assert world.weights[0] == 1.0
        assert world.weights[1] == pytest.approx(math.exp(-(spread**2) / 2))
    crowd = MeshWorld([("big", "stride")] * 40 + nodes(8))
    before = None
    for spread in np.linspace(0.0, 6.2, 200):
        crowd.set(phase_sigma=[0.0] * 41 + [spread] * 7)
        crowd.at()
        big = sum(crowd.weights[:40])
        assert before is None or abs(big - before) < 0.15 * before  # no leaps
        before = big


def test_the_smaller_nodes_say_what_the_limit_is_however_small() -> None:
    world = MeshWorld(nodes(4))
    world.set(capability=[1.0, 1.0, 1e-6, 1e-6])
    band = world.band()
    assert sorted(world.shares.values()) == pytest.approx([0.125, 0.125, 0.375, 0.375])
    assert band.order == 1.0


# Trust


def test_trust_is_a_factor_of_the_weight() -> None:
    world = MeshWorld(nodes(3))
    world.set(trust=[1.0, 0.3, 0.0])
    assert world.band().channels == 2
    assert world.weights == pytest.approx([1.0, 0.3, 0.0])


@pytest.mark.parametrize("trust", [math.nan, -1.0, -math.inf])
def test_trust_that_is_none_stops_nothing(trust: float) -> None:
    world = MeshWorld(nodes(3))
    world.set(trust=[1.0, 1.0, trust])
    assert world.band().channels == 2
    assert world.weights == [1.0, 1.0, 0.0]


def test_an_offset_is_frozen_while_its_channel_is_distrusted() -> None:
    world = MeshWorld(nodes(4))
    apart = np.array([0.0, 0.3, -0.3, 1.0])

    def run(first: int, last: int) -> list[float]:
        for tick in range(first, last):
            now_us = NOW_US + tick * 250_000
            world.say(apart + STRIDE.omega * tick * 0.25, now_us)
            world.band(now_us)
        return [float(offset) for offset in world.table["offset"]]

    learnt = run(0, 400)
    assert learnt[3] - learnt[0] == pytest.approx(1.0, abs=1e-6)
    world.set(trust=[1.0, 1.0, 1.0, 0.49])
    apart += [0.0, 0.0, 0.2, 2.0]
    frozen = run(400, 500)
    # The common rotation of all offsets is free; against the first channel's it has not moved.
    assert math.remainder(frozen[3] - learnt[3], 2 * math.pi) == pytest.approx(frozen[0] - learnt[0], abs=0.1)
    assert abs(frozen[2] - learnt[2]) > 0.03
    assert world.weights[3] == pytest.approx(0.49)
    world.set(trust=1.0)
    again = run(500, 900)
    assert abs(math.remainder(again[3] - again[0] - 1.0, 2 * math.pi)) > 1.0


def test_a_distrusted_channel_is_no_evidence_of_locking() -> None:
    random = np.random.default_rng(1)
    worlds = [MeshWorld(nodes(4)), MeshWorld(nodes(4))]
    worlds[1].set(trust=[1.0, 1.0, 1.0, 0.1])
    for tick in range(500):
        now_us = NOW_US + tick * 250_000
        phases = np.array([0.0, 1.0, 2.0, random.uniform(-3, 3)]) + STRIDE.omega * tick * 0.25
        for world in worlds:
            world.say(phases, now_us)
            world.band(now_us)
    now_us += 250_000
    heard, excluded = (world.band(now_us) for world in worlds)
    assert heard.locking is not None
    assert heard.locking < 0.99
    assert excluded.locking == pytest.approx(1.0, abs=1e-9)


# Closed forms


def test_the_ceiling_is_what_the_clocks_leave_of_equal_phases() -> None:
    world = MeshWorld([(f"n{n}", band) for n in range(3) for band in ("stride", "motion")], (STRIDE, MOTION))
    sigma = np.array([0.0, 0.05, 0.1])
    world.set(clock_sigma_s=np.repeat(sigma, 2))
    for name, plan in (("stride", STRIDE), ("motion", MOTION)):
        lost = np.exp(-0.5 * (plan.omega * sigma) ** 2)
        assert world.band(name=name).ceiling == pytest.approx(float((lost * lost).sum() / lost.sum()), rel=1e-12)


def test_documents_mode_collapses_by_the_threshold_and_robust_mode_by_p() -> None:
    told = {}
    for mode in ("documents", "robust"):
        for coherence, p in ((0.8, 0.5), (0.7, 1e-9)):
            world = MeshWorld(nodes(3), mode=mode)
            for tick in range(40):
                world.set(coherence=coherence, p=p, time_us=NOW_US + tick * 50_000)
                band = world.band(NOW_US + tick * 50_000)
            assert band.simple is not None
            assert band.simple.coherent == (coherence > 0.75)
            told[mode, coherence] = band.collapsed
    assert told == {
        ("documents", 0.8): True,
        ("documents", 0.7): False,
        ("robust", 0.8): False,
        ("robust", 0.7): True,
    }


def test_the_documents_threshold_is_configured() -> None:
    world = MeshWorld(nodes(3), coherence_threshold=0.5)
    world.set(coherence=0.6)
    simple = world.band().simple
    assert simple is not None
    assert simple.coherent


# Without each node


def test_the_order_without_each_node() -> None:
    random = np.random.default_rng(2)
    world = MeshWorld([(f"n{number % 7}", "stride") for number in range(20)])
    world.say(random.uniform(-3, 3, 20), NOW_US)
    world.set(capability=random.uniform(0.5, 2.0, 20), flags=[0, *[1] * 19])
    band = world.band()
    weight, phasor = world.table.floats("weight"), world.table.phasors("tick_phasor")
    without = band.leave_one_out(world.table)
    assert sorted(without) == [f"n{number}" for number in range(7)]
    for node, order in without.items():
        rest = np.array([key.node != node for key in world.table.keys])
        assert order == pytest.approx(abs(weight[rest] @ phasor[rest]) / weight[rest].sum(), rel=1e-12)


def test_without_a_liar_the_order_rises() -> None:
    world = MeshWorld(nodes(5))
    world.set(phasor=[-1.0, 1.0, 1.0, 1.0, 1.0])
    band = world.band()
    without = band.leave_one_out(world.table)
    assert band.order == pytest.approx(0.6)
    assert without == {"n0": pytest.approx(1.0), **{f"n{n}": pytest.approx(0.5) for n in range(1, 5)}}


def test_there_is_no_order_without_the_only_node() -> None:
    world = MeshWorld([("big", "stride")] * 3)
    assert world.band().leave_one_out(world.table) == {}
    world.set(flags=0)
    assert world.band(NOW_US + 50_000).leave_one_out(world.table) == {}


def test_what_is_left_without_a_node_of_nearly_all_weight_is_no_rounding_error() -> None:
    world = MeshWorld(nodes(3), mode="documents")
    world.set(capability=[1e9, 1e-7, 1e-7], phasor=[1.0, 1j, 1j])
    assert world.band().leave_one_out(world.table)["n0"] == pytest.approx(1.0, rel=1e-9)


# Whatever comes

ANY = st.floats(-3e38, 3e38)
NOT_NEGATIVE = st.floats(0, 3e38) | st.sampled_from([0.0, 1e-45, 1.0])
CHANNEL = st.fixed_dictionaries(
    {
        "time_us": st.integers(NOW_US - 10**8, NOW_US + 10**6),
        "phasor": st.sampled_from([0.0, 1.0, 1j, -1.0, 1e-40]) | st.floats(-3, 3).map(lambda phi: cmath.rect(1, phi)),
        "coherence": st.floats(0, 1),
        "n_eff": st.floats(1, 3e38),
        "p": st.floats(0, 1),
        "omega": ANY,
        "omega_sigma": NOT_NEGATIVE,
        "phase_sigma": NOT_NEGATIVE,
        "clock_sigma_s": NOT_NEGATIVE,
        "capability": st.floats(0, 1e6),
        "trust": st.floats(0, 1),
        "flags": st.sampled_from([0, 1, 3]),
        "alive": st.booleans(),
    }
)


@settings(max_examples=80, deadline=None)
@given(st.lists(CHANNEL, min_size=1, max_size=8), st.sampled_from(["robust", "documents"]), st.integers(1, 4))
def test_whatever_the_table_holds_every_figure_is_a_number(rows: list[dict[str, object]], mode: str, some: int) -> None:
    world = MeshWorld([(f"n{number % some}", "stride") for number in range(len(rows))], mode=mode)
    for number, row in enumerate(rows):
        for column, value in row.items():
            world.table[column][number] = value
    for tick in range(3):
        band = world.band(NOW_US + tick * 50_000)
        for figure in (band.coherence, band.p, band.order, band.order_p, band.ceiling, band.locking_p):
            assert 0.0 <= figure <= 1.0
        assert abs(band.mean_field) <= 1.0 + 1e-9
        for figure in (band.omega, band.weight, band.n_weights, band.n_eff, band.locking_n_eff, band.locking_p_n_eff):
            assert math.isfinite(figure)
        assert cmath.isfinite(band.field_at(NOW_US + 10**7))
        assert np.isfinite(world.table["weight"]).all()
        assert all(0.0 <= order <= 1.0 for order in band.leave_one_out(world.table).values())
        assert cmath.isfinite(world.evaluator.glance(0, NOW_US + tick * 50_000 + 1).mean_field)
