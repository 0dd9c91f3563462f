"""Temporal resonance at any lag and cycle frequency: closed forms, one stream however it is cut, no drift."""

from __future__ import annotations

import cmath
import io
import math
import tracemalloc
from fractions import Fraction
from importlib import resources
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.bands import Band
from becomingone.kairos.resonance.cyclic import cyclic_autocorrelation
from becomingone.kairos.resonance.rotor import turn, turns
from becomingone.kairos.resonance.temporal import Mode, TemporalResonances

AMPLITUDE = Mode.AMPLITUDE
OMEGA = 2 * math.pi / 17.3  # rad a sample, no whole number of samples a period


def noise(n, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(n) + 1j * rng.standard_normal(n)) / math.sqrt(2)


def run(z, lags, nu=(0.0,), **kwargs):
    resonances = TemporalResonances(lags, nu, **({"spacing_s": 1.0, "omega0": OMEGA} | kwargs))
    resonances.block(z)
    return resonances.resonance


def direct(z, y, lag, nu, *, tau=None, omega0=OMEGA, amplitude=False):
    """The definition, pair by pair, in exact sums."""
    num, a, b = [], [], []
    for n in range(lag, len(z)):
        now, past = complex(z[n]), complex(y[n - lag])
        if not (cmath.isfinite(now) and cmath.isfinite(past)):
            continue
        if not amplitude:
            if now == 0 or past == 0:
                continue
            now, past = now / abs(now), past / abs(past)
        w = 1.0 if tau is None else math.exp(-(len(z) - 1 - n) / tau)
        num.append(w * now * past.conjugate() * cmath.exp(-1j * nu * n))
        a.append(w * abs(now) ** 2)
        b.append(w * abs(past) ** 2)
    if not num:
        return 0j
    total = complex(math.fsum(v.real for v in num), math.fsum(v.imag for v in num))
    return total * cmath.exp(-1j * omega0 * lag) / math.sqrt(math.fsum(a) * math.fsum(b))


# --- closed forms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("tau", [None, 500.0])
def test_a_tone_gives_one_at_every_lag(mode, tau):
    z = 3.0 * np.exp(1j * (OMEGA * np.arange(5000) + 0.4))
    lags = [0, 1, 7, 100, 999, 2500]
    assert np.abs(run(z, lags, mode=mode, tau_s=tau)[:, 0] - 1.0).max() < 1e-11


def test_a_tone_off_the_centre_turns_by_the_lag():
    z = np.exp(1j * (OMEGA + 0.01) * np.arange(3000))
    lags = np.array([3, 50, 400])
    assert np.abs(run(z, lags.tolist())[:, 0] - np.exp(0.01j * lags)).max() < 1e-11


@pytest.mark.parametrize("rho", [0.1, 1.0, 10.0])
def test_tone_in_noise(rho):
    n = 200_000
    z = math.sqrt(rho) * np.exp(1j * OMEGA * np.arange(n)) + noise(n)
    assert run(z, [40, 333], mode=AMPLITUDE)[:, 0] == pytest.approx(rho / (1 + rho), abs=0.005)
    assert run(z, [40], mode=AMPLITUDE, tau_s=20_000.0)[0, 0] == pytest.approx(rho / (1 + rho), abs=0.02)


@pytest.mark.parametrize("m", [0.3, 1.0])
@pytest.mark.parametrize("lag", [0, 25, 60, 131])
def test_amplitude_modulation(m, lag):
    omega = 2 * math.pi / 125
    n = 250_000
    t = np.arange(n)
    z = (1 + m * np.cos(omega * t)) * np.exp(1j * OMEGA * t)
    plain, at_omega, at_twice = np.abs(run(z, [lag], (0.0, omega, 2 * omega), mode=AMPLITUDE)[0])
    mean_square = 1 + m * m / 2
    assert at_omega == pytest.approx(m * abs(math.cos(omega * lag / 2)) / mean_square, abs=1e-3)
    assert at_twice == pytest.approx(m * m / 4 / mean_square, abs=1e-3)
    assert plain == pytest.approx(abs(1 + m * m / 2 * math.cos(omega * lag)) / mean_square, abs=1e-3)


