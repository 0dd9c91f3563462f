"""Who never met is not found to be together, and who is together is found, as far as the record reaches."""

from __future__ import annotations

import math

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.pairs.fluctuation import fluctuations, smooth_length
from becomingone.kairos.pairs.surrogates import fluctuation_shift_test, group_shift_test, plv_shift_test

DT = 0.1  # ten ticks a second
F0 = 0.78
TAU = 1.0
TREND = 6.0


def through_band(z):
    """The two poles of a band, and then phases alone; the first 20 τ are thrown away."""
    rotor = math.exp(-DT / TAU) * np.exp(2j * math.pi * F0 * DT)
    state = np.zeros((2, z.shape[1]), dtype=complex)
    out = np.empty(z.shape, dtype=complex)
    for k, x in enumerate(z):
        state[0] = rotor * state[0] + x
        state[1] = rotor * state[1] + state[0]
        out[k] = state[1]
    out = out[round(20 * TAU / DT) :]
    return out / np.abs(out)


def walk(rng, n, channels):
    return np.cumsum(rng.standard_normal((n, channels)), axis=0) * math.sqrt(DT)


def smooth(rng, n, channels, time):
    """Unit-variance noise that forgets within ``time`` seconds."""
    a = math.exp(-DT / time)
    out = np.empty((n, channels))
    value = rng.standard_normal(channels)
    for k, x in enumerate(rng.standard_normal((n, channels))):
        value = a * value + math.sqrt(1 - a * a) * x
        out[k] = value
    return out


def own_ways(rng, n, channels, kind):
    """How the phase of an oscillator strays, in radians."""
    w0 = 2 * math.pi * F0
    x = (np.arange(n) / n - 0.5)[:, None]
    if kind == "diffusion":
        return 0.2 * walk(rng, n, channels)
    if kind == "slow diffusion":
        return 0.045 * walk(rng, n, channels)
    if kind == "jitter":
        return 0.2 * smooth(rng, n, channels, 2.0)
    if kind == "wandering frequency":
        return np.cumsum(0.01 * w0 * walk(rng, n, channels), axis=0) * DT + 0.14 * walk(rng, n, channels)
    if kind == "slow frequency noise":
        return np.cumsum(0.03 * w0 * smooth(rng, n, channels, 30.0), axis=0) * DT
    drift = 0.1 * rng.standard_normal((1, channels)) * x + 0.1 * rng.standard_normal((1, channels)) * x**2
    drift += 0.05 * np.sin(2 * math.pi * (rng.uniform(1, 3, (1, channels)) * x + rng.random((1, channels))))
    noise = {"drift": 0.14, "drift alone": 0.03}[kind]
    return np.cumsum(w0 * drift, axis=0) * DT + noise * walk(rng, n, channels)


KINDS = (
    "diffusion",
    "slow diffusion",
    "jitter",
    "wandering frequency",
    "slow frequency noise",
    "drift",
    "drift alone",
)


def strangers(rng, n, channels, kind):
    """Phases of oscillators of nearly one frequency that have nothing to do with each other."""
    long = n + round(20 * TAU / DT)
    t = np.arange(long)[:, None] * DT
    frequency = F0 * (1 + 0.01 * rng.standard_normal((1, channels)))
    phase = 2 * math.pi * (frequency * t + rng.random((1, channels)))
    return through_band(np.exp(1j * (phase + own_ways(rng, long, channels, kind))))


def couples(rng, n, pairs, kind, own):
    """Pairs (0, 1), (2, 3), ... that stray alike, each with jitter of its own besides."""
    long = n + round(20 * TAU / DT)
    t = np.arange(long)[:, None] * DT
    phase = 2 * math.pi * (F0 * t + rng.random((1, 2 * pairs))) + own * smooth(rng, long, 2 * pairs, 1.5)
    return through_band(np.exp(1j * (phase + np.repeat(own_ways(rng, long, pairs, kind), 2, axis=1))))


def punch(rng, u):
    """Take eight outages of 1 to 3 s out of all channels at once."""
    u = u.copy()
    for start in rng.integers(0, u.shape[0] - 30, 8):
        u[start : start + rng.integers(10, 30)] = 0
    return u


def rates(p):
    return (p <= 0.05).mean(), (p <= 0.01).mean()


def false_alarms(rng, n, kind, rounds, *, gaps=False):
    upper = np.triu_indices(24, 1)
    p = []
    for _ in range(rounds):
        u = strangers(rng, n, 24, kind)
        p.append(fluctuation_shift_test(punch(rng, u) if gaps else u, DT, TREND).p[upper])
    return rates(np.concatenate(p))


@pytest.mark.parametrize("kind", KINDS)
def test_strangers_are_not_found_together(kind):
    # 24 oscillators make 276 pairs, four rounds 1,104; half of the rounds have common outages.
    rounds = [false_alarms(np.random.default_rng(seed), 2400, kind, 1, gaps=seed % 2 > 0) for seed in range(4)]
    at_5, at_1 = np.mean(rounds, axis=0)
    assert at_5 <= 0.10
    assert at_1 <= 0.02


