"""W = G[W]: the filter that observes its own innovations."""

from __future__ import annotations

import csv
import gzip
import io
import math
import pickle
from datetime import datetime
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.bands import Band
from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.witnessing.innovations import slope_sigma
from becomingone.kairos.witnessing.tails import uniformity_p
from becomingone.kairos.witnessing.witness import Witness, steady_gain

GOLDEN = (math.sqrt(5) - 1) / 2


def walk(n, q, seed=0, r=1.0):
    """A random walk of step variance q, observed with noise of variance r."""
    rng = np.random.default_rng(seed)
    return np.cumsum(math.sqrt(q) * rng.standard_normal(n)) + math.sqrt(r) * rng.standard_normal(n)


def filtered(y, gain):
    """Innovations of the fixed-gain filter, the slow way, from the second value on."""
    x, out = y[0], []
    for value in y[1:].tolist():
        e = value - x
        x += gain * e
        out.append(e)
    return np.array(out)


def whiteness(e):
    return (e[1:] @ e[:-1]) / (e @ e) * len(e) / (len(e) - 1)


def theory(k, steady):
    """ρ₁ of the filter of gain k where ``steady`` is right, and the slope of G there."""
    phi, theta = 1 - k, 1 - steady
    norm = 1 - 2 * phi * theta + theta**2
    rho = (phi - theta) * (1 - phi * theta) / norm
    return rho, 1 - 0.8 * (1 + 2 * theta * rho / norm)


# --- the fixed point -------------------------------------------------------------------------------------------------


def test_steady_gain_solves_the_riccati_equation():
    for q in 10.0 ** np.arange(-12, 13):
        k = steady_gain(q)
        assert k * k == pytest.approx(q * (1 - k) if q < 10 else q / (1 + q / k), rel=1e-12)
    assert steady_gain(1.0) == pytest.approx(GOLDEN, rel=1e-15)
    for bad in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(KernelError):
            steady_gain(bad)


def test_golden_gain_of_equal_noises():
    n = 100_000
    y = walk(n, 1.0, seed=3)
    witness = Witness(epoch=n - 1)
    gains = []
    for _ in range(12):  # G on one and the same record
        witness.block(y)
        gains.append(witness.gain)
        witness.clear()
    assert abs(gains[2] - gains[-1]) < 1e-3
    assert abs(gains[-1] - gains[-2]) < 1e-8
    assert gains[-1] == pytest.approx(GOLDEN, abs=3 / math.sqrt(n))
    e = filtered(y, gains[-1])
    assert abs(whiteness(e)) < 1e-6
    assert witness.scale == pytest.approx(e @ e / len(e), rel=1e-3)
    assert witness.latest.nis == pytest.approx(1.0, abs=1e-6)
    assert not witness.latest.not_converged


@pytest.mark.parametrize("q", [1e-3, 1e-2, 0.1, 1.0, 10.0, 1e2, 1e3])
def test_gain_and_scale_go_to_the_kalman_filter(q):
    n, steady = 40_000, steady_gain(q)
    witness = Witness(epoch=n)
    made = [w for _, w in witness.block(walk(18 * n + 1, q, seed=int(100 * q))).epochs]
    assert len(made) == 18
    late = np.array([w.gain for w in made[8:]])
    # Each has σ = √(0.8/1.2/n); ten in succession are correlated by 0.2. Clipping at 1 shifts the mean by up to σ.
    sigma = math.sqrt(0.8 / 1.2 / n)
    assert late.mean() == pytest.approx(steady, abs=4 * sigma * math.sqrt(1.5 / 10) + sigma * (steady > 0.99))
    assert made[-1].scale == pytest.approx(q / steady**2, rel=4 * math.sqrt(2 / n) + 2 * sigma**2 / steady)
    assert made[-1].nis == pytest.approx(1.0, abs=0.05)
    assert abs(made[-1].rho) < 4 * math.sqrt(2 / n)
    assert not any(w.not_converged or w.misfit for w in made[4:])


