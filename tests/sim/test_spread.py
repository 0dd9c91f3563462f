"""Distributions: what is drawn is what was asked for, and nonsense is refused by name."""

import random
import statistics

import pytest
from pydantic import TypeAdapter, ValidationError

from becomingone.sim.spread import Spread

SPREAD = TypeAdapter(Spread)


def draws(content, number=20_000, seed=1):
    rng = random.Random(seed)
    spread = SPREAD.validate_python(content)
    return sorted(spread.sample(rng) for _ in range(number))


def test_a_number_is_that_number():
    assert set(draws(2.5, 10)) == {2.5}
    assert set(draws({"kind": "constant", "value": -1}, 10)) == {-1}


def test_uniform():
    values = draws({"kind": "uniform", "low": 2, "high": 6})
    assert 2 <= values[0] < 2.01
    assert 5.99 < values[-1] < 6
    assert statistics.fmean(values) == pytest.approx(4, abs=0.04)
    assert statistics.pvariance(values) == pytest.approx(16 / 12, rel=0.03)


def test_exponential():
    values = draws({"kind": "exponential", "mean": 3, "least": 1})
    assert 1 <= values[0] < 1.01
    assert statistics.fmean(values) == pytest.approx(4, rel=0.03)
    assert values[len(values) // 2] == pytest.approx(1 + 3 * 0.693147, rel=0.03)


def test_normal_is_cut_off_and_not_heaped_up():
    values = draws({"kind": "normal", "mean": 5, "sigma": 2, "least": 5})
    assert values[0] >= 5
    assert statistics.fmean(values) == pytest.approx(5 + 2 * 0.797885, rel=0.02)  # the half-normal's mean
    assert values[len(values) // 2] == pytest.approx(5 + 2 * 0.674490, rel=0.02)
    assert values.count(5) < 2


def test_normal_far_up_the_tail():
    values = draws({"kind": "normal", "mean": 0, "sigma": 1, "least": 6}, 2000)
    assert values[0] >= 6
    assert statistics.fmean(values) == pytest.approx(6.158, abs=0.02)


def test_normal_that_is_hardly_cut():
    values = draws({"kind": "normal", "mean": 50, "sigma": 2})
    assert statistics.fmean(values) == pytest.approx(50, abs=0.05)
    assert statistics.pstdev(values) == pytest.approx(2, rel=0.03)


def test_empirical():
    values = draws({"kind": "empirical", "values": [1, 2, 2, 9]}, 8000)
    assert set(values) == {1, 2, 9}
    assert values.count(2) == pytest.approx(4000, rel=0.06)


def test_the_same_stream_draws_the_same():
    for content in (
        {"kind": "normal", "mean": 1, "sigma": 1},
        {"kind": "exponential", "mean": 1},
        {"kind": "empirical", "values": [1, 2, 3]},
    ):
        assert draws(content, 50) == draws(content, 50)
        assert draws(content, 50) != draws(content, 50, seed=2)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"kind": "uniform", "low": 2, "high": 1}, "low .2. must be at most high .1."),
        ({"kind": "exponential", "mean": 0}, "greater than 0"),
        ({"kind": "normal", "mean": 0, "sigma": 1, "least": 6.1}, "at most mean . 6 sigma"),
        ({"kind": "normal", "mean": 0, "sigma": 0}, "greater than 0"),
        ({"kind": "empirical", "values": []}, "at least 1 item"),
        ({"kind": "gamma"}, "constant.*uniform.*exponential.*normal.*empirical"),
        ({"mean": 1}, "kind"),
        (float("nan"), "finite"),
        (True, "dictionary"),
        ("1 ms", "dictionary"),
    ],
)
def test_nonsense_is_refused(content, says):
    with pytest.raises(ValidationError, match=says):
        SPREAD.validate_python(content)
