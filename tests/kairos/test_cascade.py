"""The block filter against the recursion that it stands for."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest

from becomingone.kairos.bands import Band
from becomingone.kairos.channel.cascade import CHUNK, Cascade, CascadeState
from becomingone.kairos.channel.demodulate import Demodulator
from becomingone.kairos.channel.timing import Timing


def recursion(y, rho, alpha, lam_mean, state):
    z1, z2, m = state
    out, means = [], []
    for value in y:
        z1 = rho * z1 + alpha * value
        z2 = rho * z2 + alpha * z1
        m = lam_mean * m + (1 - lam_mean) * value
        out.append(z2)
        means.append(m)
    return np.array(out), np.array(means), (z1, z2, m)


@pytest.mark.parametrize("n", [1, 31, 32, 33, 1000, CHUNK, CHUNK + 1, 3 * CHUNK + 17])
def test_equals_the_recursion(n):
    alpha, alpha_mean, angle = 0.01, 0.002, 0.3
    cascade = Cascade(math.log1p(-alpha), angle, alpha, math.log1p(-alpha_mean), alpha_mean, 0.2 + 0.1j)
    y = np.random.default_rng(n).standard_normal(n)
    state = CascadeState(0.3 - 0.2j, 0.1j, 0.7)
    z, mean, after = cascade.run(y, state)
    rho = (1 - alpha) * cmath.exp(1j * angle)
    want, want_mean, want_after = recursion(y, rho, alpha, 1 - alpha_mean, state)
    assert np.abs(z - want).max() < 1e-13
    assert np.abs(mean - want_mean).max() < 1e-13
    assert np.abs(np.array(after) - want_after).max() < 1e-13
    clean, after_clean = cascade.run_clean(y, state)
    assert np.abs(clean - (want - (0.2 + 0.1j) * want_mean)).max() < 1e-13
    assert after_clean == after


@pytest.mark.parametrize("tau", [0.02, 1.0, 300.0])
def test_demodulator_is_linear_in_what_it_should_be(tau):
    """z₂ of x − mean from the definition: x less its leaky mean over all of the past, filtered."""
    band, dt = Band.of("b", 5 / (2 * math.pi * tau), tau), tau / 40
    x = 3.0 + np.random.default_rng(1).standard_normal(700)
    timing = Timing(band, dt, real=True)
    z, weight = Demodulator(band).block(x, timing)
    k = np.arange(700)
    for n in (0, 5, 100, 699):
        past = k[: n + 1]
        decays = (1 - timing.alpha_mean) ** (n - past)
        mean = (decays * x[: n + 1]).sum() / decays.sum()
        h = timing.alpha**2 * (n - past + 1) * ((1 - timing.alpha) * timing.rotor) ** (n - past)
        assert abs(z[n] - (h * (x[: n + 1] - mean)).sum()) < 1e-12
        assert weight[n] == pytest.approx(np.abs(h).sum(), abs=1e-12)


def test_weights_are_left_out_once_nothing_grows():
    band = Band.of("b", 1.0, 1.0)
    timing = Timing(band, 0.1, real=True)
    demodulator, reference = Demodulator(band), Demodulator(band)
    x = np.random.default_rng(2).standard_normal(6000)
    demodulator.block(x[:5000], timing)
    z, weight = demodulator.block(x[5000:], timing)
    assert weight is None
    ones = [reference.step(value, timing) for value in x.tolist()]
    assert np.abs(z - np.array([one[0] for one in ones])[5000:]).max() < 1e-12
    assert ones[-1][1] == 1.0
    # Another spacing, another still: the mean has to be answered for anew.
    finer = Timing(band, 0.05, real=True)
    after, beside = demodulator.block(x[:300] + 50.0, finer)
    singles = np.array([reference.step(value + 50.0, finer)[0] for value in x[:300].tolist()])
    assert beside is not None
    assert np.abs(after - singles).max() < 1e-10