@pytest.mark.parametrize("lag", [20, 62, 131])
def test_frequency_modulation_gives_bessel_functions(lag):
    omega, beta = 2 * math.pi / 125, 0.9
    t = np.arange(250_000)
    z = np.exp(1j * (OMEGA * t + beta * np.sin(omega * t)))
    orders = np.arange(-3, 4)
    found = np.abs(run(z, [lag], (orders * omega).tolist())[0])
    theta = (np.arange(256) + 0.5) * (2 * np.pi / 256)
    x = 2 * beta * math.sin(omega * lag / 2)
    bessel = np.abs(np.exp(1j * (orders[:, None] * theta - x * np.sin(theta))).mean(axis=1))
    assert found == pytest.approx(bessel, abs=5e-4)


@pytest.mark.parametrize("diffusion", [1e-3, 1e-2])
def test_phase_diffusion(diffusion):
    n = 1_000_000
    walk = np.cumsum(np.random.default_rng(5).standard_normal(n) * math.sqrt(2 * diffusion))
    z = np.exp(1j * (OMEGA * np.arange(n) + walk))
    lags = [10, 50, 100]
    expected = np.exp(-diffusion * np.array(lags))
    # The walk forgets its phase in 1/D samples: n·D independent pieces.
    assert np.abs(run(z, lags)[:, 0] - expected).max() < 3 / math.sqrt(n * diffusion)


def test_zero_lag_of_two_channels_is_the_phase_locking_value_and_the_coherency():
    rng = np.random.default_rng(3)
    common = noise(4000, 1)
    x, y = common + 0.5 * noise(4000, 2), np.exp(0.7j) * common * rng.uniform(0.5, 2, 4000)
    kwargs = {"spacing_s": 1.0}
    phase, both = TemporalResonances([0], **kwargs), TemporalResonances([0], mode=AMPLITUDE, **kwargs)
    phase.block(x, y)
    both.block(x, y)
    assert phase.resonance[0, 0] == pytest.approx(np.mean(x / abs(x) * (y / abs(y)).conj()), abs=1e-13)
    coherency = np.vdot(y, x) / math.sqrt((abs(x) ** 2).sum() * (abs(y) ** 2).sum())
    assert both.resonance[0, 0] == pytest.approx(coherency, abs=1e-13)


def test_the_phase_velocity_product_is_not_this():
    # Band-limited noise: sample-to-sample phase velocities are alike whatever the lag; T tells how it decorrelates.
    alpha = 0.02
    response = alpha * (1 - alpha) ** np.arange(600)
    response = np.convolve(response, response)
    z = np.convolve(noise(400_000), response, mode="valid")
    z = z * np.exp(1j * OMEGA * np.arange(len(z)))
    lag = 90
    rho = (response[lag:] @ response[:-lag]) / (response @ response)
    assert rho < 0.5
    assert abs(run(z, [lag], mode=AMPLITUDE)[0, 0]) == pytest.approx(rho, abs=0.02)
    velocity = z[1:] * z[:-1].conj()
    velocity /= abs(velocity)
    assert abs(np.mean(velocity[lag:] * velocity[:-lag].conj())) > 0.95


# --- against the definition, however the stream is cut --------------------------------------------------------------


def holes(z, seed):
    rng = np.random.default_rng(seed)
    z = z.copy()
    z[rng.random(len(z)) < 0.05] = np.nan
    z[rng.random(len(z)) < 0.05] = 0.0
    z[rng.integers(0, len(z), 2)] = [complex(np.inf, 1), 1e200]
    z[300:420] = np.nan
    return z


