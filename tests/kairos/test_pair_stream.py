"""Streams give the same figures as blocks, for any cut, and know how much they are worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.pairs.pair_correlation import LONGEST
from becomingone.kairos.pairs.pair_stream import PairStream
from becomingone.kairos.pairs.pairwise import PairMeasures

DT = 0.1
MEASURES = ("plv", "ciplv", "ppc", "pli", "wpli", "wpli2_debiased", "coherency", "imcoh", "msc", "plv_p", "plv_floor")


def stream(channels=4, tau=5.0, **options):
    return PairStream(channels, tau_s=tau, spacing_s=DT, **options)


def samples(n, channels=4, seed=0):
    """Amplitudes that share something, with gaps of every kind."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, channels)) + 1j * rng.standard_normal((n, channels))
    z += np.exp(0.7j) * (rng.standard_normal((n, 1)) + 1j * rng.standard_normal((n, 1)))
    z[rng.random(z.shape) < 0.1] = 0
    z[rng.random(z.shape) < 0.02] = math.nan
    z[rng.random(z.shape) < 0.02] = complex(0.0, math.inf)
    z[rng.random(z.shape) < 0.02] = 1e90
    return z, rng.random((n, channels))


def noise_of_a_band(rng, n, channels, tau):
    """White noise through the two poles of a band at 0.78 Hz."""
    rotor = math.exp(-DT / tau) * np.exp(2j * math.pi * 0.78 * DT)
    z = np.zeros((2, channels), dtype=complex)
    out = np.empty((n, channels), dtype=complex)
    for k, x in enumerate(rng.standard_normal((n, channels))):
        z[0] = rotor * z[0] + x
        z[1] = rotor * z[1] + z[0]
        out[k] = z[1]
    return out[round(10 * tau / DT) :]


def same(a, b, tolerance=1e-12):
    assert a.n_eff == pytest.approx(b.n_eff, rel=tolerance, abs=tolerance)
    for name in MEASURES:
        assert getattr(a, name) == pytest.approx(getattr(b, name), abs=tolerance, nan_ok=True), name


@pytest.mark.parametrize("amplitude", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("correlation", [None, 0.35])
def test_tick_by_tick_is_one_block(amplitude, weighted, correlation):
    z, weight = samples(300)
    w = weight if weighted else None
    whole = stream(amplitude=amplitude, correlation_s=correlation)
    whole.block(z, w)
    ticks = stream(amplitude=amplitude, correlation_s=correlation)
    for k in range(300):
        ticks.tick(z[k], None if w is None else w[k])
    same(ticks.measures(), whole.measures())
    assert ticks.coverage == pytest.approx(whole.coverage, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 130), min_size=1, max_size=8), st.booleans(), st.integers(0, 1000))
def test_any_cut_gives_the_same(cuts, amplitude, seed):
    n = sum(cuts)
    z, w = samples(n, 3, seed)
    whole, parts = stream(3, amplitude=amplitude), stream(3, amplitude=amplitude)
    whole.block(z, w)
    start = 0
    for cut in cuts:
        parts.block(z[start : start + cut], w[start : start + cut])
        start += cut
    same(parts.measures(), whole.measures())


@pytest.mark.parametrize("amplitude", [False, True])
def test_every_sum_is_the_leaky_one(amplitude):
    """Pair by pair and tick by tick, with the weights written out."""
    n, tau = 200, 3.0
    z, share = samples(n, 3)
    s = stream(3, tau, amplitude=amplitude, correlation_s=0.25)
    s.block(z, share)
    measures = s.measures()
    alpha = -math.expm1(-DT / tau)
    age = alpha * np.exp(-DT / tau * np.arange(n - 1, -1, -1))
    good = np.isfinite(z) & (np.abs(np.where(np.isfinite(z), z, 0)) < 1e80) & (z != 0)
    for i, j in ((0, 1), (0, 2), (2, 1)):
        both = good[:, i] & good[:, j]
        x, y = z[both, i], z[both, j]
        w = (age * share[:, i] * share[:, j])[both]
        u = x / abs(x) * np.conj(y / abs(y))
        c = x * np.conj(y) if amplitude else u
        power = (w * abs(x) ** 2).sum() * (w * abs(y) ** 2).sum() if amplitude else w.sum() ** 2
        plv = abs((w * u).sum()) / w.sum()
        n_eff = w.sum() ** 2 / (w**2).sum() / 2.5
        own = 2.5 * (w**2 * c.imag**2).sum()
        assert measures.n_eff[i, j] == pytest.approx(n_eff)
        assert measures.plv[i, j] == pytest.approx(plv, abs=1e-12)
        assert measures.ppc[i, j] == pytest.approx((n_eff * plv**2 - 1) / (n_eff - 1), abs=1e-12)
        assert measures.coherency[i, j] == pytest.approx((w * c).sum() / math.sqrt(power), abs=1e-12)
        assert measures.pli[i, j] == pytest.approx(abs((w * np.sign(c.imag)).sum()) / w.sum(), abs=1e-12)
        assert measures.wpli[i, j] == pytest.approx(abs((w * c.imag).sum()) / (w * abs(c.imag)).sum(), abs=1e-12)
        debiased = ((w * c.imag).sum() ** 2 - own) / ((w * abs(c.imag)).sum() ** 2 - own)
        assert measures.wpli2_debiased[i, j] == pytest.approx(debiased, abs=1e-12)


