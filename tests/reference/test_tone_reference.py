"""The tone's estimate against scipy: a general optimiser, the Lomb-Scargle periodogram, the distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.kairos.resonance.tone import estimate_tone, estimate_tone_at
from becomingone.kairos.resonance.tone_fit import ToneFit
from becomingone.kairos.resonance.tone_search import _explained, peak_p

pytestmark = pytest.mark.reference


def record(seed, n, *, real):
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    f, phase = rng.uniform(0.05, 0.45), rng.uniform(-3, 3)
    angle = 2 * np.pi * f * t + phase
    if real:
        return 1.5 + np.cos(angle) + 0.7 * rng.standard_normal(n), t
    return np.exp(1j * angle) + rng.standard_normal(n) + 1j * rng.standard_normal(n), t


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("real", [False, True])
def test_likelihood_has_no_higher_place(seed, real):
    optimize = pytest.importorskip("scipy.optimize")
    x, t = record(seed, 64, real=real)
    tone = estimate_tone(x, 1.0, at_s=0.0)

    def rest(parameters):
        a, b, omega, *offset = parameters
        angle = omega * t
        if real:
            model = a * np.cos(angle) - b * np.sin(angle) + offset[0]
            return x - model
        difference = x - (a + 1j * b) * np.exp(1j * angle)
        return np.concatenate((difference.real, difference.imag))

    start = tone.amplitude * np.exp(1j * tone.phase)
    best = None
    for omega in np.linspace(0.0 if real else -np.pi, np.pi, 300):
        guess = [start.real, start.imag, omega] + [x.real.mean()] * real
        at = optimize.least_squares(rest, guess, xtol=1e-15, ftol=1e-15, gtol=1e-15, method="lm", max_nfev=60)
        inside = not real or np.pi / 64 <= at.x[2] <= np.pi - np.pi / 64
        if inside and (best is None or at.cost < best.cost):
            best = at
    ours = rest(
        [start.real, start.imag, 2 * np.pi * tone.frequency_hz]
        + [(x - tone.amplitude * np.cos(2 * np.pi * tone.frequency_hz * t + tone.phase)).mean()] * real
    )
    assert 0.5 * (ours**2).sum() <= best.cost * (1 + 1e-6)
    omega = best.x[2]
    a = complex(best.x[0], best.x[1])
    assert np.angle(np.exp(1j * (omega - 2 * np.pi * tone.frequency_hz))) == pytest.approx(0.0, abs=2e-6)
    assert abs(a - start) < 1e-4
    # Its deviations: the covariance of the optimiser's own Jacobian.
    noise = 2 * best.cost / (len(ours) - len(best.x))
    covariance = np.linalg.inv(best.jac.T @ best.jac) * noise
    assert math.sqrt(covariance[2, 2]) / (2 * np.pi) == pytest.approx(tone.frequency_sigma_hz, rel=1e-3)


@pytest.mark.parametrize("floating_mean", [False, True])
def test_periodogram_is_scipys_lomb_scargle(floating_mean):
    signal = pytest.importorskip("scipy.signal")
    rng = np.random.default_rng(2)
    t = np.sort(rng.uniform(0, 30, 70))
    y = np.cos(1.3 * t) + rng.standard_normal(70) + 3.0 * floating_mean
    omegas = np.linspace(0.3, 4, 200)
    centred = t - t.mean()
    ours = _explained(y - y.mean() * floating_mean, centred, omegas / (2 * np.pi), offset=floating_mean)
    expected = signal.lombscargle(t, y, omegas, floating_mean=floating_mean, normalize=True)
    fit = ToneFit(y, centred, offset=floating_mean)
    assert np.abs(ours / fit.energy - expected).max() < 1e-12
    single = [fit.explained(omega)[0] / fit.energy for omega in omegas]
    assert np.abs(single - expected).max() < 1e-12


def test_peak_of_scattered_samples_is_scipys():
    signal = pytest.importorskip("scipy.signal")
    rng = np.random.default_rng(7)
    t = rng.uniform(0, 200, 120)
    y = 20 + np.cos(2 * np.pi * 0.21 * t + 1) + 0.8 * rng.standard_normal(120)
    tone = estimate_tone_at(y, t, band_hz=(0.02, 0.6))
    omegas = 2 * np.pi * np.linspace(0.02, 0.6, 40_001)
    power = signal.lombscargle(t, y, omegas, floating_mean=True, normalize=True)
    assert tone.frequency_hz == pytest.approx(omegas[power.argmax()] / (2 * np.pi), abs=1e-5)


def test_p_at_one_frequency_is_scipys_beta_distribution():
    stats = pytest.importorskip("scipy.stats")
    for degrees in (8, 31, 400):
        for z in (0.01, 0.1, 0.4):
            assert peak_p(z, degrees, 0.0) == pytest.approx(stats.beta.sf(z, 1, (degrees - 2) / 2), rel=1e-10)


@pytest.mark.campaign
@pytest.mark.parametrize("real", [False, True])
def test_false_alarms_of_very_many_records(real):
    rng = np.random.default_rng(0)
    p = []
    for _ in range(20_000):
        x = rng.standard_normal(64) if real else rng.standard_normal(64) + 1j * rng.standard_normal(64)
        p.append(estimate_tone(x, 1.0).p)
    for level in (0.001, 0.01, 0.1):
        found = np.mean(np.array(p) < level)
        assert 0.6 * level < found < level + 3 * math.sqrt(level / 20_000)
