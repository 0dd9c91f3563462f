"""The past at all resolutions: exact sums, whatever the order."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.memory.pyramid import Pyramid
from becomingone.kairos.rayleigh import rayleigh_p

from .memories import filled, stream

TICK = 50_000
YEAR = 365 * 86_400 * 1_000_000


def true_mean(times, u, w, start, end):
    """The mean phasor by its definition; None without insertions."""
    part = (times >= start) & (times < end)
    return complex((w[part] * u[part]).sum() / w[part].sum()) if part.any() else None


def same(a, b, tolerance=1e-12):
    a, b = a.state(), b.state()
    for name in ("leaf_us", "keep", "oldest_us", "newest_us", "levels"):
        assert a[name] == b[name], name
    for name in ("level", "block", "count", "first", "last"):
        assert np.array_equal(a[name], b[name]), name
    for name in ("sum", "weight", "square"):
        assert (np.abs(a[name] - b[name]) <= tolerance * a["weight"]).all(), name


# Exactness.


def test_exact_at_block_edges_and_in_gaps():
    rng = np.random.default_rng(2)
    times = np.arange(0, 4096) * 10
    u, w = stream("noise", 4096, rng), rng.random(4096) + 0.1
    pyramid = filled(times, u, w, leaf=10, keep=16)
    for age, length in itertools.product(range(0, 3000, 7), (1, 4, 64, 500)):
        end = 40_960 - 10 * age
        got = pyramid.reconstruct_range(end - 10 * length, end)
        want = true_mean(times, u, w, end - 10 * length, end)
        assert abs(got.phasor - want) <= got.bound + 1e-12
        coarse = 10 * 2 ** max(0, math.ceil(math.log2((age + length + 1) / 14)))
        if end % coarse == 0 and (10 * length) % coarse == 0:
            assert got.bound == 0.0
            assert got.resolution_us == 0
            assert got.weight == pytest.approx(w[(times >= end - 10 * length) & (times < end)].sum())
    # A gap is an edge wherever it lies.
    split = filled(np.concatenate((times, times + 100_003)), np.tile(u, 2), np.tile(w, 2), leaf=10, keep=16)
    for cut in (40_951, 77_777, 100_003):
        got = split.reconstruct_range(-5, cut)
        assert got.bound == 0.0
        assert abs(got.phasor - true_mean(times, u, w, 0, 40_960)) < 1e-12


def test_single_ticks_of_the_near_past_are_exact():
    rng = np.random.default_rng(3)
    times = np.arange(5000) * TICK + 3
    u = stream("walk", 5000, rng)
    pyramid = filled(times, u, leaf=TICK, keep=1024)
    for age in range(0, 900, 13):
        now = int(times[-1 - age])
        got = pyramid.reconstruct_coherence(now, 100 * TICK)
        assert got.bound == 0.0
        assert abs(got.phasor - u[4900 - age : 5000 - age].mean()) < 1e-12
        assert got.n_eff == pytest.approx(100.0)


# Late data, merging, state.


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([1, 1000]))
def test_neither_order_nor_grouping_matters(seed, n, scale):
    rng = np.random.default_rng(seed)
    times = rng.integers(-300, 300, n) * scale
    u, w = stream("dim", n, rng), rng.random(n) + 0.01
    whole = filled(times, u, w, leaf=3)
    singly = Pyramid(3, keep=8)
    parts = [Pyramid(3, keep=8) for _ in range(3)]
    for i in rng.permutation(n):
        singly.insert(int(times[i]), complex(u[i]), float(w[i]))
        parts[int(rng.integers(3))].insert(int(times[i]), complex(u[i]), float(w[i]))
    same(singly, whole)
    same((parts[0] + parts[1]) + parts[2], whole)
    same(parts[2] + (parts[0] + parts[1]), whole)
    assert singly.count == whole.count == ((parts[0] + parts[1]) + parts[2]).count == np.count_nonzero(u)


def test_merging_leaves_both_as_they_were():
    a, b = filled(np.arange(50), np.ones(50)), filled(np.arange(90, 99), 1j * np.ones(9))
    before = a.state(), b.state()
    assert (a + b).count == 59
    for pyramid, state in zip((a, b), before, strict=True):
        assert all(np.array_equal(state[name], pyramid.state()[name]) for name in state)
    same(a + Pyramid(1, keep=8), a, 0.0)
    same(Pyramid(1, keep=8) + a, a, 0.0)
    for other in (Pyramid(2, keep=8), Pyramid(1, keep=10)):
        with pytest.raises(KernelError):
            a + other


def test_late_data_reach_the_right_leaf():
    pyramid = filled(np.arange(0, 100, 2), np.ones(50), keep=1024)
    pyramid.insert(51, -1.0, 3.0)
    got = pyramid.reconstruct_range(50, 53)
    assert (got.phasor, got.bound, got.weight) == (pytest.approx(-0.2), 0.0, 5.0)
    assert pyramid.reconstruct_range(48, 51).phasor == 1.0
    pyramid.insert(-(10**6), 1j)  # far older than anything
    assert pyramid.reconstruct_range(-(10**7), 0).phasor == 1j
    assert pyramid.oldest_us == -(10**6)


def test_state_is_the_whole_pyramid():
    rng = np.random.default_rng(5)
    times = rng.integers(0, 10**6, 3000)
    pyramid = filled(times, stream("dim", 3000, rng), rng.random(3000), leaf=50)
    twin = Pyramid.from_state(pyramid.state())
    same(twin, pyramid, 0.0)
    pyramid.state()["sum"][:] = 0  # a copy
    for each in (pyramid, twin):
        each.insert_block(times[:50] + 10**5, np.ones(50))
    same(twin, pyramid, 0.0)
    assert twin.reconstruct_leaky(10**6, 1e4) == pyramid.reconstruct_leaky(10**6, 1e4)
    same(Pyramid.from_state(Pyramid(7).state()), Pyramid(7), 0.0)
    assert twin.count == pyramid.count


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight", -1.0),
        ("weight", math.nan),
        ("sum", 1e9),
        ("count", 0),
        ("first", 10**9),
        ("last", -(10**9)),
        ("block", 10**9),
        ("level", 63),
        ("level", -1),
    ],
)
def test_a_state_that_cannot_be_is_refused(name, value):
    state = filled(np.arange(100), np.ones(100)).state()
    state[name][3] = value
    with pytest.raises(KernelError):
        Pyramid.from_state(state)


def test_a_state_of_another_shape_is_refused():
    state = filled(np.arange(100), np.ones(100)).state()
    for change in ({"sum": np.zeros(2)}, {"levels": 0}, {"oldest_us": 1, "newest_us": 0}, {"keep": 7}, {"leaf_us": 0}):
        with pytest.raises(KernelError):
            Pyramid.from_state(state | change)
    twice = {name: np.repeat(value, 2) if isinstance(value, np.ndarray) else value for name, value in state.items()}
    with pytest.raises(KernelError):
        Pyramid.from_state(twice)


# Memory and retrieval.


def test_a_year_at_twenty_hertz_fits_into_two_megabytes():
    rng = np.random.default_rng(6)
    times = np.sort(np.concatenate((rng.integers(0, YEAR, 20_000), YEAR - np.arange(20_000) * TICK)))
    pyramid = filled(times, np.ones(40_000), leaf=TICK, keep=1024)
    assert pyramid.nbytes < 1.5e6
    assert pyramid.levels <= 1 + math.ceil(math.log2(YEAR / TICK / 1023))
    # What is old is known to 2/keep of its age.
    blocks = pyramid.retrieve(0, YEAR + 1)
    age = YEAR - blocks.first_us
    assert ((blocks.last_us - blocks.first_us)[age > 1024 * TICK] <= 4 / 1024 * age[age > 1024 * TICK]).all()
    assert blocks.count.sum() == 40_000


@pytest.mark.campaign
def test_a_whole_year_tick_by_tick():
    rng = np.random.default_rng(7)
    pyramid = Pyramid(TICK)
    total = 0j
    day = 20 * 86_400
    for start in range(0, 365 * day, day):
        u = np.exp(1j * rng.normal(0, 1, day))
        total += u.sum()
        pyramid.insert_block((start + np.arange(day)) * TICK, u)
    assert pyramid.nbytes < 1.5e6
    whole = pyramid.reconstruct_range(0, YEAR)
    assert (whole.bound, whole.weight) == (0.0, 365.0 * day)
    assert abs(whole.phasor - total / (365 * day)) < 1e-12


def test_retrieval_tiles_the_range():
    rng = np.random.default_rng(8)
    times = np.sort(rng.integers(0, 20_000, 3000))
    u, w = stream("walk", 3000, rng), rng.random(3000) + 0.1
    pyramid = filled(times, u, w, leaf=10, keep=64)
    for start, end, resolution in ((0, 20_000, 0), (5000, 12_345, 0), (19_000, 20_001, 0), (100, 19_000, 5000)):
        blocks = pyramid.retrieve(start, end, resolution_us=resolution)
        assert (blocks.start_us[1:] >= blocks.end_us[:-1]).all()
        assert (blocks.first_us >= blocks.start_us).all()
        assert (blocks.last_us < blocks.end_us).all()
        assert blocks.inside[1:-1].all()
        for i in range(len(blocks)):
            part = (times >= blocks.start_us[i]) & (times < blocks.end_us[i])
            assert blocks.count[i] == part.sum()
            assert blocks.phasor[i] == pytest.approx((w * u)[part].sum() / w[part].sum(), abs=1e-12)
            assert blocks.n_eff[i] == pytest.approx(w[part].sum() ** 2 / (w[part] ** 2).sum())
            assert blocks.inside[i] == (times[part].min() >= start and times[part].max() < end)
        covered = (times >= blocks.start_us[0]) & (times < blocks.end_us[-1])
        assert blocks.count.sum() == covered.sum()
        assert covered[(times >= start) & (times < end)].all()
    assert len(pyramid.retrieve(100, 19_000, resolution_us=5000)) < len(pyramid.retrieve(100, 19_000))
    assert (pyramid.retrieve(0, 20_000).coherence <= 1).all()


def test_nothing_there():
    pyramid = Pyramid(TICK)
    assert (pyramid.count, pyramid.oldest_us, pyramid.newest_us, pyramid.levels) == (0, None, None, 1)
    pyramid.insert(5, 0.0)  # no phase
    pyramid.insert(5, 1.0, 0.0)  # no weight
    assert pyramid.count == 0
    assert len(pyramid.retrieve(-10, 10)) == 0
    for nothing in (pyramid.reconstruct_range(0, 10), pyramid.reconstruct_leaky(0, 1.0)):
        assert not nothing.valid
        assert (nothing.coherence, nothing.phase, nothing.low, nothing.high) == (0.0, None, 0.0, 1.0)
        assert nothing.p() == 1.0
    pyramid.insert(100, 1j)
    assert not pyramid.reconstruct_coherence(99, 50).valid
    assert not pyramid.reconstruct_leaky(99, 50.0).valid
    alone = pyramid.reconstruct_coherence(100, 1)
    assert (alone.phase, alone.bound, alone.n_eff) == (pytest.approx(math.pi / 2), 0.0, 1.0)
    asleep = pyramid.reconstruct_leaky(YEAR, 1.0)
    assert (asleep.coherence, asleep.bound) == (1.0, 0.0)


def test_significance_is_that_of_the_effective_number():
    rng = np.random.default_rng(9)
    got = filled(np.arange(200), stream("noise", 200, rng), keep=1024).reconstruct_range(0, 200)
    assert got.p() == pytest.approx(rayleigh_p(got.coherence, 200))
    assert got.p(10.0) == pytest.approx(rayleigh_p(got.coherence, 20))
    with pytest.raises(KernelError):
        got.p(0.0)


@pytest.mark.parametrize(
    ("time", "phasor", "weight"),
    [
        ([0, 2**61], [1, 1], [1, 1]),
        ([0, 1], [1, 1.1], [1, 1]),
        ([0, 1], [1, math.nan], [1, 1]),
        ([0, 1], [1, 1], [1, -1]),
        ([0, 1], [1, 1], [1]),
        ([0.5, 1.0], [1, 1], [1, 1]),
    ],
)
def test_bad_input_changes_nothing(time, phasor, weight):
    pyramid = filled(np.arange(9), np.ones(9))
    before = pyramid.state()
    with pytest.raises(KernelError):
        pyramid.insert_block(np.array(time), np.array(phasor, dtype=complex), np.array(weight, dtype=float))
    assert all(np.array_equal(before[name], pyramid.state()[name]) for name in before)
    pyramid.insert(9, 1.0)
    assert pyramid.reconstruct_range(0, 10).weight == 10.0


def test_other_refusals():
    for leaf, keep in ((0, 8), (2**41, 8), (1, 7), (1, 6), (1, 2**21)):
        with pytest.raises(KernelError):
            Pyramid(leaf, keep=keep)
    pyramid = filled(np.arange(9), np.ones(9))
    for bad in (
        lambda: pyramid.reconstruct_range(5, 5),
        lambda: pyramid.reconstruct_range(-(2**61), 5),
        lambda: pyramid.reconstruct_coherence(5, 0),
        lambda: pyramid.reconstruct_leaky(5, 0.0),
        lambda: pyramid.reconstruct_leaky(5, math.nan),
        lambda: pyramid.reconstruct_leaky(2**61, 1.0),
        lambda: pyramid.retrieve(0, 5, resolution_us=-1),
        lambda: pyramid.retrieve(5, 0),
    ):
        with pytest.raises(KernelError):
            bad()
