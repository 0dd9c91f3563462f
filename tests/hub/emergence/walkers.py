"""Walkers by formula: rhythms of one pace that never met, of every kind that is taken for one, and some that did.

Simulated, all of them: phases with the irregularity that each model says, an overtone, and a sensor's noise.
"""

from __future__ import annotations

import numpy as np

RATE_HZ = 20.0
PACE_HZ = 0.78
FLOOR = 0.15

ALONE = (
    "steady",
    "phase diffusion",
    "jitter",
    "random-walk frequency",
    "slow drift",
    "amplitude modulation",
    "standing, then starting",
    "starting together",
    "pauses",
    "one pace",
)
"""Models of independent rhythm."""


def slow(rng, shape, correlation_s):
    """Noise of unit variance with this correlation time (Ornstein and Uhlenbeck), stationary from the first sample."""
    keep = np.exp(-1.0 / (RATE_HZ * np.broadcast_to(correlation_s, shape[1:])))
    noise = rng.standard_normal(shape)
    noise[1:] *= np.sqrt(1.0 - keep**2)
    for i in range(1, shape[0]):
        noise[i] += keep * noise[i - 1]
    return noise


def walkers(model, number, seconds, rng):
    """Give samples of shape (n, number); those of each column know nothing of the others."""
    n = round(seconds * RATE_HZ)
    t = np.arange(n)[:, None] / RATE_HZ
    shape = (n, number)
    each = (number,)
    pace = np.full(each, 1.005) if model in ("steady", "one pace") else rng.uniform(0.95, 1.05, each)
    phase = 2 * np.pi * (PACE_HZ * pace * t + rng.random(each))
    size = np.ones(shape)
    noise = 0.1
    if model == "steady":
        noise = 0.3
    elif model == "phase diffusion":
        phase += np.cumsum(
            rng.standard_normal(shape) * np.sqrt(2 * 10 ** rng.uniform(-3, -1.3, each) / RATE_HZ), axis=0
        )
    elif model == "random-walk frequency":
        off = np.cumsum(rng.standard_normal(shape), axis=0) / np.sqrt(RATE_HZ) * 10 ** rng.uniform(-2.7, -1.7, each)
        phase += 2 * np.pi * PACE_HZ * np.cumsum(off, axis=0) / RATE_HZ
    elif model == "slow drift":
        phase += np.pi * PACE_HZ * rng.uniform(-5e-4, 5e-4, each) * t * t + 0.1 * slow(rng, shape, 1.5)
    elif model == "amplitude modulation":
        rate = rng.uniform(0.02, 0.3, each)
        size = 1 + rng.uniform(0.2, 0.8, each) * np.sin(2 * np.pi * (rate * t + rng.random(each)))
        noise = 0.3
    else:
        phase += rng.uniform(0.05, 0.4, each) * slow(rng, shape, rng.uniform(0.5, 3.0, each))
    x = size * (np.cos(phase) + rng.uniform(0, 0.4, each) * np.cos(2 * phase + 2 * np.pi * rng.random(each)))
    if model == "standing, then starting":
        x *= t > rng.uniform(1, 8, each)
        noise = 0.02
    elif model == "starting together":
        x *= t > 4.0
        noise = 0.02
    elif model == "pauses":
        x *= slow(rng, shape, 8.0) > -1.3
        noise = 0.02
    return x + noise * rng.standard_normal(shape)


def coupled(pairs, seconds, rng, *, share):
    """Give samples of shape (n, 2·pairs): each two share a part of their jitter, the share of its variance, 0..1."""
    n = round(seconds * RATE_HZ)
    t = np.arange(n)[:, None] / RATE_HZ
    both = slow(rng, (n, pairs), 1.5)
    own = slow(rng, (n, 2 * pairs), 1.5)
    jitter = np.sqrt(share) * np.repeat(both, 2, axis=1) + np.sqrt(1 - share) * own
    pace = np.repeat(rng.uniform(0.97, 1.03, pairs), 2)
    phase = 2 * np.pi * (PACE_HZ * pace * t + rng.random(2 * pairs)) + 0.25 * jitter
    return np.cos(phase) + 0.2 * np.cos(2 * phase) + 0.1 * rng.standard_normal(phase.shape)
