"""A sum of exponentials that is 1/t, and the forgetting that follows from it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.memory.forgetting import lifetime_us, strength, survivors
from becomingone.kairos.memory.log_time import LogTime, ripple

HOUR = 3_600_000_000
YEAR = 8766 * HOUR


@pytest.mark.parametrize(("ratio", "amplitude"), [(2.0, 9.9e-6), (math.e, 6.5e-4), (4.0, 8.6e-3)])
def test_ripple_is_the_gamma_function_and_is_what_the_endless_bank_does(ratio, amplitude):
    # Γ(1 + iy) = ∫e^{−e^x}·e^{(1+iy)x}dx, by the trapezoid rule.
    x = np.arange(-45.0, 6.0, 0.005)
    gamma = (np.exp(-np.exp(x) + (1 + 2j * np.pi / math.log(ratio)) * x)).sum() * 0.005
    assert ripple(ratio) == pytest.approx(2 * abs(gamma), rel=1e-7)
    assert ripple(ratio) == pytest.approx(amplitude, rel=0.01)
    endless = LogTime.of(1, HOUR, ratio=ratio, below=20, above=60, fitted=False)
    t = np.geomspace(1, HOUR, 5000)
    deviation = t * endless.kernel(t) - 1
    assert deviation.max() == pytest.approx(ripple(ratio), rel=2e-3)
    assert deviation.min() == pytest.approx(-ripple(ratio), rel=2e-3)


def test_fitted_weights_leave_the_edges_as_good_as_the_middle():
    fitted = LogTime.of(1, HOUR)
    assert len(fitted) == 40  # 32 scales from 1 µs to an hour, 4 guards on either side
    assert fitted.tau_us[4] == 1.0
    assert fitted.error() < 1.2 * ripple(2.0)
    assert (fitted.weight > 0).all()
    assert (np.diff(fitted.kernel(np.geomspace(1e-3, 1e14, 3000))) <= 0).all()


@pytest.mark.parametrize(("high", "ratio", "bound"), [(1e3, 2.0, 1.3e-5), (3e13, 2.0, 1.2e-5), (HOUR, 4.0, 1.2e-2)])
def test_fitted_weights_for_other_ranges(high, ratio, bound):
    bank = LogTime.of(1, high, ratio=ratio)
    assert bank.error() < bound
    assert (bank.weight > 0).all()


def test_edges_without_a_fit():
    def edge(above):
        return LogTime.of(1, HOUR, above=above, fitted=False).error()

    assert edge(2) == pytest.approx(0.25, abs=0.01)
    assert edge(10) == pytest.approx(1.13e-3, rel=0.01)
    # What lies beyond the last scale: ln 2·t/τ_max.
    assert edge(10) == pytest.approx(math.log(2) * HOUR / 2.0**41, rel=0.02)


@pytest.mark.parametrize(
    ("low", "high", "options"),
    [
        (0.0, 1.0, {}),
        (2.0, 1.0, {}),
        (1.0, math.inf, {}),
        (1.0, 9.0, {"ratio": 1.0}),
        (1.0, 9.0, {"ratio": math.nan}),
        (1.0, 9.0, {"below": -1}),
        (1.0, 1e9, {"ratio": 1.01}),
    ],
)
def test_log_time_refuses(low, high, options):
    with pytest.raises(KernelError):
        LogTime.of(low, high, **options)
    with pytest.raises(KernelError):
        LogTime.of(1, 9).kernel(-1.0)


def test_all_fade_at_one_rate_and_last_in_proportion_to_their_coherence():
    log_time = LogTime.of(1e6, YEAR)
    age = np.array([0.0, 1e6, 1e8, 1e12])
    strong = strength(np.full(4, 0.8), age, log_time)
    weak = strength(np.full(4, 0.2), age, log_time)
    assert strong / weak == pytest.approx(4.0)
    assert strong[0] == pytest.approx(0.8)
    k0 = log_time.weight.sum()
    assert strong[2:] == pytest.approx(0.8 / (k0 * age[2:]), rel=2e-5)
    level = 1e-5
    assert lifetime_us(0.8, level, log_time) == pytest.approx(4 * lifetime_us(0.2, level, log_time), rel=1e-4)
    assert lifetime_us(0.8, level, log_time) == pytest.approx(0.8 / (level * k0), rel=1e-4)
    assert lifetime_us(0.5, 0.5, log_time) == lifetime_us(0.0, 0.5, log_time) == 0.0
    assert float(strength(np.array([0.5]), np.array([lifetime_us(0.5, 0.1, log_time)]), log_time)[0]) == pytest.approx(
        0.1
    )


def test_the_order_of_strength_changes_with_time():
    log_time = LogTime.of(1e6, YEAR)
    c, time = np.array([0.9, 0.3, 0.3]), np.array([0, HOUR, HOUR])
    early = strength(c, HOUR + 10**7 - time, log_time)
    late = strength(c, 100 * HOUR - time, log_time)
    assert survivors(early, 1).tolist() == [2]  # of equal ones the later
    assert survivors(early, 2).tolist() == [1, 2]
    assert survivors(late, 1).tolist() == [0]
    assert survivors(late, 9).tolist() == [0, 1, 2]
    assert survivors(late, 0).shape == (0,)


def test_forgetting_refuses():
    log_time = LogTime.of(1, HOUR)
    for c in ([1.1], [-0.1], [math.nan]):
        with pytest.raises(KernelError):
            strength(np.array(c), np.ones(1), log_time)
    for bad in (
        lambda: strength(np.ones(2), np.ones(1), log_time),
        lambda: strength(np.ones(1), -np.ones(1), log_time),
    ):
        with pytest.raises(KernelError):
            bad()
    for c, level in ((1.1, 0.5), (0.5, 0.0), (0.5, 1.0), (math.nan, 0.5)):
        with pytest.raises(KernelError):
            lifetime_us(c, level, log_time)
    for faded, keep in (([math.nan], 1), ([1.0], -1), ([[1.0]], 1)):
        with pytest.raises(KernelError):
            survivors(np.array(faded), keep)
