"""Encoding of numbers and tokens: zero mean, unit power, and every fault said beside it."""

from __future__ import annotations

import dataclasses
import gzip
import math
from importlib import resources
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.local_step import local_step
from becomingone.kairos.streams.encode import (
    ENCODINGS,
    AnalogEncoder,
    Encoding,
    Kind,
    TokenEncoder,
    documents_phase,
    encoder_for,
)
from becomingone.kairos.streams.encoded import Encoded

SENSOR = Encoding("sensor", Kind.REAL, "g", 100.0, floor=0.01, low=-50.0, high=50.0, mean_tau_s=8.0, scale_tau_s=5.0)
FREE = dataclasses.replace(SENSOR, low=-math.inf, high=math.inf, floor=0.0)
IQ = dataclasses.replace(FREE, name="iq", kind=Kind.COMPLEX)
DT = 10_000_000  # ns
OMEGA = 2 * math.pi * 1.3


def times(n, start=0):
    return start + DT * np.arange(n, dtype=np.int64)


def tone(n, amplitude=3.0, offset=20.0, phase=0.4):
    return offset + amplitude * np.cos(OMEGA * np.arange(n) * 0.01 + phase)


def noisy(n, seed=0, *, complex_=False):
    rng = np.random.default_rng(seed)
    x = 5.0 + rng.standard_normal(n) + 0.3 * np.cumsum(rng.standard_normal(n)) / 10
    return x + 1j * rng.standard_normal(n) if complex_ else x


def slow(x, encoding, weight=None):
    """The definition: weighted means over the whole past, written out."""
    n = len(x)
    weight = np.ones(n) if weight is None else weight
    lam_mean, lam_scale = math.exp(-0.01 / encoding.mean_tau_s), math.exp(-0.01 / encoding.scale_tau_s)
    rest = np.zeros(n, dtype=complex)
    out = np.zeros(n, dtype=complex)
    for k in range(n):
        ages = np.arange(k, -1, -1)
        w = weight[: k + 1] * lam_mean**ages
        rest[k] = x[k] - (w @ x[: k + 1]) / w.sum() if w.sum() else 0
        w = weight[: k + 1] * lam_scale**ages
        power = (w @ np.abs(rest[: k + 1]) ** 2) / w.sum() if w.sum() else 0
        out[k] = rest[k] / math.sqrt(power) if power > 0 else 0
    return out


# --- what it gives ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", [FREE, IQ])
def test_equals_the_definition(encoding):
    x = noisy(700, complex_=encoding is IQ)
    expected = slow(x, encoding)
    block = AnalogEncoder(encoding).block(x, 0, DT)
    assert np.abs(block.samples - expected).max() < 1e-12
    assert block.samples[0] == 0.0  # unbiased from the first sample: it is its own mean
    assert block.samples.dtype == x.dtype
    assert not block.gap
    assert not block.irregular


@pytest.mark.parametrize("encoding", [FREE, IQ])
def test_zero_mean_and_unit_power(encoding):
    x = 1e5 + 7.0 * noisy(40_000, complex_=encoding is IQ)
    late = AnalogEncoder(encoding).block(x, 0, DT).samples[5000:]
    assert abs(late.mean()) < 0.05
    assert np.mean(np.abs(late) ** 2) == pytest.approx(1.0, abs=0.05)


def test_a_huge_offset_costs_no_digits():
    x = noisy(3000)
    here, there = AnalogEncoder(FREE).block(x, 0, DT), AnalogEncoder(FREE).block(x + 2.0**20, 0, DT)
    # What the sum x + 2²⁰ has lost itself.
    assert np.abs(here.samples - there.samples).max() < 1e-9
    assert there.mean == pytest.approx(here.mean + 2.0**20, rel=1e-12)