@pytest.mark.parametrize("start", [0.01, 0.03, 1.0])
def test_any_start_reaches_it(start):
    witness = Witness(gain=start, epoch=20_000)
    made = [w for _, w in witness.block(walk(300_000, 0.05, seed=5)).epochs]
    assert made[-1].gain == pytest.approx(steady_gain(0.05), abs=0.03)
    assert made[0].not_converged == (start < 0.1)  # so far below the fixed point G is steep, and says so


def test_a_constant_in_noise_has_the_least_gain_that_can_be_told_from_none():
    rng = np.random.default_rng(0)
    witness = Witness(epoch=1024)
    made = [w for _, w in witness.block(rng.standard_normal(100 * 1024)).epochs]
    gains = np.array([w.gain for w in made[20:]])
    assert gains.min() == 1 / 32
    assert np.median(gains) < 0.04
    assert not any(w.not_converged or w.misfit for w in made[20:])
    assert witness.scale == pytest.approx(1.03, abs=0.15)


# --- the Lipschitz constant ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "q"), [(0.5, 1.0), (0.9, 1.0), (0.3, 1.0), (0.4, 0.1), (0.8, 0.01), (0.95, 10.0)])
def test_whiteness_and_slope_are_those_of_theory(k, q):
    n = 400_000
    witness = Witness(gain=k, epoch=n, frozen=True)
    made = witness.block(walk(n + 1, q, seed=7)).epochs[0][1]
    rho, slope = theory(k, steady_gain(q))
    assert made.rho == pytest.approx(rho, abs=4 / math.sqrt(n))
    assert made.slope == pytest.approx(slope, abs=6 / math.sqrt(n) + 3 * made.slope_sigma)
    assert (witness.gain, made.gain) == (k, k)


def test_slope_is_that_of_a_twin_on_the_same_data():
    y = walk(3000, 0.3, seed=11)
    made = Witness(gain=0.6, epoch=2999).block(y).epochs[0][1]
    h = 1e-5
    twins = [0.6 + d + 0.8 * whiteness(filtered(y, 0.6 + d)) for d in (-h, h)]
    assert made.slope == pytest.approx((twins[1] - twins[0]) / (2 * h), rel=2e-3)  # but for the start
    assert made.gain == pytest.approx(0.6 + 0.8 * whiteness(filtered(y, 0.6)), rel=1e-3)


@pytest.mark.parametrize("q", [0.01, 1.0, 10.0])
def test_slope_is_two_tenths_and_its_uncertainty_is_stated(q):
    steady, n, runs = steady_gain(q), 1000, 300
    witness = Witness(gain=steady, scale=q / steady**2, epoch=n, frozen=True)
    slopes = np.array([w.slope for _, w in witness.block(walk(n * runs + 1, q, seed=1)).epochs])
    sigma = slope_sigma(steady, n)
    assert slopes.mean() == pytest.approx(0.2, abs=4 * sigma / math.sqrt(runs) + 4 / n / steady)
    assert slopes.std() == pytest.approx(sigma, rel=0.15)


def test_a_filter_that_does_not_come_to_rest_says_so():
    # A walk and an alternating disturbance (mains at half the sample rate): whatever gain follows the one amplifies the
    # other, ρ₁ jumps between +1 and −1 as a function of K, and the step of 0.8 overshoots for ever.
    n = 60_000
    y = walk(n, 1.0, seed=2)
    calm = [w for _, w in Witness(epoch=3000).block(y).epochs]
    assert all(w.lipschitz < 0.6 and not w.not_converged for w in calm[2:])
    assert np.ptp([w.gain for w in calm[4:]]) < 0.1
    restless = [w for _, w in Witness(epoch=3000).block(y + 4.0 * (-1.0) ** np.arange(n)).epochs]
    assert all(w.lipschitz > 2.0 and w.not_converged for w in restless[2:])
    assert np.ptp([w.gain for w in restless[4:]]) > 0.2
    # Some epochs of the cycle are flat by themselves: only the steepest of the last four tells.
    assert min(abs(w.slope) for w in restless[4:]) < 1.0


# --- one by one, in blocks, with gaps --------------------------------------------------------------------------------