@pytest.mark.campaign
@pytest.mark.parametrize("n", [240, 600, 2400])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_strangers_campaign(kind, n, gaps):
    at_5, at_1 = false_alarms(np.random.default_rng(n), n, kind, 15, gaps=gaps)  # 4,140 pairs
    print(f"{kind}, {n} ticks, gaps {gaps}: {at_5:.4f} at 0.05, {at_1:.4f} at 0.01")
    assert at_5 <= 0.10
    assert at_1 <= 0.02


@pytest.mark.parametrize("kind", ["diffusion", "jitter", "wandering frequency", "drift"])
def test_couples_are_found(kind):
    u = couples(np.random.default_rng(2), 2400, 20, kind, 0.2)
    test = fluctuation_shift_test(u, DT, TREND)
    pair = np.arange(0, 40, 2)
    p = test.p[pair, pair + 1]
    assert (p <= 0.05).mean() >= 0.95
    assert (p <= 0.01).mean() >= 0.7
    assert (test.value[pair, pair + 1] > test.chance[pair, pair + 1]).mean() >= 0.95
    strangers_among = np.ones((40, 40), dtype=bool)
    strangers_among[pair, pair + 1] = strangers_among[pair + 1, pair] = False
    assert rates(test.p[strangers_among & (np.tri(40) == 0)])[0] <= 0.09


def test_no_more_is_claimed_than_there_are_independent_shifts():
    rng = np.random.default_rng(3)
    u = np.repeat(strangers(rng, 600, 3, "diffusion"), 2, axis=1)  # every channel twice
    for test in (fluctuation_shift_test(u, DT, TREND), plv_shift_test(u)):
        assert (test.p >= 1 / (1 + test.independent) - 1e-12).all()
        assert test.value[0, 1] == pytest.approx(1.0)
        assert (test.p == test.p.T).all()
        assert (np.diag(test.p) == 1).all()
    twins = fluctuation_shift_test(u, DT, TREND)
    assert 0.02 < twins.p[0, 1] < 0.05  # 60 s hold about 35 independent looks
    assert twins.p[0, 1] == pytest.approx(1 / (1 + twins.independent[0, 1]))
    assert twins.independent[0, 1] == pytest.approx(35, abs=10)


def test_plv_of_strangers_is_as_good_as_chance_and_claims_nothing():
    u = strangers(np.random.default_rng(4), 600, 12, "slow diffusion")
    test = plv_shift_test(u)
    upper = np.triu_indices(12, 1)
    assert (test.value[upper] > 0.9).mean() > 0.1  # without having met
    assert test.independent[upper].max() < 10
    assert test.p[upper].min() > 0.05


def test_ends_are_joined_by_half_a_turn_at_most():
    t = np.arange(1000)
    u = np.exp(1j * np.stack((0.493 * t, 0.5 * t + 0.3 * np.sin(t / 90)), axis=1))
    plain = abs((u[:, 0] * u[:, 1].conj()).mean())
    test = plv_shift_test(u)
    # Steady and joined, a channel is periodic: every shift is as good as any other.
    assert plv_shift_test(np.repeat(u[:, :1], 2, axis=1)).p[0, 1] == 1
    assert plv_shift_test(np.exp(1j * 0.02 * np.outer(t, [1, 1]))).value[0, 1] == pytest.approx(1.0)
    assert abs(test.value[0, 1] - plain) < 0.7


def test_a_group_may_be_surer_than_any_of_its_pairs():
    rng = np.random.default_rng(5)
    n = 600
    long = n + 200
    t = np.arange(long)[:, None] * DT
    phase = 2 * math.pi * F0 * t + 0.2 * smooth(rng, long, 1, 2.0) + 0.2 * smooth(rng, long, 6, 2.0)
    u = through_band(np.exp(1j * phase))
    group = group_shift_test(u, DT, TREND, rng=np.random.default_rng(6))
    upper = np.triu_indices(6, 1)
    pairs = fluctuation_shift_test(u, DT, TREND)
    assert group.value == pytest.approx(pairs.value[upper].mean(), abs=0.1)
    assert group.value > group.chance
    assert group.p == 1 / 1000  # no surrogate did as well; a pair alone cannot go below
    assert pairs.p[upper].min() > 0.005
    two = group_shift_test(u[:, :2], DT, TREND, rng=np.random.default_rng(6))
    assert two.p >= 1 / (1 + two.independent)


def test_a_group_of_strangers_is_no_group():
    rng = np.random.default_rng(7)
    p = []
    for _ in range(60):
        u = strangers(rng, 400, 4, "jitter")
        p.append(group_shift_test(punch(rng, u), DT, TREND, rng=rng, surrogates=99).p)
    assert np.mean(np.array(p) <= 0.05) <= 0.12
    assert 0.35 < np.mean(p) < 0.65