def test_a_long_drift_costs_no_digits():
    x = noisy(20_000) + 100.0 * np.arange(20_000)
    whole = AnalogEncoder(FREE).block(x, 0, DT)
    single = AnalogEncoder(FREE)
    parts = [single.block(x[i : i + 1], int(times(1, i * DT)[0]), DT).samples for i in range(20_000)]
    assert np.abs(np.concatenate(parts) - whole.samples).max() < 1e-12


def test_phase_leads_by_what_it_says():
    encoder = AnalogEncoder(FREE)
    n = 20_000
    late = encoder.block(tone(n), 0, DT).samples[-7700:]  # whole periods
    t = np.arange(n)[-7700:] * 0.01
    got = 2 * np.mean(late * np.exp(-1j * (OMEGA * t + 0.4)))
    response = encoder.response(OMEGA)
    ripple = 1 / (8 * OMEGA * FREE.scale_tau_s)  # of the scale, at twice the frequency
    assert np.angle(got) == pytest.approx(np.angle(response) + ripple, abs=3e-4)
    assert np.angle(response) == pytest.approx(1 / (OMEGA * FREE.mean_tau_s), rel=1e-3)
    assert abs(got) == pytest.approx(math.sqrt(2), rel=2e-3)  # a sine of power 1
    turning = AnalogEncoder(IQ).block(np.exp(1j * (OMEGA * np.arange(n) * 0.01 + 0.4)), 0, DT).samples[-7700:]
    assert np.angle(np.mean(turning * np.exp(-1j * (OMEGA * t + 0.4))) / response) == pytest.approx(0.0, abs=1e-4)
    assert encoder.rms == pytest.approx(3 / math.sqrt(2), rel=0.02)


# --- one stream, however it is cut -----------------------------------------------------------------------------------


def spoilt(x, seed):
    rng = np.random.default_rng(seed)
    x = x.copy()
    n = len(x)
    x[rng.random(n) < 0.03] = np.nan
    x[rng.random(n) < 0.03] = 60.0  # beyond the range
    x[rng.integers(0, n, 3)] = [np.inf, 1e308, -1e200]
    x[n // 2 : n // 2 + 40] = np.nan
    x[n // 3 : n // 3 + 30] = -50.0
    return x


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 2399), max_size=12, unique=True), st.integers(0, 3), st.booleans(), st.booleans())
def test_any_cut_gives_the_same(cuts, seed, complex_, timed):
    encoding = dataclasses.replace(SENSOR, kind=Kind.COMPLEX if complex_ else Kind.REAL)
    x = spoilt(noisy(2400, seed, complex_=complex_), seed) if seed else noisy(2400, complex_=complex_)
    whole = AnalogEncoder(encoding).block(x, 0, DT)
    encoder = AnalogEncoder(encoding)
    parts = []
    for a, b in pairwise([0, *sorted(cuts), 2400]):
        parts += encoder.take(x[a:b], times(2400)[a:b]) if timed else [encoder.block(x[a:b], a * DT, DT)]
    samples = np.concatenate([part.samples for part in parts])
    assert (np.isnan(samples) == np.isnan(whole.samples)).all()
    assert np.nanmax(np.abs(samples - whole.samples)) < 1e-12
    for name in ("missing", "saturated", "silent", "weight"):
        assert (np.concatenate([getattr(part, name) for part in parts]) == getattr(whole, name)).all(), name
    assert parts[-1].mean == pytest.approx(whole.mean, rel=1e-13)
    assert parts[-1].rms == pytest.approx(whole.rms, rel=1e-12)
    assert not any(part.irregular or part.gap_ns for part in parts)


