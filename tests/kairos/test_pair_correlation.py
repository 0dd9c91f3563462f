"""How many ticks make one independent look."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.kairos.pairs.pair_correlation import LONGEST, lag_weights, spread_lags
from becomingone.kairos.pairs.pair_stream import PairStream

DT = 0.1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 1024), st.integers(1, 40), st.floats(-2.0, 2.0))
def test_lag_weights_sum_straight_lines_exactly(reach, every, slope):
    lags = spread_lags(reach)
    assert lags[0] == 1
    assert lags[-1] == reach
    assert (np.diff(lags) > 0).all()
    first, q = lag_weights(lags, every, -1e-13)
    k = np.arange(1, every * reach + 1)
    exact = (1 + slope * k / k[-1]).sum()
    # The window's own decay of 1e-13 a tick bends the lines by as much at each of its lags.
    bent = 1e-12 + 1e-13 * float(k[-1]) ** 2
    assert first + (q * (1 + slope * every * lags / k[-1])).sum() == pytest.approx(exact, rel=1e-9, abs=bent)


def test_a_long_window_keeps_every_so_many_ticks_and_counts_too_few_rather_than_too_many():
    rng = np.random.default_rng(7)
    s = PairStream(2, tau_s=LONGEST * 4 * DT, spacing_s=DT)
    u = np.exp(1j * rng.uniform(0, 2 * math.pi, (3000, 2)))
    s.block(u[:1234])
    s.skip(33 * DT)
    for tick in u[1234:1300]:
        s.tick(tick)
    s.block(u[1300:])
    # Four ticks of white phases are taken for one; and lags not reached yet count in full.
    assert 1.0 <= s.measures().n_eff[0, 1] < 3000 / 4
    for _ in range(12):
        s.block(u)
    assert 0.15 < s.measures().n_eff[0, 1] * 4 / (2 * 4 * LONGEST) < 1.3
