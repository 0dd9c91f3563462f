"""Encoding of events: an exact tone where a period is declared, a rate where none is."""

from __future__ import annotations

import io
import math
from importlib import resources
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.streams.encode import AnalogEncoder, Encoding, Kind, encoder_for
from becomingone.kairos.streams.event_rate import EventRate
from becomingone.kairos.streams.events import SAMPLES_PER_PERIOD, PeriodicEvents

S = 1_000_000_000


def ns(seconds):
    return np.round(np.asarray(seconds) * S).astype(np.int64)


def encoded(period, events, until, since=0):
    parts = PeriodicEvents(period, since).take(events, until)
    assert len(parts) == 1
    return parts[0]


def demodulated(samples, omega, spacing, tau):
    """Two cascaded rotated poles, as the kernel's definition has them; the phase without the image's ripple."""
    alpha = -math.expm1(-spacing / tau)
    z1 = z2 = 0j
    out = np.empty(len(samples), dtype=complex)
    for n, x in enumerate(samples):
        z1 = (1 - alpha) * np.exp(1j * omega * spacing) * z1 + alpha * x
        z2 = (1 - alpha) * np.exp(1j * omega * spacing) * z2 + alpha * z1
        out[n] = z2
    gain = [(alpha / (1 - (1 - alpha) * np.exp(1j * turn * spacing))) ** 2 for turn in (0.0, 2 * omega)]
    return (gain[0] * out - gain[1] * out.conj()) / (gain[0] ** 2 - abs(gain[1]) ** 2)


# --- with a period ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [0.8, 1e-5, 86_400.0, math.pi])
@pytest.mark.parametrize("first", [0.0, 0.123, 0.5, 0.77])
def test_exact_period_gives_the_exact_tone(period, first):
    events = ns((np.arange(60) + first) * period)
    block = encoded(period, events, int(events[-1]))
    t = (block.times_ns - events[0]) / (period * S)
    inside = t > 0.5
    # What rounding the times to nanoseconds leaves.
    tolerance = 1e-9 + 20 / (period * S)
    assert np.abs(block.samples - math.sqrt(2) * np.cos(2 * np.pi * t))[inside].max() < tolerance
    assert np.mean(block.samples[inside][: 16 * 50] ** 2) == pytest.approx(1.0, abs=2 * tolerance)
    assert block.samples[inside][: 16 * 50].mean() == pytest.approx(0.0, abs=tolerance)
    assert block.spacing_ns == pytest.approx(period * S / 16)


def test_demodulated_phase_is_zero_at_every_event():
    period, tau = 1.28, 1.0
    events = ns(0.4321 + np.arange(200) * period)
    block = encoded(period, events, int(events[-1]))
    spacing, omega = block.spacing_ns / S, 2 * math.pi / period
    z = demodulated(block.samples, omega, spacing, tau)
    t = block.times_ns / S
    expected = omega * (t - events[0] / S)
    late = t > 20 * tau
    # Nothing but the tone is there: no harmonic, no constant, no error of the grid.
    assert np.abs(np.angle(z * np.exp(-1j * expected)))[late].max() < 1e-7
    assert np.abs(z[late]) == pytest.approx(np.full(late.sum(), math.sqrt(2) / 2), rel=1e-7)