@pytest.mark.parametrize("amplitude", [False, True])
@pytest.mark.parametrize("tau", [None, 80.0])
@pytest.mark.parametrize("cross", [False, True])
def test_block_and_step_equal_the_definition(amplitude, tau, cross):
    z = holes(noise(900, 1) + np.exp(1j * OMEGA * np.arange(900)), 2)
    y = holes(noise(900, 3) + np.exp(1j * OMEGA * np.arange(900)), 4) if cross else None
    lags, nu = [0, 5, 64, 200], [0.0, 0.3, -1.1]
    kwargs = {"spacing_s": 1.0, "omega0": OMEGA, "tau_s": tau, "mode": AMPLITUDE if amplitude else Mode.PHASE}
    block, step = TemporalResonances(lags, nu, **kwargs), TemporalResonances(lags, nu, **kwargs)
    block.block(z, y)
    for i in range(900):
        step.step(z[i], None if y is None else y[i])
    reference = np.where(np.abs(z) < 1e150, z, np.nan)
    past = reference if y is None else np.where(np.abs(y) < 1e150, y, np.nan)
    expected = [[direct(reference, past, lag, f, tau=tau, amplitude=amplitude) for f in nu] for lag in lags]
    assert np.abs(block.resonance - expected).max() < 1e-12
    assert np.abs(step.resonance - block.resonance).max() < 1e-12
    assert step.weight == pytest.approx(block.weight, rel=1e-12)
    assert step.effective_pairs == pytest.approx(block.effective_pairs, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 5999), max_size=10, unique=True),
    st.sampled_from([None, 700.0]),
    st.sampled_from(list(Mode)),
    st.integers(0, 2),
)
def test_any_cut_gives_the_same(cuts, tau, mode, broken):
    z = noise(6000, broken) + np.exp(1j * OMEGA * np.arange(6000))
    if broken:
        z = holes(z, broken)
    kwargs = {"spacing_s": 1.0, "omega0": OMEGA, "tau_s": tau, "mode": mode}
    whole, cut = (TemporalResonances([0, 3, 500, 2600], [0.0, 0.7], **kwargs) for _ in range(2))
    whole.block(z)
    edges = [0, *sorted(cuts), 6000]
    for start, stop in pairwise(edges):
        cut.block(z[start:stop])
    assert np.abs(cut.resonance - whole.resonance).max() < 1e-12
    assert cut.weight == pytest.approx(whole.weight, rel=1e-12)
    assert cut.count == whole.count == 6000


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.floats(-150, 99), st.sampled_from(list(Mode)), st.booleans())
def test_modulus_is_at_most_one_whatever_comes(seed, n, exponent, mode, windowed):
    rng = np.random.default_rng(seed)
    resonances = TemporalResonances(
        [0, 1, 5], [0.0, 1.0], spacing_s=1.0, omega0=0.5, tau_s=3.0 if windowed else None, mode=mode
    )
    for _ in range(3):
        z = noise(n, seed) * 10.0 ** (exponent * rng.random(n))
        z[rng.random(n) < 0.2] = rng.choice([np.nan, np.inf, 0.0, 1e308])
        y = np.exp(1j * rng.random(n)) if seed % 2 else None
        resonances.block(z, y)
        if rng.random() < 0.3:
            resonances.skip(int(10 ** rng.uniform(0, 6)))
        values = resonances.resonance
        assert np.isfinite(values).all()
        assert np.abs(values).max() <= 1.0 + 1e-15
        assert (resonances.weight >= 0).all()


# --- long runs -------------------------------------------------------------------------------------------------------


def test_a_million_samples_do_not_drift():
    n, tau, lag, nu = 1_000_000, 3000.0, 700, 0.123
    z = noise(n, 8) + np.exp(1j * OMEGA * np.arange(n))
    resonances = TemporalResonances([lag], [0.0, nu], spacing_s=1.0, omega0=OMEGA, tau_s=tau)
    for start in range(0, n, 1111):
        resonances.block(z[start : start + 1111])
    u = z / np.abs(z)
    ages = np.arange(n - 1, lag - 1, -1)
    pairs = u[lag:] * u[:-lag].conj() * np.exp(-ages / tau) / np.exp(-ages / tau).sum()
    for got, f in zip(resonances.resonance[0], (0.0, nu), strict=True):
        expected = (pairs * np.exp(-1j * f * np.arange(lag, n))).sum() * np.exp(-1j * OMEGA * lag)
        # The expectation's own angle, f·n = 123 000 rad as a float, is good to 1e-11.
        assert abs(got - expected) < (1e-12 if f == 0.0 else 3e-11)


@pytest.mark.parametrize("n", [30_000, pytest.param(1_000_000, marks=pytest.mark.campaign)])
def test_very_many_single_steps_equal_blocks(n):
    z = noise(n, 8) + np.exp(1j * OMEGA * np.arange(n))
    kwargs = {"spacing_s": 1.0, "omega0": OMEGA, "tau_s": 3000.0}
    block, step = (TemporalResonances([700], [0.123], **kwargs) for _ in range(2))
    for start in range(0, n, 1024):
        block.block(z[start : start + 1024])
    for sample in z.tolist():
        step.step(sample)
    assert np.abs(step.resonance - block.resonance).max() < 1e-12
    assert step.weight == pytest.approx(block.weight, rel=1e-12)


def test_the_rotor_is_exact_however_far_it_is():
    cycles = 0.1234567
    for index in (0, 1, 10**8, 10**15, -7):
        share = Fraction(cycles) * index % 1
        assert abs(turn(cycles, index) - cmath.exp(-2j * math.pi * float(share))) < 1e-15
    table = turns(cycles, 4096)
    assert max(abs(table[k] - turn(cycles, k)) for k in range(4096)) < 3e-15


