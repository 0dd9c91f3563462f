"""One channel: phase, coherence, frequency, resonance; any split, any gap."""

from __future__ import annotations

import math
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.bands import Band
from becomingone.kairos.channel.kernel import ChannelKernel

STRIDE = Band.of("stride", 0.78, 1.0)
FS = 50.0


def times(seconds, fs=FS):
    return np.arange(1, round(seconds * fs) + 1) / fs


def tone(t, f=0.78, phase=0.4, amplitude=3.0, offset=100.0):
    return offset + amplitude * np.cos(2 * np.pi * f * t + phase)


def error(phasors, t, f, phase):
    return np.angle(phasors * np.exp(-1j * (2 * np.pi * f * t + phase)))


def same(a, b, tolerance=1e-12):
    """The figures at the end of two runs."""
    assert a.valid == b.valid
    assert a.decidable == b.decidable
    for name in ("coherence", "n_eff", "p", "omega", "amplitude"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), rel=tolerance, abs=tolerance), name
    for name in ("omega_sigma", "phase_sigma"):  # roots of what is left of 1: near 0 a rounding error is its root
        assert getattr(a, name) ** 2 == pytest.approx(getattr(b, name) ** 2, rel=tolerance, abs=tolerance), name
    if a.resonance is None or b.resonance is None:
        assert a.resonance is b.resonance
    else:
        assert abs(a.resonance - b.resonance) < tolerance


# --- phase, amplitude, frequency of a tone ---------------------------------------------------------------------------


@pytest.mark.parametrize("fs", [4.0, 20.0, 120.0])
@pytest.mark.parametrize("f", [0.75, 0.78, 0.81])
def test_phase_of_a_tone_at_its_own_time(f, fs):
    t = times(300, fs)
    block = ChannelKernel(STRIDE, floor=0.1).block(tone(t, f, 1.1), 1 / fs)
    late = t > 200
    assert np.abs(error(block.phasors[late], t[late], f, 1.1)).max() < 1e-3
    assert np.abs(np.abs(block.phasors[late]) - 1).max() < 1e-12
    assert block.omega == pytest.approx(2 * np.pi * f, rel=2e-4)
    assert block.coherence > 0.99
    assert block.decidable
    assert block.p < 0.005


@pytest.mark.parametrize("phase", np.linspace(-3, 3, 7))
def test_phase_is_right_soon_after_warm_up(phase):
    t = times(12)
    block = ChannelKernel(STRIDE, floor=0.1).block(tone(t, 0.78, phase), 1 / FS)
    first = int(np.flatnonzero(block.phasors)[0])
    assert t[first] == pytest.approx(STRIDE.period_s, abs=1.01 / FS)
    off = np.abs(error(block.phasors, t, 0.78, phase))
    assert off[first:].max() < 0.12
    assert off[t > 10].max() < 6e-3


def test_complex_tone_has_no_image_and_full_amplitude():
    t = times(200)
    x = 5.0 + 2.0 * np.exp(1j * (2 * np.pi * 0.76 * t + 0.3))
    block = ChannelKernel(STRIDE, floor=0.1, real=False).block(x, 1 / FS)
    assert np.abs(error(block.phasors[-50:], t[-50:], 0.76, 0.3)).max() < 1e-4
    gain = 1 / (1 + (2 * np.pi * 0.02) ** 2)
    assert block.amplitude == pytest.approx(2.0 * gain, rel=2e-3)


@pytest.mark.parametrize("f", [0.5, 0.7, 0.78, 0.9, 1.2])
def test_amplitude_is_the_filters_closed_form(f):
    fs = 200.0
    t = times(120, fs)
    block = ChannelKernel(STRIDE, floor=0.0).block(tone(t, f), 1 / fs)
    lam = math.exp(-1 / fs)
    one_pole = (1 - lam) / abs(1 - lam * np.exp(-2j * np.pi * (f - 0.78) / fs))
    # The slow mean takes up to |M·H(−ω₀)|, and the phase correction outside ±50 % nothing more.
    assert block.amplitude == pytest.approx(3.0 * one_pole**2, rel=0.02)


def test_dimensionless_over_nine_decades():
    t = times(60)
    reference = ChannelKernel(STRIDE, floor=0.1).block(tone(t, 0.8), 1 / FS)
    for scale in (1e-6, 1e-3, 1e3):
        band = Band.of("scaled", 0.78 / scale, scale)
        block = ChannelKernel(band, floor=0.1).block(tone(t, 0.8), scale / FS)
        assert np.abs(block.phasors - reference.phasors).max() < 1e-9
        assert block.coherence == pytest.approx(reference.coherence, abs=1e-9)
        assert block.n_eff == pytest.approx(reference.n_eff, rel=1e-9)
        assert block.omega * scale == pytest.approx(reference.omega, rel=1e-9)


