"""One class, Master or Emissary by its time scales; the same figures at 1 µs and at 1 h."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from becomingone.errors import KernelError
from becomingone.kairos.bands import DEFAULT_BANDS, Band
from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.mesh.partial_sum import PartialSum
from becomingone.kairos.mesh.state import MeshState
from becomingone.kairos.transducers.transducer import EMISSARY_S, MASTER_S, Transducer, emissary, master

STRIDE = Band.of("stride", 0.78, 1.0)
FS = 20.0


def times(seconds, fs=FS):
    return np.arange(1, round(seconds * fs) + 1) / fs


def mean_field(phases, coherence=1.0):
    """T_global of channels at one tick, as the mesh forms it."""
    n = len(phases)
    weight = np.ones(n)
    total = PartialSum.of(
        weight=weight, phasor=np.exp(1j * np.array(phases)), coherence=np.full(n, coherence), time_us=0
    )
    state = MeshState.of(total, weight=weight, p=np.full(n, 0.01), n_eff=np.full(n, 9.0))
    return state.resonance if state.valid else None


# --- what it says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [emissary, lambda band, **k: master(band, real=True, **k)])
def test_a_tone_resonates_fully(make):
    t = times(400)
    reading = make(STRIDE, floor=0.1).block(5.0 + np.cos(2 * np.pi * 0.78 * t + 0.4), 1 / FS)
    assert reading.defined
    assert abs(reading.resonance - 1.0) < 1e-4
    assert reading.coherence > 0.999
    assert reading.p < 0.01
    assert abs(np.angle(np.exp(1j * (reading.phase - 2 * np.pi * 0.78 * t[-1] - 0.4)))) < 1e-3
    assert reading.omega == pytest.approx(STRIDE.omega, rel=1e-5)


def test_it_says_what_its_kernel_says():
    t = times(120)
    x = np.cos(2 * np.pi * 0.8 * t) + 0.5 * np.random.default_rng(0).standard_normal(len(t))
    kernel, transducer = ChannelKernel(STRIDE, floor=0.1), emissary(STRIDE, floor=0.1)
    assert transducer.evidence is None
    block, reading = kernel.block(x, 1 / FS), transducer.block(x, 1 / FS)
    for name in ("resonance", "coherence", "n_eff", "p", "omega", "omega_sigma"):
        assert getattr(reading, name) == getattr(block, name)
    assert np.array_equal(transducer.evidence.phasors, block.phasors)
    assert (reading.tau_s, reading.window_s) == (1.0, 40.0)
    assert transducer.band is kernel.band
    again = [emissary(STRIDE, floor=0.1) for _ in range(2)]
    for part in np.split(x, [7, 500, 501]):
        a = again[0].block(part, 1 / FS)
    for value in x.tolist():
        b = again[1].step(value, 1 / FS)
    for other in (a, b):
        assert abs(other.resonance - reading.resonance) < 1e-9
        assert other.n_eff == pytest.approx(reading.n_eff, rel=1e-9)


def test_there_is_no_reading_before_there_is_evidence():
    transducer = emissary(STRIDE, floor=0.1)
    for reading in (transducer.reading, transducer.block(np.full(400, 20.0), 1 / FS)):
        assert not reading.defined
        assert (reading.resonance, reading.phase, reading.coherence, reading.p) == (None, None, 0.0, 1.0)
    assert emissary(STRIDE, floor=0.1).reading.omega == STRIDE.omega
    young = emissary(STRIDE, floor=0.1).block(np.cos(2 * np.pi * 0.78 * times(3)), 1 / FS)
    assert young.phase is not None
    assert young.resonance is None
    assert not young.defined


def test_the_emissary_answers_and_the_master_holds():
    # The rhythm stops and noise of the same power goes on: |T| falls as e^{−t/τ_C}, so by half after 0.69·τ_C.
    rng = np.random.default_rng(1)
    t = times(2400, 8.0)
    x = np.where(t <= 1200, math.sqrt(2) * np.cos(2 * np.pi * 0.78 * t), rng.standard_normal(len(t)))
    halves = []
    for transducer in (emissary(STRIDE, floor=0.0), master(STRIDE, tau_s=400.0, floor=0.0, real=True)):
        parts = np.split(x, range(80, len(x), 80))
        seen = [abs(transducer.block(part, 1 / 8.0).resonance or 0.0) for part in parts]
        late = np.flatnonzero((np.array(seen) < 0.5) & (np.arange(len(seen)) * 10 > 1200))
        halves.append(late[0] * 10 - 1200)
    assert halves[0] == pytest.approx(math.log(2) * 40, abs=15)
    assert halves[1] == pytest.approx(math.log(2) * 400, rel=0.2)


# --- a mean field ----------------------------------------------------------------------------------------------------


def test_master_of_a_mean_field():
    rng = np.random.default_rng(2)
    held, scattered = master(STRIDE, floor=0.0), master(STRIDE, floor=0.0)
    offsets = rng.uniform(-1, 1, 5)
    for k in range(4 * 300):
        common = STRIDE.omega * k / 4 + 0.3
        one = held.tick(mean_field(common + offsets + 0.3 * rng.standard_normal(5)), 0.25)
        two = scattered.tick(mean_field(rng.uniform(-3, 3, 5)), 0.25)
    assert one.window_s == 60.0
    assert abs(one.resonance - 1.0) < 0.05
    assert one.p < 1e-3
    assert two.p > 1e-3
    expected = common + np.angle(np.exp(1j * offsets).mean())
    assert abs(np.angle(np.exp(1j * (one.phase - expected)))) < 0.2


def test_ticks_without_a_mean_field():
    with_gaps, steady = master(STRIDE, floor=0.05), master(STRIDE, floor=0.05)
    for k in range(1200):
        field = np.exp(1j * STRIDE.omega * k / 4)
        steady.tick(field, 0.25)
        now = with_gaps.tick(None if k % 40 == 7 else field, 0.25)
        assert (now.phase is None) or k % 40 != 7
    assert now.defined
    assert abs(now.resonance - steady.reading.resonance) < 1e-3
    for _ in range(50):
        silent = with_gaps.tick(mean_field([]), 0.25)
    assert (silent.phase, silent.resonance, silent.p) == (None, None, 1.0)
    cancelled = with_gaps.tick(0j, 0.25)  # two halves in antiphase: a field, but no phase
    assert cancelled.phase is None


def test_ticks_may_jitter():
    rng = np.random.default_rng(3)
    transducer = master(STRIDE, floor=0.05)
    now = 0.0
    for dt in (0.25 + 0.02 * rng.standard_normal(1500)).tolist():
        now += dt
        reading = transducer.tick(complex(np.exp(1j * STRIDE.omega * now)), dt)
    assert reading.defined
    assert abs(reading.resonance - 1.0) < 1e-3


# --- the same equations at every scale -------------------------------------------------------------------------------


def stream(kind):
    t = times(240)
    rng = np.random.default_rng(4)
    if kind == "field":
        return 0.7 * np.exp(1j * (2 * np.pi * 0.8 * t + 0.1 * rng.standard_normal(len(t))))
    return 20.0 + 2.0 * np.cos(2 * np.pi * 0.8 * t) + rng.standard_normal(len(t))


SCALES = [1e-9, 1e-6, 1e-3, 1.0 / 7.0, 60.0, 3600.0, 1e6]
"""τ in seconds: nine decades from 1 µs to 1 h, and beyond both ends."""


def scaled(tau):
    return replace(STRIDE, name="scaled", frequency_hz=0.78 / tau, tau_s=tau, lag_s=STRIDE.lag_s * tau,
                   coherence_tau_s=STRIDE.coherence_tau_s * tau)  # fmt: skip


@pytest.mark.parametrize("kind", ["samples", "field"])
@pytest.mark.parametrize("tau", SCALES)
def test_dimensionless_in_blocks(kind, tau):
    x, real = stream(kind), kind == "samples"
    reference = Transducer(STRIDE, floor=0.1, real=real)
    transducer = Transducer(scaled(tau), floor=0.1, real=real)
    kernel = ChannelKernel(scaled(tau), floor=0.1, real=real)
    one, other = reference.block(x, 1 / FS), transducer.block(x, tau / FS)
    assert other.resonance == pytest.approx(one.resonance, rel=1e-9)
    assert (other.coherence, other.n_eff, other.p) == pytest.approx((one.coherence, one.n_eff, one.p), rel=1e-9)
    assert other.phase == pytest.approx(one.phase, abs=1e-9)
    assert (other.omega * tau, other.omega_sigma * tau) == pytest.approx((one.omega, one.omega_sigma), rel=1e-9)
    assert np.abs(transducer.evidence.phasors - reference.evidence.phasors).max() < 1e-9
    assert np.array_equal(kernel.block(x, tau / FS).phasors, transducer.evidence.phasors)


@pytest.mark.parametrize("tau", [1e-6, 3600.0])
def test_dimensionless_tick_by_tick(tau):
    spacings = (0.25 * (1 + 0.05 * np.random.default_rng(5).standard_normal(800))).tolist()
    reference, transducer = Transducer(STRIDE, floor=0.05, real=False), Transducer(scaled(tau), floor=0.05, real=False)
    now = 0.0
    for dt in spacings:
        now += dt
        one = reference.tick(complex(np.exp(1j * 5.0 * now)), dt)
        other = transducer.tick(complex(np.exp(1j * 5.0 * now)), dt * tau)
    assert other.resonance == pytest.approx(one.resonance, rel=1e-9)
    assert (other.coherence, other.n_eff, other.p) == pytest.approx((one.coherence, one.n_eff, one.p), rel=1e-9)


# --- roles and refusals ----------------------------------------------------------------------------------------------


def test_the_default_bands_have_their_transducers():
    for band in DEFAULT_BANDS:
        if EMISSARY_S[0] <= band.tau_s <= EMISSARY_S[1]:
            assert emissary(band, floor=0.0).band == band
        made = master(band, tau_s=3600.0, floor=0.0).band
        assert made.coherence_tau_s == 3600.0
        assert replace(made, coherence_tau_s=band.coherence_tau_s) == band
    assert [b.name for b in DEFAULT_BANDS if b.tau_s <= EMISSARY_S[1]] == ["fast", "motion", "stride"]
    assert MASTER_S == (60.0, 3600.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: emissary(Band.of("slow", 0.25, 4.0), floor=0.0),
        lambda: emissary(Band.of("hasty", 100.0, 0.005), floor=0.0),
        lambda: master(STRIDE, tau_s=59.0, floor=0.0),
        lambda: master(STRIDE, tau_s=3601.0, floor=0.0),
        lambda: master(STRIDE, tau_s=math.nan, floor=0.0),
        lambda: master(Band.of("minute", 1 / 60, 60.0), tau_s=60.0, floor=0.0),
        lambda: Transducer(STRIDE, floor=-1.0),
        lambda: Transducer(STRIDE, floor=0.0, p_false=1.0),
    ],
)
def test_refusals(make):
    with pytest.raises(KernelError):
        make()


def test_a_bad_call_changes_nothing():
    t = times(60)
    x = np.cos(2 * np.pi * 0.78 * t)
    good, tried = emissary(STRIDE, floor=0.1), emissary(STRIDE, floor=0.1)
    good.block(x, 1 / FS)
    tried.block(x[:600], 1 / FS)
    before = tried.reading
    for call in (
        lambda: tried.block(np.array([]), 1 / FS),
        lambda: tried.block(x, 0.0),
        lambda: tried.block(x, -1.0),
        lambda: tried.step(1.0, math.nan),
        lambda: tried.step(1.0 + 1.0j, 1 / FS),
        lambda: tried.tick(1.0 + 0j, 0.25),
        lambda: tried.skip(-1.0),
    ):
        with pytest.raises(KernelError):
            call()
        assert tried.reading == before
    assert tried.block(x[600:], 1 / FS).resonance == pytest.approx(good.reading.resonance, rel=1e-9)
    field = master(STRIDE, floor=0.1)
    with pytest.raises(KernelError):
        field.tick(1.0 + 0j, 0.0)
    assert not field.tick(complex(math.inf, 0.0), 0.25).defined


def test_skip_and_clear():
    x = np.cos(2 * np.pi * 0.78 * times(60))
    transducer = emissary(STRIDE, floor=0.1)
    first = transducer.block(x, 1 / FS)
    transducer.skip(5.0)
    transducer.block(x[:20], 1 / FS)
    assert transducer.evidence.gap
    transducer.clear()
    assert transducer.evidence is None
    assert not transducer.reading.defined
    assert transducer.block(x, 1 / FS) == first
