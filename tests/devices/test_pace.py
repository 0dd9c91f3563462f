"""Samples come due on a grid of the mesh's time: each once, none left out, bounded after a pause."""

import random
from fractions import Fraction

import pytest

from becomingone.devices._pace import CATCH_UP_S, Due, Pace, exact

from .fakes import FakeClock


def taken(pace: Pace) -> range:
    due = pace.due()
    return range(0) if due is None else range(due.first, due.stop)


@pytest.mark.parametrize("value", [1 / 3600, 0.1, 120.0, 64.0, 44_100.0, 1 / 7])
def test_a_float_stands_for_its_simplest_fraction(value: float) -> None:
    assert float(exact(value)) == value
    assert exact(value).denominator <= 3600


def test_the_first_read_gives_the_sample_that_is_due_and_no_burst() -> None:
    clock = FakeClock(mesh_us=10_500_000)
    pace = Pace(clock, Fraction(100))
    assert pace.due() == Due(1050, 1051, gap=False)
    assert pace.due() is None
    assert pace.instant_ns(1050) == clock.now_ns


@pytest.mark.parametrize("rate", [Fraction(120), Fraction(1, 3), Fraction(8000), Fraction(441, 10)])
def test_irregular_reading_neither_loses_nor_repeats(rate: Fraction) -> None:
    clock = FakeClock(mesh_us=1_700_000_000_123_456)
    pace = Pace(clock, rate)
    jitter = random.Random(5)
    seen = list(taken(pace))
    for _ in range(200):
        clock.advance(jitter.choice([0.0, 0.0003, 0.01, 0.2, 1.7, 4.9]))
        seen += taken(pace)
    assert seen == list(range(seen[0], seen[-1] + 1))
    due_s = Fraction(clock.mesh_us(clock.now_ns), 1_000_000)
    assert Fraction(seen[-1]) / rate <= due_s < Fraction(seen[-1] + 1) / rate


def test_instants_are_exact_after_half_a_century() -> None:
    clock = FakeClock(mesh_us=1_700_000_000_000_000)
    pace = Pace(clock, Fraction(120))
    first = taken(pace)[0]
    assert first == 1_700_000_000 * 120
    assert [pace.instant_ns(first + k) - clock.now_ns for k in (0, 1, 2, 3, 120)] == [
        0,
        8_333_333,
        16_666_666,
        25_000_000,
        1_000_000_000,
    ]


def test_a_start_in_the_future_is_waited_for() -> None:
    clock = FakeClock(mesh_us=1_000_000)
    pace = Pace(clock, Fraction(10), start_us=61_000_000)
    assert pace.due() is None
    clock.advance(59.95)
    assert pace.due() is None
    clock.advance(0.25)
    assert pace.due() == Due(0, 3, gap=False)
    assert pace.instant_ns(0) == clock.now_ns - 200_000_000


def test_a_long_pause_is_a_bounded_burst_with_a_gap() -> None:
    clock = FakeClock()
    pace = Pace(clock, Fraction(100))
    last = taken(pace)[-1]
    clock.advance(CATCH_UP_S)
    assert pace.due() == Due(last + 1, last + 501, gap=False)
    clock.advance(CATCH_UP_S + 0.01)
    assert pace.due() == Due(last + 502, last + 1002, gap=True)


def test_a_slow_grid_still_gives_one_sample() -> None:
    clock = FakeClock(mesh_us=0)
    pace = Pace(clock, Fraction(1, 60))
    assert taken(pace) == range(1)
    clock.advance(180)
    assert pace.due() == Due(3, 4, gap=True)


def test_a_mesh_clock_that_steps_back_a_little_is_waited_for_and_a_lot_is_a_gap() -> None:
    clock = FakeClock(mesh_us=100_000_000)
    pace = Pace(clock, Fraction(10))
    assert taken(pace) == range(1000, 1001)
    clock.step_mesh(-2)
    clock.advance(1.5)
    assert pace.due() is None
    clock.advance(0.6)
    assert pace.due() == Due(1001, 1002, gap=False)
    clock.step_mesh(-50)
    clock.advance(0.1)
    assert pace.due() == Due(502, 503, gap=True)


def test_a_grid_with_an_end_ends() -> None:
    clock = FakeClock(mesh_us=0)
    pace = Pace(clock, Fraction(10), end=5)
    assert taken(pace) == range(1)
    clock.advance(3)
    assert taken(pace) == range(1, 5)
    clock.advance(30)
    assert pace.due() is None


def test_a_grid_that_ended_long_ago_gives_nothing() -> None:
    assert Pace(FakeClock(), Fraction(10), end=5).due() is None
