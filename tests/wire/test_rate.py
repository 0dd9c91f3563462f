"""A token bucket: what it lets through in the long run and at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from becomingone.wire.rate import Bucket

SECOND = 10**9


def test_at_once_there_is_the_burst_and_then_the_rate() -> None:
    bucket = Bucket(2.0, 5.0)
    assert [bucket.take(0) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [bucket.take(SECOND) for _ in range(3)] == [True, True, False]
    assert [bucket.take(100 * SECOND) for _ in range(6)] == [True] * 5 + [False]


def test_what_costs_more_than_there_is_takes_nothing() -> None:
    bucket = Bucket(1.0, 5.0)
    assert bucket.take(0, 3.0)
    assert not bucket.take(0, 3.0)
    assert bucket.take(0, 2.0)


@given(
    st.floats(0.1, 100.0),
    st.floats(1.0, 100.0),
    st.lists(st.tuples(st.integers(0, 10**9), st.floats(0.1, 5.0)), max_size=200),
)
def test_never_more_than_the_burst_and_what_came_back(
    per_s: float, burst: float, asked: list[tuple[int, float]]
) -> None:
    bucket, now, taken = Bucket(per_s, burst), 0, 0.0
    for step, cost in asked:
        now += step
        taken += cost if bucket.take(now, cost) else 0.0
        assert taken <= burst + per_s * now / SECOND + 1e-6