@settings(max_examples=20, deadline=None)
@example([399], 6)  # the last part is nothing but a duplicate
@given(st.lists(st.integers(1, 399), max_size=8, unique=True), st.integers(0, 99))
def test_any_cut_of_irregular_samples_gives_the_same(cuts, seed):
    rng = np.random.default_rng(seed)
    steps = rng.choice([DT, DT, round(1.4 * DT), round(0.6 * DT), 2 * DT, 50 * DT, 0], 400)
    t = np.cumsum(steps)
    x = noisy(400, seed)
    whole = AnalogEncoder(FREE).take(x, t)
    encoder = AnalogEncoder(FREE)
    parts = [part for a, b in pairwise([0, *sorted(cuts), 400]) for part in encoder.take(x[a:b], t[a:b])]
    joined = np.concatenate([part.samples for part in parts])
    assert np.abs(joined - np.concatenate([part.samples for part in whole])).max() < 1e-12
    assert (np.concatenate([p.times_ns for p in parts]) == np.concatenate([p.times_ns for p in whole])).all()
    told = sum(p.duplicates for p in parts) + encoder.duplicates
    assert told == sum(p.duplicates for p in whole) == (steps[1:] == 0).sum()


def test_a_million_samples_do_not_drift():
    x = noisy(1_000_000, 3)
    encoder = AnalogEncoder(FREE)
    tail = []
    for start in range(0, 1_000_000, 10_000):
        tail = encoder.block(x[start : start + 10_000], start * DT, DT).samples
    # λ^200000 of either time constant is below 1e-10: a stream that began later has forgotten the start just the same.
    late = AnalogEncoder(FREE).block(x[-200_000:], 0, DT)
    assert np.abs(late.samples[-10_000:] - tail).max() < 1e-9
    assert encoder.rms == pytest.approx(late.rms, rel=1e-9)


# --- silence ---------------------------------------------------------------------------------------------------------


def test_a_silent_sensor_is_not_amplified():
    quiet = 0.004 * np.random.default_rng(0).standard_normal(5000)
    block = AnalogEncoder(SENSOR).block(20.0 + quiet, 0, DT)
    assert block.silent.all()
    assert not block.samples.any()
    assert AnalogEncoder(FREE).block(20.0 + quiet, 0, DT).samples.std() > 0.9  # which a floor of 0 would do


def test_floor_is_the_amplitude_of_a_sine():
    for amplitude, silent in ((0.0099, True), (0.0101, False)):
        late = AnalogEncoder(SENSOR).block(tone(20_000, amplitude), 0, DT).silent[-500:]
        # The running power of a sine ripples by a few parts in a thousand.
        assert late.mean() == pytest.approx(float(silent), abs=0.01)
    iq = dataclasses.replace(IQ, floor=0.01)
    turning = np.exp(1j * OMEGA * np.arange(20_000) * 0.01)
    assert AnalogEncoder(iq).block(0.0098 * turning, 0, DT).silent[-500:].all()
    assert not AnalogEncoder(iq).block(0.0102 * turning, 0, DT).silent[-500:].any()


@pytest.mark.parametrize("value", [0.0, 20.0, -0.1, 101_325.0])
def test_a_constant_is_silence_even_without_a_floor(value):
    encoder = AnalogEncoder(FREE)
    assert not encoder.block(np.full(5000, value), 0, DT).samples.any()
    # Also when it was not always constant: what is left of the mean is rounding.
    encoder.block(noisy(500), 5000 * DT, DT)
    block = encoder.block(np.full(200_000, value), 5500 * DT, DT)
    assert value == 0.0 or (block.silent[-100:].all() and not block.samples[-100:].any())


def test_onset_is_bounded():
    x = np.concatenate((np.full(4000, 20.0), tone(4000, 5.0)))
    block = AnalogEncoder(SENSOR).block(x, 0, DT)
    alpha = -math.expm1(-0.01 / SENSOR.scale_tau_s)
    assert np.abs(block.samples).max() <= math.sqrt(1 / alpha)
    assert block.silent[:4000].all()
    assert not block.silent[4010:].any()


