"""The channels of a band together."""

from __future__ import annotations

import functools
import math
import operator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.mesh.state import (
    MeshState,
    PartialSum,
    extrapolate,
    freshness,
    merge_p,
    weights,
)
from becomingone.kairos.rayleigh import rayleigh_p


def channels(n, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "weight": rng.random(n),
        "phasor": np.exp(2j * np.pi * rng.random(n)),
        "coherence": rng.random(n),
        "time_us": rng.integers(0, 10**15, n),
    }


def close(a, b):
    for name in ("weight", "resonance", "order", "coherence", "weight_squared"):
        assert abs(getattr(a, name) - getattr(b, name)) <= 1e-12 * max(1.0, abs(getattr(a, name))), name
    assert (a.count, a.oldest_time_us) == (b.count, b.oldest_time_us)


def test_extrapolation():
    u = np.exp(1j * np.array([0.1, -2.0]))
    moved, variance = extrapolate(
        np.append(u, 0),
        np.array([2.0, 5.0, 1.0]),
        delay_s=np.array([0.5, -0.25, 3.0]),
        phase_sigma=np.array([0.1, 0.2, 0.0]),
        omega_sigma=0.3,
        clock_sigma_s=0.01,
        diffusion=0.05,
    )
    assert np.angle(moved[:2]) == pytest.approx([1.1, -2.0 - 1.25 + 2 * math.pi])
    assert moved[2] == 0
    assert variance[0] == pytest.approx(0.01 + 0.15**2 + 0.05 + 0.02**2)
    assert variance[1] == pytest.approx(0.04 + 0.075**2 + 0.025 + 0.05**2)


