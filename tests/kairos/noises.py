"""Noises that a coherence must not mistake for a rhythm, as endless streams of blocks."""

from __future__ import annotations

import math

import numpy as np

from becomingone.kairos.onepole import leaky

COLOURS = ("white", "pink", "ar1", "modulated")


def colour(name, rng, n):
    """Yield blocks of n samples of one noise, for ever.

    white; pink, power 1/f (each block for itself, so take long ones); ar1, x ← 0.99·x + e; modulated, white noise
    whose amplitude is lognormal with a correlation time of 250 samples.
    """
    state = 0.0
    slow = math.exp(-1 / 250)
    while True:
        e = rng.standard_normal(n)
        if name == "pink":
            spectrum = np.fft.rfft(e)
            spectrum[1:] /= np.sqrt(np.arange(1, spectrum.shape[0]))
            yield np.fft.irfft(spectrum, n) * math.sqrt(n)
        elif name == "ar1":
            e = leaky(e / 0.01, 0.01, state)
            state = float(e[-1])
            yield e
        elif name == "modulated":
            m = leaky(rng.standard_normal(n) * math.sqrt((1 + slow) / (1 - slow)), 1 - slow, state)
            state = float(m[-1])
            yield e * np.exp(m)
        else:
            yield e
