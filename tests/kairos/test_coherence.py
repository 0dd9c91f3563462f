"""Coherence with its effective number of samples, and the temporal resonance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.bands import Band
from becomingone.kairos.channel.coherence import (
    SIGMA_UNIFORM,
    circular_sigma,
    p_noise,
    time_between_false_alarms,
)
from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.rayleigh import unbiased

BAND = Band.of("b", 1.5, 0.5)
SIXTEEN = Band.of("sixteen", 1.0, 5 / (2 * math.pi))


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


@pytest.mark.parametrize("fs", [6.0, 60.0, 600.0])
def test_n_eff_is_the_windows_over_the_noises(fs):
    """2·τ_C over ∫ρ² dt, ρ the correlation of the phases behind two poles: by direct integration."""
    t = np.arange(1, int(400 * fs) + 1) / fs
    block = ChannelKernel(BAND, floor=0.1).block(np.cos(2 * np.pi * 1.5 * t), 1 / fs)
    x = np.linspace(0, 30, 3001)
    rho = (1 + x) * np.exp(-x)
    angle = (np.arange(400) + 0.5) * np.pi / 800
    phases = rho * np.pi / 2 * (np.cos(angle) ** 2 / np.sqrt(1 - (rho[:, None] * np.sin(angle)) ** 2)).mean(axis=1)
    assert phases[0] == pytest.approx(1.0, abs=1e-3)
    expected = 2 * BAND.coherence_tau_s / (2 * BAND.tau_s * (phases**2).sum() * (x[1] - x[0]))
    assert block.n_eff == pytest.approx(expected, rel=0.15 if fs < 10 else 0.03)
    assert block.p == pytest.approx(math.exp(-block.n_eff), rel=1e-3)
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
    assert full.n_eff * 0.5 < holes.n_eff < 0.75 * full.n_eff  # a pair needs both its ends


def looks(noise, count, every=512):
    """p at looks one window apart, 16 samples a period; the campaign does the same a million times."""
    kernel = ChannelKernel(SIXTEEN, floor=0.0)
    return np.array([kernel.block(noise(every), 1 / 16).p for _ in range(count)])[10:]


def test_false_alarms_on_white_noise_are_those_that_were_asked_for():
    p = looks(np.random.default_rng(11).standard_normal, 8000)
    for nominal in (0.1, 0.03, 0.01):
        spread = 4 * math.sqrt(nominal * len(p) * 1.5)
        assert abs((p < nominal).sum() - nominal * len(p)) < spread
    assert np.median(p) == pytest.approx(0.5, abs=0.03)


def test_noise_narrower_than_the_filter_is_noticed():
    """As wide as the filter, it would give those who take it for white a false alarm too many; n_eff is measured."""
    rng = np.random.default_rng(12)
    radius, state = math.exp(-SIXTEEN.omega / 16 / 10), np.zeros(2)

    def noise(n):
        out = np.empty(n)
        for i, e in enumerate(rng.standard_normal(n).tolist()):
            out[i] = e + 2 * radius * math.cos(2 * math.pi / 16) * state[0] - radius**2 * state[1]
            state[1], state[0] = state[0], out[i]
        return out

    kernel = ChannelKernel(SIXTEEN, floor=0.0)
    white = ChannelKernel(SIXTEEN, floor=0.0)
    for _ in range(120):
        narrow = kernel.block(noise(512), 1 / 16)
        plain = white.block(rng.standard_normal(512), 1 / 16)
    assert plain.n_eff == pytest.approx(40.9, rel=0.05)
    assert narrow.n_eff < 0.75 * plain.n_eff


@pytest.mark.parametrize("off", [0.0, 0.05])
def test_a_tone_ten_decibels_below_the_noise_is_found(off):
    """In the sampled bandwidth, 16 samples a period; within 200 periods at p = 0.001, the campaign says how often."""
    rng = np.random.default_rng(4)
    t = np.arange(1, 200 * 16 + 1) / 16
    found, values = 0, []
    for _ in range(60):
        x = math.sqrt(0.2) * np.cos(2 * np.pi * (1 + off) * t + rng.uniform(0, 6)) + rng.standard_normal(len(t))
        block = ChannelKernel(SIXTEEN, floor=0.0).block(x, 1 / 16)
        found += block.p < 1e-3
        values.append(block.coherence)
        assert block.omega / (2 * np.pi) - (1 + off) == pytest.approx(0.0, abs=0.01)
    assert found == 60
    # ⟨u⟩ of a tone at in-band SNR 0.2·τ/Δ, less the filter's fall-off a twentieth away from its centre.
    assert np.mean(values) == pytest.approx(0.86 if off == 0.0 else 0.84, abs=0.02)


def test_mean_time_between_false_alarms():
    """The level of p is crossed upwards as often as Rice says."""
    rng = np.random.default_rng(3)
    kernel = ChannelKernel(SIXTEEN, floor=0.0)
    kernel.block(rng.standard_normal(20_000), 1 / 16)
    p = np.array([kernel.block(rng.standard_normal(16), 1 / 16).p for _ in range(30_000)])
    crossings = ((p[1:] < 0.02) & (p[:-1] >= 0.02)).sum()
    expected = len(p) * 1.0 / time_between_false_alarms(0.02, 40.9, SIXTEEN.coherence_tau_s)
    assert 0.7 * expected < crossings < 1.4 * expected
    for bad in ((0.0, 2.0, 1.0), (0.1, 0.5, 1.0), (0.1, 2.0, math.nan)):
        with pytest.raises(KernelError):
            time_between_false_alarms(*bad)


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
    for seed in range(250):
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