@pytest.mark.parametrize("ratio", [0.9, 0.97, 1.03, 1.1])
def test_another_period_has_its_phase_too(ratio):
    period, actual = 1.0, ratio
    events = ns(0.3 + np.arange(4000) * actual)
    block = encoded(period, events, int(events[-1]))
    t = block.times_ns / S - 0.3
    n = int(3000 * actual / (block.spacing_ns / S))
    part = slice(100, 100 + n)
    line = 2 * np.mean(block.samples[part] * np.exp(-2j * np.pi * t[part] / actual))
    eps = period / actual
    expected = math.sqrt(2) * 2 * math.sin(math.pi * eps) / (math.pi * (1 - eps * eps))
    assert abs(np.angle(line)) < 1e-3
    assert abs(line) == pytest.approx(expected, rel=2e-3)
    # The second harmonic is the worst, 2/3 of the period's error; the alias of the fifteenth is as said.
    second = 2 * np.mean(block.samples[part] * np.exp(-4j * np.pi * t[part] / actual))
    expected = math.sqrt(2) * 2 * math.sin(2 * math.pi * eps) / (2 * math.pi * (1 - 4 * eps * eps))
    assert abs(second) == pytest.approx(abs(expected), abs=2e-3)
    assert abs(second) < 0.8 * abs(eps - 1) * abs(line)
    alias = 2 * np.mean(block.samples[part] * np.exp(-2j * np.pi * t[part] * (16 / period - 15 / actual)))
    assert abs(alias) < 3e-4 * math.sqrt(2)


def test_why_not_an_impulse_on_the_grid():
    # A share f between two grid points: the phase error of the linear division, and the harmonics.
    theta = 2 * math.pi / SAMPLES_PER_PERIOD
    f = np.linspace(0, 1, 101)
    wave = ((1 - f) + f * np.exp(-1j * theta)) * np.exp(1j * theta * f)
    assert np.angle(wave) == pytest.approx(theta**3 * f * (1 - f) * (1 - 2 * f) / 6, abs=2e-5)
    tau, period = 1.0, 1.28
    omega = 2 * math.pi / period
    impulses = np.zeros(16 * 60)
    impulses[::16] = 8.0
    z = demodulated(impulses - impulses.mean(), omega, period / 16, tau)
    ripple = np.angle(z * np.exp(-1j * omega * np.arange(len(z)) * period / 16))[-160:]
    assert np.abs(ripple).max() > 0.03


def test_nothing_is_silence_not_a_rhythm():
    block = encoded(1.0, np.empty(0, dtype=np.int64), 100 * S)
    assert block.silent.all()
    assert not block.samples.any()
    events = ns(np.arange(1, 21))
    block = encoded(1.0, events, 40 * S)
    t = block.times_ns / S
    assert not block.silent[(t > 1) & (t <= 22.0)].any()
    assert block.silent[t > 22.001].all()
    assert not block.samples[block.silent].any()


def test_a_missed_beat_dips_and_hardly_shifts():
    events = ns(np.arange(1, 300) * 1.0)
    whole = encoded(1.0, events, 299 * S)
    holed = encoded(1.0, np.delete(events, 150), 299 * S)
    spacing, omega = 1 / 16, 2 * math.pi
    z = [demodulated(block.samples, omega, spacing, 1.0) for block in (whole, holed)]
    at = np.abs(whole.times_ns / S - 151) < 8
    shift = np.abs(np.angle(z[1] * z[0].conj()))
    assert 0.1 < shift[at].max() < 0.2
    assert shift[whole.times_ns / S > 163].max() < 2e-4  # forgotten with the filter's 1 s
    assert np.abs(z[1])[at].min() < 0.9 * np.abs(z[0])[at].min()


def test_unrhythmic_events_give_no_steady_phase():
    rng = np.random.default_rng(3)
    events = ns(np.cumsum(rng.exponential(1.0, 4000)))
    block = encoded(1.0, events, int(events[-1]))
    z = demodulated(block.samples, 2 * math.pi, 1 / 16, 1.0)
    u = z[320:] / np.abs(z[320:])
    turned = u * np.exp(-2j * np.pi * np.arange(len(u)) / 16)
    assert abs(turned.mean()) < 0.1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40 * S), max_size=10), st.integers(0, 99), st.floats(0.3, 3.0))
