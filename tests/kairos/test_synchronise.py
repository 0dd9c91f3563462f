"""Master and Emissary compared: the parallelogram, its threshold under noise, the decision and its requests."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from becomingone.errors import KernelError
from becomingone.kairos.bands import Band
from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.transducers.synchronise import (
    COHERENCE_THRESHOLD,
    PHASE_THRESHOLD,
    Agreement,
    Decision,
    Reason,
    Synchroniser,
    noise_energy,
    window_correlation,
)
from becomingone.kairos.transducers.transducer import Reading, Transducer, emissary, master

disc = st.builds(
    lambda r, angle: complex(r * math.cos(angle), r * math.sin(angle)), st.floats(0, 1), st.floats(-math.pi, math.pi)
)


def reading(resonance=0.9 + 0j, *, n=20.0, p=1e-4, phase=0.0, window=40.0, omega=5.0, omega_sigma=0.01):
    return Reading(resonance, 0.9, n, p, phase, omega, omega_sigma, 1.0, window)


# --- the parallelogram -----------------------------------------------------------------------------------------------


@given(disc, disc)
def test_energy_is_synchronised_and_dissipated(a, b):
    both = Agreement.of(a, b)
    assert abs(both.synchronised + both.dissipated - both.energy) <= 1e-15
    assert both.resonance == (a + b) / 2
    assert both.coherence_gap == abs(abs(a) - abs(b))
    assert both.chi is None or 0.0 <= both.chi <= 1.0
    assert Agreement.of(b, a).synchronised == both.synchronised


def test_the_three_typical_cases():
    same = Agreement.of(0.8j, 0.8j)
    assert (same.chi, same.dissipated, same.phase_gap) == (1.0, 0.0, 0.0)
    square = Agreement.of(0.8, 0.8j)
    assert square.chi == pytest.approx(0.5)
    assert square.phase_gap == pytest.approx(-math.pi / 2)
    opposite = Agreement.of(0.8, -0.8)
    assert (opposite.chi, opposite.synchronised, opposite.coherence_gap) == (0.0, 0.0, 0.0)
    assert abs(opposite.phase_gap) == pytest.approx(math.pi)
    nothing = Agreement.of(0j, 0j)
    assert (nothing.chi, nothing.phase_gap, nothing.energy) == (None, None, 0.0)


def test_the_documents_simple_mode_cannot_tell_antiphase():
    assert (PHASE_THRESHOLD, COHERENCE_THRESHOLD) == (0.1, 0.95)
    assert Agreement.of(0.98, 0.98j).simple
    opposite = Agreement.of(0.98, -0.98)
    assert opposite.simple
    assert opposite.energy == pytest.approx(0.5 * (0.98**2 + 0.98**2))
    assert not Agreement.of(0.98, 0.97 * 0.98j).simple  # E = 0.93
    assert not Agreement.of(1.0, 0.89).simple
    assert Synchroniser().update(reading(0.98), reading(-0.98), 0).decision != Decision.PROCEED


@pytest.mark.parametrize("bad", [complex(math.nan, 0), complex(math.inf, 0), 1.1 + 0j])
def test_only_resonances_are_compared(bad):
    with pytest.raises(KernelError):
        Agreement.of(bad, 0j)
    with pytest.raises(KernelError):
        Agreement.of(0j, bad)


# --- noise -----------------------------------------------------------------------------------------------------------


def mean_phasor(rng, n, runs):
    return np.exp(2j * np.pi * rng.random((runs, n))).mean(axis=1)


@pytest.mark.parametrize(("master_n", "emissary_n"), [(8, 8), (20, 5), (50, 20), (100, 7)])
def test_threshold_of_unrelated_inputs(master_n, emissary_n):
    rng = np.random.default_rng(master_n)
    c = np.abs(mean_phasor(rng, master_n, 30_000) + mean_phasor(rng, emissary_n, 30_000)) ** 2 / 4
    mean = noise_energy(master_n, emissary_n, 0.0)
    assert c.mean() == pytest.approx(mean, rel=0.03)
    for p in (0.1, 0.01):
        assert (c >= -math.log(p) * mean).mean() <= 1.15 * p  # less for small N: |T| ≤ 1 has no long tail
    assert (c >= -math.log(0.1) * mean).mean() == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize(("slow", "fast"), [(60, 60), (120, 30), (400, 20)])
def test_threshold_of_one_input_heard_over_two_windows(slow, fast):
    rng = np.random.default_rng(slow)
    age = np.arange(8 * slow)
    windows = [np.exp(-age / tau) / np.exp(-age / tau).sum() for tau in (slow, fast)]
    numbers = [1 / (w @ w) for w in windows]
    kappa = window_correlation(slow, fast)
    c = np.concatenate(
        [
            np.abs(np.exp(2j * np.pi * rng.random((250, len(age)))) @ (windows[0] + windows[1])) ** 2 / 4
            for _ in range(20)
        ]
    )
    assert c.mean() == pytest.approx(noise_energy(*numbers, kappa), rel=0.05)
    assert (c >= -math.log(0.01) * noise_energy(*numbers, kappa)).mean() <= 0.015
    # To take the two for unrelated would not do; to take them for the same always does.
    if slow == fast:
        assert (c >= -math.log(0.01) * noise_energy(*numbers, 0.0)).mean() > 0.05
    assert (c >= -math.log(0.01) * noise_energy(*numbers, 1.0)).mean() <= 0.015


def test_noise_energy_in_closed_form():
    assert noise_energy(10.0, 10.0, 0.0) == pytest.approx(0.05)
    assert noise_energy(10.0, 10.0, 1.0) == pytest.approx(0.1)  # |T|² of one of them
    assert window_correlation(40.0, 40.0) == 1.0
    assert window_correlation(3600.0, 40.0) == window_correlation(40.0, 3600.0) == pytest.approx(0.2085, abs=1e-4)
    for bad in ((0.5, 10.0, 0.0), (10.0, math.nan, 0.0), (10.0, 10.0, -0.1), (10.0, 10.0, 1.1)):
        with pytest.raises(KernelError):
            noise_energy(*bad)


# --- the decision ----------------------------------------------------------------------------------------------------


def test_proceed_needs_a_small_gap_and_a_coherent_sum():
    decide = lambda m, e: Synchroniser().update(m, e, 0)  # noqa: E731
    good = decide(reading(0.9), reading(0.85))
    assert (good.decision, good.reason, good.realignment) == (Decision.PROCEED, Reason.COHERENT, None)
    assert good.critical == pytest.approx(math.log(100) * 0.1 / 2)  # one window: κ = 1, 1/N
    assert good.p == pytest.approx(math.exp(-(0.875**2) * 20))
    assert decide(reading(0.9), reading(0.75)).reason == Reason.GAP
    assert decide(reading(0.9), reading(-0.9)).reason == Reason.INCOHERENT
    assert decide(reading(0.3), reading(0.3j)).reason == Reason.INCOHERENT
    assert decide(reading(0.9, n=2.0), reading(0.9, n=2.0)).reason == Reason.UNDECIDABLE


def test_two_steady_rhythms_that_differ_are_told_apart_by_chi():
    """C of N = 80 and 40 is far from noise's up to a phase gap of 2.5 rad."""
    slow = reading(0.97, n=80, window=160.0)
    for gap, least_chi, decision, reason in (
        (2.3, 0.0, "proceed", "coherent"),
        (1.5, 0.5, "proceed", "coherent"),
        (1.7, 0.5, "realign", "apart"),
        (3.1, 0.5, "realign", "incoherent"),
    ):
        fast = reading(0.97 * complex(math.cos(gap), math.sin(gap)), n=40)
        found = Synchroniser(p_false=0.001, least_chi=least_chi).update(slow, fast, 0)
        assert (found.decision, found.reason) == (decision, reason)
    both = Synchroniser(p_false=0.001, least_chi=0.5)
    assert both.update(slow, reading(0.97, n=40), 0).decision == "proceed"
    moved = reading(0.97 * complex(math.cos(1.7), math.sin(1.7)), n=40)
    assert both.update(slow, moved, 1_000_000).decision == "realign"