# --- when there is no phase ------------------------------------------------------------------------------------------


def test_constant_input_has_no_phase():
    block = ChannelKernel(STRIDE, floor=1e-6).block(np.full(5000, 101_325.0), 1 / FS)
    assert not block.valid
    assert not block.phasors.any()
    assert (block.coherence, block.p, block.n_eff, block.resonance, block.amplitude) == (0.0, 1.0, 1.0, None, 0.0)
    assert block.phase_sigma == pytest.approx(math.pi / math.sqrt(3))
    assert not block.decidable


def test_constant_after_a_step_goes_silent():
    kernel = ChannelKernel(STRIDE, floor=1e-3)
    kernel.block(np.full(1000, 20.0), 1 / FS)
    block = kernel.block(np.full(10_000, 25.0), 1 / FS)
    assert not block.valid
    assert block.amplitude < 1e-6


def test_floor_is_in_sensor_units():
    t = times(60)
    assert ChannelKernel(STRIDE, floor=2.9).block(tone(t), 1 / FS).valid
    assert not ChannelKernel(STRIDE, floor=3.1).block(tone(t), 1 / FS).valid


# --- one stream, however it is cut -----------------------------------------------------------------------------------


def noisy(n, seed=3):
    rng = np.random.default_rng(seed)
    return tone(np.arange(1, n + 1) / FS, 0.8) + rng.standard_normal(n)


@settings(max_examples=30, deadline=None)
@example([2471], 2)  # a short gap: the filter's weight falls below "settled" only some samples after it
@given(st.lists(st.integers(1, 2999), max_size=12, unique=True), st.integers(0, 3))
def test_any_split_gives_the_same(cuts, holes):
    x = noisy(3000)
    rng = np.random.default_rng(holes)
    for _ in range(holes):
        start = int(rng.integers(100, 2900))
        x[start : start + int(rng.integers(1, 90))] = np.nan
    whole_kernel, cut_kernel = (ChannelKernel(STRIDE, floor=0.05) for _ in range(2))
    whole = whole_kernel.block(x, 1 / FS)
    edges = [0, *sorted(cuts), 3000]
    parts = [cut_kernel.block(x[a:b], 1 / FS) for a, b in pairwise(edges)]
    phasors = np.concatenate([part.phasors for part in parts])
    assert np.abs(phasors - whole.phasors).max() < 1e-12
    same(parts[-1], whole)


def test_scalar_path_equals_block_path():
    x = noisy(6000)
    whole = ChannelKernel(STRIDE, floor=0.05).block(x, 1 / FS)
    by_one, by_step = (ChannelKernel(STRIDE, floor=0.05) for _ in range(2))
    ones = [by_one.block(x[i : i + 1], 1 / FS) for i in range(6000)]
    steps = [by_step.step(float(value), 1 / FS) for value in x]
    for results in (ones, steps):
        assert np.abs(np.concatenate([r.phasors for r in results]) - whole.phasors).max() < 1e-12
        same(results[-1], whole)


def test_scalar_path_equals_block_path_for_complex_input():
    x = noisy(2000) + 1j * noisy(2000, 4)
    whole = ChannelKernel(STRIDE, floor=0.05, real=False).block(x, 1 / FS)
    kernel = ChannelKernel(STRIDE, floor=0.05, real=False)
    parts = [kernel.block(x[i : i + 7], 1 / FS) for i in range(0, 2000, 7)]
    assert np.abs(np.concatenate([part.phasors for part in parts]) - whole.phasors).max() < 1e-12
    same(parts[-1], whole)


def test_a_million_samples_do_not_drift():
    fs = 120.0
    kernel = ChannelKernel(STRIDE, floor=0.1)
    t = times(1_000_000 / fs, fs)
    block = kernel.block(tone(t, 0.78, 0.4), 1 / fs)
    assert np.abs(error(block.phasors[-1000:], t[-1000:], 0.78, 0.4)).max() < 1e-8
    assert abs(block.resonance - 1) < 1e-9
    # What remains at the end depends on the last few τ_C only: a run that began later ends the same.
    late = ChannelKernel(STRIDE, floor=0.1).block(tone(t[-150_000:], 0.78, 0.4), 1 / fs)
    same(block, late, 1e-9)


def test_memory_does_not_grow_with_the_run():
    kernel = ChannelKernel(STRIDE, floor=0.05)
    x = noisy(20_000)

    def run():
        for part in (x[:1024], x[1024:1030], x):
            kernel.block(part, 1 / FS)
        kernel.skip(0.5)
        for value in x[:500].tolist():
            kernel.feed(value, 1 / FS)

    run()
    run()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(10):
            run()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000  # one run's figures may stay allocated; ten runs' samples alone are 1.7 MB