def test_any_cut_gives_the_same(cuts, seed, period):
    rng = np.random.default_rng(seed)
    events = np.sort(ns(rng.uniform(0, 40, 50)))
    whole = PeriodicEvents(period, 0).take(events, 40 * S)
    encoder = PeriodicEvents(period, 0)
    parts = []
    for a, b in pairwise([-1, *sorted(cuts), 40 * S]):
        parts += encoder.take(events[(events > a) & (events <= b)], b)
    assert (np.concatenate([p.samples for p in parts]) == np.concatenate([p.samples for p in whole])).all()
    assert (np.concatenate([p.silent for p in parts]) == np.concatenate([p.silent for p in whole])).all()
    off = np.concatenate([p.times_ns for p in parts]) - np.concatenate([p.times_ns for p in whole])
    assert np.abs(off).max() <= 1  # rounding
    assert all(p.gap_ns == 0 for p in parts)


def test_latency_is_half_a_period():
    encoder = PeriodicEvents(1.0, 0)
    (part,) = encoder.take(ns([1.0, 2.0, 3.0]), 3 * S)
    assert part.times_ns[-1] == pytest.approx(2.5 * S)
    assert part.start_ns == 0.5 * S  # before, events that nobody watched for could reach
    assert encoder.take(np.empty(0, dtype=np.int64), 3 * S) == []


def test_lost_time_is_a_gap_and_nothing_is_made_up_around_it():
    events = ns(np.arange(1, 60))
    encoder = PeriodicEvents(1.0, 0)
    (before,) = encoder.take(events[events <= 20 * S], 20 * S)
    encoder.lose(round(30.3 * S))
    (after,) = encoder.take(events[events > 30.3 * S], 59 * S)
    assert before.times_ns[-1] == pytest.approx(19.5 * S)
    assert after.start_ns >= 30.8 * S
    assert after.gap_ns == pytest.approx(after.start_ns - before.times_ns[-1] - before.spacing_ns)
    assert after.gap
    t = after.times_ns / S
    assert np.abs(after.samples - math.sqrt(2) * np.cos(2 * np.pi * t))[t > 31].max() < 1e-7
    encoder.lose(59 * S)  # nothing more was lost
    assert encoder.take(np.array([60 * S]), 61 * S)[0].gap_ns == 0


def test_duplicates_count_once():
    events = ns(np.arange(1, 30))
    whole = encoded(1.0, events, 29 * S)
    encoder = PeriodicEvents(1.0, 0)
    (first,) = encoder.take(np.repeat(events[:10], 3), 10 * S)
    (second,) = encoder.take(np.concatenate((events[9:10], events[10:])), 29 * S)  # told again with the next call
    assert first.duplicates == 20
    assert second.duplicates == 1
    assert (np.concatenate((first.samples, second.samples)) == whole.samples).all()


def test_bad_calls_change_nothing():
    clean, beaten = PeriodicEvents(1.0, 0), PeriodicEvents(1.0, 0)
    events = ns(np.arange(1, 30))
    for encoder in (clean, beaten):
        encoder.take(events[:10], 10 * S)
    for call in (
        lambda e: e.take(events[5:6], 11 * S),
        lambda e: e.take(events[10:12], 11 * S),
        lambda e: e.take(events[[11, 10]], 13 * S),
        lambda e: e.take(np.array([10.5]) * S, 11 * S),
        lambda e: e.take(np.ones((2, 2), dtype=np.int64), 11 * S),
        lambda e: e.take(events[:0], 9 * S),
        lambda e: e.take(events[:0], 2**62),
        lambda e: e.lose(9 * S),
    ):
        with pytest.raises(KernelError):
            call(beaten)
    one, other = (encoder.take(events[10:], 29 * S)[0] for encoder in (clean, beaten))
    assert (one.samples == other.samples).all()


@pytest.mark.parametrize("period", [0.0, -1.0, math.nan, math.inf])
def test_refusals(period):
    with pytest.raises(KernelError):
        PeriodicEvents(period, 0)
    with pytest.raises(KernelError):
        PeriodicEvents(1.0, 2**62)
    with pytest.raises(KernelError):
        EventRate(period, 1.0, 0)
    with pytest.raises(KernelError):
        EventRate(1.0, period, 0)