def test_threshold_itself_is_enough():
    # C = I_c: |T|² = −ln(p)/N with κ = 1.
    n = 20.0
    level = math.sqrt(-math.log(0.01) / n)
    for shift, decision in ((1e-9, Decision.PROCEED), (-1e-9, Decision.REALIGN)):
        at = reading(complex(level + shift), n=n)
        assert Synchroniser(correlation=1.0).update(at, at, 0).decision == decision


@pytest.mark.parametrize(
    ("m", "e", "reason"),
    [
        ({"resonance": None}, {}, Reason.NO_MASTER),
        ({"phase": None}, {}, Reason.NO_MASTER),
        ({}, {"resonance": None}, Reason.NO_EMISSARY),
        ({}, {"phase": None}, Reason.NO_EMISSARY),
        ({"resonance": None}, {"resonance": None}, Reason.NO_MASTER),
    ],
)
def test_what_is_not_defined_dissipates_without_invention(m, e, reason):
    synchroniser = Synchroniser()
    assert synchroniser.update(reading(), reading(), 0).decision == Decision.PROCEED
    out = synchroniser.update(replace(reading(), **m), replace(reading(), **e), 1)
    assert (out.decision, out.reason) == (Decision.DISSIPATE, reason)
    assert (out.agreement, out.critical, out.p, out.realignment) == (None, None, 1.0, None)
    assert synchroniser.update(reading(), reading(), 2).decision == Decision.PROCEED


