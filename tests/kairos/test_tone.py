"""The maximum-likelihood tone: at the Cramér-Rao bound, with deviations and p-values that are true."""

from __future__ import annotations

import io
import math
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.resonance.tone import estimate_tone, estimate_tone_at
from becomingone.kairos.resonance.tone_fit import ToneFit
from becomingone.kairos.resonance.tone_search import peak_p


def wrapped(angle):
    return np.angle(np.exp(1j * np.asarray(angle)))


def sample(t, f, phase, amplitude=1.0, *, real):
    angle = 2 * np.pi * f * t + phase
    return amplitude * (np.cos(angle) if real else np.exp(1j * angle))


def noise(rng, n, power, *, real):
    if real:
        return rng.standard_normal(n) * math.sqrt(power)
    return (rng.standard_normal(n) + 1j * rng.standard_normal(n)) * math.sqrt(power / 2)


@pytest.mark.parametrize("real", [False, True])
def test_variance_is_the_cramer_rao_bound_at_0_db(real):
    n, f, runs = 256, 0.1237, 1200
    rng = np.random.default_rng(3)
    t = np.arange(n)
    power = 0.5 if real else 1.0  # of a tone of amplitude 1, hence of the noise at 0 dB
    rows = []
    for _ in range(runs):
        phase = rng.uniform(-3, 3)
        tone = estimate_tone(sample(t, f, phase, real=real) + noise(rng, n, power, real=real), 1.0)
        off = (
            tone.frequency_hz - f,
            wrapped(tone.phase - phase - 2 * np.pi * f * tone.time_s),
            tone.amplitude - 1.0,
        )
        rows.append((*off, tone.frequency_sigma_hz, tone.phase_sigma, tone.amplitude_sigma, tone.noise_power))
    rows = np.array(rows, dtype=float)
    twice = 4.0 if real else 1.0  # a real tone of amplitude A has a quarter of the information of a complex one ...
    power_of_noise = power  # ... in noise of the same power
    bound = (
        twice * 6 * power_of_noise / (n * (n * n - 1)) / (2 * np.pi) ** 2,
        twice * power_of_noise / (2 * n),
        twice * power_of_noise / (2 * n),
    )
    variance = rows[:, :3].var(axis=0)
    # Of 1200 runs a variance is known to 4 %.
    assert (variance[:2] <= 1.1 * np.array(bound[:2])).all()
    assert variance == pytest.approx(bound, rel=0.15)
    assert (np.abs(rows[:, :2].mean(axis=0)) < 4 * np.sqrt(np.array(bound[:2]) / runs)).all()  # unbiased
    assert rows[:, 3:6].mean(axis=0) == pytest.approx(np.sqrt(bound), rel=0.05)  # and says so itself
    assert rows[:, 6].mean() == pytest.approx(power, rel=0.02)


def test_phase_at_another_instant_is_less_certain():
    n, f = 256, 0.2
    rng = np.random.default_rng(5)
    t = np.arange(n)
    off, sigma = [], []
    for _ in range(300):
        x = sample(t, f, 0.5, real=False) + noise(rng, n, 1.0, real=False)
        tone = estimate_tone(x, 1.0, at_s=0.0)
        off.append(wrapped(tone.phase - 0.5))
        sigma.append(tone.phase_sigma)
        assert tone.time_s == 0.0
    assert np.mean(sigma) == pytest.approx(math.sqrt(4 / (2 * n)), rel=0.05)  # twice that of the middle
    assert np.std(off) == pytest.approx(np.mean(sigma), rel=0.15)


@settings(max_examples=60, deadline=None)
@given(
    st.booleans(),
    st.integers(20, 400),
    st.floats(0.06, 0.44),
    st.floats(-3.1, 3.1),
    st.floats(-90, 90),
    st.floats(-6, 4),
)
def test_a_clean_tone_is_found_to_rounding(real, n, f, phase, exponent, decade):
    spacing, amplitude = 10.0**decade, 10.0**exponent
    t = np.arange(n)
    f = f if real or n % 2 else -f
    tone = estimate_tone(sample(t, f, phase, amplitude, real=real), spacing, offset=False)
    assert tone.frequency_hz * spacing == pytest.approx(f, abs=1e-12)
    middle = (n - 1) / 2
    assert tone.time_s == pytest.approx(middle * spacing)
    assert wrapped(tone.phase - phase - 2 * np.pi * f * middle) == pytest.approx(0.0, abs=1e-10)
    assert tone.amplitude == pytest.approx(amplitude, rel=1e-11)
    assert tone.p < 1e-3
    assert tone.valid
    assert not tone.at_edge