@pytest.mark.parametrize("size", [500, 10])
def test_a_spacing_that_changes_a_little_changes_no_frequency(size):
    """A measured spacing wanders from block to block; the slots keep the first, the time is the samples' own."""
    kernel = ChannelKernel(STRIDE, floor=0.1)
    kernel.block(tone(times(60)), 1 / FS)
    spacing = 1.05 / FS
    t = 60.0 + spacing * np.arange(1, 10_001)
    results = [kernel.block(tone(t[i : i + size]), spacing) for i in range(0, 10_000, size)]
    assert results[-1].omega == pytest.approx(2 * np.pi * 0.78, rel=1e-3)
    assert results[-1].coherence > 0.99
    assert abs(results[-1].resonance - 1) < 0.02
    assert np.abs(error(results[-1].phasors, t[-size:], 0.78, 0.4)).max() < 5e-3


# --- gaps ------------------------------------------------------------------------------------------------------------


def test_missing_samples_are_skipped_and_flagged():
    t = times(120)
    x = tone(t)
    x[2000:2040] = np.nan
    x[2040] = np.inf
    x[2041] = -1e200
    kernel = ChannelKernel(STRIDE, floor=0.1)
    block = kernel.block(x, 1 / FS)
    assert block.gap
    assert not block.phasors[2000:2042].any()
    assert block.phasors[2042:].all()
    off = np.abs(error(block.phasors, t, 0.78, 0.4))
    assert off[2042:].max() < 0.1  # the tone is switched on again: its image rings for a few τ
    assert off[2042 + 400 :].max() < 4e-3
    assert not kernel.block(tone(t + 120), 1 / FS).gap


def test_a_block_of_nan_poisons_nothing():
    kernel = ChannelKernel(STRIDE, floor=0.1)
    start = kernel.block(np.full(500, np.nan), 1 / FS)
    assert start.gap
    assert not start.valid
    t = times(200)
    assert kernel.block(tone(t[:5000]), 1 / FS).valid
    lost = kernel.block(np.full(250, np.nan), 1 / FS)
    assert not lost.valid
    assert lost.coherence == 0.0
    good = kernel.block(tone(t[5250:]), 1 / FS)
    assert good.valid
    assert np.abs(error(good.phasors[-100:], t[-100:], 0.78, 0.4)).max() < 1e-3
    assert good.coherence > 0.999
    for value in (good.n_eff, good.p, good.omega, good.amplitude, abs(good.resonance)):
        assert math.isfinite(value)


def test_missing_before_the_first_sample_is_no_warm_up():
    kernel = ChannelKernel(STRIDE, floor=0.0)
    kernel.block(np.full(100, np.nan), 1 / FS)
    assert not kernel.block(noisy(10), 1 / FS).valid


def test_skip_is_additive_and_equals_missing_samples():
    x = noisy(3000)
    after = noisy(500, 9)
    results = []
    for way in range(3):
        kernel = ChannelKernel(STRIDE, floor=0.05)
        kernel.block(x, 1 / FS)
        if way == 0:
            kernel.skip(2.0)
        elif way == 1:
            for _ in range(4):
                kernel.skip(0.5)
        else:
            kernel.block(np.full(100, np.nan), 1 / FS)
        results.append(kernel.block(after, 1 / FS))
    for result in results[1:]:
        assert np.abs(result.phasors - results[0].phasors).max() < 1e-12
        same(result, results[0])
    assert results[0].gap


def test_phase_goes_on_across_a_short_gap():
    t = times(100)
    kernel = ChannelKernel(STRIDE, floor=0.1)
    kernel.block(tone(t[:4000]), 1 / FS)
    kernel.skip(3.0)
    block = kernel.block(tone(t[4150:]), 1 / FS)
    assert block.gap
    assert block.phasors.all()
    off = np.abs(error(block.phasors, t[4150:], 0.78, 0.4))
    assert off.max() < 0.25
    assert off[400:].max() < 3e-3
    assert block.amplitude == pytest.approx(3.0, rel=0.01)
    assert abs(block.resonance - 1) < 0.01


@pytest.mark.parametrize("hole", [3.0, 5.7])
def test_coherence_goes_on_across_gaps_beside_the_centre(hole):
    """The reference of C turns at the measured frequency through the gaps as well, or each would be a phase jump."""
    t = times(400)
    kernel = ChannelKernel(STRIDE, floor=0.1)
    kernel.block(tone(t[:10_000], 0.80), 1 / FS)
    start = 10_000
    for _ in range(6):
        kernel.skip(hole)
        start += round(hole * FS)
        result = kernel.block(tone(t[start : start + 500], 0.80), 1 / FS)
        start += 500
    assert result.omega == pytest.approx(2 * np.pi * 0.80, rel=2e-3)
    # Each time the filter has to find the tone again, which costs a little; a jump a gap would leave 0.67 and 0.24.
    assert result.coherence > 0.98


