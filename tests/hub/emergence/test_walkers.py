"""Walkers by formula: those who never met do not emerge, those who go together are found. All of them are simulated."""

import math

import numpy as np
import pytest
from tests.hub.emergence.rig import BANDS, Cell, first_significant, slots, stream
from tests.hub.emergence.walkers import ALONE, FLOOR, RATE_HZ, coupled, walkers

STRIDE = BANDS["stride"]
EVERY = 6
SPACING_S = EVERY / RATE_HZ
NOMINAL = 0.01
MOST = 1.5
"""Times the nominal."""


def counted(x):
    """Give, for each two columns, when the last condition was met, s; None: never. All others are taken for granted."""
    u = np.stack([slots(x[:, i], RATE_HZ, STRIDE, FLOOR, EVERY) for i in range(x.shape[1])], axis=1)
    found = [first_significant(u[:, i : i + 2], SPACING_S, STRIDE) for i in range(0, u.shape[1], 2)]
    return [None if one is None else one[0] for one in found]


def falsely(model, pairs, seconds, seed):
    rng = np.random.default_rng([seed, ALONE.index(model)])
    false = 0
    for first in range(0, pairs, 50):
        x = walkers(model, 2 * min(50, pairs - first), seconds, rng)
        false += sum(at is not None for at in counted(x))
    return false


def test_walkers_who_never_met_share_no_irregularity(record_property):
    """A minute each. Of 200 pairs no more than chance leaves of 1.5 times the nominal: 3 and three times its root."""
    false = {model: falsely(model, 20, 60.0, 1) for model in ALONE}
    total, pairs = sum(false.values()), 20 * len(ALONE)
    print(f"{total} of {pairs} pairs falsely, at a nominal {NOMINAL}: {false}")
    record_property("false", str(false))
    expected = MOST * NOMINAL * pairs
    assert total <= expected + 3 * math.sqrt(expected)


@pytest.mark.campaign
def test_ten_thousand_pairs_who_never_met(record_property):
    """Each watched for a whole window, in which the probability is at most the nominal one: half an hour."""
    false = {model: falsely(model, 1000, 240.0, 2) for model in ALONE}
    total, pairs = sum(false.values()), 1000 * len(ALONE)
    print(f"{total} of {pairs} pairs falsely, {total / pairs / NOMINAL:.2f} of the nominal: {false}")
    record_property("false", str(false))
    assert total <= MOST * NOMINAL * pairs


@pytest.mark.campaign
def test_how_soon_those_who_go_together_are_found(record_property):
    """The share of the jitter's variance that is common against the time that it takes."""
    power = {}
    for share in (0.3, 0.5, 0.7, 0.9):
        at = counted(coupled(100, 240.0, np.random.default_rng(5), share=share))
        power[share] = {limit: sum(one is not None and one <= limit for one in at) for limit in (30, 60, 120, 240)}
    print(f"of 100 pairs found within s: {power}")
    record_property("power", str(power))
    assert power[0.9][60] >= 95
    assert power[0.7][120] >= 95
    assert power[0.5][240] >= 90


def test_those_who_go_together_are_found():
    at = counted(coupled(12, 60.0, np.random.default_rng(5), share=0.9))
    assert sum(one is not None for one in at) >= 11


def test_the_whole_of_emergence_decides_no_looser_than_its_last_condition():
    """Coherence taken for granted, but not that the differences stay: fewer or later, never more."""
    rng = np.random.default_rng(11)
    x = np.concatenate((coupled(3, 60.0, rng, share=0.9), walkers("jitter", 6, 60.0, rng)), axis=1)
    met = counted(x)
    emerged = []
    for first in range(0, x.shape[1], 2):
        cell = Cell(["a", "b"], evaluate=False)
        pair = [stream(x[:, first + i], RATE_HZ, STRIDE, FLOOR, EVERY) for i in (0, 1)]
        for i in range(len(pair[0][0])):
            cell.take((i + 1) * SPACING_S, np.array([u[i] for u, _ in pair]), np.array([omega[i] for _, omega in pair]))
        found = cell.first("emergence")
        emerged.append(None if found is None else found[0])
    assert [at is not None for at in emerged] == [at is not None for at in met]
    assert emerged[:3] != [None] * 3
    assert emerged[3:] == [None] * 3


def test_two_paces_are_not_locked_however_steady_they_are():
    """A common irregularity on two different rates: the difference wanders off, and that is no unity of phase."""
    t = np.arange(round(120 * RATE_HZ)) / RATE_HZ
    jitter = 0.3 * np.sin(2 * np.pi * 0.11 * t + np.sin(0.7 * t))
    x = [np.cos(2 * np.pi * pace * t + jitter) for pace in (0.77, 0.80)]
    cell = Cell(["a", "b"], evaluate=False)
    pair = [stream(one, RATE_HZ, STRIDE, FLOOR, EVERY) for one in x]
    for i in range(len(pair[0][0])):
        cell.take((i + 1) * SPACING_S, np.array([u[i] for u, _ in pair]), np.array([omega[i] for _, omega in pair]))
    assert "emergence" not in cell.kinds()
    assert "locking" in cell.emergence.figures()["bands"]["stride"]["missing"]
