"""Every pairwise measure against its closed form, a slow implementation, and what it must not answer to."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.pairs.pair_sums import BlockSums
from becomingone.kairos.pairs.pairwise import PairMeasures, plv_floor, plv_of_epochs, plv_p
from becomingone.kairos.pairs.spectra import fourier

MEASURES = ("n_eff", "plv", "ciplv", "ppc", "pli", "wpli", "wpli2_debiased", "coherency", "imcoh", "msc")


def noise(rng, *shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def bessel_ratio(kappa):
    """I₁(κ)/I₀(κ), by the trapezoid rule over a period."""
    theta = np.arange(4096) * (2 * math.pi / 4096)
    weight = np.exp(kappa * (np.cos(theta) - 1))
    return (weight * np.cos(theta)).sum() / weight.sum()


def slow(x, y):
    """All measures of two series, sample by sample, from their definitions."""
    pairs = [(a, b) for a, b in zip(x, y, strict=True) if np.isfinite(a) and np.isfinite(b) and a != 0 and b != 0]
    n = len(pairs)
    if not n:
        return {"n_eff": 0.0} | dict.fromkeys(MEASURES[1:], math.nan)
    cross = [a * b.conjugate() for a, b in pairs]
    locking = sum(c / abs(c) for c in cross) / n
    imaginary = [c.imag for c in cross]
    both = list(itertools.permutations(range(n), 2))
    scale = math.sqrt(sum(abs(a) ** 2 for a, _ in pairs) * sum(abs(b) ** 2 for _, b in pairs))
    coherency = sum(cross) / scale
    return {
        "n_eff": n,
        "plv": abs(locking),
        "ciplv": abs(locking.imag) / math.sqrt(1 - locking.real**2),
        "ppc": np.mean([np.cos(np.angle(cross[i]) - np.angle(cross[j])) for i, j in both]) if n > 1 else math.nan,
        "pli": abs(np.mean(np.sign(imaginary))),
        "wpli": abs(sum(imaginary)) / sum(map(abs, imaginary)),
        "wpli2_debiased": sum(imaginary[i] * imaginary[j] for i, j in both)
        / sum(abs(imaginary[i] * imaginary[j]) for i, j in both)
        if n > 1
        else math.nan,
        "coherency": coherency,
        "imcoh": coherency.imag,
        "msc": abs(coherency) ** 2,
    }


def gappy(rng, epochs=12, channels=4, freqs=3):
    z = noise(rng, epochs, channels, freqs)
    z += 0.7 * np.exp(0.6j) * noise(rng, epochs, 1, freqs)
    z[rng.random(z.shape) < 0.15] = 0
    z[1, 0] = math.nan
    z[2, 1] = complex(math.inf, 0.0)
    z[3, 2] = 1e200
    return z


def test_every_measure_equals_its_definition_pair_by_pair():
    z = gappy(np.random.default_rng(0))
    z[:, 3, 2] = 0  # a channel that never has a phase at this frequency
    clean = np.where(np.abs(z) < 1e100, z, 0)
    measures = PairMeasures.of(z)
    for i, j, f in itertools.product(range(4), range(4), range(3)):
        if i == j:
            continue
        expected = slow(clean[:, i, f].tolist(), clean[:, j, f].tolist())
        for name in MEASURES:
            assert getattr(measures, name)[i, j, f] == pytest.approx(expected[name], abs=1e-12, nan_ok=True), name


def test_a_pair_counts_its_own_gaps_alone():
    z = noise(np.random.default_rng(1), 10, 3)
    z[:4, 0] = 0
    z[3:6, 1] = math.nan
    n = PairMeasures.of(z).n_eff
    assert n.tolist() == [[6, 4, 6], [4, 7, 7], [6, 7, 10]]
    whole = PairMeasures.of(z[6:])
    assert PairMeasures.of(z).plv[0, 1] == pytest.approx(whole.plv[0, 1], abs=1e-15)
    assert PairMeasures.of(z).msc[0, 1] == pytest.approx(whole.msc[0, 1], abs=1e-15)


def test_symmetry_and_diagonal():
    z = gappy(np.random.default_rng(2))[:, :, 0]
    measures = PairMeasures.of(z)
    for name in ("n_eff", "plv", "ciplv", "ppc", "pli", "wpli", "wpli2_debiased", "msc", "plv_p", "msc_p"):
        matrix = getattr(measures, name)
        assert matrix == pytest.approx(matrix.T, abs=1e-15), name
    assert measures.coherency == pytest.approx(measures.coherency.conj().T, abs=1e-15)
    assert measures.imcoh == pytest.approx(-measures.imcoh.T, abs=1e-15)
    for name in ("plv", "ppc", "coherency", "msc", "plv_p", "msc_p"):
        assert np.diag(getattr(measures, name)) == pytest.approx(np.ones(4), abs=1e-12), name
    for name in ("ciplv", "pli", "wpli", "wpli2_debiased", "imcoh"):
        assert not np.diag(getattr(measures, name)).any(), name


def test_no_sample_in_common_is_not_a_number():
    z = noise(np.random.default_rng(3), 6, 2)
    z[:3, 0] = 0
    z[3:, 1] = 0
    measures = PairMeasures.of(z)
    assert measures.n_eff[0, 1] == 0
    for name in MEASURES[1:]:
        assert np.isnan(getattr(measures, name)[0, 1]), name
        assert np.isfinite(getattr(measures, name)[0, 0]), name
    assert measures.plv_p[0, 1] == measures.msc_p[0, 1] == measures.plv_floor[0, 1] == 1


@pytest.mark.parametrize("kappa", [0.5, 2.0, 8.0])
def test_plv_of_von_mises_differences(kappa):
    rng = np.random.default_rng(4)
    difference = rng.vonmises(0.9, kappa, 200_000)
    common = rng.uniform(0, 2 * math.pi, 200_000)
    z = np.exp(1j * np.stack((common + difference, common), axis=1))
    assert PairMeasures.of(z).plv[0, 1] == pytest.approx(bessel_ratio(kappa), abs=4e-3)


@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_ppc_is_unbiased_where_plv_is_not(kappa):
    rng = np.random.default_rng(5)
    trials = 40_000
    phase = rng.vonmises(0.3, kappa, (5, trials)) if kappa else rng.uniform(-math.pi, math.pi, (5, trials))
    z = np.stack((np.exp(1j * phase), np.ones((5, trials))), axis=1)
    measures = PairMeasures.of(z)
    truth = bessel_ratio(kappa) ** 2
    assert measures.ppc[0, 1].mean() == pytest.approx(truth, abs=5e-3)
    # E|R|² = ρ² + (1 − ρ²)/n.
    assert (measures.plv[0, 1] ** 2).mean() == pytest.approx(truth + (1 - truth) / 5, abs=5e-3)


@pytest.mark.parametrize("rho", [0.25, 1.0, 4.0])
def test_coherence_of_a_shared_signal(rho):
    rng = np.random.default_rng(6)
    n = 100_000
    z = math.sqrt(rho) * noise(rng, n, 1) + noise(rng, n, 2)
    z[:, 1] *= 3.0 * np.exp(-0.7j)
    measures = PairMeasures.of(z)
    assert measures.msc[0, 1] == pytest.approx((rho / (1 + rho)) ** 2, abs=5e-3)
    assert np.angle(measures.coherency[0, 1]) == pytest.approx(0.7, abs=0.02)
    assert measures.imcoh[0, 1] == pytest.approx(math.sin(0.7) * rho / (1 + rho), abs=5e-3)


def test_a_constant_lag_is_seen_whole_by_the_lag_measures():
    rng = np.random.default_rng(7)
    x = noise(rng, 500, 1)
    z = np.concatenate((x, x * 2.0 * np.exp(-0.05j)), axis=1)
    measures = PairMeasures.of(z)
    for name in ("plv", "ciplv", "ppc", "pli", "wpli", "wpli2_debiased", "msc"):
        assert getattr(measures, name)[0, 1] == pytest.approx(1.0, abs=1e-12), name
    assert measures.imcoh[0, 1] == pytest.approx(math.sin(0.05), abs=1e-12)


def test_a_common_signal_raises_plv_and_not_the_lag_measures():
    rng = np.random.default_rng(8)
    n = 40_000
    own = noise(rng, n, 2)
    hum = noise(rng, n, 1)
    plv = []
    for amplitude in (0.0, 1.0, 3.0):
        measures = PairMeasures.of(own + amplitude * hum)
        plv.append(measures.plv[0, 1])
        for name in ("ciplv", "pli", "wpli", "wpli2_debiased", "imcoh"):
            assert abs(getattr(measures, name)[0, 1]) < 0.03, name
    assert plv[0] < 0.02
    assert plv[1] == pytest.approx(0.4063, abs=0.02)  # of Gaussian pairs with |coherency| = ½
    assert plv[2] > 0.8


def test_two_copies_of_one_signal_have_no_lag_whatever_their_gain():
    x = noise(np.random.default_rng(9), 50, 1)
    measures = PairMeasures.of(np.concatenate((x, x, 0.3 * x, -7.0 * x), axis=1))
    assert measures.plv == pytest.approx(np.ones((4, 4)), abs=1e-12)
    for name in ("pli", "wpli", "wpli2_debiased"):
        assert not getattr(measures, name).any(), name  # not the sign of a rounding error
    assert np.abs(measures.ciplv).max() < 1e-6
    assert np.abs(measures.imcoh).max() < 1e-15


def test_chance_level_of_plv():
    rng = np.random.default_rng(10)
    z = np.exp(1j * rng.uniform(0, 2 * math.pi, (20, 2, 20_000)))
    measures = PairMeasures.of(z)
    assert measures.plv[0, 1].mean() == pytest.approx(float(plv_floor(20.0)), rel=0.01)
    assert measures.plv_floor[0, 1, 0] == pytest.approx(math.sqrt(math.pi / 80))
    p = plv_p(measures.plv[0, 1, :4000], np.full(4000, 20.0))
    for level in (0.5, 0.05, 0.01):
        assert (p <= level).mean() == pytest.approx(level, abs=4 * math.sqrt(level / 4000))
    assert measures.plv_p[0, 1, :10] == pytest.approx(p[:10])
    msc = PairMeasures.of(noise(rng, 20, 2, 20_000))
    assert msc.msc[0, 1].mean() == pytest.approx(1 / 20, rel=0.02)
    assert (msc.msc_p[0, 1] <= 0.01).mean() == pytest.approx(0.01, abs=0.003)
    assert plv_floor(np.array([0.1, 1e6])) == pytest.approx([1.0, math.sqrt(math.pi / 4e6)])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(1, 9))
def test_gain_and_rotation_of_a_channel_change_nothing_but_the_angle(seed, channels, epochs):
    rng = np.random.default_rng(seed)
    z = noise(rng, epochs, channels)
    gain = np.exp(rng.uniform(-20, 20, channels))
    turn = np.exp(1j * rng.uniform(-3, 3, channels))
    order = rng.permutation(epochs)
    before, after = PairMeasures.of(z), PairMeasures.of(z[order] * gain * turn)
    for name in ("n_eff", "plv", "msc"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), abs=1e-12)
    angle = turn[:, None] * turn.conj()
    assert after.coherency == pytest.approx(before.coherency * angle, abs=1e-12)
    scaled = PairMeasures.of(z[order] * gain)
    for name in ("ciplv", "pli", "wpli", "imcoh"):
        assert getattr(scaled, name) == pytest.approx(getattr(before, name), abs=1e-9)


def test_fourier_is_the_windowed_transform_of_the_deviation():
    rng = np.random.default_rng(11)
    data = 1e5 + rng.standard_normal((3, 2, 60))
    t = np.arange(60)
    for fmin, fmax in ((4.0, 4.5), (None, None)):  # few frequencies and many go different ways
        z, frequencies = fourier(data, 30.0, fmin, fmax)
        assert z.shape == (3, 2, frequencies.shape[0])
        for k, frequency in enumerate(frequencies):
            wave = np.hanning(60) * np.exp(-2j * math.pi * frequency / 30.0 * t)
            expected = ((data - data.mean(axis=2, keepdims=True)) * wave).sum(axis=2)
            assert z[:, :, k] == pytest.approx(expected, abs=1e-9)
    assert frequencies[0] == pytest.approx(2.5)  # five periods in 2 s
    assert frequencies[-1] == pytest.approx(15.0)


def test_an_epoch_with_a_gap_or_that_stands_still_has_no_phase():
    rng = np.random.default_rng(12)
    data = rng.standard_normal((5, 3, 64))
    data[1, 0, 7] = math.nan
    data[2, 1, 0] = math.inf
    data[3, 2] = 0.1
    data[4, 2] = 0.0
    z, _ = fourier(data, 64.0)
    gone = (z == 0).all(axis=2)
    assert np.argwhere(gone).tolist() == [[1, 0], [2, 1], [3, 2], [4, 2]]
    assert (z[~gone] != 0).all()
    assert PairMeasures.of(z).n_eff[:, :, 0].tolist() == [[4, 3, 2], [3, 4, 2], [2, 2, 3]]


@pytest.mark.parametrize("gaps", [False, True])
def test_plv_of_epochs_is_plv_of_their_coefficients(gaps):
    rng = np.random.default_rng(13)
    data = rng.standard_normal((70, 3, 1000)) + rng.standard_normal((70, 1, 1000))
    if gaps:
        data[::9, 1, 4] = math.nan
    expected = PairMeasures.of(fourier(data, 100.0, 2.0, 40.0)[0]).plv
    assert plv_of_epochs(data, 100.0, 2.0, 40.0) == pytest.approx(expected, abs=1e-13)
    mean = plv_of_epochs(data, 100.0, 2.0, 40.0, average=True)
    assert mean == pytest.approx(expected.mean(axis=2), abs=1e-13)
    assert plv_of_epochs(data[:3].astype(np.float32), 100.0).shape == (3, 3, 496)


@pytest.mark.parametrize(
    ("shape", "sfreq", "fmin", "fmax"),
    [
        ((3, 2), 10.0, None, None),
        ((0, 2, 50), 10.0, None, None),
        ((3, 0, 50), 10.0, None, None),
        ((3, 2, 1), 10.0, None, None),
        ((3, 2, 50), 0.0, None, None),
        ((3, 2, 50), math.nan, None, None),
        ((3, 2, 50), 10.0, 3.0, 2.0),
        ((3, 2, 50), 10.0, -1.0, 2.0),
        ((3, 2, 50), 10.0, math.nan, 2.0),
        ((3, 2, 50), 10.0, 2.01, 2.02),
        ((3, 2, 8), 10.0, None, None),
    ],
)
def test_refusals_of_the_front_end(shape, sfreq, fmin, fmax):
    with pytest.raises(KernelError):
        fourier(np.ones(shape), sfreq, fmin, fmax)
    with pytest.raises(KernelError):
        plv_of_epochs(np.ones(shape), sfreq, fmin, fmax)


def test_refusals():
    for shape in ((3,), (0, 2), (3, 0), (1, 2, 3, 4)):
        with pytest.raises(KernelError):
            PairMeasures.of(np.ones(shape, dtype=complex))
    with pytest.raises(KernelError):
        fourier(np.ones((3, 2, 50), dtype=complex), 10.0)
    with pytest.raises(KernelError):
        plv_floor(0.0)
    with pytest.raises(KernelError):
        plv_p(np.ones(3), np.ones(2))
    with pytest.raises(KernelError):
        plv_p(np.array([1.5]), np.ones(1))


def test_sums_are_formed_once_and_only_when_asked_for():
    sums = BlockSums(noise(np.random.default_rng(14), 5, 3))
    assert sums.phase is sums.phase
    assert sums.lag is sums.lag
    assert sums.complete