# --- saturation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(-0.6, 0.6), (-9.0, 0.4), (-0.2, 9.0)])
def test_a_clipped_sine_keeps_its_phase(low, high):
    # 1 Hz of 200 samples a period, not clipped exactly at samples; the mean is given much time.
    encoding = dataclasses.replace(FREE, low=low, high=high, mean_tau_s=1e5, scale_tau_s=100.0)
    n = 40_000
    t = np.arange(n) / 200
    block = AnalogEncoder(encoding).block(np.cos(2 * np.pi * t + 0.7), 0, 5_000_000)
    late, when = block.samples[-20_000:], t[-20_000:]
    harmonics = [2 * np.mean(late * np.exp(-2j * np.pi * k * when)) * block.rms for k in (1, 3)]
    assert abs(np.angle(harmonics[0] * np.exp(-0.7j))) < 1e-3
    if -low == high:
        fundamental = 2 / math.pi * (math.asin(high) + high * math.sqrt(1 - high * high))
        assert abs(harmonics[0]) == pytest.approx(fundamental, rel=0.03)  # rms is that of the unclipped ones
        theta = (np.arange(4096) + 0.5) * 2 * np.pi / 4096
        third = 2 * np.mean(np.clip(np.cos(theta), low, high) * np.cos(3 * theta))
        assert abs(harmonics[1] / harmonics[0]) == pytest.approx(abs(third) / fundamental, rel=0.02)
    share = np.mean((np.cos(2 * np.pi * t + 0.7) <= low) | (np.cos(2 * np.pi * t + 0.7) >= high))
    assert block.saturated_share == pytest.approx(share)
    assert not block.missing.any()


def test_saturated_samples_hold_mean_and_scale():
    encoder = AnalogEncoder(SENSOR)
    encoder.block(tone(3000), 0, DT)
    mean, rms = encoder.mean, encoder.rms
    block = encoder.block(np.full(3000, 1e6), 3000 * DT, DT)
    assert block.saturated.all()
    assert block.saturated_share == 1.0
    assert encoder.mean == mean
    assert encoder.rms == pytest.approx(rms, rel=1e-12)
    assert block.samples == pytest.approx(np.full(3000, (50.0 - mean) / rms))  # brought into the range
    assert not encoder.block(tone(10), 6000 * DT, DT).saturated.any()


def test_nothing_but_saturation_is_silence():
    block = AnalogEncoder(SENSOR).block(np.full(100, 50.0), 0, DT)
    assert block.saturated.all()
    assert block.silent.all()
    assert not block.samples.any()


def test_saturation_of_either_part_of_a_complex_sample():
    iq = dataclasses.replace(IQ, low=-1.0, high=1.0)
    block = AnalogEncoder(iq).block(np.array([0.5 + 0.5j, 1.0, -2j, 0.1]), 0, DT)
    assert block.saturated.tolist() == [False, True, True, False]


# --- missing samples and gaps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308, -1e101])
def test_missing_samples_change_nothing_but_time(bad):
    x = noisy(1200)
    spoiled = x.copy()
    spoiled[400:500] = bad
    block = AnalogEncoder(FREE).block(spoiled, 0, DT)
    assert block.missing.nonzero()[0].tolist() == list(range(400, 500))
    assert np.isnan(block.samples[400:500]).all()
    assert block.gap
    weight = np.ones(1200)
    weight[400:500] = 0
    expected = slow(x, FREE, weight)
    there = ~block.missing
    assert np.abs(block.samples - expected)[there].max() < 1e-12


