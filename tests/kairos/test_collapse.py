"""Thresholds, the Rayleigh test and the decision."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.collapse import Collapse, critical, critical_amplitude, rayleigh_p


def test_thresholds():
    assert critical(0.01, 10.0) == pytest.approx(math.log(100) / 10)
    assert critical_amplitude(0.01, 11.0) == pytest.approx(1 - 0.01 ** (1 / 10), rel=1e-14)
    for bad in [(0.0, 5.0), (1.1, 5.0), (0.1, 0.5), (0.1, math.inf)]:
        with pytest.raises(KernelError):
            critical(*bad)
    with pytest.raises(KernelError):
        critical_amplitude(0.01, 1.0)


def test_thresholds_over_a_grid_of_lags_and_frequencies():
    assert critical(0.01, 10.0, tests=4) == pytest.approx(math.log(400) / 10)
    assert critical_amplitude(0.01, 11.0, tests=4) == pytest.approx(1 - 0.0025 ** (1 / 10), rel=1e-14)
    with pytest.raises(KernelError, match="tests"):
        critical(0.01, 10.0, tests=0)


def test_amplitude_threshold_is_that_of_gaussian_noise():
    # The squared coherence of two independent complex Gaussian series of N samples exceeds I_c with probability p.
    rng = np.random.default_rng(5)
    x = rng.standard_normal((20000, 8)) + 1j * rng.standard_normal((20000, 8))
    y = rng.standard_normal((20000, 8)) + 1j * rng.standard_normal((20000, 8))
    squared = np.abs((x * y.conj()).sum(1)) ** 2 / ((np.abs(x) ** 2).sum(1) * (np.abs(y) ** 2).sum(1))
    assert (squared >= critical_amplitude(0.05, 8.0)).mean() == pytest.approx(0.05, abs=0.006)


@pytest.mark.parametrize(("n", "p"), [(2, 0.46), (3, 0.22), (5, 0.054), (8, 0.0067)])
def test_chance_of_three_quarters(n, p):
    assert rayleigh_p(0.75, n) == pytest.approx(p, rel=0.02)


def test_closed_forms():
    assert rayleigh_p(0.3, 1) == 1.0
    for r in np.linspace(0, 1, 11):
        assert rayleigh_p(r, 2) == pytest.approx(2 / math.pi * math.acos(r), abs=1e-15)
    # Kluyver: n + 1 phases have a resultant below 1 with probability 1/(n + 1).
    for n in range(3, 25):
        assert rayleigh_p(1 / n, n) == pytest.approx(1 - 1 / (n + 1), abs=3e-4)


@pytest.mark.parametrize("n", [3, 4, 6, 12])
def test_against_simulation(n):
    rng = np.random.default_rng(n)
    r = np.abs(np.exp(2j * np.pi * rng.random((200_000, n))).mean(axis=1))
    for level in (0.15, 0.4, 0.6, 0.8, 0.95):
        assert rayleigh_p(level, n) == pytest.approx((r >= level).mean(), abs=4e-3)


@pytest.mark.parametrize("n", [1, 1.5, 2, 2.6, 3, 3.3, 7, 24, 24.5, 25, 400])
def test_falls_from_one(n):
    p = np.array([rayleigh_p(r, n) for r in np.linspace(0, 1, 201)])
    assert p[0] == pytest.approx(1.0, abs=1e-12)
    assert (np.diff(p) <= 1e-15).all()
    assert (p >= 0).all()


def test_table_meets_the_approximation():
    for r in np.linspace(0, 1, 101):
        assert rayleigh_p(r, 24.999999) == pytest.approx(rayleigh_p(r, 25), abs=1e-4)


def test_many_phases_are_exponential():
    assert rayleigh_p(0.03, 10_000) == pytest.approx(math.exp(-9), rel=2e-3)


@pytest.mark.parametrize(("r", "n"), [(0.5, 0.5), (0.5, math.nan), (-0.1, 3), (1.1, 3), (math.nan, 3)])
def test_rayleigh_refuses(r, n):
    with pytest.raises(KernelError):
        rayleigh_p(r, n)


def test_decision_needs_the_dwell_and_has_hysteresis():
    decision = Collapse(p_false=0.01, release_p=0.1, dwell_us=1000)
    assert [decision.update(0.001, t) for t in (0, 500, 999)] == [False] * 3
    assert decision.update(0.02, 1000) is False  # interrupted: the dwell starts anew
    assert [decision.update(0.001, t) for t in (1100, 2099, 2100)] == [False, False, True]
    assert [decision.update(0.05, t) for t in (3000, 9000)] == [True, True]  # between the two thresholds
    assert [decision.update(0.2, t) for t in (10_000, 10_999, 11_000)] == [True, True, False]
    assert decision.state is False


def test_decision_edge_cases():
    at_once = Collapse(p_false=0.01, release_p=0.01, dwell_us=0)
    assert at_once.update(0.001, 5) is True
    assert at_once.update(math.nan, 6) is True
    assert at_once.update(0.5, 7) is False
    decision = Collapse(p_false=0.01, release_p=0.1, dwell_us=100)
    decision.update(0.001, 1000)
    decision.update(0.001, 10)  # the clock stepped back
    assert decision.update(0.001, 109) is False
    assert decision.update(0.001, 110) is True
    for bad in ({"p_false": 0.0}, {"p_false": 1.0}, {"release_p": 0.001}, {"release_p": 2.0}, {"dwell_us": -1}):
        with pytest.raises(KernelError):
            Collapse(**({"p_false": 0.01, "release_p": 0.1, "dwell_us": 0} | bad))