def test_missing_samples_and_a_constant():
    rng = np.random.default_rng(0)
    t = np.arange(400)
    x = 101_325.0 + sample(t, 0.031, 0.7, 5.0, real=True) + rng.standard_normal(400)
    x[rng.random(400) < 0.3] = np.nan
    x[10], x[11] = np.inf, 1e300
    tone = estimate_tone(x, 0.5)
    assert tone.n == np.count_nonzero(np.abs(x) < 1e100)
    assert abs(tone.frequency_hz - 0.062) < 4 * tone.frequency_sigma_hz
    assert abs(wrapped(tone.phase - 0.7 - 2 * np.pi * 0.062 * tone.time_s)) < 4 * tone.phase_sigma
    assert abs(tone.amplitude - 5.0) < 4 * tone.amplitude_sigma
    assert tone.noise_power == pytest.approx(1.0, rel=0.2)
    assert tone.p < 1e-30


def test_a_low_tone_is_not_pulled_by_its_image_or_the_constant():
    # One and a half periods: the periodogram's own peak is off by far more than the likelihood's.
    n = 120
    t = np.arange(n)
    for phase in np.linspace(-3, 3, 9):
        tone = estimate_tone(7.0 + sample(t, 1.5 / n, phase, real=True), 1.0)
        assert tone.frequency_hz == pytest.approx(1.5 / n, rel=1e-6)
        assert tone.amplitude == pytest.approx(1.0, rel=1e-6)


def test_the_band_decides_which_tone():
    t = np.arange(500)
    x = 3 * np.exp(0.9j * t) + np.exp(0.3j * t) + 0.5 * np.exp(-0.5j * t)
    assert estimate_tone(x, 1.0).frequency_hz * 2 * np.pi == pytest.approx(0.9, abs=2e-3)
    low = estimate_tone(x, 1.0, band_hz=(0.02, 0.1))
    assert low.frequency_hz * 2 * np.pi == pytest.approx(0.3, abs=2e-3)
    assert not low.at_edge
    assert estimate_tone(x, 1.0, band_hz=(-0.2, 0.0)).frequency_hz * 2 * np.pi == pytest.approx(-0.5, abs=5e-3)
    edge = estimate_tone(x, 1.0, band_hz=(0.1, 0.14))
    assert edge.at_edge
    assert edge.frequency_hz == pytest.approx(0.14)


def test_a_tone_at_the_wrap_of_the_complex_spectrum():
    t = np.arange(100)
    for f in (0.4999, 0.5, -0.4999):
        tone = estimate_tone(np.exp(2j * np.pi * f * t), 1.0)
        assert wrapped(2 * np.pi * (tone.frequency_hz - f)) == pytest.approx(0.0, abs=1e-12)
        assert -0.5 <= tone.frequency_hz <= 0.5


# --- significance ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("band", [None, (0.2, 0.21)])
def test_false_alarms_are_as_often_as_p_says(real, band):
    rng = np.random.default_rng(9)
    p = np.array([estimate_tone(noise(rng, 48, 3.0, real=real), 1.0, band_hz=band).p for _ in range(800)])
    for level in (0.01, 0.05, 0.1):
        found = (p < level).mean()
        assert found <= level + 3 * math.sqrt(level / 800)
    assert (p < 0.1).mean() >= 0.1 - 3 * math.sqrt(0.1 / 800)


def test_p_at_one_frequency_is_the_beta_distribution():
    # Width 0: the share of the energy that two of D degrees of freedom hold.
    assert peak_p(0.2, 40.0, 0.0) == pytest.approx(0.8**19)
    assert peak_p(0.0, 40.0, 10.0) == 1.0
    assert peak_p(1.0, 40.0, 10.0) == 0.0
    assert peak_p(0.3, 1e6, 100.0) == 0.0  # no overflow of the gamma functions


def test_derivatives_of_the_likelihood():
    rng = np.random.default_rng(1)
    for real in (False, True):
        for offset in (False, True):
            t = np.sort(rng.uniform(-20, 20, 60))
            fit = ToneFit(sample(t, 0.1, 1.0, real=real) + noise(rng, 60, 0.3, real=real), t, offset=offset)
            for omega in (0.3, 0.61, 0.9):
                step = 1e-4
                low, _, _ = fit.explained(omega - step)
                value, slope, curvature = fit.explained(omega)
                high, _, _ = fit.explained(omega + step)
                assert slope == pytest.approx((high - low) / (2 * step), rel=1e-4, abs=1e-3)
                assert curvature == pytest.approx((high - 2 * value + low) / step**2, rel=1e-3, abs=0.5)


