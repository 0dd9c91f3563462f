"""Temporal resonance against scipy: correlation at all lags, coherency, Hilbert phases, Bessel functions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.kairos.resonance.cyclic import cyclic_autocorrelation
from becomingone.kairos.resonance.temporal import Mode, TemporalResonances

pytestmark = pytest.mark.reference


def noise(n, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(n) + 1j * rng.standard_normal(n)


def test_all_lags_equal_scipys_correlation():
    scipy_signal = pytest.importorskip("scipy.signal")

    z, y = noise(4000, 0), noise(4000, 1)
    lags = list(range(64))
    resonances = TemporalResonances(lags, spacing_s=1.0, mode=Mode.AMPLITUDE)
    resonances.block(z, y)
    full = scipy_signal.correlate(z, y, mode="full", method="fft")[3999:][:64]
    power = [math.sqrt((abs(z[k:]) ** 2).sum() * (abs(y[: 4000 - k]) ** 2).sum()) for k in lags]
    assert np.abs(resonances.resonance[:, 0] - full / power).max() < 1e-12


def test_zero_lag_of_segments_is_scipys_coherence():
    scipy_signal = pytest.importorskip("scipy.signal")

    rng = np.random.default_rng(2)
    common = rng.standard_normal(64 * 100)
    x, y = common + rng.standard_normal(6400), np.roll(common, 3) + 0.5 * rng.standard_normal(6400)
    _, expected = scipy_signal.coherence(x, y, window="boxcar", nperseg=64, noverlap=0, detrend=False)
    spectra_x, spectra_y = (np.fft.rfft(s.reshape(-1, 64), axis=1) for s in (x, y))
    for k in (3, 10, 25):
        resonances = TemporalResonances([0], spacing_s=1.0, mode=Mode.AMPLITUDE)
        resonances.block(spectra_x[:, k].copy(), spectra_y[:, k].copy())
        assert abs(resonances.resonance[0, 0]) ** 2 == pytest.approx(expected[k], abs=1e-12)


def test_phase_locking_value_of_hilbert_phases():
    scipy_signal = pytest.importorskip("scipy.signal")

    rng = np.random.default_rng(3)
    sos = scipy_signal.butter(4, [0.08, 0.12], btype="band", output="sos")
    x, y = (scipy_signal.sosfiltfilt(sos, rng.standard_normal(8000)) for _ in range(2))
    y = 0.6 * x + 0.4 * y
    zx, zy = scipy_signal.hilbert(x), scipy_signal.hilbert(y)
    resonances = TemporalResonances([0], spacing_s=1.0)
    resonances.block(zx, zy)
    expected = np.exp(1j * (np.angle(zx) - np.angle(zy))).mean()
    assert abs(resonances.resonance[0, 0] - expected) < 1e-12


def test_frequency_modulation_is_scipys_bessel_function():
    scipy_special = pytest.importorskip("scipy.special")

    omega, beta, carrier = 2 * math.pi / 125, 1.7, 0.4
    t = np.arange(125 * 2000)
    z = np.exp(1j * (carrier * t + beta * np.sin(omega * t)))
    for lag in (10, 40, 62):
        nu, found = cyclic_autocorrelation(z, lag, spacing_s=1.0, omega0=carrier)
        for k in range(5):
            at = int(np.argmin(np.abs(nu - k * omega)))
            assert abs(found[at]) == pytest.approx(
                abs(scipy_special.jv(k, 2 * beta * math.sin(omega * lag / 2))), abs=5e-4
            )


def test_leaky_means_equal_lfilter():
    scipy_signal = pytest.importorskip("scipy.signal")

    z, tau, lag, nu = noise(20_000, 4), 800.0, 37, 0.31
    resonances = TemporalResonances([lag], [nu], spacing_s=1.0, tau_s=tau, mode=Mode.AMPLITUDE)
    for start in range(0, 20_000, 777):
        resonances.block(z[start : start + 777])
    alpha = -math.expm1(-1 / tau)
    n = np.arange(lag, 20_000)

    def mean(x):
        return scipy_signal.lfilter([alpha], [1, alpha - 1], x)[-1]

    numerator = mean(z[lag:] * z[:-lag].conj() * np.exp(-1j * nu * n))
    expected = numerator / math.sqrt(mean(abs(z[lag:]) ** 2) * mean(abs(z[:-lag]) ** 2))
    assert abs(resonances.resonance[0, 0] - expected) < 1e-12
