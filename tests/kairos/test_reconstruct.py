"""What the coherence was, and bounds that always hold."""

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
from becomingone.kairos.memory.intake import turned_back
from becomingone.kairos.memory.pyramid import Pyramid
from becomingone.kairos.memory.reconstruct import substitution_bound
from becomingone.kairos.onepole import alpha_of, leaky

from .memories import filled, stream


def true_mean(times, u, w, start, end):
    """The mean phasor by its definition; None without insertions."""
    part = (times >= start) & (times < end)
    return complex((w[part] * u[part]).sum() / w[part].sum()) if part.any() else None


def true_leaky(times, u, w, now, tau):
    part = times <= now
    if not part.any():
        return None
    weight = w[part] * np.exp(-(times[part].max() - times[part]) / tau)
    return complex((weight * u[part]).sum() / weight.sum())


# The facts that the bounds rest on.


def test_substitution_bound_holds_and_is_attained():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        n = int(rng.integers(1, 12))
        u, w, part = stream("noise", n, rng), rng.random(n) + 0.01, rng.random(n) < 0.6
        if part.any():
            gap = abs((w * u).sum() / w.sum() - (w * u)[part].sum() / w[part].sum())
            assert gap <= substitution_bound(w[part].sum(), w.sum()) + 1e-12
    # m of n in phase, the rest in antiphase.
    assert abs((7 - 3) / 10 - 1) == pytest.approx(substitution_bound(7, 10))
    for kept, whole in ((2, 1), (-1, 1), (0, 0), (1, math.inf), (math.nan, 1)):
        with pytest.raises(KernelError):
            substitution_bound(kept, whole)


def test_a_part_of_a_block_is_close_to_its_share_of_the_sum():
    rng = np.random.default_rng(1)
    for kind in ("noise", "walk", "flips", "dim") * 300:
        n = int(rng.integers(1, 9))
        u, w, part = stream(kind, n, rng), rng.random(n) + 0.01, rng.random(n) < 0.5
        weight = w.sum()
        share, r = w[part].sum() / weight, abs((w * u).sum()) / weight
        gap = abs((w * u)[part].sum() - share * (w * u).sum())
        assert gap <= weight * math.sqrt(max(0, share * (1 - share) * (1 - r * r))) + 1e-12
    # One of two phasors attains it.
    u = np.exp(1j * np.array([0.7, -0.7]))
    assert abs(u[0] - u.sum() / 2) == pytest.approx(2 * math.sqrt(0.25 * (1 - math.cos(0.7) ** 2)))


# The bounds, for any stream.


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from(["noise", "walk", "flips", "halves", "dim"]),
    st.integers(1, 400),
    st.sampled_from([1, 7, 64]),
    st.booleans(),
)
def test_the_truth_is_always_within_the_bound(seed, kind, n, leaf, regular):
    rng = np.random.default_rng(seed)
    span = int(rng.choice([n, 20 * n]))
    times = np.arange(n) * 5 if regular else np.sort(rng.integers(0, span, n))
    u, w = stream(kind, n, rng), np.ones(n) if regular else 10.0 ** rng.uniform(-3, 3, n)
    pyramid = Pyramid(leaf, keep=8)
    for part in np.array_split(rng.permutation(n), 3):
        pyramid.insert_block(times[part], u[part], w[part])
    last = int(times.max())
    for _ in range(8):
        start = int(rng.integers(-10, last + 5))
        end = start + 1 + int(rng.integers(0, last + 5))
        got, want = pyramid.reconstruct_range(start, end), true_mean(times, u, w, start, end)
        if want is not None:
            assert got.valid
            assert abs(got.phasor - want) <= got.bound + 1e-12
            assert got.low - 1e-12 <= abs(want) <= got.high + 1e-12
        now, tau = int(rng.integers(0, 2 * last + 5)), 10.0 ** rng.uniform(-1, 4)
        got, want = pyramid.reconstruct_leaky(now, tau), true_leaky(times, u, w, now, tau)
        if want is not None:
            assert got.valid
            assert abs(got.phasor - want) <= got.bound + 1e-12
            assert got.low - 1e-12 <= abs(want) <= got.high + 1e-12


@pytest.mark.parametrize("other", [-1.0, 1j, np.exp(0.3j)])
def test_the_worst_stream_attains_the_bound(other):
    # One whole block, and a cut one with nearly all of its weight outside, where half of it is expected.
    times = np.array([0, 7, 15])
    u, w = np.array([other, other, 1.0]), np.array([1.0, 1e-9, 1.0])
    pyramid = filled(times, u, w, leaf=8)
    got, want = pyramid.reconstruct_range(3, 16), true_mean(times, u, w, 3, 16)
    assert abs(want - got.phasor) == pytest.approx(abs(other - 1) / 3)  # 0 against 1/3
    assert abs(want - got.phasor) == pytest.approx(got.bound, rel=1e-6)
    assert got.resolution_us == 7


def gyroscope(name):
    text = resources.files("becomingone.data").joinpath(f"walking-two-imus/{name}.csv").read_text()
    column = text.split("\n", 1)[0].strip().split(",").index("gyr_z_rad_s")
    return np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=column)


@pytest.fixture(scope="module")
def walk():
    phasors = ChannelKernel(Band.of("stride", 0.78, 1.0), floor=0.05).block(gyroscope("lower_leg"), 1 / 120).phasors
    times = (np.arange(phasors.shape[0]) * 1e6 / 120).astype(np.int64)
    return times, turned_back(phasors, times, 0.78)


@pytest.mark.parametrize("carrier", [True, False])
def test_a_walk_is_reconstructed_within_its_bound(walk, carrier):
    times, v = walk
    v = v if carrier else turned_back(v, times, -0.78)  # raw phases go round: much harder
    pyramid = filled(times, v, leaf=8_334, keep=128)
    has = v != 0
    errors, bounds = [], []
    for now in range(4_000_000, 29_000_000, 37_123):
        for window in (300_000, 5_000_000):
            got = pyramid.reconstruct_coherence(now, window)
            want = true_mean(times[has], v[has], np.ones(has.sum()), now - window + 1, now + 1)
            if want is not None:
                assert abs(got.phasor - want) <= got.bound + 1e-12
                if window == 5_000_000:
                    errors.append(abs(got.phasor - want))
                    bounds.append(got.bound)
    errors, bounds = np.array(errors), np.array(bounds)
    cut = bounds > 0
    assert cut.mean() > 0.5  # memory is coarse enough for this to say something
    if carrier:
        assert np.median(bounds[cut]) < 0.02
        assert np.median(errors[cut]) < 3e-4


def test_what_was_published_live_is_reconstructed(walk):
    times, v = walk
    has = np.flatnonzero(v)
    times, v = times[has[0] :], v[has[0] :]
    tau = 2.0
    # A leaky sum over the sum of its weights, with the kernel's own recursion.
    alpha = alpha_of(1 / 120, tau)
    live = leaky(v, alpha) / leaky(np.ones(v.shape[0]), alpha)
    fine = filled(times, v, leaf=8_334, keep=4096)
    coarse = filled(times, v, leaf=8_334, keep=64)
    for i in range(50, v.shape[0], 91):
        exact = fine.reconstruct_leaky(int(times[i]), tau * 1e6)
        assert exact.bound < 0.01
        assert abs(exact.phasor - live[i]) < min(2e-5, exact.bound + 2e-6)  # the times are cut to microseconds
        rough = coarse.reconstruct_leaky(int(times[i]), tau * 1e6)
        assert abs(rough.phasor - live[i]) < rough.bound + 2e-6