def test_long_gap_warms_up_again_and_clears_the_lag():
    t = times(100)
    kernel = ChannelKernel(STRIDE, floor=0.1)
    kernel.block(tone(t), 1 / FS)
    kernel.skip(1e5)
    block = kernel.block(tone(t[:100]), 1 / FS)
    assert np.flatnonzero(block.phasors)[0] == math.ceil(STRIDE.period_s * FS) - 1
    assert block.resonance is None
    assert np.isfinite(block.amplitude)


def test_clear_forgets():
    kernel = ChannelKernel(STRIDE, floor=0.05)
    x = noisy(1000)
    first = kernel.block(x, 1 / FS)
    kernel.clear()
    again = kernel.block(x, 1 / FS)
    assert (again.phasors == first.phasors).all()
    same(again, first, 1e-15)


# --- irregular sampling ----------------------------------------------------------------------------------------------


def test_irregular_samples_keep_the_phase():
    rng = np.random.default_rng(2)
    dt = 0.02 * rng.uniform(0.7, 1.3, 15_000)
    t = np.cumsum(dt)
    kernel = ChannelKernel(STRIDE, floor=0.1)
    results = [kernel.step(float(x), float(d)) for x, d in zip(tone(t, 0.79), dt, strict=True)]
    phasors = np.concatenate([result.phasors for result in results])
    off = error(phasors, t, 0.79, 0.4)[-2000:]
    assert np.abs(off).max() < 0.03
    assert abs(off.mean()) < 2e-3
    assert results[-1].omega == pytest.approx(2 * np.pi * 0.79, rel=1e-3)
    assert results[-1].coherence > 0.99
    assert abs(results[-1].resonance - np.exp(2j * np.pi * 0.01 * STRIDE.lag_s)) < 0.03


def test_step_takes_missing_samples():
    kernel = ChannelKernel(STRIDE, floor=0.1)
    assert kernel.step(math.nan, 0.02).gap
    t = times(50)
    kernel.block(tone(t), 1 / FS)
    lost = kernel.step(math.inf, 0.02)
    assert (lost.valid, lost.gap) == (False, True)
    back = kernel.step(float(tone(np.array([50.04]))[0]), 0.02)
    assert (back.valid, back.gap) == (True, False)
    assert abs(error(back.phasors, 50.04, 0.78, 0.4)[0]) < 0.01


# --- refusals --------------------------------------------------------------------------------------------------------


def test_refusals():
    kernel = ChannelKernel(STRIDE, floor=0.0)
    for x in (np.empty(0), np.ones((2, 2)), np.ones(3, dtype=complex)):
        with pytest.raises(KernelError):
            kernel.block(x, 0.02)
    for spacing in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(KernelError):
            kernel.block(np.ones(3), spacing)
        with pytest.raises(KernelError):
            kernel.step(1.0, spacing)
    for seconds in (-1.0, math.nan, math.inf):
        with pytest.raises(KernelError):
            kernel.skip(seconds)
    with pytest.raises(KernelError):
        kernel.step(1j, 0.02)
    for kwargs in ({"floor": -1.0}, {"floor": math.nan}, {"floor": 0.0, "p_false": 0.0}):
        with pytest.raises(KernelError):
            ChannelKernel(STRIDE, **kwargs)


def test_whatever_comes_the_figures_stay_in_range():
    rng = np.random.default_rng(0)
    for _ in range(40):
        scale = 10.0 ** rng.integers(-100, 99)
        kernel = ChannelKernel(STRIDE, floor=float(rng.choice([0.0, 0.1])))
        for _ in range(30):
            spacing = STRIDE.period_s * 10.0 ** rng.uniform(-3, 0.7)
            x = rng.standard_normal(int(rng.integers(1, 300))) * scale
            x[rng.random(x.shape) < 0.05] = rng.choice([math.nan, math.inf, 1e300, 0.0])
            if rng.random() < 0.25:
                kernel.skip(STRIDE.period_s * 10.0 ** rng.uniform(-3, 5))
            result = kernel.step(float(x[0]), spacing) if rng.random() < 0.3 else kernel.block(x, spacing)
            modulus = np.abs(result.phasors)
            assert ((np.abs(modulus - 1) < 1e-9) | (modulus == 0)).all()
            assert 0 <= result.coherence <= 1
            assert 0 <= result.p <= 1
            assert 1 <= result.n_eff < math.inf
            assert 0 <= result.amplitude < math.inf
            assert math.isfinite(result.omega)
            assert result.resonance is None or abs(result.resonance) <= 1 + 1e-12
