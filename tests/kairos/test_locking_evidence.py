"""How often unrelated channels seem locked, and how soon locked ones are found."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.mesh.cross_field import CrossField
from becomingone.kairos.mesh.locking import LockingOrder
from becomingone.kairos.mesh.wander import Wander

TAU = 10.0
DT = 0.5


def diffusing(rng, ticks, n, d=1.0, dt=DT):
    """Unrelated phases: e^{-D|t|} apart in time, so 2/D is their two-sided correlation time."""
    return rng.uniform(0, 2 * np.pi, n) + np.cumsum(math.sqrt(2 * d * dt) * rng.standard_normal((ticks, n)), axis=0)


def noisy_lock(rng, ticks, n, sigma):
    """Any common motion, offsets of their own, and noise of each, correlated for a second."""
    common = np.cumsum(0.4 * rng.standard_normal(ticks))
    noise = rng.standard_normal((ticks, n)) * sigma
    keep = math.exp(-DT)
    for t in range(1, ticks):
        noise[t] = keep * noise[t - 1] + math.sqrt(1 - keep * keep) * noise[t]
    return common[:, None] + rng.uniform(-3, 3, n) + noise


def watch(phases, correlation, tau=TAU, weight=None, dt=DT):
    order = LockingOrder(tau)
    n = phases.shape[1]
    weight = np.ones(n) if weight is None else weight
    return [order.update(np.arange(n), u, weight, dt, correlation) for u in np.exp(1j * phases)]


def looks(seed, n, d, correlation, count, weight=None, dt=DT):
    """p once in each two τ, after the first four."""
    rng = np.random.default_rng(seed)
    every = round(2 * TAU / dt)
    out = watch(diffusing(rng, every * (count + 2), n, d, dt), correlation, weight=weight, dt=dt)
    return np.array([o.p for o in out[2 * every :: every]])


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_unrelated_channels_are_rarely_called_locked(n):
    p = looks(n, n, 1.0, 2.0, 150, dt=1.0)
    assert (p < 0.05).mean() <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / 150)
    assert (p < 0.01).mean() <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / 150)


def test_a_correlation_that_was_stated_too_short_is_noticed():
    out = watch(diffusing(np.random.default_rng(1), 1200, 3, 0.2), 2.0)
    # 2τ over 1/D, the correlation time of a product of two: 4. With the stated one it would be 20.
    assert np.median([o.p_n_eff for o in out[200:]]) == pytest.approx(4.0, rel=0.3)
    assert out[-1].n_eff == pytest.approx(10.0, rel=0.05)
    p = looks(2, 3, 0.2, 2.0, 100, dt=1.0)
    assert (p < 0.01).mean() <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / 100)


@pytest.mark.campaign
@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize(("d", "correlation"), [(1.0, 2.0), (0.4, 5.0), (0.2, 2.0), (0.1, 2.0)])
@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_false_alarms_over_thousands_of_looks(n, d, correlation, unequal):
    count = 1500
    weight = np.linspace(1, 5, n) if unequal else None
    p = looks(7 * n, n, d, correlation, count, weight)
    rates = (p < 0.05).mean(), (p < 0.01).mean()
    print(f"N {n} D {d} stated {correlation} s unequal {unequal}: {rates[0]:.4f} at 0.05, {rates[1]:.4f} at 0.01")
    assert rates[0] <= 0.05 * 1.3 + 2 * math.sqrt(0.05 / count)
    assert rates[1] <= 0.01 * 1.5 + 2 * math.sqrt(0.01 / count)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_locked_channels_are_found_as_soon_as_the_window_is_tau_long(n):
    rng = np.random.default_rng(n)
    found = []
    for _ in range(5):
        out = watch(noisy_lock(rng, 120, n, 0.5), 2.0)
        first = next(k for k, o in enumerate(out) if o.p < 0.01)
        found.append(first * DT / TAU)
        assert all(o.p == 1.0 for o in out[: round(TAU / DT)])
    assert np.median(found) < 1.6


def test_weaker_locking_shows_in_more_channels():
    rng = np.random.default_rng(3)
    power = {}
    for n in (2, 8):
        p = [watch(noisy_lock(rng, 160, n, 0.9), 2.0)[-1].p for _ in range(16)]
        power[n] = np.mean(np.array(p) < 0.01)
    assert power[8] > 0.5 > power[2] + 0.2


def test_unbiased_order_is_that_of_the_noise():
    rng = np.random.default_rng(5)
    for n in (2, 5, 20):
        out = watch(noisy_lock(rng, 900, n, 0.7), 2.0, tau=20.0)[200:]
        plain = np.sqrt(np.mean([o.order**2 for o in out]))
        unbiased = np.sqrt(np.mean([o.unbiased**2 for o in out]))
        truth = math.exp(-0.245)
        assert abs(unbiased - truth) < 0.06
        assert plain > unbiased
    noise = watch(diffusing(rng, 900, 8), 2.0, tau=20.0)[200:]
    assert np.mean([o.unbiased for o in noise]) < 0.2 < np.mean([o.order for o in noise])


@pytest.mark.parametrize(("n", "d"), [(2, 1.0), (5, 1.0), (8, 0.5), (30, 0.5)])
def test_what_chance_and_learning_make_of_the_order(n, d):
    """E[R_lock²] = 1/N + (1 − 1/N)/n of unrelated phases, n in correlation times of a product."""
    out = watch(diffusing(np.random.default_rng(n), 3000, n, d), 2.0 / d)[200:]
    window = 2 * TAU * d
    expected = 1 / n + (1 - 1 / n) / window
    assert np.mean([o.order**2 for o in out]) == pytest.approx(expected, rel=0.25)


def test_noiseless_lock_is_certain():
    out = watch(np.arange(200)[:, None] * 0.3 + np.array([0.0, 1.0, 2.0]), 1.0)
    assert out[-1].p < 1e-12
    assert out[-1].unbiased == pytest.approx(1.0)


def test_channels_that_come_and_go_spoil_nothing():
    rng = np.random.default_rng(8)
    phases = noisy_lock(rng, 300, 5, 0.3)
    order = LockingOrder(TAU)
    for k, row in enumerate(phases):
        ids = np.flatnonzero((np.arange(5) + k // 100) % 5 != 0)
        u = np.exp(1j * row[ids])
        with pytest.raises(KernelError):
            order.update(ids, np.append(u[1:], math.nan), np.ones(len(ids)), DT, 2.0)
        with pytest.raises(KernelError):
            order.update(ids, u, np.ones(len(ids)), -DT, 2.0)
        out = order.update(ids[::-1], u[::-1], np.ones(len(ids)), DT, 2.0)
    assert out.p < 1e-3
    alone = order.update(np.array([2]), np.array([1j]), np.ones(1), DT, 2.0)
    assert (alone.p, alone.unbiased, alone.valid) == (1.0, 0.0, False)


# --- WE --------------------------------------------------------------------------------------------------------------


def compare(a, b, correlation=2.0, tau=TAU):
    cross = CrossField(tau)
    return [cross.update(complex(x), complex(y), DT, correlation) for x, y in zip(a, b, strict=True)]


def test_two_fields_that_keep_their_difference_are_one():
    phases = noisy_lock(np.random.default_rng(1), 200, 2, 0.4)
    out = compare(0.8 * np.exp(1j * phases[:, 0]), 0.5 * np.exp(1j * phases[:, 1]))
    assert out[-1].p < 1e-3
    assert abs(out[-1].coherence) == pytest.approx(math.exp(-0.16), abs=0.08)
    assert abs(out[-1].unbiased) <= abs(out[-1].coherence)
    exact = compare(np.full(200, 0.8j), np.full(200, 0.5 + 0j))
    assert exact[-1].coherence == pytest.approx(1j)
    assert exact[0].p == 1.0


@pytest.mark.parametrize("members", [1, 5])
def test_two_fields_that_never_met_are_not(members):
    rng = np.random.default_rng(members)
    every = round(2 * TAU / DT)
    u = np.exp(1j * diffusing(rng, every * 302, 2 * members)).reshape(-1, 2, members).mean(axis=2)
    p = np.array([o.p for o in compare(u[:, 0], u[:, 1])[2 * every :: every]])
    assert (p < 0.05).mean() <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / 300)
    assert (p < 0.01).mean() <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / 300)


def test_a_group_without_a_phase_leaves_the_evidence_as_it_was():
    cross = CrossField(TAU)
    assert cross.update(None, 1j, DT, 2.0).n_eff == 0.0
    phases = noisy_lock(np.random.default_rng(2), 100, 2, 0.2)
    for a, b in np.exp(1j * phases):
        last = cross.update(complex(a), complex(b), DT, 2.0)
    assert cross.update(None, 1j, DT, 2.0) == cross.update(0j, 1j, DT, 2.0) == last
    for bad in [(2.0, 1j, DT, 2.0), (math.nan, 1j, DT, 2.0), (1j, 1j, 0.0, 2.0), (1j, 1j, DT, 0.0)]:
        with pytest.raises(KernelError):
            cross.update(*bad)
    assert cross.update(None, None, DT, 2.0) == last
    with pytest.raises(KernelError):
        CrossField(math.nan)


def test_wander_measures_the_correlation_of_diffusion():
    rng = np.random.default_rng(3)
    wander = Wander(200.0)
    u = np.exp(1j * diffusing(rng, 20_000, 1, 0.5)[:, 0])
    before = None
    for value in u:
        if wander.due(DT, 1.0):
            if before is None:
                wander.restart()
            else:
                wander.learn((value * before.conjugate()).real, 1.0)
            before = value
    per_tick = math.exp(-0.5 * DT)
    assert wander.correlation_s(400.0, DT, 0.1) == pytest.approx(DT * (1 + per_tick) / (1 - per_tick), rel=0.15)
    assert wander.correlation_s(400.0, DT, 0.95) < 0.5 * wander.correlation_s(400.0, DT, 0.8)
    assert wander.correlation_s(400.0, DT, 1.0) == DT
    assert Wander(1.0).correlation_s(1.0, 0.1, 0.0) == 0.0


def test_a_small_slow_wander_is_not_taken_for_a_large_one():
    rng = np.random.default_rng(9)
    slow = np.zeros(2)
    phases = []
    for k in range(160):
        slow = math.exp(-0.02) * slow + math.sqrt(1 - math.exp(-0.04)) * 0.15 * rng.standard_normal(2)
        phases.append(0.8 * k + np.array([0, 0.9]) + slow)
    out = watch(np.array(phases), 2.0)
    assert out[-1].p < 1e-4
    assert out[-1].p_n_eff > 10


@pytest.mark.parametrize("dt", [0.1, 1.0, 4.0])
def test_a_perfect_pair_is_found_at_any_pace_of_ticks(dt):
    out = watch(np.arange(round(60 / dt))[:, None] * 0.8 * dt + np.array([0, 0.9]), 4.0, tau=20.0, dt=dt)
    assert out[-1].p < 1e-3