def stream(circular, seed=0, n=1500):
    """Values or phasors with gaps; the phases are noisy enough to wrap now and then."""
    y = walk(n, 0.1, seed=seed, r=0.5)
    if circular:
        y = np.exp(1j * (y + 0.3 * np.arange(n)))
    y[[200, 201, 202, 700]] = math.nan
    y[900] = math.inf
    y[1000:1200] = 0.0 if circular else math.nan
    return y


def witness_of(circular, **options):
    return Witness(**({"epoch": 133, "circular": circular, "advance": 0.3 if circular else 0.01} | options))


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("scale", [None, 0.4])
def test_block_equals_scalar(circular, scale):
    y = stream(circular)
    one, all_ = witness_of(circular, scale=scale), witness_of(circular, scale=scale)
    micros = [one.step(value.item()) for value in y]
    block = all_.block(y)
    for name in ("innovation", "normalised"):
        assert np.abs(np.array([getattr(m, name) for m in micros]) - getattr(block, name)).max() < 1e-12
    assert np.array_equal([m.valid for m in micros], block.valid)
    assert block.valid.sum() > 900
    assert (one.gain, one.scale) == pytest.approx((all_.gain, all_.scale), rel=1e-12)
    assert one.latest.lipschitz == pytest.approx(all_.latest.lipschitz, rel=1e-10)
    if circular:
        jumps = np.array([m.innovation for m in micros])
        assert np.abs(jumps).max() <= math.pi
        assert (np.abs(jumps) > 2.5).any()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 1500), max_size=6), st.booleans())
def test_any_cut(cuts, circular):
    y = stream(circular, seed=1)
    whole = witness_of(circular).block(y)
    witness = witness_of(circular)
    parts = [witness.block(part) for part in np.split(y, sorted(cuts))]
    assert np.abs(np.concatenate([p.normalised for p in parts]) - whole.normalised).max() < 1e-12
    ends = np.cumsum([0] + [len(p.valid) for p in parts])
    assert [e + at for p, at in zip(parts, ends, strict=False) for e, _ in p.epochs] == [e for e, _ in whole.epochs]


def test_phases_are_values_as_long_as_they_do_not_wrap():
    y = walk(5000, 0.01, seed=4, r=0.02)
    linear = Witness(epoch=500, advance=0.2).block(y + 0.2 * np.arange(5000))
    circular = Witness(epoch=500, circular=True, advance=0.2).block(3.0 * np.exp(1j * (y + 0.2 * np.arange(5000))))
    assert np.abs(linear.innovation - circular.innovation).max() < 1e-9
    assert linear.epochs[-1][1].gain == pytest.approx(circular.epochs[-1][1].gain, abs=1e-9)


def test_start_and_gaps_are_the_kalman_filters():
    q, r = 0.2, 1.0
    steady = steady_gain(q / r)
    y = walk(400, q, seed=8)
    y[[50, 51, 52, 53, 200]] = math.nan
    seen = Witness(gain=steady, scale=q / steady**2, epoch=1000).block(y)
    x, variance = y[0], r
    for i in range(1, 400):
        variance += q
        if math.isnan(y[i]):
            assert not seen.valid[i]
            continue
        e, total = y[i] - x, variance + r
        assert seen.innovation[i] == pytest.approx(e, abs=1e-5)
        assert seen.normalised[i] == pytest.approx(e / math.sqrt(total), abs=1e-5)
        x, variance = x + variance / total * e, variance * r / total
    skipping = Witness(gain=steady, scale=q / steady**2, epoch=1000)
    skipping.block(y[:50])
    skipping.skip(4)
    assert np.array_equal(skipping.block(y[54:]).normalised, seen.normalised[54:])


def test_a_large_constant_costs_nothing():
    y = walk(3000, 0.1, seed=6)
    plain, lifted = Witness(epoch=500), Witness(epoch=500)
    plain.block(y)
    lifted.block(y + 1e6)
    assert lifted.gain == pytest.approx(plain.gain, abs=1e-8)
    assert lifted.scale == pytest.approx(plain.scale, rel=1e-8)


