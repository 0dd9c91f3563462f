"""Populations of oscillators against the theory."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.mesh.kuramoto import (
    locked_order,
    lorentzian_frequencies,
    poisson_phases,
    time_to_lock,
    winding_number,
)
from becomingone.kairos.mesh.population import Population


def settled(population, seconds, dt=0.02, averaged=5.0):
    return float(np.abs(population.run(seconds, dt)[-round(averaged / dt) :]).mean())


def ott_antonsen(r, gain, gamma, seconds, dt=1e-3):
    out = []
    for _ in range(round(seconds / dt)):
        a = -gamma * r + gain / 2 * r * (1 - r * r)
        middle = r + dt / 2 * a
        r += dt * (-gamma * middle + gain / 2 * middle * (1 - middle**2))
        out.append(r)
    return np.array(out)


def test_quantiles():
    omega = lorentzian_frequencies(10_001, 0.7)
    assert omega.sum() == pytest.approx(0, abs=1e-6)
    assert np.median(omega) == pytest.approx(0, abs=1e-12)
    assert np.quantile(np.abs(omega), 0.5) == pytest.approx(0.7, rel=1e-3)
    phases = poisson_phases(20_001, 0.6)
    for m in (1, 2, 3):
        assert np.exp(1j * m * phases).mean() == pytest.approx(0.6**m, abs=1e-3)
    assert poisson_phases(5, 0.0) == pytest.approx(2 * np.pi * (np.arange(5) * 0.6180339887498949 % 1 - 0.5))


@pytest.mark.parametrize("ratio", [1.5, 3.0])
def test_order_of_lorentzian_frequencies(ratio):
    gain = 2.0 * ratio
    population = Population(lorentzian_frequencies(2000, 1.0), poisson_phases(2000, 0.5), gain)
    assert settled(population, 5 + 10 / (gain - 2)) == pytest.approx(locked_order(gain, 1.0), rel=0.02)


@pytest.mark.parametrize("ratio", [1.2, 1.5, 2.0, 3.0, 5.0])
def test_order_of_ten_thousand_is_within_two_percent(ratio):
    gain = 2.0 * ratio
    population = Population(lorentzian_frequencies(10_000, 1.0), poisson_phases(10_000, 0.3), gain)
    assert settled(population, 5 + 10 / (gain - 2)) == pytest.approx(locked_order(gain, 1.0), rel=0.02)


def test_below_the_critical_gain_there_is_no_order():
    population = Population(lorentzian_frequencies(2000, 1.0), poisson_phases(2000, 0.5), 1.4)
    assert settled(population, 30.0) < 0.06
    assert locked_order(1.4, 1.0) == 0.0


@pytest.mark.parametrize("lag", [0.4, 0.8])
def test_phase_lag_of_sakaguchi(lag):
    gain = 5.0
    population = Population(lorentzian_frequencies(2000, 1.0), poisson_phases(2000, 0.5), gain, lag=lag)
    expected = math.sqrt(1 - 2 / (gain * math.cos(lag)))
    assert locked_order(gain, 1.0, lag=lag) == pytest.approx(expected)
    assert settled(population, 15.0) == pytest.approx(expected, rel=0.02)


def test_noise_of_equal_oscillators():
    """r = I₁(Kr/D)/I₀(Kr/D)."""
    gain, diffusion, n = 3.0, 1.0, 4000
    theta = (np.arange(2000) + 0.5) * (math.pi / 2000)
    r = 0.9
    for _ in range(200):
        weight = np.exp(gain * r / diffusion * (np.cos(theta) - 1))
        r = (np.cos(theta) * weight).sum() / weight.sum()
    population = Population(
        np.zeros(n), poisson_phases(n, 0.9), gain, diffusion=diffusion, random=np.random.default_rng(1)
    )
    assert settled(population, 25.0, dt=0.02, averaged=15.0) == pytest.approx(r, rel=0.02)


@pytest.mark.parametrize("start", [0.05, 0.95])
def test_the_way_to_lock_is_that_of_ott_and_antonsen(start):
    gain, dt = 4.0, 0.02
    population = Population(lorentzian_frequencies(4000, 1.0), poisson_phases(4000, start), gain)
    r = np.abs(population.run(6.0, dt))
    theory = ott_antonsen(start, gain, 1.0, 6.0)[19::20]
    assert r == pytest.approx(theory, abs=0.01)


def test_time_to_lock_and_healing_rate():
    gain = 3.0
    theory = ott_antonsen(0.05, gain, 1.0, 20.0)
    final = locked_order(gain, 1.0)
    assert theory[-1] == pytest.approx(final, abs=1e-6)
    for share in (0.5, 0.9, 0.95):
        assert time_to_lock(gain, 1.0, start=0.05, share=share) == pytest.approx(
            np.argmax(theory >= share * final) * 1e-3, abs=3e-3
        )
    assert time_to_lock(gain, 1.0, start=0.9) == 0.0
    healing = ott_antonsen(final + 1e-4, gain, 1.0, 2.0) - final
    assert math.log(healing[0] / healing[-1]) / (1.999) == pytest.approx(gain - 2.0, rel=1e-3)


def test_step_is_of_second_order():
    def end(dt):
        population = Population(lorentzian_frequencies(50, 0.5), poisson_phases(50, 0.3), 3.0)
        return population.run(2.0, dt)[-1]

    exact = end(0.0005)
    coarse, fine = abs(end(0.02) - exact), abs(end(0.01) - exact)
    assert coarse / fine == pytest.approx(4.0, rel=0.15)


def test_phasors_stay_unit_phasors():
    population = Population(lorentzian_frequencies(100, 1.0), poisson_phases(100, 0.2), 3.0)
    population.run(20.0, 0.5)
    assert np.abs(population.phasors) == pytest.approx(np.ones(100), abs=1e-14)
    assert abs(population.field) == pytest.approx(abs(population.phasors.mean()))


def test_rings_hold_twisted_states():
    n = 20
    twisted = 2 * np.pi * 2 * np.arange(n) / n
    rng = np.random.default_rng(1)
    phase = twisted + 0.05 * rng.standard_normal(n)
    for _ in range(4000):
        phase = phase + 0.05 * (np.sin(np.roll(phase, 1) - phase) + np.sin(np.roll(phase, -1) - phase))
    assert winding_number(phase) == 2  # for ever: its neighbours alone never undo it
    assert abs(np.exp(1j * phase).mean()) < 1e-6
    field_coupled = Population(np.zeros(n), phase + 0.05 * rng.standard_normal(n), 1.0)
    field_coupled.run(60.0, 0.05)
    assert winding_number(np.angle(field_coupled.phasors)) == 0
    assert winding_number(-twisted) == -2
    assert winding_number(np.array([1.0])) == 0
    assert winding_number(np.array([3.0, -3.0, 3.1])) == 0


def test_refusals():
    ok = {"omega": np.zeros(3), "phase": np.zeros(3), "gain": 1.0}
    for bad in (
        {"omega": np.zeros(2)},
        {"omega": np.zeros(0), "phase": np.zeros(0)},
        {"phase": np.array([0, math.nan, 0])},
        {"gain": -1.0},
        {"gain": math.nan},
        {"lag": 2.0},
        {"diffusion": -1.0},
        {"diffusion": 1.0},
    ):
        with pytest.raises(KernelError):
            Population(**(ok | bad))
    population = Population(**ok)
    for dt in (0.0, -1.0, math.nan):
        with pytest.raises(KernelError):
            population.step(dt)
        with pytest.raises(KernelError):
            population.run(1.0, dt)
    for call in (
        lambda: lorentzian_frequencies(0, 1.0),
        lambda: lorentzian_frequencies(3, 0.0),
        lambda: poisson_phases(3, 1.0),
        lambda: poisson_phases(0, 0.5),
        lambda: locked_order(0.0, 1.0),
        lambda: locked_order(3.0, 1.0, lag=1.6),
        lambda: time_to_lock(1.9, 1.0, start=0.1),
        lambda: time_to_lock(3.0, 1.0, start=0.0),
        lambda: time_to_lock(3.0, 1.0, start=0.1, share=1.0),
        lambda: winding_number(np.zeros(0)),
        lambda: winding_number(np.array([math.nan])),
    ):
        with pytest.raises(KernelError):
            call()