def test_turns_lost_in_a_gap_change_nothing():
    rng = np.random.default_rng(8)
    u = couples(rng, 1200, 1, "jitter", 0.1)
    gap = u.copy()
    gap[500:520, 0] = 0
    slipped = gap.copy()
    slipped[520:, 0] *= np.exp(2j * math.pi)
    a = fluctuation_shift_test(gap, DT, TREND)
    b = fluctuation_shift_test(slipped, DT, TREND)
    assert a.value == pytest.approx(b.value, abs=1e-12)
    whole = fluctuation_shift_test(u, DT, TREND)
    assert a.value[0, 1] == pytest.approx(whole.value[0, 1], abs=0.03)
    assert a.p[0, 1] == pytest.approx(whole.p[0, 1], abs=0.005)


def test_ranks_equal_those_of_rolled_arrays():
    """Against one shift after the other, with gaps of each channel's own."""
    rng = np.random.default_rng(9)
    u = strangers(rng, 180, 3, "jitter")
    u[rng.random(u.shape) < 0.05] = 0
    x, known = fluctuations(u, DT, 2.0)
    edge = np.flatnonzero(known.any(axis=1))
    length = smooth_length(180)
    assert length == 180
    # As the test does: the ends where the window is cut to less than half are left out.
    half = 10
    window = 0.5 + 0.5 * np.cos(math.pi * np.arange(-half, half + 1) / (half + 1))
    cut = next(d for d in range(half + 1) if window[half - d : half + d + 1].sum() >= (0.5 - 1e-9) * window.sum())
    x, known = x[cut : 180 - cut], known[cut : 180 - cut]
    n = smooth_length(180 - 2 * cut)
    x, known = x[-n:], known[-n:]
    assert edge.shape[0] > 0
    x = np.where(known, x - x.sum(axis=0) / known.sum(axis=0), 0.0)
    test = fluctuation_shift_test(u, DT, 2.0)
    joined = plv_shift_test(u)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        figures = []
        for shift in range(n):
            y, k = np.roll(x[:, j], -shift), np.roll(known[:, j], -shift)
            count = (known[:, i] & k).sum()
            figures.append((x[:, i] @ y) / math.sqrt(count) if 2 * count >= (known[:, i] & known[:, j]).sum() else None)
        both = known[:, i] & known[:, j]
        r = (x[:, i] @ x[:, j]) / math.sqrt((x[both, i] ** 2).sum() * (x[both, j] ** 2).sum())
        assert test.value[i, j] == pytest.approx(r, abs=1e-12)
        counted = [f for f in figures if f is not None]
        rank = sum(f >= figures[0] - 1e-12 * abs(figures[0]) for f in counted) / len(counted)
        assert test.p[i, j] == pytest.approx(max(rank, 1 / (1 + test.independent[i, j])), abs=1e-12)
        assert 0 < joined.value[i, j] <= 1


def test_a_channel_that_never_speaks_claims_nothing():
    u = strangers(np.random.default_rng(10), 300, 3, "jitter")
    u[:, 1] = math.nan
    for test in (fluctuation_shift_test(u, DT, TREND), plv_shift_test(u)):
        assert np.isnan(test.value[0, 1])
        assert (test.p[1] == 1).all()
        assert (test.independent[1] == 0).all()
        assert np.isfinite(test.value[0, 2])
    group = group_shift_test(u, DT, TREND, rng=np.random.default_rng(0), surrogates=19)
    assert group == group_shift_test(u[:, [0, 2]], DT, TREND, rng=np.random.default_rng(0), surrogates=19)
    u[:, 2] = 0
    alone = group_shift_test(u, DT, TREND, rng=np.random.default_rng(0), surrogates=19)
    assert math.isnan(alone.value)
    assert (alone.p, alone.independent) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("shape", "spacing", "trend"),
    [
        ((10,), 0.1, 1.0),
        ((1, 3), 0.1, 1.0),
        ((10, 1), 0.1, 1.0),
        ((10, 3), 0.0, 1.0),
        ((10, 3), 0.1, 0.0),
        ((10, 3), 0.1, 0.19),
        ((10, 3), math.nan, 1.0),
        ((10, 3), 0.1, math.inf),
    ],
)
def test_refusals(shape, spacing, trend):
    u = np.ones(shape, dtype=complex)
    with pytest.raises(KernelError):
        fluctuation_shift_test(u, spacing, trend)
    with pytest.raises(KernelError):
        group_shift_test(u, spacing, trend, rng=np.random.default_rng(0))
    with pytest.raises(KernelError):
        group_shift_test(np.ones((50, 3), dtype=complex), 0.1, 1.0, rng=np.random.default_rng(0), surrogates=0)
    if spacing == 0.1 and trend == 1.0:
        with pytest.raises(KernelError):
            plv_shift_test(u)


def test_a_record_shorter_than_the_trend_decides_nothing():
    u = strangers(np.random.default_rng(11), 30, 3, "jitter")
    assert (fluctuation_shift_test(u, DT, TREND).p > 0.1).all()
    assert (plv_shift_test(u[:2]).p > 0.3).all()