def test_hysteresis_and_dwell():
    synchroniser = Synchroniser(release_p=0.1, dwell_us=1000)
    good, weak = reading(0.9), reading(math.sqrt(3.5 / 20))  # p = 0.03: between the two probabilities
    bad = reading(0.1)
    say = lambda r, t: synchroniser.update(r, r, t)  # noqa: E731
    assert [say(good, t).reason for t in (0, 999)] == [Reason.DWELL] * 2
    assert say(good, 500).realignment is None
    assert say(good, 1000).reason == Reason.DWELL  # the clock had stepped back
    assert say(good, 1500).reason == Reason.COHERENT
    assert [say(weak, t).reason for t in (2000, 9000)] == [Reason.HELD] * 2
    assert [say(bad, t).decision for t in (10_000, 10_999)] == [Decision.PROCEED] * 2
    assert say(bad, 11_000).decision == Decision.REALIGN
    wide = [synchroniser.update(reading(0.99), reading(0.8), t).reason for t in (20_000, 22_000)]
    assert wide == [Reason.GAP] * 2


# --- realignment -----------------------------------------------------------------------------------------------------


def test_a_request_names_the_masters_phase_and_nothing_of_the_evidence():
    m = reading(0.9, phase=3.0, omega=4.9, omega_sigma=0.01)
    out = Synchroniser().update(m, reading(0.4, phase=-3.0, window=2.0), 5)
    assert (out.decision, out.reason) == (Decision.REALIGN, Reason.GAP)
    asked = out.realignment
    assert (asked.target_phase, asked.omega, asked.attempt) == (3.0, 4.9, 1)
    assert asked.correction == pytest.approx(6.0 - 2 * math.pi)
    assert asked.expires_s == 2.0
    uncertain = Synchroniser().update(replace(m, omega_sigma=4.0), reading(0.4), 5)
    assert uncertain.realignment.expires_s == 0.25


def test_requests_back_off():
    synchroniser = Synchroniser()
    asked = []
    for k in range(60_000):  # a tick a tenth of a second, for 100 minutes
        out = synchroniser.update(reading(0.9), reading(0.4, window=2.0), k * 100_000)
        if out.decision == Decision.REALIGN:
            asked.append(k / 10)
        else:
            assert (out.decision, out.realignment) == (Decision.DISSIPATE, None)
    assert asked[:8] == [0, 2, 6, 14, 30, 62, 126, 254]
    assert set(np.diff(asked[7:])) == {128.0}
    again = synchroniser.update(reading(0.9), reading(0.9), 6_000_000_000)
    assert again.decision == Decision.PROCEED
    first = synchroniser.update(reading(0.9), reading(0.4, window=2.0), 6_001_000_000)
    assert first.realignment.attempt == 1


def test_a_clock_that_steps_back_waits_anew_but_not_for_ever():
    synchroniser = Synchroniser()
    say = lambda t: synchroniser.update(reading(0.9), reading(0.4, window=2.0), t).decision  # noqa: E731
    assert say(10**12) == Decision.REALIGN
    assert [say(t) for t in (0, 1_999_999)] == [Decision.DISSIPATE] * 2
    assert say(2_000_000) == Decision.REALIGN


def test_nobody_is_realigned_to_a_master_that_knows_nothing():
    out = Synchroniser().update(reading(0.2, p=0.4), reading(0.9), 0)
    assert (out.decision, out.reason, out.realignment) == (Decision.DISSIPATE, Reason.GAP, None)


@pytest.mark.parametrize(
    "options",
    [
        {"least_chi": -0.1},
        {"least_chi": 1.1},
        {"threshold": 0.0},
        {"threshold": math.nan},
        {"p_false": 0.0},
        {"release_p": 0.001},
        {"dwell_us": -1},
        {"correlation": 1.5},
    ],
)
def test_refusals(options):
    with pytest.raises(KernelError):
        Synchroniser(**options)


# --- with transducers ------------------------------------------------------------------------------------------------

STRIDE = Band.of("stride", 0.78, 1.0)


def looks(x, fs, every, window=120.0, **options):
    """Decisions along a stream that both listen to."""
    pair = master(STRIDE, tau_s=window, floor=0.0, real=True), emissary(STRIDE, floor=0.0)
    synchroniser = Synchroniser(**options)
    out = []
    for k in range(0, len(x), every):
        m, e = (one.block(x[k : k + every], 1 / fs) for one in pair)
        out.append(synchroniser.update(m, e, round(1e6 * k / fs)))
    return out