def test_cycle_frequency_keeps_its_phase_after_a_hundred_million_samples():
    nu, n, before = 2 * math.pi * 0.11, 4096, 100_000_000
    resonances = TemporalResonances([16], [nu], spacing_s=1.0)
    resonances.skip(before)
    phase = np.array([(Fraction(nu * 1.0 / (2 * math.pi)) * (before + k)) % 1 for k in range(n)], dtype=float)
    y = np.ones(n, dtype=complex)
    resonances.block(np.exp(2j * np.pi * phase), y)  # z·y* turns at ν, counted from the first sample
    assert abs(resonances.resonance[0, 0] - 1.0) < 1e-13


def test_memory_is_constant():
    resonances = TemporalResonances([5000], [0.0, 0.1], spacing_s=1.0, tau_s=100.0)
    z = noise(1500)
    for n in (1500, 1, 700, 1500):
        resonances.block(z[:n])
    tracemalloc.start()
    resonances.block(z)
    before = tracemalloc.get_traced_memory()[0]
    for k in range(400):
        resonances.block(z[: 1000 + k])
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 400_000  # four tables of one stretch each, not four hundred


# --- gaps, starts and refusals ---------------------------------------------------------------------------------------


def test_skip_equals_missing_samples():
    z = noise(700)
    one, other = (TemporalResonances([0, 30, 3000], [0.0, 0.4], spacing_s=1.0, tau_s=200.0) for _ in range(2))
    for resonances in (one, other):
        resonances.block(z[:400])
    one.skip(150)
    other.block(np.full(150, np.nan, dtype=complex))
    for resonances in (one, other):
        resonances.block(z[400:])
    assert np.abs(one.resonance - other.resonance).max() < 1e-13
    assert one.weight == pytest.approx(other.weight, rel=1e-12)
    assert one.count == other.count == 850


def test_nothing_before_the_first_pair_and_one_for_it():
    resonances = TemporalResonances([3], spacing_s=1.0)
    resonances.block(np.array([1.0, 1j, -1.0]))
    assert resonances.resonance[0, 0] == 0
    assert resonances.effective_pairs[0] == 0
    resonances.step(np.exp(0.3j))
    assert abs(resonances.resonance[0, 0]) == pytest.approx(1.0)  # which says nothing
    assert resonances.effective_pairs[0] == pytest.approx(1.0)


@pytest.mark.parametrize("n", [100, 5000])
def test_effective_pairs_of_an_exponential_window(n):
    resonances = TemporalResonances([10], spacing_s=1.0, tau_s=50.0)
    resonances.block(noise(n))
    lam = math.exp(-1 / 50)
    pairs = n - 10
    expected = (1 + lam) / (1 - lam) * (1 - lam**pairs) / (1 + lam**pairs)
    assert resonances.effective_pairs[0] == pytest.approx(expected, rel=1e-9)
    assert resonances.weight[0] == pytest.approx(1 - lam**pairs, rel=1e-12)


def test_bad_samples_poison_nothing():
    z = np.exp(1j * OMEGA * np.arange(2000))
    resonances = TemporalResonances([40], spacing_s=1.0, omega0=OMEGA, tau_s=300.0, mode=AMPLITUDE)
    resonances.block(z[:500])
    with pytest.raises(KernelError):
        resonances.block(np.empty(0, dtype=complex))
    with pytest.raises(KernelError):
        resonances.block(z[:10], z[:9])
    for bad in (np.nan, np.inf, complex(1e308, 1e308), 1e200):
        resonances.block(np.full(25, bad, dtype=complex))
        resonances.step(bad)
    resonances.block(z[604:])
    assert abs(resonances.resonance[0, 0] - 1) < 1e-12
    resonances.clear()
    resonances.block(z)
    assert resonances.resonance[0, 0] == run(z, [40], tau_s=300.0, mode=AMPLITUDE)[0, 0]


def test_result_depends_on_the_ratio_of_times_only():
    z = noise(3000) + np.exp(1j * OMEGA * np.arange(3000))
    reference = run(z, [60], [0.2], tau_s=400.0)
    for scale in 10.0 ** np.arange(-6, 4):
        scaled = TemporalResonances([60], [0.2 / scale], spacing_s=scale, omega0=OMEGA / scale, tau_s=400.0 * scale)
        scaled.block(z)
        assert abs(scaled.resonance - reference).max() < 1e-12