def test_a_burst_costs_no_memory_beyond_the_call():
    encoder = PeriodicEvents(1.0, 0)
    for second in range(50):
        encoder.take(ns(second + np.linspace(0.001, 0.999, 5000)), (second + 1) * S)
    assert encoder._pending.shape == (SAMPLES_PER_PERIOD + 2,)


def test_band_is_that_of_the_period():
    band = encoder_for(Encoding("steps", Kind.EVENT, "", 1.0, period_s=0.64), since_ns=0).band("steps", 0.5)
    assert band.frequency_hz == pytest.approx(1 / 0.64)


def test_steps_of_a_walking_leg():
    """Each upward crossing of the thigh's angular rate is an event; the events' phase is that of the rate itself."""
    text = resources.files("becomingone.data").joinpath("walking-two-imus/upper_leg.csv").read_text()
    column = text.split("\n", 1)[0].strip().split(",").index("gyr_z_rad_s")
    x = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=column)[720:]
    spectrum = np.fft.rfft(x - x.mean())
    spectrum[np.abs(np.fft.rfftfreq(len(x), 1 / 120) - 0.784) > 0.25] = 0
    smooth = np.fft.irfft(spectrum, len(x))
    at = np.flatnonzero((smooth[:-1] < 0) & (smooth[1:] >= 0))
    crossings = (at + smooth[at] / (smooth[at] - smooth[at + 1])) / 120
    block = encoded(1 / 0.784, ns(crossings), len(x) * S // 120)
    t = block.times_ns / S
    events = np.sum(block.samples * np.exp(-2j * np.pi * 0.784 * t))
    rate = np.sum(np.interp(t, np.arange(len(x)) / 120, smooth) * np.exp(-2j * np.pi * 0.784 * t))
    # An upward crossing is a quarter of a period before the crest: the events lead by π/2.
    assert np.angle(events * np.conj(rate)) == pytest.approx(math.pi / 2, abs=0.1)


# --- without a period: a rate ----------------------------------------------------------------------------------------


def direct(events, t, tau, watched):
    """The definition; watched: stretches of time (from, to)."""
    weight = sum(math.exp(-(t - min(b, t)) / tau) - math.exp(-(t - a) / tau) for a, b in watched if a < t)
    return np.exp(-(t - events[events <= t]) / tau).sum() / (tau * weight)


def test_rate_equals_the_definition():
    rng = np.random.default_rng(0)
    events = np.sort(rng.uniform(100, 160, 300))
    (rate,) = EventRate(7.0, 10.0, 100 * S).take(ns(events), 160 * S)
    t = (rate.start_ns + np.arange(len(rate.rate_hz)) * rate.spacing_ns) / S
    assert t[0] == pytest.approx(100.1)
    expected = [direct(np.round(events * S) / S, v, 7.0, [(100.0, 160.0)]) for v in t]
    assert rate.rate_hz == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_rate_is_unbiased_from_the_first_and_its_deviation_is_true():
    rng = np.random.default_rng(1)
    early, late, sigma = [], [], []
    for _ in range(600):
        events = np.sort(rng.uniform(0, 60, rng.poisson(60 * 8.0)))
        (rate,) = EventRate(3.0, 4.0, 0).take(ns(events), 60 * S)
        early.append(rate.rate_hz[3])  # after one second
        late.append(rate.rate_hz[-1])
        sigma.append(rate.sigma_hz)
    assert np.mean(early) == pytest.approx(8.0, abs=0.4)
    assert np.mean(late) == pytest.approx(8.0, abs=0.2)
    assert np.std(late) == pytest.approx(math.sqrt(8.0 / 6.0), rel=0.1)
    assert np.mean(sigma) == pytest.approx(math.sqrt(8.0 / 6.0), rel=0.03)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40 * S), max_size=10), st.integers(0, 99), st.floats(0.5, 30.0))