def test_an_endless_window_is_a_block():
    z, _ = samples(80)
    s = stream(tau=1e9, amplitude=True, correlation_s=DT)
    s.block(z)
    same(s.measures(), PairMeasures.of(z), 1e-6)


def test_phase_mode_hears_no_loudness():
    z, _ = samples(100)
    z[~(np.abs(z) < 1e80)] = 0
    loud, even = stream(), stream()
    loud.block(z * np.random.default_rng(1).uniform(0.1, 10.0, z.shape))
    even.block(z)
    same(loud.measures(), even.measures())
    measures = even.measures()
    assert np.abs(measures.coherency) == pytest.approx(measures.plv, abs=1e-12)


def test_skipping_is_the_same_as_ticks_without_a_phase():
    z, _ = samples(150)
    skipped, empty = stream(), stream()
    for s in (skipped, empty):
        s.block(z[:90])
    for part in (0.25, 0.3, 0.95):  # fractions of a tick add up
        skipped.skip(part)
    empty.block(np.zeros((15, 4), dtype=complex))
    same(skipped.measures(), empty.measures())
    assert skipped.coverage == pytest.approx(empty.coverage, abs=1e-12)
    for s in (skipped, empty):
        s.block(z[90:])
    same(skipped.measures(), empty.measures())


def test_time_alone_changes_no_figure_until_it_is_all_forgotten():
    z, _ = samples(150)
    s = stream(correlation_s=0.2)
    s.block(z)
    before = s.measures()
    s.skip(20.0)
    same(s.measures(), before)
    assert (s.coverage < 0.05).all()
    s.skip(5.0 * 300)
    assert not s.measures().n_eff.any()
    assert np.isnan(s.measures().plv).all()
    s.block(z)
    fresh = stream(correlation_s=0.2)
    fresh.block(z)
    same(s.measures(), fresh.measures())


def test_measures_are_a_snapshot():
    z, _ = samples(60)
    s = stream()
    s.block(z[:30])
    then = s.measures()
    reference = stream()
    reference.block(z[:30])
    s.block(z[30:])
    same(then, reference.measures())
    s.clear()
    s.block(z[:30])
    same(s.measures(), then)


def test_white_ticks_count_fully():
    rng = np.random.default_rng(2)
    s = stream(6, tau=30.0)
    s.block(np.exp(1j * rng.uniform(0, 2 * math.pi, (4000, 6))))
    alpha = -math.expm1(-DT / 30.0)
    pairs = np.triu_indices(6, 1)
    assert np.median(s.measures().n_eff[pairs]) == pytest.approx((2 - alpha) / alpha, rel=0.1)


@pytest.mark.parametrize("amplitude", [False, True])
def test_what_a_band_lets_through_counts_by_its_correlation(amplitude):
    # Two poles of noise: ρ = (1 + t/τ)·e^{−t/τ}, ∫ρ² dt = 2.5 τ. Phases decorrelate a little sooner than amplitudes.
    rng = np.random.default_rng(3)
    s = stream(12, tau=60.0, amplitude=amplitude)
    s.block(noise_of_a_band(rng, 4000, 12, 1.0))
    n_eff = np.median(s.measures().n_eff[np.triu_indices(12, 1)])
    assert 0.9 * 2 * 60 / 2.5 < n_eff < (1.2 if amplitude else 1.5) * 2 * 60 / 2.5


def test_chance_is_as_rare_as_p_says():
    rng = np.random.default_rng(4)
    pairs = np.triu_indices(12, 1)
    p = []
    for _ in range(12):
        z = noise_of_a_band(rng, 900, 12, 0.5)
        for amplitude in (False, True):
            s = stream(12, tau=20.0, amplitude=amplitude)
            s.block(z)
            measures = s.measures()
            p.append((measures.msc_p if amplitude else measures.plv_p)[pairs])
    p = np.concatenate(p)  # 1,584 pairs
    assert 0.02 < (p <= 0.05).mean() < 0.075
    assert (p <= 0.01).mean() < 0.015


