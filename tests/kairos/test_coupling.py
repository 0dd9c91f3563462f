"""The control oscillator: entrained, delay compensated, never stuck."""

from __future__ import annotations

import cmath
import math
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.mesh.coupling import ControlOscillator, _adler


def apart(a, b):
    return math.remainder(a - b, 2 * math.pi)


def follow(oscillator, omega, seconds, dt, r=1.0, psi=0.3):
    """Feed a field that turns at a constant rate; return the last phase difference to it."""
    for _ in range(round(seconds / dt)):
        theta = oscillator.step(dt, r * cmath.exp(1j * psi), field_omega=omega)
        psi = math.remainder(psi + omega * dt, 2 * math.pi)
    return apart(psi, theta)


def runge_kutta(phi, kappa, delta, t, steps=4000):
    h = t / steps
    for _ in range(steps):
        a = delta - kappa * math.sin(phi)
        b = delta - kappa * math.sin(phi + h / 2 * a)
        c = delta - kappa * math.sin(phi + h / 2 * b)
        d = delta - kappa * math.sin(phi + h * c)
        phi += h / 6 * (a + 2 * b + 2 * c + d)
    return phi


@pytest.mark.parametrize("seed", range(25))
def test_the_closed_solution_is_that_of_the_equation(seed):
    rng = np.random.default_rng(seed)
    phi, kappa, delta, t = rng.uniform(-3, 3), rng.uniform(0.05, 4), rng.uniform(-6, 6), rng.uniform(0.01, 5)
    after, turned = _adler(phi, kappa, delta, t)
    assert turned == pytest.approx(runge_kutta(phi, kappa, delta, t) - phi, abs=1e-8)
    assert apart(after, phi + turned) == pytest.approx(0, abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(
    st.floats(-math.pi, math.pi), st.floats(1e-6, 50), st.floats(-50, 50), st.floats(1e-6, 1e4), st.floats(1e-6, 1e4)
)
def test_two_steps_are_one(phi, kappa, delta, first, second):
    middle, turned_1 = _adler(phi, kappa, delta, first)
    last, turned_2 = _adler(middle, kappa, delta, second)
    whole, turned = _adler(phi, kappa, delta, first + second)
    # Rounding of the time shifts a fast drift.
    assert abs(turned_1 + turned_2 - turned) <= 1e-6 + 1e-9 * abs(delta) * (first + second)
    assert abs(apart(last, whole)) <= 1e-6 + 1e-9 * abs(delta) * (first + second)


def test_another_own_rate_changes_nothing_that_is_seen_or_everything():
    oscillator = ControlOscillator(5.0, 1.0, pull=1.5)
    follow(oscillator, 5.7, 60.0, 0.05)
    before = oscillator.phase
    oscillator.retune(5.5, keep=True)
    assert (oscillator.phase, oscillator.rate) == (before, pytest.approx(5.7, abs=1e-9))
    assert oscillator.integral == pytest.approx(0.2, abs=1e-9)
    oscillator.retune(3.0, keep=True)  # beyond what it may believe its own rate to be off by
    assert oscillator.rate == 4.5
    oscillator.retune(6.0, keep=False)
    assert (oscillator.rate, oscillator.integral, oscillator.phase) == (6.0, 0.0, before)
    with pytest.raises(KernelError, match="omega is nan"):
        oscillator.retune(math.nan, keep=True)
    assert oscillator.rate == 6.0


def test_another_own_rate_of_type_1_shows_with_the_next_step():
    oscillator = ControlOscillator(5.0, 2.0, damping=None)
    follow(oscillator, 5.5, 20.0, 0.05)
    oscillator.retune(5.2, keep=True)
    assert oscillator.rate == pytest.approx(5.5, abs=1e-9)
    assert follow(oscillator, 5.5, 20.0, 0.05) == pytest.approx(math.asin(0.15), abs=1e-9)


@pytest.mark.parametrize("dt", [0.001, 0.1, 3.0])
@pytest.mark.parametrize("difference", [-1.5, 0.2, 1.1])
def test_type_1_leaves_what_adler_says(dt, difference):
    oscillator = ControlOscillator(5.0, 2.5, damping=None)
    left = follow(oscillator, 5.0 + difference, max(40.0, 40 * dt), dt, r=0.8)
    assert left == pytest.approx(math.asin(difference / 2.0), abs=1e-9)
    assert oscillator.rate == pytest.approx(5.0 + difference, abs=1e-9)


def test_type_1_beyond_its_range_drifts_at_the_beat():
    oscillator = ControlOscillator(5.0, 1.0, damping=None)
    psi, turns, before = 0.0, 0.0, 0.0
    for _ in range(50_000):
        theta = oscillator.step(0.02, cmath.exp(1j * psi), field_omega=7.0)
        psi = math.remainder(psi + 0.04 + 0.1, 2 * math.pi)
        turns += apart(apart(psi, theta), before)
        before = apart(psi, theta)
    assert turns / 1000.0 == pytest.approx(math.sqrt(4 - 1), rel=2e-3)


@pytest.mark.parametrize("dt", [0.002, 0.1, 1.0, 300.0])
@pytest.mark.parametrize("damping", [0.5, 1.0])
def test_type_2_leaves_nothing(dt, damping):
    oscillator = ControlOscillator(5.0, 2.0, damping=damping, phase=2.0)
    assert abs(follow(oscillator, 6.7, max(80.0, 60 * dt), dt, r=0.7)) < 1e-9
    assert oscillator.integral == pytest.approx(1.7, abs=1e-9)
    assert oscillator.rate == pytest.approx(6.7, abs=1e-9)


def test_type_2_pulls_in_what_type_1_cannot_hold():
    assert abs(follow(ControlOscillator(5.0, 1.0), 8.0, 400.0, 0.05)) < 1e-9


def test_lag_is_where_it_settles():
    assert follow(ControlOscillator(5.0, 2.0, lag=0.4), 6.0, 60.0, 0.05) == pytest.approx(0.4, abs=1e-9)


def test_delayed_field_without_and_with_compensation():
    """Two oscillators that see each other as they were τ ago run at Ω = ω − K·sin Ωτ; compensated, at ω."""
    omega, gain, delay, dt = 2.0, 1.2, 0.5, 0.005
    for compensated in (False, True):
        pair = [ControlOscillator(omega, gain, damping=None, phase=p) for p in (0.0, 0.8)]
        lag = round(delay / dt)
        past = deque([[o.phase for o in pair]] * (lag + 1), maxlen=lag + 1)
        rate, turned = omega, []
        for _ in range(8000):
            then = past[0]
            before = [o.phase for o in pair]
            for o, other in zip(pair, reversed(then), strict=True):
                o.step(dt, cmath.exp(1j * other), field_omega=rate, age_s=delay if compensated else 0.0)
            past.append([o.phase for o in pair])
            turned.append(apart(pair[0].phase, before[0]) / dt)
            rate = turned[-1]  # the mesh's rate, as it is measured
        expected = omega
        for _ in range(200):
            expected = omega - (0.0 if compensated else gain) * math.sin(expected * delay)
        assert turned[-1] == pytest.approx(expected, abs=1e-6)
        assert apart(pair[0].phase, pair[1].phase) == pytest.approx(0, abs=1e-9)
        field = cmath.exp(1j * past[0][1]) * cmath.exp(1j * turned[-1] * delay)
        assert apart(cmath.phase(field), past[-1][0]) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("damping", [None, 1.0])
def test_a_mesh_of_unequal_oscillators(damping):
    rng = np.random.default_rng(1)
    own = rng.normal(4.0, 0.2, 12)
    nodes = [
        ControlOscillator(w, 2.0, damping=damping, phase=p) for w, p in zip(own, rng.uniform(-1, 1, 12), strict=True)
    ]
    field, rate = complex(np.mean([cmath.exp(1j * o.phase) for o in nodes])), 4.0
    for _ in range(2400):
        for o in nodes:
            o.step(0.05, field, field_omega=rate)
        new = complex(np.mean([cmath.exp(1j * o.phase) for o in nodes]))
        rate += 0.2 * (cmath.phase(new / field) / 0.05 - rate)
        field = new
    left = [apart(cmath.phase(field), o.phase) for o in nodes]
    if damping is None:
        r = abs(field)
        assert left == pytest.approx([math.asin((rate - w) / (2.0 * r)) for w in own], abs=1e-6)
        assert max(map(abs, left)) > 0.1
    else:
        assert max(map(abs, left)) < 1e-9


def test_without_a_field_it_coasts_at_the_last_entrained_rate():
    for damping in (None, 1.0):
        oscillator = ControlOscillator(5.0, 2.0, damping=damping)
        follow(oscillator, 6.0, 60.0, 0.05)
        theta = oscillator.phase
        for field in (None, 0j, None):
            oscillator.step(0.7, field)
        assert apart(oscillator.phase, theta + 6.0 * 2.1) == pytest.approx(0, abs=1e-8)
        assert oscillator.rate == pytest.approx(6.0, abs=1e-8)
    fresh = ControlOscillator(5.0, 2.0)
    assert fresh.step(1.0, None) == pytest.approx(math.remainder(5.0, 2 * math.pi))
    idle = ControlOscillator(5.0, 0.0)
    assert idle.step(1.0, 1 + 0j, field_omega=7.0) == pytest.approx(math.remainder(5.0, 2 * math.pi))


def test_the_integral_stops_at_the_pull_and_comes_back_at_once():
    oscillator = ControlOscillator(5.0, 1.0, pull=0.5)
    follow(oscillator, 9.0, 100.0, 0.05)
    assert abs(oscillator.integral) <= 0.5
    left = follow(oscillator, 5.2, 40.0, 0.05)
    assert abs(left) < 1e-6
    assert oscillator.integral == pytest.approx(0.2, abs=1e-6)


def test_phase_stays_wrapped():
    oscillator = ControlOscillator(50.0, 1.0, phase=99.0)
    assert abs(oscillator.phase) <= math.pi
    for k in range(200):
        assert abs(oscillator.step(0.3, cmath.exp(1j * k))) <= math.pi


def test_refusals_leave_it_as_it_was():
    good = {"omega": 1.0, "gain": 1.0}
    for bad in (
        {"omega": math.nan},
        {"gain": -1.0},
        {"gain": math.inf},
        {"lag": 1.6},
        {"lag": math.nan},
        {"damping": 0.0},
        {"damping": math.nan},
        {"pull": -1.0},
        {"pull": math.nan},
        {"phase": math.inf},
    ):
        with pytest.raises(KernelError):
            ControlOscillator(**(good | bad))
    oscillator = ControlOscillator(3.0, 1.0)
    twin = ControlOscillator(3.0, 1.0)
    for bad in (
        {"dt_s": 0.0},
        {"dt_s": -1.0},
        {"dt_s": math.nan},
        {"field": complex(math.nan, 0)},
        {"field": 1.5 + 0j},
        {"field_omega": math.inf},
        {"age_s": -0.1},
        {"age_s": math.nan},
    ):
        with pytest.raises(KernelError):
            oscillator.step(**({"dt_s": 0.1, "field": 0.5j} | bad))
    assert oscillator.step(0.1, 0.5j) == twin.step(0.1, 0.5j)
