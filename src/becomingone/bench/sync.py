"""How far and how fast a simulated mesh locks, against the theory of Kuramoto and of Ott and Antonsen."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from becomingone.bench.report import Report, Row
from becomingone.kairos.mesh.kuramoto import locked_order, lorentzian_frequencies, poisson_phases, time_to_lock
from becomingone.kairos.mesh.population import Population

OSCILLATORS: Final = 10_000
GAINS: Final = (1.2, 1.5, 2.0, 3.0, 5.0)
"""K in units of K_c."""

TOLERANCE: Final = 0.02
GAMMA: Final = 1.0
"""Half width of the frequencies in rad/s; times are in units of 1/γ."""

START: Final = 0.05
STEP_S: Final = 0.02
LOCKED: Final = 0.9
SETTLED: Final = 12.0
AVERAGED_S: Final = 10.0


def run(*, oscillators: int = OSCILLATORS, gains: tuple[float, ...] = GAINS) -> Report:
    """Measure r(K) and the time to lock at each gain.

    Parameters
    ----------
    oscillators : int
        N, ≥ 1.
    gains : tuple of float
        K/K_c, each above 1.
    """
    orders: list[Row] = []
    times: list[Row] = []
    for gain in gains:
        order, time = _measure(oscillators, gain)
        orders.append(order)
        times.append(time)
    return Report("sync", [*orders, *times])


def _measure(oscillators: int, gain: float) -> tuple[Row, Row]:
    k = 2.0 * GAMMA * gain
    theory = locked_order(k, GAMMA)
    expected_s = time_to_lock(k, GAMMA, start=START, share=LOCKED)
    population = Population(lorentzian_frequencies(oscillators, GAMMA), poisson_phases(oscillators, START), k)
    # Twelve time constants of the healing leave e^-12 of what was missing.
    duration_s = expected_s + SETTLED / (k - 2.0 * GAMMA) + AVERAGED_S
    r = np.abs(population.run(duration_s, STEP_S))
    measured = float(r[-round(AVERAGED_S / STEP_S) :].mean())
    error = measured / theory - 1.0
    orders = Row(
        f"order at K = {gain:g} K_c",
        "",
        theory,
        measured,
        measured / theory,
        f"within {TOLERANCE:.0%} of theory",
        abs(error) <= TOLERANCE,
        {"relative error": error, "swing (1 sigma)": float(r[-round(AVERAGED_S / STEP_S) :].std())},
    )
    taken_s = _reached(r, LOCKED * theory)
    what = f"time from {START:g} to {LOCKED:.0%} of it, K = {gain:g} K_c"
    return orders, Row(what, "1/gamma", expected_s, taken_s, taken_s / expected_s, "reported", ok=True)


def _reached(r: NDArray[np.float64], level: float) -> float:
    """First time at which the order is at a level, by straight lines between steps; NaN when never."""
    above = np.flatnonzero(r >= level)
    if not above.shape[0]:
        return float("nan")
    k = int(above[0])
    before = float(r[k - 1]) if k else START
    return STEP_S * (k + (level - before) / (float(r[k]) - before))