def test_of_band_takes_the_bands_lag_and_window():
    band = Band.of("b", 1.5, 0.5)
    resonances = TemporalResonances.of_band(band, 1 / 60, nu=(0.0,))
    t = np.arange(6000) / 60
    resonances.block(np.exp(1j * (band.omega * t + 1.0)))
    assert abs(resonances.resonance[0, 0] - 1) < 1e-9
    with pytest.raises(KernelError):
        TemporalResonances.of_band(band, 1 / 60, lags_s=[3.0])  # below 2πτ
    with pytest.raises(KernelError):
        TemporalResonances.of_band(band, 0.0)
    with pytest.raises(KernelError):
        TemporalResonances.of_band(band, 0.5)  # the band's own frequency is above Nyquist


@pytest.mark.parametrize(
    "kwargs",
    [
        {"lags": []},
        {"lags": [-1]},
        {"lags": [1.5]},
        {"nu": []},
        {"nu": [3.2]},
        {"nu": [math.nan]},
        {"spacing_s": 0.0},
        {"spacing_s": math.inf},
        {"omega0": 4.0},
        {"tau_s": 0.0},
        {"tau_s": -1.0},
    ],
)
def test_refusals(kwargs):
    given = {"lags": [3], "nu": [0.0], "spacing_s": 1.0} | kwargs
    with pytest.raises(KernelError):
        TemporalResonances(given.pop("lags"), given.pop("nu"), **given)
    with pytest.raises(KernelError):
        TemporalResonances([3], spacing_s=1.0).skip(-1)
    with pytest.raises(KernelError):
        TemporalResonances([3], spacing_s=1.0).block(np.ones((2, 2), dtype=complex))


# --- all cycle frequencies at once ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("n", [500, 501])
@pytest.mark.parametrize("cross", [False, True])
def test_one_fft_gives_what_the_stream_gives(mode, n, cross):
    z = holes(noise(n, 1) + 1, 5)
    y = holes(noise(n, 2), 6) if cross else None
    nu, all_at_once = cyclic_autocorrelation(z, 30, spacing_s=0.5, omega0=1.0, y=y, mode=mode)
    picked = [0, 1, n // 2, n // 2 + 3, n - 1]
    resonances = TemporalResonances([30], nu[picked].tolist(), spacing_s=0.5, omega0=1.0, mode=mode)
    resonances.block(z, y)
    assert nu[n // 2] == 0.0
    assert np.abs(resonances.resonance[0] - all_at_once[picked]).max() < 1e-12
    assert np.abs(all_at_once).max() <= 1.0


def test_hidden_rhythm_of_the_amplitude_is_found():
    n, omega = 8192, 2 * math.pi * 100 / 8192
    z = noise(n) * (1 + 0.8 * np.cos(omega * np.arange(n)))  # no line in its spectrum
    nu, found = cyclic_autocorrelation(z, 0, spacing_s=1.0, mode=AMPLITUDE)
    off = np.abs(nu) > 1e-9
    assert abs(nu[off][np.argmax(np.abs(found[off]))]) == pytest.approx(omega)
    assert np.abs(found).max() <= 1.0


def test_cyclic_autocorrelation_refuses():
    z = noise(20)
    for kwargs in ({"lag": 20}, {"lag": -1}, {"lag": 1.5}, {"spacing_s": 0.0}, {"y": z[:5]}, {"omega0": 9.0}):
        with pytest.raises(KernelError):
            cyclic_autocorrelation(z, **({"lag": 3, "spacing_s": 1.0} | kwargs))
    _, nothing = cyclic_autocorrelation(np.full(20, np.nan, dtype=complex), 3, spacing_s=1.0)
    assert not nothing.any()


def test_a_walking_leg_resonates_with_its_own_stride():
    path = "walking-two-imus/upper_leg.csv"
    text = resources.files("becomingone.data").joinpath(path).read_text()
    column = text.split("\n", 1)[0].strip().split(",").index("gyr_z_rad_s")
    x = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=column)[720:]
    spectrum = np.fft.fft(x - x.mean())
    spectrum[np.abs(np.abs(np.fft.fftfreq(len(x), 1 / 120)) - 0.78) > 0.3] = 0
    spectrum[len(x) // 2 :] = 0
    z = np.fft.ifft(spectrum)
    stride = round(120 / 0.784)
    omega0 = 2 * math.pi * 0.784
    three = TemporalResonances([stride, 3 * stride], spacing_s=1 / 120, omega0=omega0)
    three.block(z)
    assert abs(three.resonance[0, 0]) > 0.97
    assert abs(cmath.phase(three.resonance[0, 0])) < 0.1
    assert abs(three.resonance[1, 0]) > 0.9
