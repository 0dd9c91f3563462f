"""The past moments most like the present one."""

from __future__ import annotations

import io
import math
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.bands import Band
from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.memory.chance import critical_similarity
from becomingone.kairos.memory.forgetting import strength
from becomingone.kairos.memory.log_time import LogTime
from becomingone.kairos.memory.recall import recall, similarity

SECOND = 1_000_000


def phases(shape, rng):
    return np.exp(2j * np.pi * rng.random(shape))


def slow(a, b, kind):
    """The likeness of two patterns by its definition, channel by channel, and the channels they share."""
    inner, energy_a, energy_b, shared = 0j, 0.0, 0.0, 0
    for x, y in zip(a, b, strict=True):
        inner += y * x.conjugate()
        energy_a += abs(x) ** 2
        energy_b += abs(y) ** 2
        shared += x != 0 and y != 0
    value = inner / math.sqrt(energy_a * energy_b) if energy_b else 0.0
    return (abs(value) if kind == "pattern" else value.real), shared


# Similarity.


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["pattern", "absolute"]), st.integers(3, 20), st.booleans())
def test_similarity_is_that_of_the_definition(seed, kind, channels, single):
    rng = np.random.default_rng(seed)
    moments = phases((30, channels), rng) * rng.random((30, channels)) * (rng.random((30, channels)) < 0.7)
    moments = moments.astype(np.complex64) if single else moments
    present = phases(channels, rng) * rng.random(channels)
    present[0] = 0
    got = similarity(present, moments, kind=kind)
    for row, value in zip(moments, got, strict=True):
        want, shared = slow(present, row.astype(complex), kind)
        assert np.isnan(value) if shared < 3 else value == pytest.approx(want, abs=1e-12)


def test_chunks_do_not_show():
    rng = np.random.default_rng(0)
    moments = phases((20_001, 16), rng)
    got = similarity(moments[7] * 1j, moments)
    assert got == pytest.approx(np.abs(moments @ moments[7].conj()) / 16, abs=1e-12)
    assert got[7] == pytest.approx(1.0, abs=1e-12)
    assert (got <= 1).all()


def test_a_common_rotation_matters_to_absolute_phases_only():
    rng = np.random.default_rng(1)
    a = phases(6, rng)
    moments = a * np.exp(1j * np.array([0.0, 0.7, math.pi]))[:, None]
    assert similarity(a, moments) == pytest.approx([1, 1, 1])
    assert similarity(a, moments, kind="absolute") == pytest.approx([1, math.cos(0.7), -1])
    found = recall(a, moments, np.arange(3), count=3)
    assert np.abs(np.exp(1j * found.rotation) - np.exp(1j * np.array([0, 0.7, math.pi])[found.index])).max() < 1e-12


def test_channels_that_come_and_go_cost_their_share():
    rng = np.random.default_rng(2)
    a = phases(8, rng)
    less, other = a.copy(), a.copy()
    less[:3] = 0
    other[:4] = 0
    # Alike over what they share, times √(share of the one's energy × share of the other's).
    assert similarity(a, less[None])[0] == pytest.approx(math.sqrt(5 / 8))
    assert similarity(less, other[None])[0] == pytest.approx(math.sqrt(4 / 5))
    assert np.isnan(similarity(a, other[None], least_overlap=5)[0])
    found = recall(a, np.stack((other, less)), np.arange(2), count=2)
    assert found.overlap.tolist() == [5, 4]
    assert found.p[0] < found.p[1] < 1e-3


# Recall.


def test_planted_moments_are_found_whatever_their_rotation():
    rng = np.random.default_rng(3)
    moments, times = phases((50_000, 16), rng), np.arange(50_000) * 50_000
    present = phases(16, rng)
    planted = np.array([12, 17_000, 33_333, 49_999])
    for row, sigma in zip(planted, (0.3, 0.0, 0.2, 0.1), strict=True):
        moments[row] = present * np.exp(1j * (rng.normal(0, sigma, 16) + rng.uniform(-3, 3)))
    found = recall(present, moments, times, count=5)
    assert found.index[:4].tolist() == [17_000, 49_999, 33_333, 12]
    assert (found.time_us == times[found.index]).all()
    assert found.similarity == pytest.approx(similarity(present, moments)[found.index])
    assert (found.p_any[:4] < 1e-4).all()
    assert found.p_any[4] > 0.05
    assert found.searched == 50_000
    assert found.typical == pytest.approx(math.sqrt(math.log(2) / 16), abs=0.005)  # Rayleigh's median
    before = recall(present, moments, times, count=1, before_us=int(times[17_000]))
    assert before.index.tolist() == [12]
    assert before.searched == 17_000


