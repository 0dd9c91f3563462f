"""Slots and ticks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from becomingone.kairos.bands import Band
from becomingone.kairos.channel.grid import Grid


def spaced(per_tau, lag=None):
    grid = Grid(Band.of("b", 1.0, 0.8, lag_s=lag))
    grid.respace(0.8 / per_tau)
    return grid


@pytest.mark.parametrize("per_tau", [0.5, 2.0, 7.3, 100.0, 48_000.0])
@pytest.mark.parametrize("lag", [None, 6.3, 44.0])
def test_ticks_are_one_lag_apart_to_the_slot(per_tau, lag):
    grid = spaced(per_tau, lag)
    assert grid.lag == max(1, round((lag or 6.0) / grid.spacing))
    ticks = grid.take(5 * grid.lag)
    assert (ticks[grid.lag_ticks :] - ticks[: -grid.lag_ticks] == grid.lag).all()
    assert (np.diff(ticks) >= 1).all()
    assert np.diff(ticks).max() <= max(1.0, 2 * np.pi * per_tau / 16) + 1
    assert 1 <= grid.memory_ticks <= grid.lag_ticks


@given(st.lists(st.integers(0, 500), max_size=30))
def test_however_time_advances_the_ticks_are_the_same(steps):
    whole, parts = spaced(9.7), spaced(9.7)
    ticks = np.concatenate([np.empty(0, dtype=np.int64), *(parts.take(step) for step in steps)])
    assert (whole.take(sum(steps)) == ticks).all()
    assert whole.next_tick == parts.next_tick > whole.slot
    again = spaced(9.7)
    assert sum(again.skip(step) for step in steps) == len(ticks)


def test_turns_are_exact_after_a_year():
    grid = spaced(3.7)
    slots = np.array([1, 10**6, 2**40 + 1], dtype=np.int64)
    per_slot = Fraction(grid.spacing)  # one cycle a second
    cycles = [float((int(slot) * per_slot) % 1) for slot in slots]
    want = np.exp(-2j * np.pi * np.array(cycles))
    assert np.abs(grid.turns(slots)[:2] - want[:2]).max() < 1e-12
    assert abs(grid.turns(slots)[2] - want[2]) < 1e-6  # 2⁻⁶⁴ of a turn a slot, a trillion times
    grid.slot = 10**6
    assert abs(grid.turn() - grid.turns(slots)[1]) < 1e-15


def test_irregular_samples_find_their_slot():
    grid = spaced(10.0)
    assert [grid.advance(grid.spacing * step) for step in (1.0, 0.4, 0.4, 0.4, 3.0, 0.1)] == [1, 0, 1, 0, 3, 0]
    grid.pending = 2.0 * grid.spacing
    assert grid.enter_block() == 2
    assert grid.pending == 0.0
    assert not grid.fits(grid.spacing * 1.2)
    assert grid.fits(grid.spacing * 1.05)