def test_unit_does_not_matter():
    y = walk(3000, 0.1, seed=6)
    plain, scaled = Witness(epoch=500).block(y), Witness(epoch=500).block(1024.0 * y)
    assert np.array_equal(plain.normalised, scaled.normalised)
    assert scaled.epochs[-1][1].scale == 1024.0**2 * plain.epochs[-1][1].scale


def test_memory_is_constant():
    witness = Witness(epoch=200)
    witness.block(walk(2001, 1.0))
    small = len(pickle.dumps(witness))
    witness.block(walk(200_000, 1.0))
    assert abs(len(pickle.dumps(witness)) - small) < 100


# --- single innovations ----------------------------------------------------------------------------------------------


def test_micro_is_prediction_and_surprise():
    witness = Witness(gain=0.5, scale=4.0, epoch=100)
    first = witness.step(10.0)
    assert math.isnan(first.predicted)
    assert (first.observed, first.valid, first.p) == (10.0, False, 1.0)
    second = witness.step(13.0)
    # The track's variance after one value is (1 − K)s, a step adds K²s: 0.75 and the noise's 0.5 make 1.25·s.
    assert (second.predicted, second.innovation, second.valid) == (10.0, 3.0, True)
    assert second.normalised == pytest.approx(3.0 / math.sqrt(5.0))
    assert second.p == pytest.approx(math.erfc(3.0 / math.sqrt(10.0)), rel=1e-6)
    assert witness.step(math.nan).predicted == pytest.approx(10.0 + 0.6 * 3.0)
    phase = Witness(circular=True, advance=3.0, scale=0.1)
    phase.step(np.exp(3.0j))
    assert phase.step(np.exp(0.0j)).predicted == pytest.approx(6.0 - 2 * math.pi)


def test_nothing_is_valid_before_there_is_a_scale():
    seen = Witness(epoch=64).block(walk(200, 1.0))
    assert not seen.valid[:65].any()
    assert seen.valid[65:].all()


def test_normalised_innovations_are_standard_normal():
    seen = Witness(epoch=4096).block(walk(100_000, 0.3, seed=12))
    z = seen.normalised[30_000:]
    assert z.mean() == pytest.approx(0.0, abs=0.02)
    assert z.var() == pytest.approx(1.0, abs=0.03)
    for level, share in ((1.96, 0.05), (2.576, 0.01)):
        assert (np.abs(z) > level).mean() == pytest.approx(share, rel=0.15)


def test_phases_without_a_phase_are_lost():
    rng = np.random.default_rng(3)
    witness = Witness(circular=True, epoch=256)
    seen = witness.block(np.exp(2j * np.pi * rng.random(3000)))
    assert witness.lost
    assert witness.scale == pytest.approx(math.pi**2 / 3, rel=0.3)
    assert not seen.valid.any()
    assert witness.step(1.0).p == 1.0


def test_what_does_not_move_teaches_nothing():
    witness = Witness(epoch=64, gain=0.3)
    witness.block(np.full(500, 20.0))
    assert (witness.gain, witness.scale) == (0.3, None)
    assert witness.latest.not_converged
    assert math.isnan(witness.latest.slope)
    witness.block(20.0 + walk(2000, 1.0))  # and does not spoil what comes after
    assert witness.gain == pytest.approx(GOLDEN, abs=0.3)
    assert witness.scale is not None


def test_frozen_observes_only():
    witness = Witness(epoch=500, gain=0.9, scale=1.0, frozen=True)
    made = witness.block(walk(5001, 1.0, seed=9)).epochs[-1][1]
    assert (witness.gain, witness.scale, made.gain) == (0.9, 1.0, 0.9)
    assert made.nis > 2.0
    assert made.rho < -0.1
    witness.frozen = False
    witness.block(walk(5001, 1.0, seed=9))
    assert witness.scale > 2.0


@pytest.mark.parametrize(
    "options",
    [
        {"gain": 0.0},
        {"gain": 1.1},
        {"gain": math.nan},
        {"scale": 0.0},
        {"scale": math.inf},
        {"epoch": 31},
        {"advance": math.nan},
    ],
)
def test_refusals(options):
    with pytest.raises(KernelError):
        Witness(**options)


