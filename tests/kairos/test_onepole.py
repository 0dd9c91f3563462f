"""The leaky recursion: scalar and block forms are one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.local_step import local_step
from becomingone.kairos.onepole import OnePole, alpha_of, leaky


def scalar(x, alpha, state):
    out = []
    for value in x.tolist():
        state = state + alpha * (value - state)
        out.append(state)
    return np.array(out)


@pytest.mark.parametrize("n", [1, 31, 32, 33, 255, 256, 1024, 1025, 32769])
@pytest.mark.parametrize("alpha", [1e-9, 1e-4, 0.3, 1.0])
def test_block_equals_scalar(n, alpha):
    rng = np.random.default_rng(n)
    x = rng.standard_normal(n) + 1j * rng.standard_normal(n)
    expected = scalar(x, alpha, 2.0 - 1.0j)
    assert np.abs(leaky(x, alpha, 2.0 - 1.0j) - expected).max() <= 1e-12 * np.abs(expected).max()
    real = OnePole.leaky(alpha).run(np.ascontiguousarray(x.real)[None, :], np.array([2.0]))[0]
    assert np.abs(real - expected.real).max() <= 1e-12 * np.abs(expected).max()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 1500), max_size=6), st.floats(1e-7, 1.0))
def test_any_cut(cuts, alpha):
    x = np.random.default_rng(1).standard_normal(1500)
    whole = leaky(x, alpha, 0.5)
    state = 0.5
    parts = []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 1500], strict=True):
        parts.append(leaky(x[start:stop], alpha, state))
        state = parts[-1][-1] if stop > start else state
    assert np.abs(np.concatenate(parts) - whole).max() < 1e-12


def test_constant_input_is_a_geometric_approach():
    out = leaky(np.ones(5000), 0.01)
    assert out == pytest.approx(-np.expm1(np.arange(1, 5001) * math.log1p(-0.01)), rel=1e-13)


def test_million_samples_do_not_drift():
    x = np.random.default_rng(0).standard_normal(1_000_000)
    tail = scalar(x[-200_000:], 1e-3, 0.0)[-1]  # λ^200000 ≈ 1e-87: the start is forgotten
    assert leaky(x, 1e-3)[-1] == pytest.approx(tail, rel=1e-12)


def test_alpha_keeps_its_digits():
    assert alpha_of(1e-12, 1.0) == pytest.approx(1e-12 - 5e-25, rel=1e-15)
    assert alpha_of(1.0, 1.0) == pytest.approx(1.0 - math.exp(-1.0), rel=1e-15)


@pytest.mark.parametrize(("dt", "tau"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0), (math.nan, 1.0), (1.0, math.inf)])
def test_alpha_refuses(dt, tau):
    with pytest.raises(KernelError):
        alpha_of(dt, tau)


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.1, math.nan])
def test_leaky_refuses(alpha):
    with pytest.raises(KernelError):
        leaky(np.ones(3), alpha)
    with pytest.raises(KernelError):
        OnePole.leaky(alpha)


def test_local_step_measures_loudness():
    phase, history = 0.9 + 0j, 0j
    for _ in range(500):
        history, coherence = local_step(phase, history, 0.1)
    assert coherence == pytest.approx(0.9)  # a constant temperature, "0.9 coherent"
    assert local_step(1j, 1.0, 0.25) == (0.75 + 0.25j, abs(0.75 + 0.25j))
    with pytest.raises(KernelError):
        local_step(1.0, 0.0, 1.5)
