"""A memory over logarithmic time: linear in what was inserted, whatever the order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.memory.blend import Blend
from becomingone.kairos.memory.intake import turned_back
from becomingone.kairos.memory.log_time import LogTime
from becomingone.kairos.rayleigh import rayleigh_p

HOUR = 3_600_000_000
YEAR = 8766 * HOUR
TAU = LogTime.of(1, HOUR).tau_us


def slow(times, phasor, weight, tau, now):
    """S, W and Σw² by their definition, newest first so that the sums are right even for the oldest scale."""
    order = np.argsort(-times, kind="stable")
    decay = np.exp(-(now - times[order, None]) / tau)
    w = weight[order, None] * decay
    return (w * phasor[order, None]).sum(0), w.sum(0), (w * w).sum(0)


def stream(n, seed, span=HOUR):
    rng = np.random.default_rng(seed)
    times = rng.integers(0, span, n)
    return times, np.sqrt(rng.random(n)) * np.exp(2j * np.pi * rng.random(n)), rng.random(n) + 0.01


def close(a, b, tolerance=1e-12):
    a, b = a.state(), b.state()
    assert (a["count"], a["oldest_us"], a["newest_us"]) == (b["count"], b["oldest_us"], b["newest_us"])
    assert (a["time_us"] == b["time_us"]).all()
    for name, unit in (("sum", "weight"), ("weight", "weight"), ("square", "square")):
        assert (np.abs(a[name] - b[name]) <= tolerance * a[unit]).all(), name


def test_sums_are_those_of_the_definition():
    times, u, w = stream(500, 0)
    bank = Blend(TAU)
    bank.insert_block(times, u, w)
    total, weight, square = slow(times, u, w, TAU, times.max())
    now = bank.scales()
    assert now.weight == pytest.approx(weight, rel=1e-12)
    assert np.abs(now.phasor - total / weight).max() < 1e-12
    assert now.n_eff == pytest.approx(weight**2 / square, rel=1e-12)
    assert now.coherence == pytest.approx(np.abs(total) / weight, abs=1e-12)
    assert now.phase == pytest.approx(np.angle(total), abs=1e-9)
    later = bank.scales(int(times.max()) + 1000)
    assert later.weight == pytest.approx(weight * np.exp(-1000 / TAU), rel=1e-12)
    assert (later.phasor == now.phasor).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-(2**50), 2**50) | st.integers(0, 100_000), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
)
def test_neither_order_nor_grouping_matters(times, random):
    n = len(times)
    _, u, w = stream(n, n)
    times = np.array(times)
    whole = Blend(TAU)
    whole.insert_block(times, u, w)
    order = random.sample(range(n), n)
    single = Blend(TAU)
    parts = [Blend(TAU) for _ in range(3)]
    for i in order:
        single.insert(int(times[i]), complex(u[i]), float(w[i]))
        parts[random.randrange(3)].insert(int(times[i]), complex(u[i]), float(w[i]))
    close(single, whole)
    close((parts[0] + parts[1]) + parts[2], whole)
    close(parts[2] + (parts[1] + parts[0]), whole)


def test_merging_leaves_both_as_they_were():
    a, b = Blend(TAU), Blend(TAU)
    a.insert(0, 1j)
    b.insert(HOUR, 1.0, 0.5)
    before = a.state()
    merged = a + b
    assert merged.count == 2
    assert (merged.oldest_us, merged.newest_us) == (0, HOUR)
    assert all(np.array_equal(before[name], a.state()[name]) for name in before)
    close(a + Blend(TAU), a, 0.0)
    close(Blend(TAU) + a, a, 0.0)
    with pytest.raises(KernelError):
        a + Blend(TAU[1:])


def test_small_steps_are_forgotten_too():
    # A million insertions 1 µs apart up to τ = 100 years, where e^{−Δ/τ} rounds to 1: still the geometric series.
    bank = Blend(np.array([1e6, 3.6e9, 3.6e15]))
    for start in range(0, 1_000_000, 100_000):
        bank.insert_block(np.arange(start, start + 100_000), np.ones(100_000))
    now = bank.scales()
    tau = now.tau_us
    assert now.weight == pytest.approx(np.expm1(-1e6 / tau) / np.expm1(-1 / tau), rel=1e-12)
    assert now.n_eff[0] == pytest.approx(2 * 1e6 * math.tanh(0.5), rel=1e-6)


@pytest.mark.parametrize("silence", [HOUR, 300 * YEAR])
def test_silence_costs_nothing(silence):
    bank = Blend(TAU)
    bank.insert_block(np.array([0, 1]), np.array([1, 1j]))
    asleep = bank.scales(silence)
    assert np.isfinite(asleep.phasor).all()
    assert asleep.coherence == pytest.approx(np.abs(np.exp(-1 / TAU) + 1j) / (np.exp(-1 / TAU) + 1))
    assert asleep.weight[4] == 0.0  # an hour is e^{−3.6e9} at 1 µs
    bank.insert(silence, -1.0)
    awake = bank.scales()
    assert awake.phasor[4] == -1.0
    assert awake.weight[4] == 1.0
    bank.insert(5, 1.0)  # late by all of the silence
    assert bank.scales().phasor[4] == -1.0
    total, weight, _ = slow(np.array([0, 1, 5, silence]), np.array([1, 1j, 1, -1]), np.ones(4), TAU, silence)
    assert bank.scales().weight == pytest.approx(weight, rel=1e-12)
    assert np.abs(bank.scales().phasor - total / weight).max() < 1e-12


def test_a_drifting_phase_is_remembered_up_to_its_own_turn():
    # |∫e^{iδt − t/τ}dt|/τ = 1/√(1 + (δτ)²).
    tau = 2.0 ** np.arange(12, 23)
    times = np.arange(0, 2**27, 2**9)
    delta = 2 * np.pi / 5e5  # one turn in half a second
    bank = Blend(tau)
    bank.insert_block(times, np.exp(1j * delta * times))
    assert bank.scales().coherence == pytest.approx(1 / np.sqrt(1 + (delta * tau) ** 2), abs=4e-3)


def test_mean_over_scales_weighs_by_one_over_age():
    log_time = LogTime.of(1, HOUR)
    times, u, w = stream(400, 3)
    times = HOUR - np.geomspace(1, HOUR, 400).astype(np.int64)
    bank = Blend(log_time.tau_us)
    bank.insert_block(times, u, w)
    mean = bank.mean(log_time, HOUR)
    inverse = w / (HOUR - times)
    assert abs(mean.phasor[0] - (inverse * u).sum() / inverse.sum()) < 1e-4  # ages below 1 µs are none
    kernel = w * log_time.kernel(HOUR - times.astype(float))
    assert abs(mean.phasor[0] - (kernel * u).sum() / kernel.sum()) < 1e-12
    assert mean.weight[0] == pytest.approx(kernel.sum(), rel=1e-12)
    assert 0.5 * kernel.sum() ** 2 / (kernel**2).sum() < mean.n_eff[0] <= kernel.sum() ** 2 / (kernel**2).sum()
    assert np.isnan(mean.tau_us).all()
    centuries = bank.mean(log_time, HOUR + 500 * YEAR)
    assert abs(centuries.phasor[0]) <= 1
    assert centuries.weight[0] == 0.0
    with pytest.raises(KernelError):
        bank.mean(LogTime.of(1, HOUR, ratio=3.0))


def test_an_empty_bank_and_one_phase():
    bank = Blend(TAU)
    assert (bank.count, bank.newest_us, bank.oldest_us) == (0, None, None)
    assert not bank.scales().weight.any()
    assert not bank.mean(LogTime.of(1, HOUR)).weight.any()
    assert np.isnan(bank.scales().phase).all()
    assert (bank.scales().p() == 1.0).all()
    bank.insert_block(np.array([], dtype=np.int64), np.array([], dtype=complex))
    bank.insert(7, 0.0)  # no phase
    bank.insert(9, 1j, 0.0)  # no weight
    assert bank.count == 0
    bank.insert(7, 1j)
    assert bank.scales().phase == pytest.approx(math.pi / 2)
    assert (bank.oldest_us, bank.newest_us) == (7, 7)


def test_significance_is_that_of_the_effective_number():
    rng = np.random.default_rng(4)
    bank = Blend(np.array([1e6]))
    bank.insert_block(np.arange(0, 10**8, 10**4), np.exp(2j * np.pi * rng.random(10**4)))
    now = bank.scales()
    assert now.n_eff[0] == pytest.approx(200, rel=1e-3)  # 2τ/Δ
    assert now.p()[0] == pytest.approx(rayleigh_p(now.coherence[0], now.n_eff[0]))
    assert now.p(10.0)[0] == pytest.approx(rayleigh_p(now.coherence[0], now.n_eff[0] / 10))
    with pytest.raises(KernelError):
        now.p(0.5)


def test_state_is_the_whole_bank():
    times, u, w = stream(300, 5)
    bank = Blend(TAU)
    bank.insert_block(times, u, w)
    twin = Blend.from_state(bank.state())
    close(twin, bank, 0.0)
    bank.state()["sum"][:] = 0  # a copy
    for each in (bank, twin):
        each.insert_block(times[:50] + HOUR, u[:50], w[:50])
    close(twin, bank, 0.0)
    close(Blend.from_state(Blend(TAU).state()), Blend(TAU), 0.0)


@pytest.mark.parametrize(
    "change",
    [
        {"sum": np.zeros(3, dtype=complex)},
        {"weight": -np.ones(TAU.shape)},
        {"weight": np.full(TAU.shape, np.nan)},
        {"sum": np.full(TAU.shape, 1e3 + 0j)},
        {"time_us": np.zeros(TAU.shape, dtype=np.int64)},
        {"count": -1},
        {"oldest_us": 10, "newest_us": 9},
        {"tau_us": -TAU},
    ],
)
def test_a_state_that_cannot_be_is_refused(change):
    bank = Blend(TAU)
    bank.insert(10**6, 1.0)
    with pytest.raises(KernelError):
        Blend.from_state(bank.state() | change)


@pytest.mark.parametrize(
    ("time", "phasor", "weight"),
    [
        ([0, 2**61], [1, 1], [1, 1]),
        ([0.0, 1.0], [1, 1], [1, 1]),
        ([0, 1], [1, 1.1], [1, 1]),
        ([0, 1], [1, math.nan], [1, 1]),
        ([0, 1], [1, math.inf], [1, 1]),
        ([0, 1], [1, 1], [1, -1]),
        ([0, 1], [1, 1], [1, math.inf]),
        ([0, 1], [1, 1], [1, 1e-200]),
        ([0, 1], [1, 1], [1]),
        ([0], [1, 1], [1, 1]),
        ([[0]], [[1]], [[1]]),
    ],
)
def test_bad_input_changes_nothing(time, phasor, weight):
    bank = Blend(TAU)
    bank.insert(-5, 1j)
    before = bank.state()
    with pytest.raises(KernelError):
        bank.insert_block(np.array(time), np.array(phasor, dtype=complex), np.array(weight, dtype=float))
    assert all(np.array_equal(before[name], bank.state()[name]) for name in before)
    bank.insert(5, 1j)
    assert bank.scales().coherence == pytest.approx(1.0)


def test_other_refusals():
    for tau in ([], [0.0, 1.0], [2.0, 1.0], [1.0, 1.0], [1.0, math.inf], [[1.0]], [math.nan]):
        with pytest.raises(KernelError):
            Blend(np.array(tau))
    bank = Blend(TAU)
    bank.insert(100, 1.0)
    for time in (99, 2**61):
        with pytest.raises(KernelError):
            bank.scales(time)


def test_rounding_beyond_the_disc_is_brought_back():
    bank = Blend(TAU)
    bank.insert(0, (1 + 1e-12) * np.exp(0.3j))
    assert abs(bank.scales().phasor[0]) <= 1 + 1e-15


# Phase-weighted memory.


def test_coherence_as_weight_against_coherence_as_modulus():
    # Coherent moments at phase 0 (C = 0.9), as many incoherent ones at π (C = 0.1).
    times = np.arange(1000)
    c = np.where(times % 2 == 0, 0.9, 0.1)
    u = np.where(times % 2 == 0, 1.0, -1.0).astype(complex)
    weighted, diluted = Blend(np.array([1e9])), Blend(np.array([1e9]))
    weighted.insert_block(times, u, c)
    diluted.insert_block(times, c * u)
    assert weighted.scales().coherence[0] == pytest.approx(0.8, abs=1e-6)  # (0.9 − 0.1)/(0.9 + 0.1)
    assert diluted.scales().coherence[0] == pytest.approx(0.4, abs=1e-6)  # (0.9 − 0.1)/2


def test_what_recurs_in_phase_outlives_what_does_not():
    rng = np.random.default_rng(6)
    n, log_time = 400, LogTime.of(1, HOUR)
    lasting = []
    for phases in (np.zeros(n), *(2 * np.pi * rng.random((200, n)))):
        bank = Blend(log_time.tau_us)
        bank.insert_block(np.arange(n), np.exp(1j * phases))
        at = 10**6  # a second later: all of about one age
        mean = bank.mean(log_time, at)
        lasting.append(abs(mean.phasor[0]) * mean.weight[0] * at)
    assert lasting[0] == pytest.approx(n, rel=1e-3)
    assert np.sqrt(np.mean(np.square(lasting[1:]))) == pytest.approx(math.sqrt(n), rel=0.1)


# The carrier.


def test_a_steady_rhythm_stands_still_at_any_epoch():
    for start, f in ((0, 0.784), (1_790_000_000_000_000, 0.784), (1_790_000_000_000_000, 440.25)):
        times = start + np.arange(0, 10**7, 12_345)
        offset = np.exp(2j * np.pi * ((times - start) * f * 1e-6 % 1.0))
        turned = turned_back(offset, times, f)
        assert np.abs(turned - turned[0]).max() < 1e-5
    assert turned_back(np.zeros(1, dtype=complex), np.zeros(1, dtype=np.int64), 1.0)[0] == 0
    with pytest.raises(KernelError):
        turned_back(np.ones(2, dtype=complex), np.zeros(1, dtype=np.int64), 1.0)
    with pytest.raises(KernelError):
        turned_back(np.ones(1, dtype=complex), np.zeros(1, dtype=np.int64), math.inf)
