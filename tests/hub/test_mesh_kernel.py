"""The hub's evaluation of its own table against the kernel's tick of the same channels."""

from __future__ import annotations

import numpy as np
import pytest

from becomingone.hub.mesh.state import BandState
from becomingone.kairos.bands import CORRELATION_PER_TAU
from becomingone.kairos.mesh.band_tick import BandTick, Channels, MeshBand
from becomingone.kairos.mesh.robust import robust_mean
from becomingone.wire.frame import Flags

from .mesh_world import MeshWorld, content
from .parts import MOTION, NOW_US, STRIDE

TICK_US = 50_000
COUNT = 40


class Both:
    """The same channels in the hub's table, among those of another band or not, and given to the kernel."""

    def __init__(self, *, between: bool, seed: int = 3) -> None:
        bands = ("stride", "motion") if between else ("stride",)
        channels = [(f"n{number}", band) for number in range(COUNT) for band in bands]
        self.world = MeshWorld(channels, (STRIDE, MOTION), max_share=1.0)
        self.rows = self.world.table.of_band(0).rows
        self.random = np.random.default_rng(seed)
        self.apart = self.random.uniform(-3, 3, COUNT)
        self.kernel = MeshBand(60.0, CORRELATION_PER_TAU * STRIDE.tau_s)
        self.now_us = NOW_US

    def advance(self, *, missing: bool) -> tuple[BandState, BandTick]:
        table, random = self.world.table, self.random
        self.now_us += TICK_US
        age_us = random.integers(0, 900_000, COUNT)
        turned = STRIDE.omega * (self.now_us - NOW_US - age_us) / 1e6
        for name, values in {
            "time_us": self.now_us - age_us,
            "phasor": np.exp(1j * (turned + self.apart + 0.2 * random.standard_normal(COUNT))),
            "coherence": random.uniform(0.4, 1.0, COUNT),
            "p": random.uniform(0, 0.1, COUNT),
            "n_eff": random.uniform(4, 30, COUNT),
            "omega": STRIDE.omega * random.uniform(0.98, 1.02, COUNT),
            "omega_sigma": random.uniform(0, 0.2, COUNT),
            "phase_sigma": random.uniform(0, 0.5, COUNT),
            "clock_sigma_s": random.uniform(0, 0.02, COUNT),
            "capability": random.uniform(0.5, 2.0, COUNT),
            "trust": random.uniform(0.5, 1.0, COUNT),
        }.items():
            table[name][self.rows] = values
        table["flags"][self.rows] = int(Flags.VALID)
        if missing:
            table["flags"][self.rows[random.random(COUNT) < 0.2]] = 0
        return self.world.band(self.now_us), self.kernel.tick(self._channels(), self.now_us)

    def _channels(self) -> Channels:
        table, rows = self.world.table, self.rows
        floats = ("coherence", "p", "n_eff", "omega", "omega_sigma", "phase_sigma", "clock_sigma_s", "capability")
        return Channels(
            ids=np.arange(COUNT),
            time_us=table.floats("time_us")[rows].astype(np.int64),
            phasor=np.where(table["flags"][rows] == 0, 0.0, table.phasors()[rows]),
            trust=table.floats("trust")[rows],
            max_age_s=table.floats("max_age_s")[rows],
            **{name: table.floats(name)[rows] for name in floats},
        )


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("between", [False, True])
def test_the_figures_are_the_kernel_s(between: bool, missing: bool) -> None:
    both = Both(between=between)
    for tick in range(220):
        hub, kernel = both.advance(missing=missing)
        rows = both.world.table.of_band(0).rows
        assert both.world.table.floats("weight")[rows] == pytest.approx(kernel.weight, abs=1e-12)
        assert hub.rows.tolist() == rows[kernel.weight > 0].tolist()
        assert (hub.channels, hub.total.count) == (kernel.state.count, kernel.total.count)
        for ours, theirs in (
            (hub.weight, kernel.total.weight),
            (hub.coherence, kernel.state.coherence),
            (hub.n_eff, kernel.state.coherence_n_eff),
            (hub.p, kernel.state.coherence_p),
            (hub.order, kernel.state.order),
            (hub.order_p, kernel.state.order_p),
            (hub.n_weights, kernel.state.n_weights),
            (hub.total.order, kernel.total.order),
            (hub.simple.mean_field if hub.simple else None, kernel.state.resonance),
        ):
            assert ours == pytest.approx(theirs, abs=1e-12)
        # The median is looked for from where it was; alone, exactly as the kernel does.
        assert hub.mean_field == pytest.approx(kernel.robust.resonance, abs=1e-12 if tick == 0 else 1e-6)
        if kernel.locking is None:
            assert (hub.locking, hub.locking_p) == (None, 1.0)
            continue
        assert hub.locking == (pytest.approx(kernel.locking.order, abs=1e-12) if kernel.locking.valid else None)
        assert hub.locking_p == pytest.approx(kernel.locking.p, abs=1e-12)
        assert hub.locking_n_eff == pytest.approx(kernel.locking.n_eff, abs=1e-12)
        assert hub.locking_p_n_eff == pytest.approx(kernel.locking.p_n_eff, rel=1e-9)
        known = kernel.weight > 0
        offsets = both.world.table.floats("offset")[rows][known]
        assert np.exp(1j * offsets) == pytest.approx(np.exp(1j * kernel.locking.offsets[known]), abs=1e-12)
    assert hub.locking is not None
    assert hub.locking > 0.9
    assert hub.locking_unbiased is not None


def test_from_where_the_median_is_looked_for_does_not_matter() -> None:
    both = Both(between=False)
    for _ in range(20):
        hub, _ = both.advance(missing=False)
        table, rows = both.world.table, hub.rows
        points = table.floats("coherence")[rows] * table.phasors("tick_phasor")[rows]
        weight = table.floats("weight")[rows]
        afresh = robust_mean(points, weight).resonance
        for start in (0j, 1 + 0j, -0.3 + 0.9j, complex(points[7])):
            assert robust_mean(points, weight, start=start).resonance == pytest.approx(afresh, abs=1e-6)
        assert hub.mean_field == pytest.approx(afresh, abs=1e-6)


def test_a_run_can_be_replayed_bit_for_bit() -> None:
    runs = []
    for _ in range(2):
        both = Both(between=True, seed=8)
        states = [both.advance(missing=tick % 3 == 0)[0] for tick in range(100)]
        runs.append((states, [state.total for state in states], content(both.world.table)))
    assert runs[0] == runs[1]


def test_a_glance_is_an_evaluation_that_learns_nothing() -> None:
    looked, not_looked = Both(between=True), Both(between=True)
    for _ in range(100):
        first, second = looked.advance(missing=False)[0], not_looked.advance(missing=False)[0]
        before = content(looked.world.table)
        glance = looked.world.evaluator.glance(0, looked.now_us)
        later = looked.world.evaluator.glance(0, looked.now_us + 20_000)
        assert content(looked.world.table) == before
        assert glance.mean_field == pytest.approx(first.mean_field, abs=1e-6)
        assert (glance.coherence, glance.order, glance.weight, glance.locking, glance.locking_p) == (
            first.coherence,
            first.order,
            first.weight,
            first.locking,
            first.locking_p,
        )
        assert later.time_us == looked.now_us + 20_000
        assert later.mean_field == pytest.approx(first.field_at(later.time_us), abs=0.02)
        assert first == second
    looked.world.set(alive=False)
    assert not looked.world.evaluator.glance(0, looked.now_us).valid