def test_weights_and_freshness():
    fresh = freshness(np.array([-1.0, 0.0, 5.0, 7.5, 10.0, 99.0]), 10.0)
    assert fresh == pytest.approx([1, 1, 1, 0.5, 0, 0])
    w = weights(np.array([1.0, 2.0]), np.array([1.0, 0.5]), np.array([0.5, 1.0]), np.array([0.0, 2.0]))
    assert w == pytest.approx([0.5, math.exp(-1)])
    with pytest.raises(KernelError):
        freshness(np.array([1.0]), 0.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_sums_merge_in_any_order_and_grouping(cuts, random):
    data = channels(40)
    edges = [0, *sorted(cuts), 40]
    parts = [PartialSum.of(**{name: values[a:b] for name, values in data.items()}) for a, b in pairwise(edges)]
    whole = PartialSum.of(**data)
    while len(parts) > 1:
        a = parts.pop(random.randrange(len(parts)))
        b = parts.pop(random.randrange(len(parts)))
        parts.append(a + b)
    close(parts[0], whole)


def test_a_hundred_thousand_sums_merge_to_the_flat_one_in_any_order():
    rng = np.random.default_rng(5)
    n = 100_000
    data = channels(n, seed=5) | {"weight": 10 ** rng.uniform(-6, 0, n)}
    flat = PartialSum.of(**data)
    exact = [math.fsum(x) for x in (data["weight"], data["weight"] * data["coherence"], data["weight"] ** 2)]
    ones = [
        PartialSum(w, w * c * u, w * u, w * c, w * w, 1, t)
        for w, u, c, t in zip(
            *(data[name].tolist() for name in ("weight", "phasor", "coherence", "time_us")), strict=True
        )
    ]
    backwards = functools.reduce(operator.add, reversed(ones))
    while len(ones) > 1:
        rng.shuffle(ones)
        ones = [functools.reduce(operator.add, ones[k : k + 7]) for k in range(0, len(ones), 7)]
    for merged in (backwards, ones[0]):
        assert [merged.weight, merged.coherence, merged.weight_squared] == exact
        close(merged, flat)
        assert abs(merged.order - flat.order) < 1e-14 * flat.weight
    assert backwards.order == pytest.approx(ones[0].order, rel=1e-15)
    assert backwards == ones[0]


def test_the_empty_sum_is_the_identity():
    total = PartialSum.of(**channels(3))
    assert total + PartialSum.empty() == total == PartialSum.empty() + total
    assert PartialSum.empty() + PartialSum.empty() == PartialSum.empty()


def test_a_channel_without_a_phase_is_left_out():
    data = channels(5)
    data["phasor"][1] = 0
    data["weight"][3] = 0
    keep = [0, 2, 4]
    close(PartialSum.of(**data), PartialSum.of(**{name: values[keep] for name, values in data.items()}))
    assert PartialSum.of(**data).count == 3


def test_resonance_is_clipped_to_the_disc():
    total = PartialSum.of(
        weight=np.array([2.0]), phasor=np.array([1.5j]), coherence=np.array([1.2]), time_us=np.array([7])
    )
    assert total.resonance == pytest.approx(2j)
    assert total.coherence == 2.0


@pytest.mark.parametrize(
    "bad",
    [{"weight": [-1.0]}, {"weight": [math.nan]}, {"phasor": [math.nan]}, {"coherence": [-0.1]}, {"weight": [1, 2]}],
)
def test_sums_refuse(bad):
    data = {"weight": [1.0], "phasor": [1.0], "coherence": [0.5]} | bad
    with pytest.raises(KernelError):
        PartialSum.of(
            weight=np.array(data["weight"], dtype=float),
            phasor=np.array(data["phasor"], dtype=complex),
            coherence=np.array(data["coherence"], dtype=float),
            time_us=0,
        )


# --- state -----------------------------------------------------------------------------------------------------------


def state_of(phases, coherence, weight=None, p=None, n_eff=None):
    n = len(phases)
    weight = np.ones(n) if weight is None else np.array(weight)
    total = PartialSum.of(
        weight=weight, phasor=np.exp(1j * np.array(phases)), coherence=np.full(n, coherence), time_us=5
    )
    return MeshState.of(
        total,
        weight=weight,
        p=np.full(n, 0.001) if p is None else np.array(p),
        n_eff=np.full(n, 9.0) if n_eff is None else np.array(n_eff),
    )


def test_steady_is_not_synchronous():
    state = state_of([0.0, math.pi / 2, math.pi, -math.pi / 2], 0.9)
    assert state.coherence == pytest.approx(0.9)
    assert state.order == pytest.approx(0.0, abs=1e-12)
    assert state.order_p == pytest.approx(1.0)
    assert state.phase is None
    assert state.coherence_p == pytest.approx(0.002)
    assert (state.valid, state.count, state.oldest_time_us) == (True, 4, 5)


def test_state_of_two():
    state = state_of([0.2, 0.95], 0.8, weight=[1.0, 3.0], p=[0.4, 0.004], n_eff=[4.0, 8.0])
    mean = (np.exp(0.2j) + 3 * np.exp(0.95j)) / 4
    assert state.order == pytest.approx(abs(mean))
    assert state.phase == pytest.approx(np.angle(mean))
    assert state.resonance == pytest.approx(0.8 * mean)
    assert state.n_weights == pytest.approx(1.6)
    assert state.order_unbiased == pytest.approx(math.sqrt((1.6 * abs(mean) ** 2 - 1) / 0.6))
    assert state.order_p == pytest.approx(math.acos((16 * abs(mean) ** 2 - 10) / 6) / math.pi)
    assert state.coherence_n_eff == pytest.approx(7.0)
    assert state.coherence_p == pytest.approx((0.1 + 0.003) * 4 / 3)


def test_one_channel_is_synchronous_with_itself_and_that_means_nothing():
    state = state_of([1.0], 0.5, p=[0.03])
    assert state.order == 1.0
    assert state.order_p == 1.0
    assert state.order_unbiased == 0.0
    assert state.coherence_p == pytest.approx(0.03)


def test_no_channel():
    state = state_of([], 0.0)
    assert not state.valid
    assert (state.phase, state.coherence, state.order, state.order_p, state.coherence_p) == (None, 0, 0, 1, 1)


def test_of_merged_sums_whose_weights_are_unknown_the_significance_errs_to_caution():
    near = {"phasor": np.exp(1j * np.array([0.1, 0.2])), "coherence": np.ones(2), "time_us": 0}
    weight = np.array([1.0, 4.0])
    total = PartialSum.of(weight=weight, **near) + PartialSum.of(weight=np.array([1.0, 4.0]), **near)
    state = MeshState.of(total, weight=weight, p=np.ones(2), n_eff=np.ones(2))
    assert state.n_weights == pytest.approx(100 / 34)
    assert state.order_p == pytest.approx(rayleigh_p(state.order, 100 / 34))


def test_state_refuses():
    total = PartialSum.of(**channels(2))
    with pytest.raises(KernelError):
        MeshState.of(total, weight=np.ones(2), p=np.ones(3), n_eff=np.ones(2))
    with pytest.raises(KernelError):
        MeshState.of(total, weight=np.zeros(2), p=np.ones(2), n_eff=np.ones(2))
    with pytest.raises(KernelError):
        merge_p(np.ones(2), np.ones(3))


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_merged_p_is_valid_under_any_dependence(n, shared):
    rng = np.random.default_rng(n)
    p = np.where(rng.random(20_000)[:, None] < shared, rng.random(20_000)[:, None], rng.random((20_000, n)))
    merged = np.array([merge_p(row, np.ones(n)) for row in p])
    for level in (0.05, 0.2):
        assert (merged <= level).mean() <= level + 0.006


def test_weights_whose_squares_vanish_are_one_channel():
    weight = np.full(3, 1e-200)
    total = PartialSum.of(weight=weight, phasor=np.ones(3, complex), coherence=np.ones(3), time_us=0)
    state = MeshState.of(total, weight=weight, p=np.ones(3), n_eff=np.ones(3))
    assert (state.valid, state.n_weights, state.order_p) == (True, 1.0, 1.0)
