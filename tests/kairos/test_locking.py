"""Locked is not in phase."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.mesh.locking import LockingOrder

DT = 0.25


def run(phases, tau=20.0, correlation=1.0, weight=None, order=None):
    """Phases of shape (ticks, n); NaN is a channel without a phase."""
    order = LockingOrder(tau) if order is None else order
    n = phases.shape[1]
    weight = np.ones(n) if weight is None else weight
    out = []
    for row in phases:
        u = np.where(np.isnan(row), 0, np.exp(1j * np.nan_to_num(row)))
        out.append(order.update(np.arange(n), u, weight, DT, correlation))
    return out


def test_antiphase_is_locked():
    t = np.arange(400) * DT
    phases = np.stack((2.0 * t, 2.0 * t + math.pi), axis=1)
    out = run(phases)
    assert out[-1].valid
    assert out[-1].order == pytest.approx(1.0, abs=1e-9)
    assert abs(np.exp(1j * phases[-1]).mean()) < 1e-9  # R says nothing
    assert abs(np.exp(1j * (out[-1].offsets[1] - out[-1].offsets[0])) + 1) < 1e-9


def test_offsets_are_learnt_up_to_the_gauge():
    rng = np.random.default_rng(0)
    true = np.array([0.0, 0.75, -0.9, 0.3, 1.9])
    weight = np.array([1.0, 2.0, 0.5, 1.0, 1.5])
    common = np.cumsum(rng.standard_normal(2000) * 0.3)  # any common motion whatever
    out = run(common[:, None] + true + 0.2 * rng.standard_normal((2000, 5)), tau=60.0, weight=weight)
    expected = true - np.angle((weight * np.exp(1j * true)).sum())
    assert out[-1].offsets == pytest.approx(expected, abs=0.06)
    assert abs(np.angle((weight * np.exp(1j * out[-1].offsets)).sum())) < 1e-9
    assert np.mean([o.order for o in out[500:]]) == pytest.approx(math.exp(-0.02), abs=0.01)


def test_unrelated_phases_are_not_locked():
    rng = np.random.default_rng(1)
    phases = np.cumsum(rng.standard_normal((3000, 8)) * 0.8, axis=0)
    out = run(phases, tau=60.0, correlation=2.0)
    late = [o.order for o in out[1000:]]
    assert all(o.valid for o in out[1000:])
    assert np.mean(late) < 0.5
    # About the order parameter of eight random phases, √(π/4N): nothing much is left by learning.
    assert np.mean(late) == pytest.approx(math.sqrt(math.pi / 32), abs=0.1)


def test_start_is_one_by_construction_and_says_so():
    rng = np.random.default_rng(2)
    out = run(rng.uniform(-3, 3, (200, 4)), correlation=1.0)
    assert out[0].order == pytest.approx(1.0)
    assert not out[0].valid
    first = next(i for i, o in enumerate(out) if o.valid)
    assert out[first].n_eff >= 2.0 > out[first - 1].n_eff
    # (Σw)²/Σw² of n equal samples is n: 2 correlation times are reached after about 2 s.
    assert first + 1 == pytest.approx(2.0 / DT, abs=2)


def test_window_saturates_at_twice_tau():
    out = run(np.zeros((2000, 2)), tau=10.0, correlation=1.0)
    alpha = -math.expm1(-DT / 10.0)
    assert out[-1].n_eff == pytest.approx(DT * (2 - alpha) / alpha, rel=1e-6)


def test_offset_at_a_tick_was_learnt_before_it():
    out = run(np.array([[0.0, 0.5]] * 100 + [[0.0, 1.5]]))
    assert out[-1].offsets[1] - out[-1].offsets[0] == pytest.approx(0.5)
    assert out[-1].order == pytest.approx(math.cos(0.5))


def test_a_channel_without_a_phase_is_frozen_and_one_that_joins_starts_with_its_own_offset():
    order = LockingOrder(20.0)
    t = np.arange(200)[:, None] * 0.3
    before = run(t + np.array([[0.0, 0.5, math.nan]]), order=order)[-1]
    assert math.isnan(before.offsets[2])
    gone = run(t + np.array([[0.0, math.nan, math.nan]]), order=order)[-1]
    assert gone.offsets[1] - gone.offsets[0] == pytest.approx(0.5)
    assert not gone.valid  # one channel alone
    joined = run(t[:1] + np.array([[0.0, 0.5, 2.0]]), order=order)[0]
    assert joined.offsets[2] - joined.offsets[0] == pytest.approx(2.0)
    assert joined.order == pytest.approx(1.0)
    assert not joined.valid  # the newcomer has learnt nothing yet


def test_forget_and_growth():
    order = LockingOrder(5.0)
    ids = np.array([1000, 3])
    for _ in range(50):
        order.update(ids, np.exp(1j * np.array([0.0, 1.0])), np.ones(2), DT, 0.5)
    order.forget(3)
    order.forget(10**6)
    out = order.update(ids, np.array([1.0, 0.0j]), np.ones(2), DT, 0.5)
    assert math.isnan(out.offsets[1])
    assert not math.isnan(out.offsets[0])


def test_nobody():
    order = LockingOrder(5.0)
    out = order.update(np.array([], dtype=np.intp), np.array([], dtype=complex), np.array([]), DT, 1.0)
    assert (out.order, out.n_eff, out.valid, out.offsets.shape) == (0.0, 0.0, False, (0,))


@pytest.mark.parametrize(
    ("ids", "u", "w", "dt", "correlation"),
    [
        ([0, 0], [1, 1], [1, 1], 1.0, 1.0),
        ([-1, 0], [1, 1], [1, 1], 1.0, 1.0),
        ([0, 1], [1, math.nan], [1, 1], 1.0, 1.0),
        ([0, 1], [1, 1], [1, -1], 1.0, 1.0),
        ([0, 1], [1], [1, 1], 1.0, 1.0),
        ([0, 1], [1, 1], [1, 1], 0.0, 1.0),
        ([0, 1], [1, 1], [1, 1], 1.0, 0.0),
    ],
)
def test_refusals(ids, u, w, dt, correlation):
    with pytest.raises(KernelError):
        LockingOrder(1.0).update(np.array(ids), np.array(u, dtype=complex), np.array(w, dtype=float), dt, correlation)
    with pytest.raises(KernelError):
        LockingOrder(0.0)
