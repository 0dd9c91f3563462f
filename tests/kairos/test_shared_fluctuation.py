"""Shared fluctuations: right p for those who share nothing, found where they share, whatever is in the way."""

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.pairs.shared_fluctuation import shared_fluctuation

SPACING_S = 0.3
HIGHEST_HZ = 0.4


def noise(rng, n, channels, keep=0.6):
    """Noise as behind two poles; stationary."""
    x = rng.standard_normal((n + 60, channels))
    for _ in range(2):
        for i in range(1, len(x)):
            x[i] = keep * x[i - 1] + (1 - keep) * x[i]
    return x[60:]


def shared(x, known=None, **options):
    known = np.ones(x.shape, bool) if known is None else known
    options.setdefault("rng", np.random.default_rng(1))
    return shared_fluctuation(np.where(known, x, 0.0), known, SPACING_S, highest_hz=HIGHEST_HZ, **options)


@pytest.mark.parametrize(("channels", "runs"), [(2, 1500), (3, 150), (12, 300), (80, 90)])
def test_p_is_uniform_for_those_who_share_nothing(channels, runs):
    """Or too great: never too often small."""
    rng = np.random.default_rng(channels)
    n = 90
    long = noise(rng, n * 30, channels * (runs // 30), keep=0.5)
    parts = [long[n * i : n * (i + 1), channels * k : channels * (k + 1)] for i in range(30) for k in range(runs // 30)]
    p = np.array([shared(part).p for part in parts])
    for nominal in (0.3, 0.1, 0.03, 0.01):
        allowed = 1.25 * nominal
        assert (p < nominal).mean() <= allowed + 3 * math.sqrt(allowed / len(p))
    assert (p < 0.3).mean() > 0.12


def test_heavy_tails_do_not_decide():
    """A stumble now and then, ten times as great as the rest, at times of its own in each."""
    rng = np.random.default_rng(4)
    x = noise(rng, 90 * 30, 40)
    x += 10 * x.std() * noise(rng, 90 * 30, 40, keep=0.3) * (np.abs(noise(rng, 90 * 30, 40)) > 0.5)
    p = [shared(x[90 * i : 90 * i + 90, 2 * k : 2 * k + 2]).p for i in range(30) for k in range(20)]
    assert np.mean(np.array(p) < 0.01) <= 0.0125 + 3 * math.sqrt(0.0125 / len(p))


def test_those_who_share_are_found_and_told_apart():
    rng = np.random.default_rng(2)
    x = noise(rng, 200, 5)
    x[:, :4] += 2 * noise(rng, 200, 1)
    found = shared(x)
    assert found.value > 0.3
    assert found.p < 1e-4
    assert (found.each[:4] > 0.5).all()
    assert (found.each_p[:4] < 0.02).all()
    assert abs(found.each[4]) < 0.4
    assert found.ticks == 200
    pair = shared(x[:, :2])
    assert pair.p < 1e-2
    assert pair.beaten == 0.0
    assert pair.value == pytest.approx(pair.each[0])
    assert pair.each_p[0] == pair.each_p[1] == pair.p
    assert math.isnan(found.beaten)


def test_antiphase_is_no_sharing_and_identity_is():
    x = noise(np.random.default_rng(3), 100, 1)
    assert shared(np.hstack((x, -x))).p > 0.99
    same = shared(np.hstack((x, x)))
    assert same.value == pytest.approx(1.0)
    assert same.p < 1e-6


def test_the_independent_looks_are_those_of_the_variance():
    rng = np.random.default_rng(8)
    x = noise(rng, 200 * 25, 12)
    found = [shared(x[200 * i : 200 * i + 200, 2 * k : 2 * k + 2]) for i in range(25) for k in range(6)]
    assert np.var([one.value for one in found]) == pytest.approx(
        np.mean([1 / one.independent for one in found]), rel=0.35
    )


def test_weights_count_and_none_is_none():
    rng = np.random.default_rng(5)
    x = noise(rng, 150, 3)
    x[:, 1] += x[:, 0]
    two = shared(x[:, :2])
    without = shared(x, weight=np.array([1.0, 1.0, 0.0]))
    assert without.value == pytest.approx(two.value)
    assert without.p == pytest.approx(two.p)
    assert math.isnan(without.each[2])
    assert without.each_p[2] == 1.0
    assert shared(x, weight=np.array([1.0, 1.0, 0.01])).value > shared(x).value


def test_common_gaps_are_cut_out():
    rng = np.random.default_rng(6)
    x = noise(rng, 300, 2)
    known = np.ones((300, 2), bool)
    known[80:180] = False
    known[200:210, 0] = False
    found = shared(x, known)
    assert found.ticks == 190
    assert found.p > 0.001


def test_too_little_is_undecided():
    x = noise(np.random.default_rng(7), 200, 2)
    for told in (
        shared(x[:15]),
        shared(x, np.zeros((200, 2), bool)),
        shared(np.hstack((x[:, :1], np.zeros((200, 1))))),
        shared(x, weight=np.array([1.0, 0.0])),
    ):
        assert math.isnan(told.value)
        assert told.p == 1.0
        assert told.independent == 0.0


def test_the_same_seed_tells_the_same():
    x = noise(np.random.default_rng(9), 120, 4)
    first, second = (shared(x, rng=np.random.default_rng(3)) for _ in range(2))
    assert first.p == second.p
    assert first.each.tolist() == second.each.tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"known": np.ones((50, 3), bool)}, "shapes"),
        ({"fluctuation": np.zeros((50, 1)), "known": np.ones((50, 1), bool)}, "2 channels or more"),
        ({"spacing_s": 0.0}, "spacing_s"),
        ({"highest_hz": math.inf}, "highest_hz"),
        ({"weight": np.array([1.0, -1.0])}, "weights"),
        ({"weight": np.ones(3)}, "weights"),
    ],
)
def test_refuses_what_has_no_meaning(change, words):
    given = {
        "fluctuation": np.zeros((50, 2)),
        "known": np.ones((50, 2), bool),
        "spacing_s": 0.3,
        "highest_hz": 0.4,
        "rng": np.random.default_rng(0),
        **change,
    }
    with pytest.raises(KernelError, match=words):
        shared_fluctuation(given.pop("fluctuation"), given.pop("known"), given.pop("spacing_s"), **given)
