"""The ring of a band's phases: slots, channels that come and go, what it forgets."""

import math

import numpy as np
import pytest
from tests.hub.emergence.rig import BANDS, NOW_US

from becomingone.hub.emergence import look_back
from becomingone.hub.emergence.look_back import LookBack, spacing_s

STRIDE = BANDS["stride"]


def rows(*numbers):
    return np.array(numbers, np.intp)


def take(back, seconds, given):
    """Take phases relative to the band's own rotation, by row."""
    which = rows(*given)
    u = np.exp(1j * (np.array(list(given.values()), float) + STRIDE.omega * seconds))
    return back.take(NOW_US + round(seconds * 1e6), which, u, np.full(len(given), STRIDE.omega))


def test_a_slot_is_a_quarter_period_or_whole_ones_and_never_shorter_than_two_ticks():
    assert spacing_s(STRIDE, 0.1) == pytest.approx(0.25 / 0.78)
    assert spacing_s(BANDS["replayed_day"], 0.1) == pytest.approx(24.0)
    assert spacing_s(BANDS["fast"], 0.1) == 0.1


def test_phases_are_kept_turned_back_and_averaged():
    back = LookBack(STRIDE, 0.5, 8)
    ended = [take(back, 0.1 * i, {3: 0.2 + 0.01 * (i % 5), 7: -1.0}) for i in range(26)]
    assert sum(ended) == 5
    window = back.window(rows(3, 7))
    assert window.shape == (5, 2)
    assert np.angle(window[:, 0]) == pytest.approx(np.full(5, 0.22), abs=6e-3)
    assert np.angle(window[:, 1]) == pytest.approx(np.full(5, -1.0), abs=1e-3)
    assert back.known(rows(3, 7, 9)).tolist() == [5, 5, 0]
    assert np.angle(back.last(rows(7)))[0] == pytest.approx(-1.0, abs=1e-3)
    assert back.last(rows(11)).tolist() == [0]


def test_the_turn_that_a_node_makes_by_the_rate_it_measures_is_taken_back():
    """A node measures its rate anew: its phase jumps by what the filter does to the difference, the rhythm does not."""
    back = LookBack(STRIDE, 0.5, 20)
    true = 1.03 * STRIDE.omega
    for i in range(60):
        t = 0.1 * i
        measured = STRIDE.omega if t < 3 else 1.03 * STRIDE.omega
        lag = 2 * math.atan((true - STRIDE.omega) * STRIDE.tau_s)  # of two poles
        turn = 2 * math.atan((measured - STRIDE.omega) * STRIDE.tau_s)
        u = np.exp(1j * np.array([true * t - lag + turn]))
        back.take(NOW_US + round(t * 1e6), rows(0), u, np.array([measured]))
    steps = np.angle(back.window(rows(0))[1:, 0] * np.conj(back.window(rows(0))[:-1, 0]))
    assert steps[1:] == pytest.approx(np.full(len(steps) - 1, (true - STRIDE.omega) * 0.5), abs=1e-3)


def test_a_slot_needs_half_of_its_evaluations():
    back = LookBack(STRIDE, 1.0, 8)
    for i in range(31):
        take(
            back, 0.1 * i, {0: 0.0, **({1: 0.0} if (i + 2) % 10 < 4 else {}), **({2: 0.0} if (i + 2) % 10 < 5 else {})}
        )
    assert back.known(rows(0, 1, 2)).tolist() == [3, 0, 2]


def test_time_without_evaluations_is_empty_and_the_oldest_goes():
    back = LookBack(STRIDE, 0.5, 10)
    for i in range(11):
        take(back, 0.1 * i, {0: 0.0})
    assert take(back, 3.0, {0: 0.0}) == 4
    assert (back.window(rows(0))[:, 0] != 0).tolist() == [True, True, True, False, False, False]
    take(back, 100.0, {0: 0.0})
    assert back.known(rows(0)).tolist() == [0]
    assert len(back.window(rows(0))) == 0
    for i in range(200):
        take(back, 100.0 + 0.1 * i, {0: 0.0})
    assert back.window(rows(0)).shape == (10, 1)
    assert back.known(rows(0)).tolist() == [10]


def test_time_that_goes_back_is_a_new_beginning():
    back = LookBack(STRIDE, 0.5, 10)
    for i in range(30):
        take(back, 10 + 0.1 * i, {0: 0.0})
    take(back, 5.0, {0: 0.0})
    assert back.restarts == 1
    assert back.known(rows(0)).tolist() == [0]
    for i in range(30):
        take(back, 5 + 0.1 * i, {0: 0.0})
    assert back.known(rows(0)).tolist() == [6]


def test_memory_is_bounded_and_what_is_gone_makes_room(monkeypatch):
    monkeypatch.setattr(look_back, "MOST_CHANNELS", 20)
    back = LookBack(STRIDE, 0.5, 4)
    everyone = {row: 0.1 * row for row in range(25)}
    for i in range(12):
        take(back, 0.1 * i, everyone)
    assert back.refused == 5
    assert back.known(rows(*range(25))).tolist() == [2] * 20 + [0] * 5
    assert (back.window(rows(19, 24))[:, 1] == 0).all()
    # Fifteen of them are gone for longer than the ring holds; others take their places, with phases of their own.
    for i in range(12, 60):
        take(back, 0.1 * i, {row: 0.1 * row for row in range(15, 20)})
    for i in range(60, 72):
        take(back, 0.1 * i, {row: 0.1 * row for row in range(15, 30)})
    assert back.known(rows(*range(15, 30))).tolist() == [4] * 5 + [2] * 10
    assert np.angle(back.last(rows(29)))[0] == pytest.approx(2.9, abs=1e-3)
    assert back.known(rows(0, 1)).tolist() == [0, 0]
