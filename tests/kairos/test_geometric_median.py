"""The point that the least weighted distance leads to."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.mesh.geometric_median import geometric_median

TURN = cmath.exp(2j * math.pi / 3)


def median(points, weights=None):
    points = np.array(points, dtype=complex)
    return geometric_median(points, np.ones(len(points)) if weights is None else np.array(weights, dtype=float))


def distance(points, weights, at):
    return float((weights * np.abs(points - at)).sum())


def slow(points, weights):
    """Weiszfeld's iteration, patiently, and every data point tried."""
    at = (weights * points).sum() / weights.sum()
    for _ in range(20_000):
        q = weights / np.maximum(np.abs(points - at), 1e-15)
        at, before = (q * points).sum() / q.sum(), at
        if abs(at - before) < 1e-15:
            break
    return min([at, *points], key=lambda z: distance(points, weights, z))


def test_known_places():
    assert median([0.5, 0.5 * TURN, 0.5 * TURN**2]) == pytest.approx(0, abs=1e-9)
    assert median([0.5 + 0.5j, -0.5 + 0.5j, -0.5 - 0.5j, 0.5 - 0.5j]) == pytest.approx(0, abs=1e-9)
    # Of four corners of a convex quadrangle it is where the diagonals meet.
    assert median([0.8, 0.6j, -0.4, -0.2j]) == pytest.approx(0, abs=1e-9)
    # The point of Fermat sees the sides of a triangle under 120 degrees.
    corners = np.array([0, 0.9, 0.2 + 0.6j])
    m = median(corners)
    angles = [abs(cmath.phase((corners[k] - m) / (corners[k - 1] - m))) for k in range(3)]
    assert angles == pytest.approx([2 * math.pi / 3] * 3, abs=1e-8)
    # A corner of 120 degrees and more is itself the point.
    assert median([0, 0.5, 0.5 * cmath.exp(2.2j)]) == 0


def test_equal_points_two_points_and_one():
    assert median([0.3 + 0.1j]) == 0.3 + 0.1j
    assert median([0.3 + 0.1j] * 7) == 0.3 + 0.1j
    assert median([0.1, 0.7j]) == pytest.approx(0.05 + 0.35j, abs=1e-15)
    assert median([0.1, 0.7j], [1, 1.0001]) == 0.7j
    assert median([0.1, 0.7j, 0.9], [1, 1, 0]) == pytest.approx(0.05 + 0.35j, abs=1e-15)


def test_on_a_line_it_is_the_weighted_median_nearest_to_the_mean():
    turned = cmath.exp(0.7j)
    assert median([0.1 * turned, 0.2 * turned, 0.9 * turned]) == pytest.approx(0.2 * turned, abs=1e-15)
    assert median([0.1, 0.2, 0.3, 0.9]) == pytest.approx(0.3, abs=1e-15)  # of 0.2..0.3; the mean is at 0.375
    assert median([0.1, 0.2, 0.4, 0.5]) == pytest.approx(0.3, abs=1e-15)
    assert median([-0.8, 0.1, 0.2, 0.3], [0.5, 0.5, 0.5, 1.5]) == pytest.approx(0.2, abs=1e-15)
    assert median(np.linspace(-0.9, 0.9, 9001)) == pytest.approx(0, abs=1e-12)
    assert abs(median(np.linspace(0.2, 0.9, 10_001) * turned) - 0.55 * turned) < 1e-12


def test_whoever_has_half_of_the_weight_has_it_all():
    assert median([0.9, -0.9, 0.3j, -0.2j], [3.0, 1.0, 1.0, 1.0]) == 0.9
    assert median([*([0.4j] * 51), *np.exp(1j * np.linspace(0, 1, 49))]) == 0.4j


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from(["disc", "arc", "line", "lumps"]))
def test_no_point_is_nearer(n, seed, kind):
    rng = np.random.default_rng(seed)
    points = {
        "disc": np.sqrt(rng.random(n)) * np.exp(2j * np.pi * rng.random(n)),
        "arc": np.exp(1j * rng.vonmises(0, 20, n)),
        "line": rng.random(n) * np.exp(1j * rng.normal(0, 1e-3, n)),
        "lumps": rng.choice([0.5, 0.9j, -0.3, 0.2 - 0.6j], n),
    }[kind]
    weights = rng.uniform(0.2, 1.0, n)
    m = geometric_median(points, weights)
    assert distance(points, weights, m) <= distance(points, weights, slow(points, weights)) * (1 + 1e-12)


@pytest.mark.parametrize("n", [100, 5000])
def test_a_pull_of_nothing_is_left(n):
    rng = np.random.default_rng(n)
    points = rng.random(n) * np.exp(1j * rng.vonmises(0.4, 3, n))
    weights = 10 ** rng.uniform(-6, 0, n)
    m = geometric_median(points, weights)
    assert abs((weights * (points - m) / np.abs(points - m)).sum()) < 1e-7 * weights.sum()


def test_turning_scaling_and_shuffling_change_nothing():
    rng = np.random.default_rng(3)
    points, weights = rng.random(40) * np.exp(1j * rng.vonmises(0, 2, 40)), rng.random(40)
    m = geometric_median(points, weights)
    assert geometric_median(points * np.exp(2j), weights) == pytest.approx(m * np.exp(2j), abs=1e-9)
    order = rng.permutation(40)
    assert geometric_median(points[order], weights[order]) == pytest.approx(m, abs=1e-9)
    for scale in (1e-300, 1e307):
        assert geometric_median(points, weights * scale) == pytest.approx(m, abs=1e-9)
    assert geometric_median(points, weights) == m


def test_points_beyond_the_disc_are_clipped():
    assert median([1e200j, 0.5, 0.5]) == 0.5
    assert abs(median([3.0, 3.0j, 5 * TURN**2])) <= 1.0
    assert median([3.0]) == 1.0


@pytest.mark.parametrize(
    ("points", "weights"),
    [
        ([], []),
        ([0.1], [0.0]),
        ([0.1, 0.2], [1.0]),
        ([0.1], [-1.0]),
        ([0.1], [math.nan]),
        ([0.1], [math.inf]),
        ([math.nan], [1.0]),
        ([complex(0, math.inf)], [1.0]),
        ([[0.1]], [[1.0]]),
    ],
)
def test_refusals(points, weights):
    with pytest.raises(KernelError):
        geometric_median(np.array(points, dtype=complex), np.array(weights, dtype=float))
    with pytest.raises(KernelError):
        geometric_median(np.ones(2, dtype=complex), np.ones(2), tolerance=0.0)