def test_any_cut_gives_the_same_rate(cuts, seed, tau):
    rng = np.random.default_rng(seed)
    events = np.sort(ns(rng.uniform(0, 40, 80)))
    events[:5] = events[0]  # several at one instant
    events = np.concatenate((events, [S * 10, S * 20]))  # exactly on the grid
    events.sort()
    (whole,) = EventRate(tau, 10.0, 0).take(events, 40 * S)
    encoder = EventRate(tau, 10.0, 0)
    parts = []
    for a, b in pairwise([-1, *sorted(cuts), 40 * S]):
        parts += encoder.take(events[(events > a) & (events <= b)], b)
    assert np.concatenate([part.rate_hz for part in parts]) == pytest.approx(whole.rate_hz, rel=1e-12, abs=1e-12)
    assert parts[-1].sigma_hz == pytest.approx(whole.sigma_hz, rel=1e-12)


def test_rate_over_lost_time():
    rng = np.random.default_rng(2)
    events = np.sort(rng.uniform(0, 30, 90))
    seen = events[(events <= 10.33) | (events > 14.71)]
    encoder = EventRate(4.0, 5.0, 0)
    (before,) = encoder.take(ns(seen[seen <= 10.33]), round(10.33 * S))
    encoder.lose(round(14.71 * S))
    (after,) = encoder.take(ns(seen[seen > 14.71]), 30 * S)
    t = (after.start_ns + np.arange(len(after.rate_hz)) * after.spacing_ns) / S
    expected = [direct(seen, v, 4.0, [(0.0, 10.33), (14.71, 30.0)]) for v in t]
    assert after.rate_hz == pytest.approx(expected, rel=1e-6)
    assert after.gap_ns == pytest.approx(after.start_ns - before.start_ns - len(before.rate_hz) * before.spacing_ns)


def test_a_rate_has_no_phase_and_is_a_real_stream():
    steps = encoder_for(Encoding("packets", Kind.EVENT, "1/s", 4.0, scale_tau_s=2.0), since_ns=0)
    assert isinstance(steps, EventRate)
    with pytest.raises(KernelError, match="not a phase"):
        steps.band("packets", 1.0)
    rng = np.random.default_rng(4)
    t = np.sort(rng.uniform(0, 400, 20_000))
    busy = t[rng.random(len(t)) < 0.5 + 0.4 * np.cos(2 * np.pi * t / 20.0)]  # the rate has a rhythm of 20 s
    (rate,) = steps.take(ns(busy), 400 * S)
    stream = AnalogEncoder(Encoding("rate", Kind.REAL, "1/s", 4.0, mean_tau_s=100.0, scale_tau_s=100.0))
    block = stream.block(rate.rate_hz, rate.start_ns, rate.spacing_ns)
    when = block.times_ns / S
    late = when >= 200
    line = 2 * np.mean(block.samples[late] * np.exp(-2j * np.pi * when[late] / 20.0))
    assert abs(line) > 1.2
    # A leaky mean over 2 s lags by atan(ωτ).
    assert np.angle(line) == pytest.approx(-math.atan(2 * math.pi / 20 * 2.0), abs=0.1)


def test_rate_of_nothing_is_zero():
    (rate,) = EventRate(2.0, 4.0, 0).take(np.empty(0, dtype=np.int64), 10 * S)
    assert not rate.rate_hz.any()
    assert rate.sigma_hz == 0.0
    encoder = EventRate(2.0, 4.0, 0)
    with pytest.raises(KernelError):
        encoder.take(ns([1.0]), -1)
    with pytest.raises(KernelError):
        encoder.lose(-1)
    assert encoder.take(np.empty(0, dtype=np.int64), S // 8) == []
    assert encoder.take(ns([0.2]), S)[0].rate_hz.shape == (3,)  # the last grid point waits for events of its instant
