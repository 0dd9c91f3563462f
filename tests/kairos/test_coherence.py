"""Coherence with its effective number of samples, and the temporal resonance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.kairos.bands import Band
from becomingone.kairos.channel import ChannelKernel
from becomingone.kairos.coherence import (
    SIGMA_UNIFORM,
    LocalCoherence,
    circular_sigma,
    filter_correlation,
    p_noise,
    unbiased,
)
from becomingone.kairos.timing import Timing

BAND = Band.of("b", 1.5, 0.5)


def test_closed_forms():
    assert unbiased(1.0, 7.0) == 1.0
    assert unbiased(math.sqrt(1 / 7.0), 7.0) == pytest.approx(0.0, abs=1e-7)
    assert unbiased(0.2, 7.0) == 0.0
    assert unbiased(1.0, 1.0) == 0.0
    assert unbiased(0.8, 11.0) == pytest.approx(math.sqrt((11 * 0.64 - 1) / 10))
    assert p_noise(0.5, 8.0) == pytest.approx(math.exp(-2))
    assert circular_sigma(1.0) == 0.0
    assert circular_sigma(math.exp(-0.5 * 0.3**2)) == pytest.approx(0.3)
    assert circular_sigma(0.0) == SIGMA_UNIFORM == circular_sigma(1e-9)


def test_filter_correlation_is_that_of_its_impulse_response():
    alpha = 0.02
    k = np.arange(5000)
    h = alpha**2 * (k + 1) * (1 - alpha) ** k
    assert filter_correlation(alpha) == pytest.approx(h.sum() ** 2 / (h**2).sum(), rel=1e-12)


@pytest.mark.parametrize("n", [50, 400, 5000])
def test_n_eff_of_independent_phases_is_the_windows(n):
    timing = Timing(Band.of("b", 1.0, 0.25, coherence_tau_s=10.0), 0.1, real=True)
    lam = 1 - timing.alpha_window
    window = (2 - timing.alpha_window) / timing.alpha_window * (1 - lam**n) / (1 + lam**n)
    values = []
    for seed in range(40):
        u = np.exp(2j * np.pi * np.random.default_rng(seed).random(n))
        coherence = LocalCoherence(1, 4, 1.0)
        for start in range(0, n, 1000):
            part = u[start : start + 1000]
            coherence.block(part, part != 0, timing)
            coherence.ticks(part, timing.alpha_window)
        values.append(1 / coherence.n_eff(timing.alpha_window))
    # Where the sum comes out below that of independent samples it is held there: so at most, and nearly.
    assert 0.6 * window < 1 / np.mean(values) <= window * (1 + 1e-9)
    assert min(values) == pytest.approx(1 / window, rel=1e-9)


@pytest.mark.parametrize("fs", [6.0, 60.0, 600.0])
def test_n_eff_of_a_tone_is_bartletts(fs):
    t = np.arange(1, int(400 * fs) + 1) / fs
    block = ChannelKernel(BAND, floor=0.1).block(np.cos(2 * np.pi * 1.5 * t), 1 / fs)
    window, reach = BAND.coherence_tau_s, 2 * math.pi * BAND.tau_s
    # ∫ over |k| ≤ 2πτ of e^{−|k|/τ_C}, over the window's effective length 2τ_C.
    expected = 2 * window / (2 * window * (1 - math.exp(-reach / window)))
    assert block.n_eff == pytest.approx(expected, rel=0.15 if fs < 10 else 0.02)
    assert block.decidable


def test_start_is_marked_not_yet_decidable():
    kernel = ChannelKernel(BAND, floor=0.1)
    t = np.arange(1, 120 * 60 + 1) / 60
    x = np.cos(2 * np.pi * 1.5 * t)
    early = kernel.block(x[:120], 1 / 60)
    assert early.valid
    assert not early.decidable
    assert early.p > 0.1
    assert kernel.block(x[120:], 1 / 60).decidable


def test_only_valid_samples_count():
    # One second in four is missing: the phase that is there is as steady as before, but there is less of it.
    t = np.arange(1, 300 * 60 + 1) / 60
    x = np.cos(2 * np.pi * 1.5 * t)
    full = ChannelKernel(BAND, floor=0.1).block(x, 1 / 60)
    x[(t % 4 < 1) & (t < 299)] = np.nan
    holes = ChannelKernel(BAND, floor=0.1).block(x, 1 / 60)
    assert holes.coherence > 0.97
    assert full.n_eff * 0.6 < holes.n_eff < full.n_eff


def test_false_alarms_on_white_noise():
    rng = np.random.default_rng(11)
    p = []
    fs, spacing = 20.0, 1 / 20.0
    for _ in range(25):
        kernel = ChannelKernel(BAND, floor=0.0)
        kernel.block(rng.standard_normal(int(3 * BAND.coherence_tau_s * fs)), spacing)
        for _ in range(16):
            block = kernel.block(rng.standard_normal(int(2 * BAND.coherence_tau_s * fs)), spacing)
            assert block.decidable
            p.append(block.p)
    p = np.array(p)
    assert (p < 0.01).mean() <= 0.02
    assert 0.005 < (p < 0.1).mean() <= 0.12
    assert np.median(p) > 0.3


def test_detection_of_a_tone_in_noise():
    rng = np.random.default_rng(4)
    t = np.arange(1, 20 * 200 + 1) / 20
    block = ChannelKernel(BAND, floor=0.0).block(np.cos(2 * np.pi * 1.5 * t) + rng.standard_normal(4000), 1 / 20)
    assert block.p < 0.01
    assert block.coherence > 0.9
    assert block.omega == pytest.approx(2 * np.pi * 1.5, rel=0.02)


# --- temporal resonance ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [3.2, 10 / 3, 3.7, 4.0, 6.1])
def test_tone_resonates_fully_at_every_lag(lag):
    t = np.arange(1, 60 * 200 + 1) / 60
    block = ChannelKernel(Band.of("b", 1.5, 0.5, lag_s=lag), floor=0.1).block(np.cos(2 * np.pi * 1.5 * t + 1), 1 / 60)
    assert abs(block.resonance - 1) < 1e-3


def test_off_centre_tone_turns_by_the_lag():
    band = Band.of("b", 1.5, 0.5, lag_s=3.5)
    t = np.arange(1, 60 * 300 + 1) / 60
    block = ChannelKernel(band, floor=0.1).block(np.cos(2 * np.pi * 1.55 * t), 1 / 60)
    assert abs(block.resonance - np.exp(2j * np.pi * 0.05 * 3.5)) < 2e-3


def test_frequency_modulation_is_a_bessel_function():
    # |T| = |J₀(2β·sin(Ωτ̄/2))| for phase β·sin Ωt; slow against the filter, so that it passes.
    band = Band.of("b", 10.0, 0.1, lag_s=2.0, coherence_tau_s=400.0)
    fs, beta, modulation = 50.0, 0.8, 2 * np.pi * 0.05
    t = np.arange(1, int(2400 * fs) + 1) / fs
    x = np.exp(1j * (2 * np.pi * 10.0 * t + beta * np.sin(modulation * t)))
    block = ChannelKernel(band, floor=0.1, real=False).block(x, 1 / fs)
    theta = (np.arange(64) + 0.5) * np.pi / 64
    bessel = np.cos(2 * beta * math.sin(modulation * band.lag_s / 2) * np.sin(theta)).mean()
    assert abs(block.resonance) == pytest.approx(abs(bessel), abs=3e-3)


def test_phase_diffusion_decays_with_the_lag():
    band = Band.of("b", 10.0, 0.1, lag_s=1.5, coherence_tau_s=400.0)
    fs, diffusion = 50.0, 0.2
    rng = np.random.default_rng(8)
    values = []
    for _ in range(4):
        walk = np.cumsum(rng.standard_normal(60_000) * math.sqrt(2 * diffusion / fs))
        x = np.exp(1j * (2 * np.pi * 10.0 * np.arange(1, 60_001) / fs + walk))
        values.append(abs(ChannelKernel(band, floor=0.0, real=False).block(x, 1 / fs).resonance))
    # The filter smooths the walk over 2τ, which lengthens its memory by a few per cent.
    assert np.mean(values) == pytest.approx(math.exp(-diffusion * band.lag_s), abs=0.05)


def test_modulus_never_exceeds_one_and_none_until_a_lag_of_pairs():
    rng = np.random.default_rng(0)
    kernel = ChannelKernel(BAND, floor=0.0)
    seen = []
    for n in rng.integers(1, 60, 400):
        x = rng.standard_normal(n)
        x[rng.random(n) < 0.02] = np.nan
        seen.append(kernel.block(x, 1 / 30).resonance)
    values = [abs(value) for value in seen if value is not None]
    assert seen[0] is None
    assert len(values) > 200
    assert max(values) <= 1.0


def test_noise_resonates_little():
    rng = np.random.default_rng(6)
    values = [abs(ChannelKernel(BAND, floor=0.0).block(rng.standard_normal(6000), 1 / 20).resonance) for _ in range(30)]
    assert np.mean(values) < 0.35


def test_a_tone_is_seen_early_and_noise_is_not():
    """The bias that is taken away is the noise's: a tone needs a few τ, and noise stays near 0 from the start."""
    fs, tau = 20.0, 1.0
    band = Band.of("stride", 0.78, tau)
    t = np.arange(1, int(12 * tau * fs)) / fs
    at_8, at_12 = [], []
    for seed in range(60):
        noise = np.random.default_rng(seed).standard_normal(t.shape[0])
        kernel = ChannelKernel(band, floor=0.0)
        at_8.append(kernel.block(noise[:160], 1 / fs).coherence)
        at_12.append(kernel.block(noise[160:], 1 / fs).coherence)
    assert np.mean(at_8) < 0.2
    assert np.mean(np.square(at_12)) < 0.1
    kernel = ChannelKernel(band, floor=0.0)
    block = kernel.block(np.cos(band.omega * t[:160]), 1 / fs)
    assert block.coherence > 0.95
    assert not block.decidable  # which it says
