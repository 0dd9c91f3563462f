"""One tick of one band is what its parts say, and remembers only what it should."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.mesh.band_tick import Channels, MeshBand
from becomingone.kairos.mesh.locking import LockingOrder
from becomingone.kairos.mesh.robust import capped, robust_mean
from becomingone.kairos.mesh.state import MeshState, PartialSum, extrapolate, freshness, weights

NOW = 10**15


def channels(n, now=NOW, seed=0, **changes):
    rng = np.random.default_rng(seed)
    age = rng.integers(0, 400_000, n)
    omega = rng.uniform(5.9, 6.1, n)
    offset = np.linspace(0, 1, n) if n else np.zeros(0)
    values = {
        "ids": np.arange(n),
        "time_us": now - age,
        "phasor": np.exp(1j * (6.0 * (now - NOW - age) * 1e-6 + offset)),
        "coherence": rng.uniform(0.5, 1, n),
        "p": rng.uniform(0, 0.02, n),
        "n_eff": rng.uniform(4, 9, n),
        "omega": omega,
        "omega_sigma": np.full(n, 0.05),
        "phase_sigma": np.full(n, 0.2),
        "clock_sigma_s": np.full(n, 1e-3),
        "capability": rng.uniform(0.5, 1, n),
        "trust": np.ones(n),
        "max_age_s": np.full(n, 1.0),
    }
    return Channels(**(values | changes))


@pytest.mark.parametrize("share", [1.0, 0.2])
def test_it_is_what_its_parts_say(share):
    band = MeshBand(10.0, 1.0, max_share=share)
    locking = LockingOrder(10.0)
    for k in range(60):
        now = NOW + k * 500_000
        c = channels(12, now, seed=k)
        out = band.tick(c, now)
        delay = (now - c.time_us) * 1e-6
        phasor, variance = extrapolate(
            c.phasor,
            c.omega,
            delay_s=delay,
            phase_sigma=c.phase_sigma,
            omega_sigma=c.omega_sigma,
            clock_sigma_s=c.clock_sigma_s,
        )
        weight = capped(weights(c.capability, freshness(delay, c.max_age_s), c.trust, variance), share)
        total = PartialSum.of(weight=weight, phasor=phasor, coherence=c.coherence, time_us=c.time_us)
        assert out.total == total
        assert out.state == MeshState.of(total, weight=weight, p=c.p, n_eff=c.n_eff)
        assert out.robust == robust_mean(c.coherence * phasor, weight)
        if k:
            expected = locking.update(c.ids, phasor, weight, 0.5, 1.0)
            assert dataclasses.replace(out.locking, offsets=None) == dataclasses.replace(expected, offsets=None)
        else:
            assert out.locking is None
    assert out.locking.valid
    assert out.locking.p < 1e-4
    assert out.locking.offsets[-1] - out.locking.offsets[0] == pytest.approx(1.0, abs=0.05)


def test_channels_without_a_phase_have_no_weight():
    c = channels(4)
    c.phasor[2] = 0
    out = MeshBand(10.0, 1.0).tick(c, NOW)
    assert out.weight[2] == 0.0
    assert out.state.count == 3
    assert out.robust.n_weights <= 3.0


def test_nobody():
    out = MeshBand(10.0, 1.0).tick(channels(0), NOW)
    assert not out.state.valid
    assert out.robust.resonance == 0j
    assert out.total == PartialSum.empty()


def test_a_bad_tick_changes_nothing():
    good, bad = MeshBand(10.0, 1.0), MeshBand(10.0, 1.0)
    for k in range(20):
        now = NOW + k * 250_000
        c = channels(5, now, seed=k)
        for change in (
            {"phasor": np.full(5, math.nan + 0j)},
            {"coherence": np.full(5, -0.1)},
            {"p": np.ones(4)},
            {"max_age_s": np.zeros(5)},
            {"ids": np.array([0, 1, 1, 2, 3])},
        ):
            if k or "ids" not in change:  # ids matter to what is learnt, from the second tick on
                with pytest.raises(KernelError):
                    bad.tick(channels(5, now, seed=k, **change), now)
        if k:
            with pytest.raises(KernelError):
                bad.tick(c, now - 250_000)
        a, b = good.tick(c, now), bad.tick(c, now)
    assert a.locking.order == b.locking.order
    assert a.locking.p == b.locking.p


@pytest.mark.parametrize(
    "bad", [{"tau_s": 0.0}, {"correlation_s": 0.0}, {"correlation_s": math.nan}, {"max_share": 0.0}]
)
def test_refusals(bad):
    with pytest.raises(KernelError):
        MeshBand(**({"tau_s": 1.0, "correlation_s": 1.0} | bad))