def test_state_is_never_poisoned():
    clean, beaten = AnalogEncoder(SENSOR), AnalogEncoder(SENSOR)
    x = noisy(2000)
    for encoder in (clean, beaten):
        encoder.block(x[:1000], 0, DT)
    for bad in (np.nan, np.inf, 1e308):
        assert beaten.block(np.full(20, bad), int(beaten._timeline.latest_ns) + DT, DT).missing.all()
    clean.take(x[:1], np.array([1060 * DT]))
    beaten.take(x[:1], np.array([1060 * DT]))
    calls = [
        lambda e: e.block(np.empty(0), 2000 * DT, DT),
        lambda e: e.block(np.ones((2, 2)), 2000 * DT, DT),
        lambda e: e.block(np.ones(3, dtype=complex), 2000 * DT, DT),
        lambda e: e.block(np.ones(3), 1060 * DT, DT),
        lambda e: e.block(np.ones(3), -5, DT),
        lambda e: e.block(np.ones(3), 2**62, DT),
        lambda e: e.block(np.ones(3), 2000 * DT, 0.0),
        lambda e: e.block(np.ones(3), 2000 * DT, math.nan),
        lambda e: e.take(np.empty(0), np.empty(0, dtype=np.int64)),
        lambda e: e.take(np.ones(3), times(2, 2000 * DT)),
        lambda e: e.take(np.ones(3), np.array([2000.0, 2001.0, 2002.0]) * DT),
        lambda e: e.take(np.ones(3), times(3, 2000 * DT)[::-1].copy()),
        lambda e: e.take(np.ones(3), times(3, 900 * DT)),
        lambda e: e.take(np.ones(3), np.full(3, 2**62)),
        lambda e: e.take(np.ones(3), times(3, 2000 * DT), np.ones(2)),
    ]
    for call in calls:
        with pytest.raises(KernelError):
            call(beaten)
    one, other = (encoder.block(x[1000:], 1061 * DT, DT) for encoder in (clean, beaten))
    assert np.abs(one.samples - other.samples).max() < 1e-12
    assert (one.mean, one.gap_ns) == (pytest.approx(other.mean), other.gap_ns)


def test_a_gap_holds_mean_and_scale_and_is_measured():
    encoder = AnalogEncoder(FREE)
    encoder.block(tone(3000), 0, DT)
    mean, rms = encoder.mean, encoder.rms
    block = encoder.block(tone(1, offset=20.5), 3500 * DT, DT)
    assert block.gap_ns == pytest.approx(500 * DT)
    assert block.gap
    assert encoder.mean == pytest.approx(mean, abs=0.05)
    assert encoder.rms == pytest.approx(rms, rel=0.05)


def test_after_a_gap_of_many_time_constants_all_begins_anew():
    encoder = AnalogEncoder(FREE)
    encoder.block(tone(3000), 0, DT)
    block = encoder.block(noisy(500) + 1000.0, 2_000_000 * DT, DT)
    assert np.abs(block.samples - AnalogEncoder(FREE).block(noisy(500) + 1000.0, 0, DT).samples).max() < 1e-12


def test_late_and_early_blocks():
    for late, gap, irregular in ((0, 0, False), (0.3, 0, True), (-0.3, 0, True), (0.8, 0.8, True), (7.0, 7.0, True)):
        encoder = AnalogEncoder(FREE)
        encoder.block(tone(10), 0, DT)
        block = encoder.block(tone(10), round((10 + late) * DT), DT)
        assert block.gap_ns == pytest.approx(gap * DT), late
        assert block.irregular is irregular, late


# --- times -----------------------------------------------------------------------------------------------------------


def test_jitter_is_even_and_its_spacing_is_measured():
    rng = np.random.default_rng(1)
    t = np.round((np.arange(500) * 1.001 + rng.uniform(-0.02, 0.02, 500)) * DT).astype(np.int64)
    encoder = AnalogEncoder(FREE)
    (first,) = encoder.take(noisy(250), t[:250])
    (second,) = encoder.take(noisy(250), t[250:])
    for part in (first, second):
        assert not part.irregular
        assert part.dt_s is None
        assert part.spacing_ns == pytest.approx(1.001 * DT, rel=5e-4)
    # No time is lost from one stretch to the next.
    assert first.start_ns + 249 * first.spacing_ns == pytest.approx(t[249])
    assert t[249] + 250 * second.spacing_ns == pytest.approx(t[499])
    assert np.abs(first.times_ns - t[:250]).max() <= 0.05 * DT


