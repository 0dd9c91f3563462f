"""Tail probabilities: closed forms, simulation, scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.witnessing.tails import (
    beta_cdf,
    crossing_p,
    fisher,
    nis_p,
    normal_tail,
    order_p,
    uniformity_p,
    white_p,
)


def test_incomplete_beta_in_closed_form():
    for x in np.linspace(0, 1, 21):
        assert beta_cdf(1, 1, x) == pytest.approx(x, abs=1e-14)
        assert beta_cdf(3, 1, x) == pytest.approx(x**3, abs=1e-14)
        assert beta_cdf(1, 4, x) == pytest.approx(1 - (1 - x) ** 4, abs=1e-14)
        assert beta_cdf(0.5, 0.5, x) == pytest.approx(2 / math.pi * math.asin(math.sqrt(x)), abs=1e-14)
        assert beta_cdf(7.5, 2.5, x) + beta_cdf(2.5, 7.5, 1 - x) == pytest.approx(1, abs=1e-13)


def test_energy_of_two_innovations_is_exponential():
    for nis in (0.01, 0.5, 1.0, 3.0, 9.0):
        tail = math.exp(-nis)
        assert nis_p(nis, 2) == pytest.approx(2 * min(tail, 1 - tail), rel=1e-6)
    assert nis_p(0.0, 8) == 0.0
    assert nis_p(1e6, 8) == 0.0
    # With a scale learnt from two, NIS is F(2, 2) and P(F > x) = 1/(1 + x).
    assert nis_p(9.0, 2, 2.0) == pytest.approx(0.2, rel=1e-12)


def test_normal_tail():
    assert normal_tail(1.959963985) == pytest.approx(0.05, rel=1e-7)
    assert normal_tail(0.0) == 1.0
    # Student's t with 1 and many degrees of freedom.
    assert normal_tail(1.0, 32) == pytest.approx(0.3248, abs=2e-4)
    assert normal_tail(-4.0, 64) == normal_tail(4.0, 64)


@pytest.mark.parametrize("n", [8, 32, 100])
def test_whiteness_of_white_noise(n):
    z = np.random.default_rng(n).standard_normal((40_000, n))
    rho = (z[:, 1:] * z[:, :-1]).sum(axis=1) / (z * z).sum(axis=1)
    assert rho.var() == pytest.approx((n - 1) / (n * (n + 2)), rel=0.03)
    p = np.array([white_p(r, n) for r in rho[:20_000].tolist()])
    for level in (0.01, 0.1, 0.5):
        assert (p < level).mean() == pytest.approx(level, rel=0.2 if level == 0.01 else 0.06)
    assert white_p(0.3, 1) == 1.0


def test_fisher():
    p = np.random.default_rng(0).random((20_000, 2))
    combined = np.array([fisher(a, b) for a, b in p.tolist()])
    for level in (0.01, 0.1, 0.5):
        assert (combined < level).mean() == pytest.approx(level, rel=0.12)
    assert fisher(0.0, 0.5) == 0.0
    assert fisher(1.0, 1.0) == 1.0


def band_of(n, d):
    """Kolmogorov's band: the order statistics of a sample whose distribution is never d away from uniform."""
    i = np.arange(1, n + 1)
    return np.clip(i / n - d, 0, 1), np.clip((i - 1) / n + d, 0, 1)


@pytest.mark.parametrize("n", [1, 2, 5, 10, 40])
def test_crossing_is_kolmogorovs_where_he_has_closed_forms(n):
    for d in np.linspace(0.5 / n, 1.0 / n, 5)[1:]:
        expected = 1 - math.exp(math.lgamma(n + 1) + n * math.log(2 * d - 1 / n))
        assert crossing_p(*band_of(n, d)) == pytest.approx(expected, abs=1e-12)
    for d in np.linspace(max(0.5, 1 - 1 / n), 1.0, 5)[:-1]:
        assert crossing_p(*band_of(n, d)) == pytest.approx(2 * (1 - d) ** n, abs=1e-12)


def test_order_of_one_and_of_two():
    for p in (0.001, 0.2, 0.5, 0.93):
        assert order_p(np.array([p])) == pytest.approx(2 * min(p, 1 - p), rel=1e-6)
    # Of two: local level t; outside the band with 1 − P(a₁ < U₍₁₎ < b₁, a₂ < U₍₂₎ < b₂), integrated by hand.
    t = 0.2
    a1, a2 = 1 - math.sqrt(1 - t / 2), math.sqrt(t / 2)
    b1, b2 = 1 - a2, 1 - a1
    inside = 2 * ((a2 - a1) * (b2 - a2) + (b1 - a2) * b2 - (b1**2 - a2**2) / 2)
    assert order_p(np.array([a1, 0.6])) == pytest.approx(1 - inside, rel=2e-3)


@pytest.mark.parametrize(("n", "runs"), [(3, 3000), (8, 3000), (16, 3000), (30, 150), (65, 3000), (400, 3000)])
def test_uniform_is_uniform(n, runs):
    rng = np.random.default_rng(n)
    p = np.array([uniformity_p(rng.random(n)) for _ in range(runs)])
    for level in (0.01, 0.05, 0.2):
        assert (p <= level).mean() <= level + 3.5 * math.sqrt(level / runs)
    if runs > 1000:
        assert (p <= 0.2).mean() > 0.12  # not much is given away


@pytest.mark.parametrize("n", [8, 40, 200])
def test_what_is_not_uniform_is_seen(n):
    rng = np.random.default_rng(n)
    one = rng.random(n)
    one[3] = 1e-7
    assert uniformity_p(one) < 1e-3  # one among many
    assert uniformity_p(0.5 + 0.05 * rng.standard_normal(n)) < 1e-4  # too much in the middle
    assert uniformity_p(0.9 + 0.1 * rng.random(n)) < 1e-5  # too good
    assert uniformity_p(np.concatenate((rng.random(n - 1), [0.0]))) < 1e-200


@pytest.mark.parametrize("p", [[], [0.5, 1.1], [-0.1], [math.nan], [[0.5]]])
def test_uniformity_refuses(p):
    with pytest.raises(KernelError):
        uniformity_p(np.array(p, dtype=float))


@pytest.mark.reference
def test_against_scipy():
    from scipy import special, stats  # noqa: PLC0415

    rng = np.random.default_rng(1)
    for a, b in 10.0 ** rng.uniform(-0.3, 5.0, (300, 2)):
        x = stats.beta.rvs(a, b, random_state=rng)
        assert beta_cdf(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-7)
    for n in (1, 8, 32, 512):
        for nis in (0.3, 0.7, 1.0, 1.4, 2.0):
            chi2 = 2 * min(stats.chi2.cdf(n * nis, n), stats.chi2.sf(n * nis, n))
            assert nis_p(nis, n) == pytest.approx(chi2, rel=1e-3)
            f = 2 * min(stats.f.cdf(nis, n, 500), stats.f.sf(nis, n, 500))
            assert nis_p(nis, n, 500.0) == pytest.approx(f, rel=1e-8)
    for m in (32, 64, 1024):
        for z in (0.5, 2.0, 4.0, 6.0):
            assert normal_tail(z, m) == pytest.approx(2 * stats.t.sf(z, m), rel=0.02)
    for n in (5, 20, 64):
        for d in (0.1, 0.2, 0.3, 0.5):
            assert crossing_p(*band_of(n, d)) == pytest.approx(stats.kstwo.sf(d, n), abs=1e-12)
