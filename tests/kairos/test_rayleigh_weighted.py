"""How often unrelated phases of unequal weights agree as well."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.bessel import j0, j1
from becomingone.kairos.gamma import gamma_tail
from becomingone.kairos.mesh.rayleigh_weighted import rayleigh_p_weighted
from becomingone.kairos.rayleigh import rayleigh_p

WEIGHTS = {
    "two": [5, 1],
    "three": [5, 3, 1],
    "four": [5, 5, 1, 1],
    "five": [5, 1, 1, 1, 1],
    "eight": np.linspace(1, 5, 8),
    "heavy": [30, *[1] * 11],
    "decades": 10.0 ** -np.linspace(0, 2.9, 9),
    "half": [5] * 10 + [1] * 10,
    "forty": np.linspace(1, 5, 40),
}


def resultants(weights, looks, seed=0):
    rng = np.random.default_rng(seed)
    total = np.zeros(looks, dtype=complex)
    for w in weights:
        total += w * np.exp(2j * np.pi * rng.random(looks))
    return np.sort(np.abs(total)) / np.sum(weights)


@pytest.mark.parametrize("name", WEIGHTS)
def test_against_simulation(name):
    weights = np.asarray(WEIGHTS[name], dtype=float)
    looks = 40_000
    r = resultants(weights, looks)
    for p in (0.5, 0.05, 0.01):
        error = 4.0 * math.sqrt(p * (1 - p) / looks)
        assert rayleigh_p_weighted(float(r[int((1 - p) * looks)]), weights) == pytest.approx(p, abs=error + 0.01 * p)


@pytest.mark.campaign
@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 12, 30, 60])
def test_against_a_million(n):
    rng = np.random.default_rng(n)
    for weights in (np.linspace(1, 5, n), np.append(np.ones(n - 1), 5.0), 10 ** rng.uniform(-2.9, 0, n)):
        r = resultants(weights, 1_000_000, seed=n)
        for p in (0.05, 0.01):
            assert rayleigh_p_weighted(float(r[int((1 - p) * 1e6)]), weights) == pytest.approx(p, rel=0.05)


def test_two_have_a_closed_form():
    for r in np.linspace(0.61, 0.99, 9):
        cosine = ((5 * r) ** 2 - 17) / 8
        assert rayleigh_p_weighted(r, np.array([1.0, 4.0])) == pytest.approx(math.acos(cosine) / math.pi, abs=1e-12)
    assert rayleigh_p_weighted(0.59, np.array([1.0, 4.0])) == 1.0  # never below 3/5


@pytest.mark.parametrize("n", [1, 2, 3, 5, 12, 200])
def test_equal_weights_are_no_weights(n):
    for r in (0.05, 0.3, 0.8, 0.99):
        assert rayleigh_p_weighted(r, np.full(n, 7.0)) == pytest.approx(rayleigh_p(r, n), abs=1e-4)
        assert rayleigh_p_weighted(r, np.append(np.full(n, 1e-200), 0.0)) == pytest.approx(rayleigh_p(r, n), abs=1e-4)


@pytest.mark.parametrize("name", WEIGHTS)
def test_falls_from_one_to_nothing(name):
    p = np.array([rayleigh_p_weighted(r, np.asarray(WEIGHTS[name], dtype=float)) for r in np.linspace(0, 1, 101)])
    assert p[0] == pytest.approx(1.0, abs=1e-6)
    assert p[-1] <= 1e-6
    assert (np.diff(p) <= 2e-3).all()  # the methods meet within their errors


def test_effective_number_errs_towards_a_greater_p_and_far():
    weights = np.array([5.0, 1.0])
    assert rayleigh_p(0.998, 36 / 26) > 10 * rayleigh_p_weighted(0.998, weights)


def test_refusals():
    for r in (-0.1, 1.1, math.nan):
        with pytest.raises(KernelError):
            rayleigh_p_weighted(r, np.ones(3))
    for weights in ([0.0, 0.0], [], [1.0, -1.0], [1.0, math.nan], [1.0, math.inf], [[1.0]]):
        with pytest.raises(KernelError):
            rayleigh_p_weighted(0.5, np.array(weights, dtype=float))


# --- the functions under it ------------------------------------------------------------------------------------------


def test_bessel_functions():
    x = np.linspace(0, 60, 601)
    theta = (np.arange(400) + 0.5) * (math.pi / 400)
    wave = x[:, None] * np.sin(theta)
    assert j0(x) == pytest.approx(np.cos(wave).mean(axis=1), abs=1e-7)
    assert j1(x) == pytest.approx(np.cos(theta - wave).mean(axis=1), abs=1e-7)
    assert j0(x[:600].reshape(20, 30)).shape == j1(x[:600].reshape(20, 30)).shape == (20, 30)


def test_gamma_tail():
    for x in (0.0, 0.5, 3.0, 40.0):
        assert gamma_tail(1.0, x) == pytest.approx(math.exp(-x), rel=1e-12)
        assert gamma_tail(0.5, x) == pytest.approx(math.erfc(math.sqrt(x)), rel=1e-11)
        poisson = sum(math.exp(-x) * x**k / math.factorial(k) for k in range(7))
        assert gamma_tail(7.0, x) == pytest.approx(poisson, rel=1e-11)
    for a in (499, 501):  # either side of where the method changes
        x = a + 2 * math.sqrt(a)
        poisson = sum(math.exp(k * math.log(x) - x - math.lgamma(k + 1)) for k in range(a))
        assert gamma_tail(a, x) == pytest.approx(poisson, rel=1e-4)
    assert gamma_tail(2.0, math.inf) == 0.0
    for bad in [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (1.0, -1.0), (1.0, math.nan)]:
        with pytest.raises(KernelError):
            gamma_tail(*bad)
