"""What is left of a phase without its trend."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.kairos.pairs.fluctuation import fluctuations, smooth_length
from becomingone.kairos.pairs.surrogates import fluctuation_shift_test

DT = 0.1
F0 = 0.78
TREND = 6.0


def slow_fluctuation(u, half):
    """Tick by tick, from the definition."""
    n = len(u)
    turn = np.angle(sum(b * np.conj(a) for a, b in itertools.pairwise(u)))
    v = [a * np.exp(-1j * turn * k) for k, a in enumerate(u)]
    window = [0.5 + 0.5 * math.cos(math.pi * k / (half + 1)) for k in range(-half, half + 1)]
    out = np.zeros(n)
    known = np.zeros(n, dtype=bool)
    for k in range(n):
        mean, weight = 0.0, 0.0
        for d in range(-half, half + 1):
            if 0 <= k - d < n and 0 <= k + d < n and u[k + d] != 0 and u[k - d] != 0:
                mean += window[d + half] * v[k + d]
                weight += window[d + half]
        if u[k] != 0 and weight >= (0.5 - 1e-9) * sum(window):
            known[k] = True
            out[k] = np.angle(v[k] * np.conj(mean))
    return out, known


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.integers(8, 70), st.integers(1, 12), st.booleans())
def test_fluctuations_equal_their_definition(seed, n, half, gaps):
    rng = np.random.default_rng(seed)
    u = np.exp(1j * (0.49 * np.arange(n)[:, None] + 0.3 * np.cumsum(rng.standard_normal((n, 2)), axis=0)))
    if gaps:
        u[rng.random(u.shape) < 0.2] = 0
    got, known = fluctuations(u, DT, 2 * half * DT)
    for i in range(2):
        expected, expected_known = slow_fluctuation(u[:, i], half)
        assert (known[:, i] == expected_known).all()
        difference = np.angle(np.exp(1j * (got[:, i] - expected)))
        assert np.abs(difference).max() < 2e-9


def test_fluctuations_of_a_steady_phase_are_nothing_at_all():
    u = np.exp(1j * (0.4901 * np.arange(500)[:, None] + [0.0, 1.0]))
    u[100:120] = 0
    x, known = fluctuations(u, DT, TREND)
    assert not x.any()
    assert known[200:400].all()
    assert not known[100:120].any()
    test = fluctuation_shift_test(u, DT, TREND)
    assert np.isnan(test.value[0, 1])
    assert test.p[0, 1] == 1  # locked, but there is nothing to go by


def test_a_drifting_frequency_is_trend():
    t = np.arange(1000) * DT
    phase = 2 * math.pi * (F0 * t + 0.0003 * t**2)  # 6 % faster in 100 s
    x, known = fluctuations(np.exp(1j * np.stack((phase, -phase), axis=1)), DT, TREND)
    inner = x[known[:, 0], 0]
    assert np.ptp(inner) < 0.01
    assert x[:, 1] == pytest.approx(-x[:, 0], abs=1e-9)


def test_lengths_of_a_fast_transform():
    def slow(n):
        return next(
            m for m in range(n, 0, -1) if all(m % p for p in range(7, m + 1) if all(p % q for q in range(2, p)))
        )

    assert [smooth_length(n) for n in range(1, 130)] == [slow(n) for n in range(1, 130)]
