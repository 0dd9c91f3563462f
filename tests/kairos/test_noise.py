"""What white noise's correlations are, against direct computations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.kairos.channel.noise import WhiteNoise, filter_correlation, phase_correlation


def test_filter_correlation_is_that_of_its_impulse_response():
    alpha = 0.02
    h = alpha**2 * (np.arange(6000) + 1) * (1 - alpha) ** np.arange(6000)
    k = np.array([0, 1, 7, 60, 400])
    direct = [(h[: len(h) - lag] * h[lag:]).sum() / (h**2).sum() for lag in k]
    assert filter_correlation(alpha, k.astype(float)) == pytest.approx(direct, rel=1e-12)
    assert filter_correlation(1.0, np.array([0.0, 1.0])) == pytest.approx([1.0, 0.0])


def test_phase_correlation_is_its_integral():
    rho = np.array([0.0, 0.1, 0.5, 0.9, 0.99, 1.0])
    theta = (np.arange(200_000) + 0.5) * np.pi / 400_000
    # Euler's integral of the hypergeometric function: ρ·∫₀^{π/2} cos²θ/√(1 − ρ²sin²θ) dθ.
    direct = [r * np.pi / 2 * (np.cos(theta) ** 2 / np.sqrt(1 - (r * np.sin(theta)) ** 2)).mean() for r in rho]
    assert phase_correlation(rho) == pytest.approx(direct, abs=5e-7)


def test_phase_correlation_of_gaussian_numbers():
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((2, 200_000)).view(np.complex128).reshape(-1) for _ in range(2))
    c = 0.7 * a + math.sqrt(1 - 0.49) * b
    measured = (a / np.abs(a) * np.conj(c) / np.abs(c)).mean().real
    assert phase_correlation(np.array([0.7]))[0] == pytest.approx(measured, abs=4e-3)


def test_sums_are_those_of_continuous_time_when_ticks_are_close():
    white = WhiteNoise(1e-3, 20.0, 300, 1.0)  # a tick every 0.02 τ
    assert white.coherence_sum * 0.02 == pytest.approx(4.0, rel=2e-3)  # ∫(1 + x)e^{−x}, twice
    assert 1.9 < white.resonance_sum * 0.02 < 2.1


def test_excess_is_of_what_keeps_longer_than_white_noise():
    white = WhiteNoise(1e-3, 390.0, 16, 1.0)
    own = phase_correlation(filter_correlation(1e-3, 390.0 * np.arange(1.0, 17.0)))
    assert white.excess(own, 1e9) == pytest.approx(1.0, abs=0.03)
    tone = 0.6 + 0.4 * own  # a tone on top leaves a plateau, and nothing else
    assert white.excess(tone, 1e9) == pytest.approx(1.0, abs=0.03)
    assert white.excess(np.ones(16), 1e9) == 1.0
    slow = np.exp(-((np.arange(1.0, 17.0) / 9) ** 2))
    believed = white.excess(slow, 1e9)
    assert believed > 1.8
    assert 1.0 < white.excess(slow, 40 * white.resonance_sum) < believed
    assert white.excess(np.array([0.5]), 1e9) == 1.0
