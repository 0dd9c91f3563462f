"""Streams of phasors, and pyramids that remember them."""

from __future__ import annotations

import numpy as np

from becomingone.kairos.memory.pyramid import Pyramid


def filled(times, u, w=None, leaf=1, keep=8):
    pyramid = Pyramid(leaf, keep=keep)
    pyramid.insert_block(times, u, w)
    return pyramid


def stream(kind, n, rng):
    """Phasors of very different character, in the order of time."""
    if kind == "noise":
        return np.exp(2j * np.pi * rng.random(n))
    if kind == "walk":
        return np.exp(1j * np.cumsum(rng.normal(0, 0.1, n)))
    if kind == "flips":
        return np.sign(rng.random(n) - 0.5).astype(complex)
    if kind == "halves":
        return np.where(np.arange(n) < rng.integers(0, n + 1), 1.0, -1.0).astype(complex)
    return np.exp(1j * rng.normal(0, 0.3, n)) * rng.random(n)