def test_one_occasion_is_recalled_once():
    rng = np.random.default_rng(4)
    times = np.arange(2000) * 50_000
    present = phases(8, rng)
    moments = phases((2000, 8), rng)
    for start in (300, 1200):  # occasions of two seconds, best in the middle
        noise = np.abs(np.arange(-20, 21)) * 0.01 + 0.01
        moments[start : start + 41] = present * np.exp(1j * noise[:, None] * rng.normal(0, 1, (41, 8)))
    crowd = recall(present, moments, times, count=4)
    assert np.ptp(crowd.time_us) > 0
    assert len({int(t) // (20 * SECOND) for t in crowd.time_us}) <= 2
    apart = recall(present, moments, times, count=4, apart_us=5 * SECOND)
    assert {int(i) // 600 for i in apart.index[:2]} == {0, 2}
    assert (np.abs(apart.index[:2] % 900 - 320) <= 3).all()
    assert apart.similarity[2] < 0.95
    gaps = np.abs(apart.time_us[:, None] - apart.time_us)[~np.eye(4, dtype=bool)]
    assert gaps.min() >= 5 * SECOND


def test_the_greedy_choice_is_that_of_the_definition():
    rng = np.random.default_rng(5)
    times = np.sort(rng.integers(0, 1000, 200))
    moments, present = phases((200, 5), rng), phases(5, rng)
    faded = rng.random(200)
    like = similarity(present, moments) * faded
    left, want = list(range(200)), []
    while left and len(want) < 12:
        best = max(left, key=lambda i: (like[i], -i))
        want.append(best)
        left = [i for i in left if i != best and abs(times[i] - times[best]) >= 60]
    found = recall(present, moments, times, count=12, apart_us=60, strength=faded)
    assert found.index.tolist() == want


def test_what_has_faded_is_recalled_later():
    rng = np.random.default_rng(6)
    present = phases(8, rng)
    moments, times = np.tile(present, (3, 1)), np.array([0, 900, 990]) * SECOND
    c = np.array([0.9, 0.9, 0.05])
    log_time = LogTime.of(SECOND, 10**4 * SECOND)
    faded = strength(c, 1000 * SECOND - times, log_time)
    assert recall(present, moments, times, count=3).index.tolist() == [0, 1, 2]
    assert recall(present, moments, times, count=3, strength=faded).index.tolist() == [1, 2, 0]


def test_rows_that_are_not_finite_are_passed_over():
    rng = np.random.default_rng(7)
    moments, present = phases((6, 4), rng), phases(4, rng)
    moments[1, 2] = math.nan
    moments[2, 0] = math.inf
    moments[3, 0] = 1e200
    moments[4] = 0
    moments[5] = present
    present[3] = 0
    found = recall(present, moments, np.arange(6), count=9)
    assert found.searched == 2
    assert found.index[0] == 5
    assert found.index.shape == found.p.shape == found.similarity.shape == (2,)


def test_nothing_to_recall():
    none = recall(np.ones(4, dtype=complex), np.zeros((0, 4), dtype=complex), np.zeros(0, dtype=np.int64))
    assert (none.index.shape, none.searched) == ((0,), 0)
    assert math.isnan(none.typical)
    few = recall(np.array([1, 1j, 0, 0]), np.ones((5, 4), dtype=complex), np.arange(5))
    assert few.searched == 0  # two channels where three are asked for
    assert recall(np.array([1, 1j, 0, 0]), np.ones((5, 4), dtype=complex), np.arange(5), least_overlap=2).searched == 5


def test_a_million_times_as_large_is_the_same():
    rng = np.random.default_rng(8)
    moments, present = phases((100, 6), rng), phases(6, rng)
    a, b = recall(present, moments, np.arange(100)), recall(present * 1e90, moments * 1e-90, np.arange(100))
    assert a.index.tolist() == b.index.tolist()
    assert a.p == pytest.approx(b.p, rel=1e-9)


# What chance does.


@pytest.mark.parametrize("kind", ["pattern", "absolute"])
def test_the_best_of_unrelated_moments_is_rarely_significant(kind):
    rng = np.random.default_rng(10)
    times = np.arange(500)
    p = [recall(phases(7, rng), phases((500, 7), rng), times, count=1, kind=kind).p_any[0] for _ in range(800)]
    for level in (0.05, 0.2):
        often, sigma = np.mean(np.array(p) < level), math.sqrt(level * (1 - level) / 800)
        assert abs(often - (1 - math.exp(-level))) < 0.15 * level + 3 * sigma


def test_capacity_is_where_the_theory_says():
    # Half is recalled where the noisy likeness, √(e^{−σ²} + (1 − e^{−σ²})/n), meets the median of the best chance one.
    rng = np.random.default_rng(11)
    for m, n in ((1000, 8), (20_000, 16)):
        moments = phases((m, n), rng)
        half = critical_similarity(math.log(2) / m, n)
        sigma = math.sqrt(-math.log((half * half - 1 / n) / (1 - 1 / n)))
        rates = []
        for noise in (0.5 * sigma, sigma, 2.2 * sigma):
            rows = rng.integers(0, m, 120)
            hits = [similarity(moments[i] * np.exp(1j * rng.normal(0, noise, n)), moments).argmax() == i for i in rows]
            rates.append(np.mean(hits))
        assert rates[0] > 0.9
        assert 0.3 < rates[1] < 0.7
        assert rates[2] < 0.15


# A real recording: nine accelerometer axes on one walker.


@pytest.fixture(scope="module")
def gait():
    text = resources.files("becomingone.data").joinpath("gait-three-accelerometers/gait.csv").read_text()
    rows = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=range(1, 10))
    band = Band.of("step", 1.8, 0.5)
    return np.stack([ChannelKernel(band, floor=5.0).block(rows[:, i], 1 / 64).phasors for i in range(9)], axis=1)


def test_a_walk_is_like_itself_all_the_time(gait):
    times = (np.arange(gait.shape[0]) * SECOND / 64).astype(np.int64)
    now = 6000
    found = recall(gait[now], gait, times, count=4, apart_us=5 * SECOND, before_us=int(times[now]) - 5 * SECOND)
    assert (found.p_any < 1e-3).all()  # no chance of unrelated phases ...
    assert found.typical > 1.5 * math.sqrt(math.log(2) / 9)  # ... because steps are alike, not this one of all
    shuffled = np.stack([np.roll(gait[:, i], 640 * i) for i in range(9)], axis=1)
    other = recall(gait[now], shuffled, times, count=1)
    assert other.similarity[0] < found.similarity[0]


@pytest.mark.parametrize(
    "change",
    [
        {"present": np.ones(3, dtype=complex)},
        {"present": np.array([1, 1, 1, math.nan], dtype=complex)},
        {"present": np.ones((1, 4), dtype=complex)},
        {"moments": np.ones(4, dtype=complex)},
        {"time_us": np.arange(4)},
        {"time_us": np.array([3, 2, 1, 0, 0])},
        {"time_us": np.arange(5.0)},
        {"count": 0},
        {"apart_us": -1},
        {"kind": "other"},
        {"least_overlap": 1},
        {"strength": np.ones(4)},
        {"strength": np.full(5, 1.5)},
        {"strength": np.full(5, math.nan)},
    ],
)
def test_refusals(change):
    given = {"present": np.ones(4, dtype=complex), "moments": np.ones((5, 4), dtype=complex), "time_us": np.arange(5)}
    assert recall(**given).searched == 5
    with pytest.raises(KernelError):
        recall(**(given | change))
    with pytest.raises(KernelError):
        similarity(given["present"], given["moments"], kind="absolute", least_overlap=0)
