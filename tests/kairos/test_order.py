"""The order parameter without chance, and without each channel in turn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.mesh.order import leave_one_out
from becomingone.kairos.rayleigh import unbiased


@pytest.mark.parametrize("rho", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("weights", [[1, 1], [5, 1, 2], [1, 2, 3, 4, 5, 1, 1, 1]])
def test_its_square_is_without_bias(rho, weights):
    rng = np.random.default_rng(1)
    w = np.array(weights, dtype=float) / sum(weights)
    n = 1 / (w @ w)
    # A wrapped Cauchy phase has mean resultant rho exactly.
    spread = 2 * np.arctan((1 - rho) / (1 + rho) * np.tan(np.pi * (rng.random((40_000, len(w))) - 0.5)))
    square = np.abs(np.exp(1j * spread) @ w) ** 2
    corrected = (n * square - 1) / (n - 1)
    assert corrected.mean() == pytest.approx(rho**2, abs=4 * corrected.std() / 200)
    assert unbiased(math.sqrt(square[0]), n) == pytest.approx(math.sqrt(max(0, corrected[0])))


def test_edges():
    assert unbiased(1.0, 5.0) == 1.0
    assert unbiased(0.3, 5.0) == 0.0
    assert unbiased(1.0, 1.0) == 0.0
    for bad in [(-0.1, 3.0), (1.1, 3.0), (math.nan, 3.0), (0.5, 0.5), (0.5, math.inf)]:
        with pytest.raises(KernelError):
            unbiased(*bad)


def test_leave_one_out_is_the_order_of_the_others():
    rng = np.random.default_rng(2)
    weight, u = rng.random(9), np.exp(2j * np.pi * rng.random(9))
    u[4] = 0
    weight[6] = 0
    got = leave_one_out(weight, u)
    for k in range(9):
        keep = np.arange(9) != k
        counted = keep & (u != 0)
        expected = abs((weight * u)[counted].sum()) / weight[counted].sum()
        assert got[k] == pytest.approx(expected, abs=1e-12)
    assert leave_one_out(weight * 1e-300, u) == pytest.approx(got)


def test_who_disturbs_the_order_stands_out():
    u = np.exp(1j * np.array([0.0, 0.1, -0.1, 2.5]))
    got = leave_one_out(np.ones(4), u)
    assert int(np.argmax(got)) == 3
    assert got[3] > abs(u.mean()) > got[0]


def test_nobody_else():
    assert np.isnan(leave_one_out(np.array([1.0, 0.0]), np.array([1.0, 1j])))[0]
    assert np.isnan(leave_one_out(np.ones(1), np.array([1j]))).all()
    assert np.isnan(leave_one_out(np.ones(2), np.zeros(2, dtype=complex))).all()
    assert leave_one_out(np.zeros(0), np.zeros(0, dtype=complex)).shape == (0,)
    with pytest.raises(KernelError):
        leave_one_out(np.ones(2), np.ones(3, dtype=complex))
    with pytest.raises(KernelError):
        leave_one_out(np.ones(2), np.array([1.0, math.nan], dtype=complex))
    with pytest.raises(KernelError):
        leave_one_out(np.array([1.0, -1.0]), np.ones(2, dtype=complex))