def test_a_bad_call_changes_nothing():
    y = walk(300, 1.0)
    good, tried = Witness(epoch=100), Witness(epoch=100)
    good.block(y)
    tried.block(y[:150])
    for call in (
        lambda: tried.block(np.ones((2, 3))),
        lambda: tried.block(np.ones(3, dtype=complex)),
        lambda: tried.step(1.0 + 0.0j),
        lambda: tried.skip(-1),
        lambda: setattr(tried, "advance", math.inf),
    ):
        with pytest.raises(KernelError):
            call()
    assert tried.block(np.array([])).epochs == ()
    tried.block(y[150:])
    assert (tried.gain, tried.scale) == pytest.approx((good.gain, good.scale), rel=1e-12)


# --- real and nearly real --------------------------------------------------------------------------------------------


def weather(station, column):
    """One column by the hour, NaN where there is none."""
    data = resources.files("becomingone.data").joinpath("weather-three-airports/weather.csv.gz").read_bytes()
    hours = {}
    for row in csv.DictReader(io.StringIO(gzip.decompress(data).decode())):
        if row["station"] == station and row[column] != "NA":
            hours[int(datetime.fromisoformat(row["time_utc"]).timestamp()) // 3600] = float(row[column])
    y = np.full(max(hours) - min(hours) + 1, math.nan)
    y[np.array(list(hours)) - min(hours)] = list(hours.values())
    return y


def test_wind_of_a_year():
    y = weather("LGA", "wind_speed_mph")
    witness = Witness(epoch=2048)
    made = [w for _, w in witness.block(y).epochs]
    present = y[np.isfinite(y)]
    gains = np.linspace(0.3, 1.0, 71)
    best = gains[np.argmin([np.square(filtered(present, k)).sum() for k in gains])]
    assert best == pytest.approx(0.64, abs=0.01)  # least squares by brute force
    assert made[-1].gain == pytest.approx(best, abs=0.06)
    assert not any(w.misfit or w.not_converged for w in made[1:])


def test_a_typing_error_in_the_wind_of_a_year():
    y = weather("EWR", "wind_speed_mph")
    assert np.nanmax(y) == pytest.approx(1048.4, abs=0.1)  # miles an hour: it is in the record
    seen = Witness(epoch=256).block(y)
    at = int(np.nanargmax(y))
    assert seen.valid[at]
    assert seen.normalised[at] > 100.0
    assert np.abs(seen.normalised[:at]).max() < 10.0


def test_what_is_not_a_wandering_level_is_a_misfit():
    made = [w for _, w in Witness(epoch=2048).block(weather("JFK", "pressure_hPa")).epochs]
    assert all(w.misfit for w in made[1:])
    assert made[-1].rho > 0.5  # pressure goes on in the direction it took: no gain can foresee that


def test_phases_behind_a_filter_have_to_be_a_lag_apart():
    fs, rng = 8.0, np.random.default_rng(0)
    band = Band.of("test", 1.0, 0.5)
    n = int(fs * band.lag_s * 3000)
    phase = 2 * np.pi * np.arange(1, n + 1) / fs + np.cumsum(math.sqrt(0.02 / fs) * rng.standard_normal(n))
    u = ChannelKernel(band, floor=0.0).block(np.cos(phase) + rng.standard_normal(n), 1 / fs).phasors
    slow = round(band.lag_s * fs)
    apart = Witness(circular=True, epoch=700, advance=band.omega * slow / fs)
    seen = apart.block(u[::slow])
    assert not apart.latest.misfit
    assert 0.2 < apart.gain < 0.9
    z = seen.normalised[seen.valid]
    p = np.array([math.erfc(abs(v) / math.sqrt(2)) for v in z])
    assert uniformity_p(p) > 1e-3
    close = Witness(circular=True, epoch=700, advance=band.omega / fs)
    assert close.block(u[:6000]).epochs[-1][1].misfit