def test_steady_rhythms_are_worth_one_sample_and_prove_nothing():
    t = np.arange(3000) * DT
    rng = np.random.default_rng(5)
    phase = 2 * math.pi * 0.78 * t[:, None] + 0.05 * rng.standard_normal((3000, 2)) + [0.0, 1.2]
    s = stream(2, tau=60.0)
    s.block(np.exp(1j * phase))
    measures = s.measures()
    assert measures.plv[0, 1] > 0.99
    assert measures.n_eff[0, 1] < 2
    assert measures.plv_p[0, 1] > 0.05
    assert measures.plv_floor[0, 1] > 0.6


def test_what_two_noisy_channels_share_is_found():
    rng = np.random.default_rng(6)
    z = noise_of_a_band(rng, 1500, 3, 0.5)
    z[:, 1] = 0.8 * np.exp(0.5j) * z[:, 0] + 0.6 * z[:, 1]
    s = stream(3, tau=30.0, amplitude=True)
    s.block(z)
    measures = s.measures()
    assert measures.msc[0, 1] == pytest.approx(0.64, abs=0.2)
    assert np.angle(measures.coherency[1, 0]) == pytest.approx(0.5, abs=0.25)
    assert measures.plv_p[0, 1] < 1e-6
    assert measures.msc_p[0, 1] < 1e-6
    assert min(measures.plv_p[0, 2], measures.plv_p[1, 2]) > 0.001


def test_memory_does_not_grow():
    def held(s):
        parts = [*vars(s).values(), *vars(s._correlation).values()]
        return sum(part.nbytes for part in parts if isinstance(part, np.ndarray))

    z, _ = samples(3000)
    s = stream(tau=20.0)
    before = held(s)
    s.block(z)
    for tick in z[:50]:
        s.tick(tick)
    s.skip(3.0)
    assert held(s) == before
    assert held(stream(tau=1e7)) < 16 * 4 * 2 * LONGEST + 100_000


@pytest.mark.parametrize(
    ("z", "weight"),
    [
        (np.ones((0, 3)), None),
        (np.ones((2, 2)), None),
        (np.ones((2, 3, 1)), None),
        (np.ones((2, 3)), np.ones((2, 2))),
        (np.ones((2, 3)), -np.ones((2, 3))),
        (np.ones((2, 3)), np.full((2, 3), math.nan)),
        (np.ones((2, 3)), np.full((2, 3), math.inf)),
        (np.ones((2, 3)), np.full((2, 3), 1e7)),
    ],
)
def test_a_bad_block_changes_nothing(z, weight):
    good, _ = samples(40, 3)
    s = stream(3)
    s.block(good[:20])
    with pytest.raises(KernelError):
        s.block(z.astype(complex), weight)
    with pytest.raises(KernelError):
        s.tick(z.astype(complex), weight)
    for seconds in (-1.0, math.nan, math.inf):
        with pytest.raises(KernelError):
            s.skip(seconds)
    s.block(good[20:])
    reference = stream(3)
    reference.block(good)
    same(s.measures(), reference.measures())


@pytest.mark.parametrize(
    "bad",
    [
        {"channels": 1},
        {"tau_s": 0.0},
        {"tau_s": math.nan},
        {"tau_s": 1e12},
        {"spacing_s": 0.0},
        {"spacing_s": math.inf},
        {"correlation_s": 0.0},
        {"correlation_s": math.inf},
    ],
)
def test_refusals_of_a_stream(bad):
    with pytest.raises(KernelError):
        PairStream(**({"channels": 3, "tau_s": 1.0, "spacing_s": 0.1} | bad))


def test_before_the_first_tick_nothing_is_known():
    measures = stream(2).measures()
    assert not measures.n_eff.any()
    assert np.isnan(measures.plv).all()
    assert (measures.plv_p == 1).all()
    assert not stream(2).coverage.any()


def test_the_greatest_and_the_least_do_not_overflow():
    rng = np.random.default_rng(8)
    z = rng.standard_normal((50, 3)) + 1j * rng.standard_normal((50, 3))
    reference = stream(3, amplitude=True)
    reference.block(z)
    for gain, weight in ((1e59, 1e6), (1e-58, 1e-9)):
        s = stream(3, amplitude=True)
        s.block(z * gain, np.full(z.shape, weight))
        same(s.measures(), reference.measures())
        s.block(z, np.full(z.shape, 1e-10))
        assert s.coverage.max() < weight**2  # ... and lighter is nothing
