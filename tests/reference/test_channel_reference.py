"""One channel against scipy: the filter, its response, the noise's correlations, and the figures of a real walk."""

from __future__ import annotations

import io
from importlib import resources

import numpy as np
import pytest

from becomingone.kairos.bands import Band
from becomingone.kairos.channel.demodulate import Demodulator
from becomingone.kairos.channel.kernel import ChannelKernel
from becomingone.kairos.channel.noise import filter_correlation, phase_correlation
from becomingone.kairos.channel.response import Response
from becomingone.kairos.channel.timing import Timing

pytestmark = pytest.mark.reference

STRIDE = Band.of("stride", 0.78, 1.0)
FS = 120.0


def gyroscope(name):
    text = resources.files("becomingone.data").joinpath(f"walking-two-imus/{name}.csv").read_text()
    column = text.split("\n", 1)[0].strip().split(",").index("gyr_z_rad_s")
    return np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=column)[int(6 * FS) :]


@pytest.mark.parametrize("signal", ["walk", "noise"])
def test_the_filter_is_scipys(signal):
    from scipy.signal import lfilter

    x = gyroscope("upper_leg") if signal == "walk" else np.random.default_rng(0).standard_normal(200_000)
    timing = Timing(STRIDE, 1 / FS, real=True)
    pole = [1.0, -(1.0 - timing.alpha) * timing.rotor]
    y = x - x[0]
    ones = np.ones(len(x))
    z, answer = (lfilter([timing.alpha], pole, lfilter([timing.alpha], pole, s)) for s in (y, ones))
    total, weight = (lfilter([timing.alpha_mean], [1.0, timing.alpha_mean - 1.0], s) for s in (y, ones))
    got, _ = Demodulator(STRIDE).block(x, timing)
    assert np.abs(got - (z - total / weight * answer)).max() < 1e-12 * np.abs(z).max() * 100


@pytest.mark.parametrize("omega", [0.6, 1.0, 1.3])
def test_the_response_is_scipys(omega):
    from scipy.signal import freqz

    timing = Timing(STRIDE, 1 / FS, real=True)
    w = omega * STRIDE.omega / FS
    pole = [1.0, -(1.0 - timing.alpha) * timing.rotor]
    square = np.convolve(pole, pole)
    low = [timing.alpha_mean], [1.0, timing.alpha_mean - 1.0]
    h, hi, h0 = freqz([timing.alpha**2], square, worN=[w, -w, 0.0])[1]
    m, mi = freqz(*low, worN=[w, -w])[1]
    a, b = h - m * h0, hi - mi * h0
    response = Response(STRIDE.omega, 1 / FS, timing.alpha, timing.alpha_mean, True)
    c, d = response.undo(omega * STRIDE.omega)
    phasor = np.exp(0.7j)
    z = a * phasor + b * np.conj(phasor)
    assert abs((c * z + d * np.conj(z)) / abs(a) - phasor) < 1e-12


def test_the_correlation_of_phases_is_scipys():
    from scipy.special import hyp2f1

    rho = np.linspace(0.0, 0.995, 200)
    assert np.abs(phase_correlation(rho) - np.pi / 4 * rho * hyp2f1(0.5, 0.5, 2.0, rho**2)).max() < 1e-5
    low = rho[:180]
    assert np.abs(phase_correlation(low) - np.pi / 4 * low * hyp2f1(0.5, 0.5, 2.0, low**2)).max() < 1e-12


def test_the_correlation_of_the_filter_is_scipys():
    from scipy.signal import correlate, lfilter

    alpha = 0.05
    h = lfilter([alpha**2], np.convolve([1, alpha - 1], [1, alpha - 1]), np.eye(1, 2000)[0])
    full = correlate(h, h)[1999:]
    assert np.abs(filter_correlation(alpha, np.arange(300.0)) - full[:300] / full[0]).max() < 1e-12


@pytest.mark.parametrize("name", ["upper_leg", "lower_leg"])
def test_phase_of_a_walk_is_hilberts(name):
    """The phase, causal and corrected, against a zero-phase band-pass and the Hilbert transform of the whole."""
    from scipy.signal import butter, hilbert, sosfiltfilt

    x = gyroscope(name)
    band = butter(2, [0.6, 1.0], "bandpass", fs=FS, output="sos")
    analytic = hilbert(sosfiltfilt(band, x))
    u = ChannelKernel(STRIDE, floor=0.05).block(x, 1 / FS).phasors
    middle = slice(int(8 * FS), int(17 * FS))
    off = np.angle(u[middle] * np.conj(analytic[middle]))
    # What is left is a rhythm that changes within the window of ω̂: a causal phase cannot know yet.
    assert np.abs(off).mean() < 0.12


@pytest.mark.parametrize("name", ["upper_leg", "lower_leg"])
def test_resonance_and_coherence_at_ticks_are_those_of_every_sample(name):
    """T and C by their definitions from the phases of all samples, by scipy's filter, against those at ticks."""
    from scipy.signal import lfilter

    x = gyroscope(name)
    kernel = ChannelKernel(STRIDE, floor=0.05)
    result = kernel.block(x, 1 / FS)
    u = result.phasors
    lag = round(STRIDE.lag_s * FS)
    t = np.arange(1, len(x) + 1) / FS
    settled = t >= 3.9 * STRIDE.tau_s
    q = np.where(settled, u * np.exp(-1j * STRIDE.omega * t), 0.0)
    alpha = 1 - np.exp(-1 / FS / STRIDE.coherence_tau_s)
    mean = [alpha], [1.0, alpha - 1.0]
    products, pairs = q[lag:] * np.conj(q[:-lag]), (np.abs(q[lag:]) * np.abs(q[:-lag]))
    resonance = lfilter(*mean, products)[-1] / lfilter(*mean, pairs)[-1]
    assert abs(result.resonance - resonance) < 0.025
    turned = u * np.exp(-1j * result.omega * t)
    coherence = abs(lfilter(*mean, turned)[-1]) / lfilter(*mean, np.abs(u))[-1]
    assert kernel.block(x[:1], 1 / FS).coherence == pytest.approx(coherence, abs=0.04)
