"""How likely unrelated phases are as alike, far into the tail."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.memory.chance import chance_absolute, chance_pattern, critical_similarity


@pytest.mark.parametrize(
    "weight", [[1] * 3, [1] * 4, [1] * 8, [1, 0.5, 0.25, 0.12, 0.06], [3, 1, 1, 1, 1, 1], [1, 0.1, 0.1]]
)
def test_chance_against_simulation(weight):
    rng = np.random.default_rng(9)
    q = np.array(weight, dtype=float)
    total = sum(w * np.exp(2j * np.pi * rng.random(400_000)) for w in weight)
    for share in np.arange(0.1, 0.96, 0.05):
        for chance, value in ((chance_pattern, np.abs(total)), (chance_absolute, total.real)):
            often = (value >= share * q.sum()).mean()
            if often * 400_000 > 400:
                sampling = 4 / math.sqrt(often * 400_000)
                tolerance = 0.1 if chance is chance_pattern and often <= 0.1 else 0.25
                assert abs(chance(q, share * q.sum()) / often - 1) < tolerance + sampling


@pytest.mark.parametrize("n", [3, 5, 8, 16, 40])
def test_chance_of_nearly_alike_is_a_volume(n):
    # Phases within Σ(θ − mean)² ≤ 2nε: an (n − 1)-ball times the common rotation.
    for epsilon in (1e-3, 1e-5, 1e-7):
        log_volume = (n - 1) / 2 * math.log(2 * math.pi * n * epsilon) - math.lgamma((n + 1) / 2)
        exact = math.exp(log_volume + 0.5 * math.log(n) - (n - 1) * math.log(2 * math.pi))
        assert chance_pattern(np.ones(n), n * (1 - epsilon)) == pytest.approx(exact, rel=0.03 + 20 * n * epsilon)


def test_chance_closed_forms_and_edges():
    assert chance_pattern(np.array([2.0]), 2.0) == 1.0
    assert chance_pattern(np.array([2.0, 0.0]), 1.0) == 1.0
    assert chance_absolute(np.array([2.0]), 1.0) == pytest.approx(1 / 3)
    for r in (0.1, 0.5, 0.99):
        assert chance_pattern(np.ones(2), 2 * r) == pytest.approx(2 / math.pi * math.acos(r))
    for n in (2, 3, 9):
        assert chance_absolute(np.ones(n), 0.0) == pytest.approx(0.5)
        assert chance_absolute(np.ones(n), -0.4 * n) == pytest.approx(1 - chance_absolute(np.ones(n), 0.4 * n))
        assert 0 <= chance_pattern(np.ones(n), n) < 1e-5
        assert chance_absolute(np.ones(n), n) < 1e-8
    for chance in (chance_pattern, chance_absolute):
        p = np.array([chance(np.ones(7), 7 * r) for r in np.linspace(0, 1, 300)])
        assert (np.diff(p) <= 1e-12).all()
        assert chance(np.ones(5), 4.0) == pytest.approx(chance(1e-60 * np.ones(5), 4e-60))
    for q, x in (([1, 1], 3), ([1, 1], math.nan), ([0, 0], 0), ([-1, 2], 0), ([[1.0]], 0), ([math.inf], 0)):
        for chance in (chance_pattern, chance_absolute):
            with pytest.raises(KernelError):
                chance(np.array(q, dtype=float), x)


def test_critical_similarity_inverts_chance():
    for p, n in ((0.05, 3), (1e-8, 16), (1e-4, 4), (0.5, 2)):
        assert chance_pattern(np.ones(n), n * critical_similarity(p, n)) == pytest.approx(p, rel=1e-3)
    assert critical_similarity(1e-8, 16) == pytest.approx(0.904, abs=1e-3)
    for p, n in ((0.0, 3), (1.0, 3), (0.1, 1)):
        with pytest.raises(KernelError):
            critical_similarity(p, n)