def test_irregular_samples_keep_their_own_times():
    rng = np.random.default_rng(2)
    t = np.cumsum(rng.integers(round(0.6 * DT), round(1.4 * DT), 300))
    encoder = AnalogEncoder(FREE)
    (part,) = encoder.take(noisy(300), t)
    assert part.irregular
    assert part.spacing_ns is None
    assert (part.times_ns == t).all()
    assert part.dt_s[1:] == pytest.approx(np.diff(t) * 1e-9)
    assert part.dt_s[0] == 0.01


def test_time_aware_weights():
    # Half the samples, each of twice the spacing, of the same rhythm: the same mean and scale.
    x = noisy(40_000)
    dense = AnalogEncoder(FREE)
    sparse = AnalogEncoder(dataclasses.replace(FREE, jitter=0.0))
    dense.take(x, times(40_000))
    sparse.take(x[::2], np.cumsum(np.full(20_000, round(1.9999 * DT))))
    assert sparse.mean == pytest.approx(dense.mean, abs=0.05)
    assert sparse.rms == pytest.approx(dense.rms, rel=0.05)


def test_steps_that_are_each_regular_but_wander_are_irregular():
    t = np.cumsum(np.round(DT * (1 + 0.04 * np.sign(np.sin(np.arange(200) / 20)))).astype(np.int64))
    (part,) = AnalogEncoder(FREE).take(noisy(200), t)
    assert part.irregular
    assert (part.times_ns == t).all()


@pytest.mark.parametrize(("step", "gap"), [(2.0, 1.0), (2.03, 1.03), (5.0, 4.0), (3.3, 2.3), (2.5, 0.0), (1.3, 0.0)])
def test_lost_samples_are_gaps_and_odd_intervals_are_not(step, gap):
    t = np.concatenate((times(50), 49 * DT + round(step * DT) + times(50)))
    parts = AnalogEncoder(FREE).take(noisy(100), t)
    if gap:
        assert len(parts) == 2
        assert parts[1].gap_ns == pytest.approx(gap * DT)
        assert parts[1].spacing_ns == DT
    else:
        assert len(parts) == 1
        assert parts[0].irregular


def test_duplicates_are_dropped_and_counted():
    t = times(10)
    x = noisy(10)
    again = np.repeat(np.arange(10), [1, 3, 1, 1, 2, 1, 1, 1, 1, 1])
    values = x[again] + np.concatenate(([0], np.diff(again) == 0)) * 100.0  # told twice, differently
    encoder = AnalogEncoder(FREE)
    (part,) = encoder.take(values, t[again])
    assert part.duplicates == 3
    assert (part.samples == AnalogEncoder(FREE).take(x, t)[0].samples).all()
    assert encoder.take(np.array([5.0]), t[-1:]) == []
    assert not part.irregular


def forwarded(parts):
    """What a node's loop hands on: times at which each sample is taken to lie."""
    now, out = None, []
    for part in parts:
        if now is not None:
            now += part.gap_ns
        if part.spacing_ns is not None:
            first = part.start_ns if now is None else now + part.spacing_ns
            out.append(first + part.spacing_ns * np.arange(len(part.samples)))
        else:
            steps = np.cumsum(part.dt_s) * 1e9
            out.append((part.start_ns - steps[0] if now is None else now) + steps)
        now = out[-1][-1]
    return np.concatenate(out)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 299), max_size=6, unique=True))
