"""The mesh's parts against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.kairos.bessel import j0, j1
from becomingone.kairos.gamma import gamma_tail
from becomingone.kairos.mesh.coupling import ControlOscillator
from becomingone.kairos.mesh.geometric_median import geometric_median
from becomingone.kairos.mesh.kuramoto import lorentzian_frequencies, poisson_phases
from becomingone.kairos.mesh.population import Population
from becomingone.kairos.mesh.rayleigh_weighted import rayleigh_p_weighted

pytestmark = pytest.mark.reference


def test_special_functions():
    special = pytest.importorskip("scipy.special")
    x = np.linspace(0, 400, 100_001)
    assert np.abs(j0(x) - special.j0(x)).max() < 1e-7
    assert np.abs(j1(x) - special.j1(x)).max() < 1e-7
    for a in np.geomspace(0.1, 500, 30):
        for z in a * np.geomspace(0.01, 6, 30):
            assert gamma_tail(a, z) == pytest.approx(special.gammaincc(a, z), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("seed", range(20))
def test_no_optimiser_finds_a_nearer_point(seed):
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 60))
    points, weights = rng.random(n) * np.exp(1j * rng.vonmises(0, 3, n)), rng.random(n)

    def total(at):
        return (weights * np.abs(points - complex(*at))).sum()

    found = optimize.minimize(total, [0.3, 0.0], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-14})
    m = geometric_median(points, weights)
    assert total([m.real, m.imag]) <= found.fun * (1 + 1e-12)
    assert abs(m - complex(*found.x)) < 1e-5


@pytest.mark.parametrize("weights", [[1, 1, 1, 1, 1], [5, 2, 1, 1, 1], [3, 3, 2, 1, 1, 1, 1]])
def test_kluyvers_integral(weights):
    """P(|Σ| ≤ ρ) = ρ∫J₁(ρt)·ΠJ₀(w·t)dt, by scipy's own quadrature."""
    special = pytest.importorskip("scipy.special")
    integrate = pytest.importorskip("scipy.integrate")
    w = np.array(weights, dtype=float)
    for r in (0.2, 0.5, 0.8):
        rho = r * w.sum()
        t = np.linspace(1e-9, 400.0, 2_000_001)
        inside = rho * integrate.simpson(special.j1(rho * t) * special.j0(np.outer(w, t)).prod(axis=0), x=t)
        assert rayleigh_p_weighted(r, w) == pytest.approx(1 - inside, abs=1e-3)


def test_the_population_is_that_of_the_equation():
    integrate = pytest.importorskip("scipy.integrate")
    n, gain, lag = 40, 3.0, 0.3
    omega, phase = lorentzian_frequencies(n, 0.3), poisson_phases(n, 0.4)

    def slope(_, theta):
        z = np.exp(1j * theta).mean()
        return omega + gain * abs(z) * np.sin(np.angle(z) - theta - lag)

    solution = integrate.solve_ivp(slope, (0, 3), phase, rtol=1e-10, atol=1e-12).y[:, -1]
    population = Population(omega, phase, gain, lag=lag)
    population.run(3.0, 1e-3)
    assert np.abs(population.phasors - np.exp(1j * solution)).max() < 1e-4


def test_the_loop_is_that_of_its_equations():
    integrate = pytest.importorskip("scipy.integrate")
    gain, damping, own, field = 2.0, 0.7, 5.0, 5.8

    def slope(_, state):
        phi, integral = state
        return [field - own - integral - gain * math.sin(phi), (gain / (2 * damping)) ** 2 * math.sin(phi)]

    solution = integrate.solve_ivp(slope, (0, 3), [1.0, 0.0], rtol=1e-10, atol=1e-12).y[:, -1]
    oscillator = ControlOscillator(own, gain, damping=damping, phase=-1.0)
    psi, dt = 0.0, 2e-4
    for _ in range(15_000):
        theta = oscillator.step(dt, complex(math.cos(psi), math.sin(psi)), field_omega=field)
        psi += field * dt
    assert math.remainder(psi - theta, 2 * math.pi) == pytest.approx(solution[0], abs=1e-3)
    assert oscillator.integral == pytest.approx(solution[1], abs=1e-3)