# --- samples at any time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("real", [False, True])
def test_irregular_samples(real):
    rng = np.random.default_rng(12)
    f, runs, n = 0.137, 150, 80
    rows = []
    for _ in range(runs):
        t = 1000.0 + rng.uniform(0, 100, n)  # in no order
        phase = rng.uniform(-3, 3)
        x = 4.0 * real + sample(t, f, phase, real=real) + noise(rng, n, 0.25, real=real)
        tone = estimate_tone_at(x, t, band_hz=(0.05, 0.5))
        off = wrapped(tone.phase - phase - 2 * np.pi * f * tone.time_s)
        rows.append(
            (
                (tone.frequency_hz - f) / tone.frequency_sigma_hz,
                off / tone.phase_sigma,
                (tone.amplitude - 1) / tone.amplitude_sigma,
            )
        )
        assert tone.time_s == pytest.approx(t.mean())
        assert tone.p < 1e-4
    rows = np.array(rows, dtype=float)
    assert rows.std(axis=0) == pytest.approx(np.ones(3), abs=0.2)
    assert (np.abs(rows.mean(axis=0)) < 0.35).all()


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("real", [False, True])
def test_both_ways_agree_on_uniform_samples(real, offset):
    rng = np.random.default_rng(4)
    t = np.arange(150) * 0.2
    x = sample(t, 0.8, 0.3, real=real) + noise(rng, 150, 1.0, real=real) + 2.0 * offset
    kwargs = {"band_hz": (0.3, 1.6), "at_s": 4.0, "offset": offset}
    one, other = estimate_tone(x, 0.2, **kwargs), estimate_tone_at(x, t, **kwargs)
    for name in ("frequency_hz", "phase", "amplitude", "frequency_sigma_hz", "phase_sigma", "noise_power", "p"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-6), name


def test_order_and_epoch_do_not_matter():
    rng = np.random.default_rng(6)
    t = rng.uniform(0, 50, 60)
    x = sample(t, 0.3, 1.0, real=True) + 0.3 * rng.standard_normal(60)
    order = rng.permutation(60)
    one = estimate_tone_at(x, t, band_hz=(0.1, 1.0))
    other = estimate_tone_at(x[order], t[order] + 4096.0, band_hz=(0.1, 1.0))
    assert other.frequency_hz == pytest.approx(one.frequency_hz, rel=1e-9)
    assert other.phase == pytest.approx(one.phase, abs=1e-8)
    assert other.time_s == pytest.approx(one.time_s + 4096.0)


# --- real recordings -------------------------------------------------------------------------------------------------


def gyroscope(name):
    text = resources.files("becomingone.data").joinpath(f"walking-two-imus/{name}.csv").read_text()
    column = text.split("\n", 1)[0].strip().split(",").index("gyr_z_rad_s")
    return np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=column)[720:]


def test_thigh_and_shank_of_a_walking_leg():
    thigh, shank = (estimate_tone(gyroscope(name), 1 / 120, band_hz=(0.6, 1.0)) for name in ("upper_leg", "lower_leg"))
    assert thigh.frequency_hz == pytest.approx(0.784, abs=0.005)
    assert shank.frequency_hz == pytest.approx(thigh.frequency_hz, abs=0.005)
    assert wrapped(thigh.phase - shank.phase) == pytest.approx(0.75, abs=0.05)
    assert max(thigh.p, shank.p) < 1e-100
    every = estimate_tone_at(gyroscope("upper_leg")[::24], np.arange(0, 2791, 24) / 120, band_hz=(0.6, 1.0))
    assert every.frequency_hz == pytest.approx(thigh.frequency_hz, abs=0.01)


# --- what cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [np.full(50, 3.0), np.zeros(50), np.zeros(50, dtype=complex)])
def test_a_constant_has_no_tone(x):
    tone = estimate_tone(x, 0.1, band_hz=(1.0, 2.0))
    assert (tone.valid, tone.amplitude, tone.p, tone.snr) == (False, 0.0, 1.0, 0.0)
    assert tone.frequency_hz == pytest.approx(1.5)
    assert tone.frequency_sigma_hz == math.inf


def test_refusals():
    good = np.cos(np.arange(50.0))
    for x in (np.empty(0), np.ones((5, 5)), np.full(50, np.nan), good[:5], np.ones(3, dtype=complex)):
        with pytest.raises(KernelError):
            estimate_tone(x, 1.0)
    for kwargs in (
        {"spacing_s": 0.0},
        {"spacing_s": math.nan},
        {"band_hz": (0.3, 0.2)},
        {"band_hz": (0.1, 0.6)},
        {"band_hz": (math.nan, 0.2)},
        {"band_hz": (0.0, 0.005)},
        {"at_s": math.inf},
    ):
        with pytest.raises(KernelError):
            estimate_tone(good, **({"spacing_s": 1.0} | kwargs))
    t = np.arange(50.0)
    for x, times in ((good, t[:9]), (good, np.zeros(50)), (good, np.where(t == 3, np.nan, t))):
        with pytest.raises(KernelError):
            estimate_tone_at(x, times, band_hz=(0.1, 0.2))
