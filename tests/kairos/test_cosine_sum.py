"""Tails of sums of cosines against what can be known without them: arcs, convolutions, draws."""

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.pairs.cosine_sum import cosine_tail


def convolved(amplitude, value, cells=4096):
    """The probability by convolving the densities of a·cos θ: no approximation but the grid."""
    reach = float(sum(amplitude))
    width = 2 * reach / cells
    total = np.zeros(1)
    total[0] = 1.0
    start = 0.0
    for a in amplitude:
        n = math.ceil(a / width)
        edges = np.clip(np.arange(-n - 0.5, n + 1.5) * width / a, -1.0, 1.0)
        total = np.convolve(total, np.diff(np.arcsin(edges)) / math.pi)
        start -= n * width
    points = start + width * np.arange(len(total))
    above = points - width / 2 >= value
    partly = np.abs(points - value) < width / 2
    part = (points[partly] + width / 2 - value) / width
    return float(total[above].sum() + (total[partly] * part).sum())


@pytest.mark.parametrize(
    "amplitude",
    [
        np.ones(3),
        np.ones(6),
        np.ones(40),
        np.exp(-np.arange(8) / 2),
        np.exp(-np.arange(30) / 6),
        np.array([1, 0.5, 0.3]),
    ],
)
def test_tails_are_those_of_the_convolution(amplitude):
    deviation = math.sqrt(float(amplitude @ amplitude) / 2)
    for z in (0.5, 1.0, 2.0, 3.0):
        value = z * deviation
        exact = convolved(amplitude, value)
        if value < 0.97 * amplitude.sum() and exact > 1e-6:
            assert cosine_tail(amplitude, value) == pytest.approx(exact, rel=0.2)


def test_of_one_or_two_it_is_too_great_rather_than_too_small():
    for value in (0.5, 0.9, 0.99, 0.9999):
        assert cosine_tail(np.ones(1), value) > 0.8 * math.acos(value) / math.pi
        assert cosine_tail(np.ones(2), 2 * value) > 0.8 * convolved(np.ones(2), 2 * value, 65_536)


def test_it_falls_from_one_to_nothing_and_is_symmetric():
    amplitude = np.array([1.0, 0.7, 0.4, 0.4])
    values = np.linspace(-2.5, 2.5, 101)
    tails = np.array([cosine_tail(amplitude, value) for value in values])
    assert (np.diff(tails) < 1e-4).all()
    assert tails + tails[::-1] == pytest.approx(np.ones(101))
    assert cosine_tail(amplitude, 0.0) == 0.5
    assert cosine_tail(amplitude, 100.0) < 1e-6
    assert cosine_tail(amplitude, -100.0) > 1 - 1e-6


def test_scale_does_not_matter_and_zeros_do_not():
    amplitude = np.array([1.0, 0.7, 0.4])
    assert cosine_tail(1e3 * amplitude, 1500.0) == pytest.approx(cosine_tail(amplitude, 1.5))
    assert cosine_tail(np.concatenate((amplitude, np.zeros(5))), 1.5) == cosine_tail(amplitude, 1.5)


@pytest.mark.parametrize(
    ("amplitude", "value"),
    [(np.zeros(3), 0.1), (np.zeros(0), 0.1), (np.array([1.0, math.inf]), 0.1), (np.ones(3), math.nan)],
)
def test_refuses_what_has_no_meaning(amplitude, value):
    with pytest.raises(KernelError, match="cosine_tail"):
        cosine_tail(amplitude, value)