def test_forwarding_keeps_every_sample_at_its_time(seed, cuts):
    rng = np.random.default_rng(seed)
    steps = np.full(300, DT) + rng.integers(-DT // 50, DT // 50, 300)
    odd = rng.random(300) < rng.choice([0.0, 0.02, 0.5])
    steps[odd] = rng.choice([round(0.5 * DT), round(1.5 * DT), 2 * DT, 9 * DT], odd.sum())
    t = np.cumsum(steps)
    encoder = AnalogEncoder(FREE)
    parts = [part for a, b in pairwise([0, *sorted(cuts), 300]) for part in encoder.take(noisy(300)[a:b], t[a:b])]
    assert np.abs(forwarded(parts) - t).max() <= 0.051 * DT
    assert isinstance(parts[0], Encoded)


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_positions_are_a_real_stream_weighed_by_confidence():
    rng = np.random.default_rng(0)
    position, confidence = rng.random(600), rng.random(600)
    encoding = dataclasses.replace(ENCODINGS["token"], mean_tau_s=3.0, scale_tau_s=2.0)
    (part,) = TokenEncoder(encoding).take(position, confidence, times(600))
    assert part.samples.dtype == np.float64
    assert np.abs(part.samples - slow(position, encoding, confidence)).max() < 1e-12
    assert (part.weight == confidence).all()
    assert not part.saturated.any()  # the first and the last token are tokens like any other


def test_cyclic_tokens_are_phasors():
    position = np.array([0.0, 0.25, 0.5, 0.9, 0.3])
    confidence = np.array([1.0, 0.5, 0.8, 1.0, 0.05])
    encoding = dataclasses.replace(ENCODINGS["token"], cyclic=True, floor=0.1)
    (part,) = TokenEncoder(encoding).take(position, confidence, times(5))
    expected = confidence * np.exp(2j * np.pi * position)
    expected[4] = 0
    assert np.abs(part.samples - expected).max() < 1e-15
    assert part.silent.tolist() == [False] * 4 + [True]
    parts = TokenEncoder(encoding).take(position, confidence, np.array([0, 0, 1, 9, 12]) * DT)
    assert [len(p.samples) for p in parts] == [2, 1, 1]
    assert parts[0].duplicates == 1
    assert [p.gap_ns for p in parts] == [0, 7 * DT, 2 * DT]


@pytest.mark.parametrize("cyclic", [False, True])
def test_tokens_outside_their_range_are_missing(cyclic):
    encoding = dataclasses.replace(ENCODINGS["token"], cyclic=cyclic)
    position = np.array([0.1, -0.1, 1.1, np.nan, 0.5, 0.5, 0.5, 0.5, 1.0])
    confidence = np.array([1.0, 1.0, 1.0, 1.0, -0.1, 1.1, np.inf, 0.0, 1.0])
    encoder = TokenEncoder(encoding)
    (part,) = encoder.take(position, confidence, times(9))
    assert part.missing.tolist() == [False, *[True] * 7, False]
    assert np.isnan(part.samples[1:8]).all()
    assert np.isfinite(part.samples[[0, 8]]).all()
    for args in (
        (position[:3], confidence, times(9)),
        (position, confidence, times(3)),
        (position, confidence, times(9)),  # the same times again
        (position, confidence, times(9, 9 * DT) * 1.0),
        (np.empty(0), np.empty(0), np.empty(0, dtype=np.int64)),
    ):
        if len(args[2]) == 9 and args[2].dtype.kind == "i" and len(args[0]) == 9:
            args = (args[0], args[1], times(9) - DT)  # noqa: PLW2901
        with pytest.raises(KernelError):
            encoder.take(*args)
    (after,) = encoder.take(np.array([0.25]), np.array([1.0]), times(1, 9 * DT))
    assert after.gap_ns == 0
    assert np.isfinite(after.samples).all()
    encoder.clear()
    assert encoder.take(position, confidence, times(9))[0].gap_ns == 0


# --- declarations ----------------------------------------------------------------------------------------------------


def test_the_documents_inputs():
    assert set(ENCODINGS) == {"microphone", "camera", "temperature", "pressure", "token"}
    for name, encoding in ENCODINGS.items():
        assert encoding.name == name
        assert encoding.spacing_ns == (1e8 if name in {"temperature", "pressure"} else 1e7)
    assert isinstance(encoder_for("microphone"), AnalogEncoder)
    assert isinstance(encoder_for("token"), TokenEncoder)
    with pytest.raises(KernelError, match="known are camera"):
        encoder_for("smell")


def test_the_documents_own_phase_is_loudness():
    assert documents_phase(ENCODINGS["microphone"], -0.5) == complex(-0.5, 0)
    assert documents_phase(ENCODINGS["temperature"], 90.0) == complex(0.9, 0)
    assert documents_phase(ENCODINGS["token"], 0.25, 0.75) == complex(0.25, 0.25)
    phase, history = documents_phase(ENCODINGS["temperature"], 90.0), 0j
    for _ in range(500):
        history, coherence = local_step(phase, history, 0.1)
    assert coherence == pytest.approx(0.9)
    for encoding, value in (
        (ENCODINGS["microphone"], math.nan),
        (FREE, 1.0),
        (Encoding("steps", Kind.EVENT, "", 1.0), 1.0),
    ):
        with pytest.raises(KernelError):
            documents_phase(encoding, value)


@pytest.mark.parametrize(
    "changes",
    [
        {"rate_hz": 0.0},
        {"rate_hz": math.inf},
        {"mean_tau_s": 0.0},
        {"scale_tau_s": -1.0},
        {"floor": -1.0},
        {"floor": math.nan},
        {"low": 3.0, "high": 3.0},
        {"low": math.nan},
        {"jitter": 0.3},
        {"jitter": -0.1},
        {"period_s": 1.0},
        {"cyclic": True},
    ],
)
def test_refusals(changes):
    with pytest.raises(KernelError):
        dataclasses.replace(SENSOR, **changes)


def test_the_wrong_encoder_refuses():
    with pytest.raises(KernelError):
        AnalogEncoder(Encoding("steps", Kind.EVENT, "", 1.0))
    with pytest.raises(KernelError):
        TokenEncoder(SENSOR)
    with pytest.raises(KernelError):
        encoder_for(Encoding("steps", Kind.EVENT, "", 1.0, period_s=1.0))


# --- a real recording ------------------------------------------------------------------------------------------------


def test_a_year_of_weather_with_its_holes():
    packed = resources.files("becomingone.data").joinpath("weather-three-airports/weather.csv.gz").read_bytes()
    rows = [line.split(",") for line in gzip.decompress(packed).decode().splitlines()]
    head, rows = rows[0], [row for row in rows[1:] if row[0] == "EWR"]
    at, value = head.index("time_utc"), head.index("temperature_degF")
    stamps = np.array([row[at].rstrip("Z") for row in rows], dtype="datetime64[ns]").astype(np.int64)
    x = np.array([float(row[value]) if row[value] not in {"", "NA"} else math.nan for row in rows])
    hour = 3_600_000_000_000
    encoding = Encoding(
        "outside", Kind.REAL, "°F", 1 / 3600, floor=0.5, mean_tau_s=10 * 86_400.0, scale_tau_s=864_000.0
    )
    parts = AnalogEncoder(encoding).take(x, stamps)
    lost = sum(part.gap_ns for part in parts) / hour
    assert lost == round(lost) == (stamps[-1] - stamps[0]) / hour + 1 - len(stamps)
    assert not any(part.irregular for part in parts)
    assert sum(len(part.samples) for part in parts) == len(x)
    samples, t = (np.concatenate([getattr(part, name) for part in parts]) for name in ("samples", "times_ns"))
    assert (t == stamps).all()
    there = np.isfinite(samples) & (t > stamps[0] + 30 * 24 * hour)
    assert np.mean(samples[there] ** 2) == pytest.approx(1.0, abs=0.1)
    assert abs(samples[there].mean()) < 0.1
    # The day's rhythm, warmest in the afternoon: 19.5 h UTC is 14.5 h in Newark.
    day = np.mean(samples[there] * np.exp(-2j * np.pi * (t[there] / (24 * hour))))
    assert -np.angle(day) / (2 * np.pi) * 24 % 24 == pytest.approx(19.5, abs=1.0)
