"""Authentic messages are taken once: newest lives, order, and nothing from before the receiver's start."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from becomingone.wire.replay import Lives, Order, Start

from .golden import refusal


def test_a_life_once_seen_ends_the_ones_before() -> None:
    lives = Lives()
    assert lives.newest("n") is None
    assert [lives.saw("n", boot) for boot in (5, 5, 6, 9)] == [True, False, True, True]
    assert lives.newest("n") == 9
    assert refusal(lives.saw, "n", 8) == "wrong_epoch"
    assert lives.newest("n") == 9
    assert lives.saw("m", 1)  # each sender for itself
    assert lives.known() == {"n": 9, "m": 1}


def test_lives_outlive_the_receiver() -> None:
    lives = Lives({"n": 9})
    assert refusal(lives.saw, "n", 8) == "wrong_epoch"
    assert not lives.saw("n", 9)
    assert lives.saw("n", 10)


def test_what_is_told_of_lives_is_a_copy() -> None:
    known = {"n": 1}
    lives = Lives(known)
    lives.known()["n"] = 7
    known["n"] = 7
    assert lives.newest("n") == 1


@given(st.lists(st.integers(0, 5)))
def test_lives_never_go_back(boots: list[int]) -> None:
    lives = Lives()
    taken = [boot for boot in boots if refusal(lives.saw, "n", boot) is None]
    assert taken == sorted(taken)
    assert lives.newest("n") == max(boots, default=None)


def test_order_takes_what_is_newer_and_counts_what_is_missing() -> None:
    order = Order()
    assert [order.take(1, seq) for seq in (5, 6, 9)] == [0, 0, 2]  # what came before the first is nobody's loss
    for seq in (0, 8, 9):
        assert refusal(order.check, 1, seq) == "replayed"
    assert refusal(order.check, 1, 10) is None
    assert order.take(2, 3) == 0
    assert order.take(2, 4) == 0


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 6))))
def test_with_lives_nothing_is_taken_twice(messages: list[tuple[int, int]]) -> None:
    lives, order = Lives(), Order()
    taken = []
    for boot, seq in messages:
        if refusal(lives.saw, "n", boot) is None and refusal(order.check, boot, seq) is None:
            order.take(boot, seq)
            taken.append((boot, seq))
    assert taken == sorted(set(taken))


@pytest.mark.parametrize(
    ("time_us", "expected"), [(11_500_000, "before_start"), (11_500_001, None), (0, "before_start")]
)
def test_what_may_have_come_before_the_start_is_refused(time_us: int, expected: str | None) -> None:
    assert refusal(Start(10_000_000, 1.5).check, time_us) == expected


@given(
    accepted_us=st.integers(0, 10**9),
    ahead=st.floats(0.0, 1.0),
    down_us=st.integers(1, 10**9),
    max_ahead_s=st.sampled_from([0.1, 1.0, 7.3]),
)
def test_nothing_that_an_earlier_life_accepted_passes_its_successor(
    accepted_us: int, ahead: float, down_us: int, max_ahead_s: float
) -> None:
    last_us = accepted_us + ahead * max_ahead_s * 1e6  # the most that a sample may be ahead when it is accepted
    assert refusal(Start(accepted_us + down_us, max_ahead_s).check, last_us) == "before_start"
