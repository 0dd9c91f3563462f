"""What is spent in any span of a window's length is at most what may be."""

import random

import pytest

from becomingone.hub.emergence.spending import Spending

SECOND_US = 1_000_000


@pytest.mark.parametrize("seed", range(20))
def test_in_no_window_is_more_spent_than_allowed(seed):
    rng = random.Random(seed)
    spending, spent, now_us = Spending(0.01, 240.0), [], 0
    for _ in range(400):
        now_us += rng.choice((1, 2, 3, 40, 400, 5000)) * SECOND_US
        offer = spending.offer(now_us)
        if rng.random() < 0.8:
            spending.spend(offer)
            spent.append((now_us, offer))
    for start, _ in spent:
        assert sum(amount for at, amount in spent if start <= at <= start + 240 * SECOND_US) <= 0.01 * (1 + 1e-9)
    assert spending.spent == pytest.approx(sum(amount for _, amount in spent))


def test_in_the_long_run_half_of_it_a_window():
    spending, total = Spending(0.01, 240.0), 0.0
    for look in range(20_000):
        amount = spending.offer(look * 4 * SECOND_US)
        spending.spend(amount)
        total += amount
    assert total == pytest.approx(0.005 * 20_000 * 4 / 240 + 0.005, rel=0.01)
    assert spending.false_alarm_s == pytest.approx(2 * 240 / 0.01)


def test_a_clock_that_goes_back_brings_nothing_in():
    spending = Spending(0.01, 240.0)
    first = spending.offer(1000 * SECOND_US)
    spending.spend(first)
    left = spending.offer(1000 * SECOND_US)
    assert left < first
    assert spending.offer(0) == left
    assert spending.offer(SECOND_US) == pytest.approx(left, rel=0.01)