def test_a_rhythm_that_stops():
    fs = 8.0
    t = np.arange(1, 4801) / fs
    rng = np.random.default_rng(0)
    x = np.where(t < 300, np.cos(2 * np.pi * 0.79 * t), 0.0) + 0.7 * rng.standard_normal(len(t))
    out = looks(x, fs, 16)
    assert out[0].reason == Reason.NO_MASTER
    assert all(o.decision == Decision.PROCEED for o in out[100:148])
    assert out[147].agreement.chi > 0.99
    after = out[152:]
    assert next(i for i, o in enumerate(after) if o.decision != Decision.PROCEED) * 2 < 40
    requests = [o.realignment for o in after if o.realignment is not None]
    assert 1 <= len(requests) <= 4
    assert all(abs(r.omega / (2 * np.pi) - 0.79) < 0.02 for r in requests[:2])


def test_a_rhythm_beside_the_bands_frequency_agrees_because_the_lags_are_equal():
    # T of a tone δ off is e^{iδτ̄}: a Master with a lag of its own would differ from the Emissary by δ·(τ̄_m − τ̄_e).
    fs, off = 8.0, 2 * np.pi * 0.01
    t = np.arange(1, 4801) / fs
    x = np.cos((STRIDE.omega + off) * t)
    e = emissary(STRIDE, floor=0.0).block(x, 1 / fs)
    m = master(STRIDE, tau_s=120.0, floor=0.0, real=True).block(x, 1 / fs)
    other = Transducer(replace(STRIDE, lag_s=3 * STRIDE.lag_s, coherence_tau_s=120.0), floor=0.0).block(x, 1 / fs)
    assert np.angle(e.resonance) == pytest.approx(off * STRIDE.lag_s, abs=0.01)
    assert Agreement.of(m.resonance, e.resonance).chi == pytest.approx(1.0, abs=1e-4)
    apart = Agreement.of(other.resonance, e.resonance)
    assert apart.phase_gap == pytest.approx(2 * off * STRIDE.lag_s, abs=0.02)
    assert apart.chi == pytest.approx(math.cos(off * STRIDE.lag_s) ** 2, abs=0.02)


def test_a_real_walk():
    # Ankle, leg and trunk of one walker at 64 Hz. The Master holds their mean field over a minute, the Emissary is
    # the ankle; the band is 2 % beside the steps' 1.93 a second.
    text = resources.files("becomingone.data").joinpath("gait-three-accelerometers/gait.csv").read_text()
    data = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=(2, 5, 8))
    band = Band.of("steps", 1.9, 0.5)
    limbs = [ChannelKernel(band, floor=20.0) for _ in range(3)]
    slow, fast, synchroniser = master(band, floor=0.05), emissary(band, floor=20.0), Synchroniser(correlation=1.0)
    out = []
    for k in range(0, len(data) - 16, 16):
        phasors = [limb.block(data[k : k + 16, i], 1 / 64).phasors[-1].item() for i, limb in enumerate(limbs)]
        present = [u for u in phasors if u != 0.0]
        m = slow.tick(sum(present) / len(present) if present else None, 0.25)
        e = fast.block(data[k : k + 16, 0], 1 / 64)
        out.append(synchroniser.update(m, e, round(1e6 * k / 64)))
    decided = [o for o in out if o.agreement is not None]
    assert len(decided) > 250
    assert np.mean([o.decision == Decision.PROCEED for o in decided]) > 0.6
    assert out[-1].agreement.chi > 0.95
    assert m.omega / (2 * np.pi) == pytest.approx(1.935, abs=0.01)
    assert m.p < 1e-6


@pytest.mark.campaign
@pytest.mark.parametrize("window", [60.0, 120.0, 600.0])
def test_false_alarms_on_noise(window, capsys):
    below, proceeded = [], []
    for seed in range(10):
        x = np.random.default_rng(seed).standard_normal(80_000)
        skip = round(3 * window / 2)
        for o in looks(x, 4.0, 8, window, release_p=0.01)[skip:]:
            below.append(o.p)
            proceeded.append(o.decision == Decision.PROCEED)
    below = np.array(below)
    shares = [(below < p).mean() / p for p in (0.1, 0.01, 0.001)]
    with capsys.disabled():
        print(f"\nwindow {window}: {len(below)} looks, C beyond I_c {shares} of nominal, proceed {np.mean(proceeded)}")
    assert max(shares[:2]) < 1.5
    assert np.mean(proceeded) < 0.015
