"""A tick against the kernel's own functions: the same channels, the same instant, the same figures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from becomingone.config.sections import BandSection
from becomingone.hub.config import HubConfig
from becomingone.hub.mesh.evaluator import MeshEvaluator
from becomingone.hub.mesh.state import BandState
from becomingone.hub.showing.snapshot import Milestones, snapshot
from becomingone.kairos.bands import CORRELATION_PER_TAU
from becomingone.kairos.mesh.locking import LockingOrder
from becomingone.kairos.mesh.robust import robust_mean
from becomingone.kairos.mesh.state import merge_p
from becomingone.kairos.rayleigh import rayleigh_p
from becomingone.wire.frame import Flags

from .parts import MOTION, NOW_NS, NOW_US, STRIDE, Intake, about, channel_about, frame

CONFIG = HubConfig(
    bands={band.name: BandSection(frequency_hz=band.frequency_hz, tau_s=band.tau_s) for band in (STRIDE, MOTION)}
)
MAX_AGE_S = 4 / STRIDE.frequency_hz


class Mesh(Intake):
    """One node with some channels, and the evaluator over them."""

    def __init__(self, count: int = 1, config: HubConfig = CONFIG, **fields: Any) -> None:
        names = [f"c{n}" for n in range(count)]
        fields.setdefault("channels", tuple(channel_about(name) for name in names))
        super().__init__(about(**fields))
        self.evaluator = MeshEvaluator(config, self.table)
        self.seq = 0

    def give(self, channel: int, phase: float, band: str = "stride", **fields: Any) -> None:
        self.seq += 1
        given = frame(phase, seq=self.seq, **fields)
        assert self.take(given, f"n/phase/{band}/c{channel}", now_us=given.time_us) is None

    def stride(self, now_us: int = NOW_US) -> BandState:
        return self.evaluator.evaluate(now_us).bands[0]

    @property
    def json(self) -> dict[str, Any]:
        state = self.evaluator.evaluate(NOW_US + 100_000)
        return snapshot(
            state,
            roster=self.roster,
            table=self.table,
            now_ns=NOW_NS,
            frames=1,
            refused=self.ingest.refused,
            milestones=Milestones(),
            broker={},
        )


def test_an_empty_mesh_has_no_state() -> None:
    evaluator = MeshEvaluator(CONFIG, Intake().table)
    for tick in range(3):
        state = evaluator.evaluate(NOW_US + tick * 50_000)
        assert not state.valid
        assert [band.name for band in state.bands] == ["stride", "motion"]
        assert [(band.channels, band.p, band.phase) for band in state.bands] == [(0, 1.0, None)] * 2


def test_order_coherence_and_p_are_the_kernel_s() -> None:
    phases, coherences, ps = [0.1, 0.9, -2.0], [0.9, 0.5, 0.2], [0.001, 0.2, 0.9]
    mesh = Mesh(3)
    for n in range(3):
        mesh.give(n, phases[n], coherence=coherences[n], p=ps[n], n_eff=10.0 + n)
    stride = mesh.stride()
    u = np.exp(1j * np.array(phases))
    order = abs(u.sum()) / 3
    assert (stride.valid, stride.channels, stride.nodes) == (True, 3, 1)
    assert stride.order == pytest.approx(order, abs=1e-6)
    assert stride.order_p == pytest.approx(rayleigh_p(order, 3), abs=1e-5)
    assert stride.coherence == pytest.approx(np.mean(coherences), abs=1e-3)
    assert stride.simple is not None
    assert stride.simple.mean_field == pytest.approx((u * coherences).sum() / 3, abs=1e-3)
    assert stride.mean_field == pytest.approx(robust_mean(u * coherences, np.ones(3)).resonance, abs=1e-3)
    assert stride.p == pytest.approx(merge_p(np.array(ps), np.ones(3)), abs=1e-3)
    assert stride.n_eff == pytest.approx(11.0)
    assert stride.weight == pytest.approx(3.0)


def test_phases_are_compared_at_one_instant() -> None:
    """The same oscillation, seen at three times, is one phase."""
    mesh = Mesh(3)
    for n, age_us in enumerate((0, 300_000, 1_000_000)):
        mesh.give(n, -STRIDE.omega * age_us / 1e6, time_us=NOW_US - age_us)
    stride = mesh.stride()
    assert stride.order == pytest.approx(1.0, abs=1e-6)
    assert stride.phase == pytest.approx(0.0, abs=1e-5)
    later = mesh.stride(NOW_US + 100_000)
    assert later.phase == pytest.approx(STRIDE.omega * 0.1, abs=1e-5)


def test_bands_do_not_mix() -> None:
    mesh = Mesh(2)
    mesh.give(0, 0.5)
    mesh.give(1, 2.0, "motion", omega=MOTION.omega)
    stride, motion = mesh.evaluator.evaluate(NOW_US).bands
    assert (stride.channels, motion.channels) == (1, 1)
    assert (stride.phase, motion.phase) == (pytest.approx(0.5), pytest.approx(2.0))


# Weights


def weights(mesh: Mesh, now_us: int = NOW_US) -> list[float]:
    mesh.evaluator.evaluate(now_us)
    return [float(weight) for weight in mesh.table["weight"]]


def test_a_weight_is_capability_times_freshness_times_certainty() -> None:
    mesh = Mesh(4, capability=2.0)
    mesh.give(0, 0.0)
    mesh.give(1, 0.0, phase_sigma=0.5)
    mesh.give(2, 0.0, clock_sigma_s=0.1)
    mesh.give(3, 0.0, time_us=NOW_US - round(0.75 * MAX_AGE_S * 1e6), omega_sigma=0.1)
    assert weights(mesh) == pytest.approx(
        [
            2.0,
            2.0 * math.exp(-0.125),
            2.0 * math.exp(-0.5 * (STRIDE.omega * 0.1) ** 2),
            2.0 * 0.5 * math.exp(-0.5 * (0.1 * 0.75 * MAX_AGE_S) ** 2),
        ],
        rel=1e-5,
    )


def test_a_channel_that_is_too_old_has_no_weight_and_comes_back() -> None:
    mesh = Mesh(2)
    mesh.give(0, 0.0)
    mesh.give(1, 1.0, time_us=NOW_US - round(MAX_AGE_S * 1e6) - 1)
    assert weights(mesh) == [1.0, 0.0]
    assert mesh.stride().channels == 1
    later = NOW_US + round(MAX_AGE_S * 1e6) + 1
    assert not mesh.stride(later).valid
    mesh.give(1, 1.0, time_us=later)
    assert weights(mesh, later) == [0.0, 1.0]


def test_a_channel_that_keeps_its_own_slow_pace_is_fresh() -> None:
    mesh = Mesh(channels=(channel_about("c0", interval_s=10.0),))
    mesh.give(0, 0.0)
    assert weights(mesh, NOW_US + 15_000_000) == [1.0]
    assert weights(mesh, NOW_US + 30_000_000) == [0.0]


def test_a_channel_without_a_phase_has_no_weight() -> None:
    mesh = Mesh(3)
    mesh.give(0, 0.0)
    mesh.give(1, 0.0, flags=Flags.UNDECIDABLE)
    mesh.give(2, 0.0, phasors=np.zeros(1, np.complex64))  # it says that it is valid
    assert weights(mesh) == [1.0, 0.0, 0.0]
    assert mesh.stride().channels == 1


def test_a_node_that_is_gone_has_no_weight() -> None:
    mesh = Mesh(1)
    mesh.give(0, 0.0)
    mesh.table.set_alive(0, alive=False)
    assert not mesh.stride().valid


def test_all_weights_zero_is_no_evidence() -> None:
    mesh = Mesh(2, capability=0.0)
    mesh.give(0, 0.0)
    mesh.give(1, 0.0)
    stride = mesh.stride()
    assert (stride.valid, stride.channels, stride.p, stride.order) == (False, 0, 1.0, 0.0)
    assert mesh.evaluator.evaluate(NOW_US + 50_000).overall("coherence") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"clock_sigma_s": 7.7},  # e^(−σ²/2) is about 1e-309
        {"clock_sigma_s": 1e30},
        {"phase_sigma": 37.6},
        {"phase_sigma": 3e38},
        {"omega_sigma": 3e38, "time_us": NOW_US - 1},
        {"omega": 1e9, "clock_sigma_s": 3e38},
        {"phasors": np.array([1e-40], np.complex64)},
        {"n_eff": 3e38},
        {"time_us": 0},
    ],
)
def test_extreme_figures_neither_stop_the_tick_nor_reach_the_snapshot(fields: dict[str, Any]) -> None:
    mesh = Mesh(2)
    mesh.give(0, 0.0, **fields)
    mesh.stride()
    mesh.stride(NOW_US + 50_000)
    mesh.give(1, 0.0)
    stride = mesh.stride(NOW_US + 60_000)
    assert stride.valid
    _assert_json(mesh.json)


@pytest.mark.parametrize("capability", [1e-320, 1e-200, 1e-10])
def test_a_capability_that_is_next_to_nothing_is_nothing(capability: float) -> None:
    mesh = Mesh(1, capability=capability)
    mesh.give(0, 0.0)
    assert not mesh.stride().valid


def _assert_json(value: Any) -> None:
    if isinstance(value, dict):
        for inner in value.values():
            _assert_json(inner)
    elif isinstance(value, float):
        assert math.isfinite(value)


# Locking


def test_constant_differences_lock_whatever_they_are() -> None:
    apart = [0.0, 0.75, 3.0]
    mesh = Mesh(3)
    theirs = LockingOrder(60.0)
    stride = None
    for tick in range(400):
        now_us = NOW_US + tick * 250_000
        phase = STRIDE.omega * tick * 0.25
        for n in range(3):
            mesh.give(n, phase + apart[n], time_us=now_us)
        stride = mesh.stride(now_us)
        if tick:
            u = np.exp(1j * (phase + np.array(apart)))
            reference = theirs.update(np.arange(3), u, np.ones(3), 0.25, CORRELATION_PER_TAU * STRIDE.tau_s)
            assert stride.locking_n_eff == pytest.approx(reference.n_eff)
        assert (stride.locking is None) == (tick == 0 or stride.locking_n_eff < 2.0)
    assert stride is not None
    assert stride.locking == pytest.approx(1.0, abs=1e-5)
    assert stride.order < 0.8
    offsets = mesh.table["offset"]
    assert offsets[1] - offsets[0] == pytest.approx(0.75, abs=1e-3)
    assert math.remainder(offsets[2] - offsets[0] - 3.0, 2 * math.pi) == pytest.approx(0.0, abs=1e-3)


def test_differences_that_wander_do_not_lock() -> None:
    rng = np.random.default_rng(1)
    mesh = Mesh(2)
    locking = []
    for tick in range(1200):
        now_us = NOW_US + tick * 250_000
        mesh.give(0, 0.0, time_us=now_us)
        mesh.give(1, rng.uniform(-math.pi, math.pi), time_us=now_us)
        value = mesh.stride(now_us).locking
        locking += [] if value is None else [value]
    assert 0.4 < np.mean(locking) < 0.85


def test_a_channel_that_joins_later_does_not_disturb_the_others() -> None:
    mesh = Mesh(2)
    for tick in range(200):
        mesh.give(0, 0.0, time_us=NOW_US + tick * 250_000)
        mesh.stride(NOW_US + tick * 250_000)
    now_us = NOW_US + 50_000_000
    mesh.give(0, 0.0, time_us=now_us)
    mesh.give(1, 2.0, time_us=now_us)
    stride = mesh.stride(now_us)
    assert stride.channels == 2
    assert stride.locking is None  # the newcomer's offset has not been learnt
    assert np.isfinite(mesh.table["offset"]).all()


def test_one_tick_alone_says_nothing_of_locking() -> None:
    mesh = Mesh(1)
    mesh.give(0, 0.0)
    assert mesh.stride().locking is None
    assert mesh.stride().locking is None  # no time has passed
    assert mesh.stride(NOW_US - 50_000).valid  # nor can it go back


# Decisions


def evidence(mesh: Mesh, p: float, seconds: float, start_us: int) -> tuple[list[bool], int]:
    told = []
    for tick in range(round(seconds * 10)):
        now_us = start_us + tick * 100_000
        mesh.give(0, 0.0, time_us=now_us, p=p)
        told.append(mesh.stride(now_us).collapsed)
    return told, start_us + round(seconds * 1e6)


def test_evidence_has_to_last_for_the_dwell() -> None:
    mesh = Mesh(1)
    told, now_us = evidence(mesh, 0.0001, 0.9, NOW_US)
    assert not any(told)
    told, now_us = evidence(mesh, 0.002, 1.0, now_us)  # between the two thresholds: the dwell starts over
    assert not any(told)
    told, now_us = evidence(mesh, 0.0001, 2.0, now_us)
    assert (told[9], told[10]) == (False, True)
    told, now_us = evidence(mesh, 0.002, 2.0, now_us)
    assert all(told)
    told, now_us = evidence(mesh, 0.2, 2.0, now_us)
    assert told[-1] is False


@pytest.mark.parametrize("p_false", [0.01, 0.34, 0.45])
def test_a_band_is_released_when_all_evidence_is_gone(p_false: float) -> None:
    """At a p_false above a third, three times it is more than p can be."""
    config = CONFIG.model_copy(update={"kairos": CONFIG.kairos.model_copy(update={"p_false": p_false})})
    mesh = Mesh(1, config)
    told, now_us = evidence(mesh, 0.0001, 2.0, NOW_US)
    assert told[-1]
    now_us += round(MAX_AGE_S * 1e6)
    for tick in range(12):
        state = mesh.stride(now_us + tick * 100_000)
    assert not state.valid
    assert not state.collapsed


def test_decidable_needs_enough_evidence() -> None:
    mesh = Mesh(1)
    mesh.give(0, 0.0, n_eff=6.9)
    assert not mesh.stride().decidable
    mesh.give(0, 0.0, n_eff=6.91)
    assert mesh.stride().decidable


def test_the_ceiling_that_clocks_set() -> None:
    mesh = Mesh(2)
    mesh.give(0, 0.0)
    mesh.give(1, 0.0)
    assert mesh.stride().ceiling == 1.0
    for n in range(2):
        mesh.give(n, 0.0, clock_sigma_s=0.1)
    assert mesh.stride().ceiling == pytest.approx(math.exp(-0.5 * (STRIDE.omega * 0.1) ** 2), rel=1e-5)


# Two nodes


def test_channels_of_two_nodes_are_two_nodes() -> None:
    mesh = Mesh(1)
    mesh.describe(about("m", capability=3.0, channels=(channel_about("c0"),)))
    mesh.give(0, 0.0)
    assert mesh.take(frame(math.pi / 2), "m/phase/stride/c0") is None
    stride = mesh.stride()
    assert (stride.channels, stride.nodes, stride.weight) == (2, 2, pytest.approx(4.0))
    assert stride.phase == pytest.approx(math.atan2(3, 1), abs=1e-5)
