"""What a mean of phases is worth: its significance, its spread, and how often chance will raise it."""

from __future__ import annotations

import math
from typing import Final

from becomingone.errors import KernelError

SIGMA_UNIFORM: Final = math.pi / math.sqrt(3.0)
"""Standard deviation of a phase about which nothing is known, in radians; the cap of every phase_sigma."""


def p_noise(raw: float, n_eff: float) -> float:
    """Return the probability that phases without coherence reach this |T| or C: exp(−N_eff·|T|²)."""
    return min(1.0, math.exp(-n_eff * raw * raw))


def circular_sigma(raw: float) -> float:
    """Return the standard deviation √(−2·ln C) of a wrapped normal phase, in radians, at most π/√3."""
    return min(SIGMA_UNIFORM, math.sqrt(max(0.0, -2.0 * math.log(raw)))) if raw > 0.0 else SIGMA_UNIFORM


def time_between_false_alarms(p: float, n_eff: float, window_tau_s: float) -> float:
    """Mean time between false alarms of a coherence that is watched continuously.

    A look that is wrong once in 100 says little about a watch that never ends. Under noise T is a complex Gaussian of
    variance 1/N_eff, smoothed by a leaky window, whose derivative has the variance (1/τ_C)²; |T| then crosses the
    level of p upwards √(N_eff/π)·√(−ln p)·p times per τ_C (S. O. Rice, Bell Syst. Tech. J. 24, 1945, for the envelope
    of narrow-band noise). A dwell makes it rarer still.

    Parameters
    ----------
    p : float
        False-alarm probability of one look, 0 < p < 1.
    n_eff : float
        Effective number of independent samples in the window, ≥ 1.
    window_tau_s : float
        Time constant τ_C of the window in seconds, > 0.

    Returns
    -------
    float
        Seconds, > 0.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """
    if not 0.0 < p < 1.0:
        raise KernelError(f"p is {p!r}; it must be above 0 and below 1")
    if not (math.isfinite(n_eff) and n_eff >= 1.0):
        raise KernelError(f"n_eff is {n_eff!r}; it must be finite and at least 1")
    if not (math.isfinite(window_tau_s) and window_tau_s > 0.0):
        raise KernelError(f"window_tau_s is {window_tau_s!r}; it must be finite and above 0")
    return window_tau_s / (math.sqrt(n_eff * -math.log(p) / math.pi) * p)
