"""WE: two named groups (people, rooms, cells) are one when their mean fields keep a constant phase difference."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Final

from becomingone.errors import KernelError
from becomingone.kairos.mesh.locking_evidence import LEAST_N_EFF
from becomingone.kairos.mesh.wander import Wander
from becomingone.kairos.onepole import alpha_of

_ROUNDED: Final = 1.0 + 1e-9


@dataclass(frozen=True, slots=True)
class Cross:
    """The cross form of two mean fields over the window.

    Parameters
    ----------
    coherence : complex
        ⟨Z_a·Z_b*⟩/√(⟨|Z_a|²⟩⟨|Z_b|²⟩), modulus 0..1; its angle is the offset of a against b. 0 before both had a field.
    unbiased : float
        √((n|coherence|² − 1)/(n − 1)), 0..1: what is left of its modulus when chance is taken away.
    p : float
        How often two unrelated fields have as great a coherence, 0..1; 1 until the window is τ long and n_eff ≥ 2.
    n_eff : float
        n, the effective number of independent samples in the window; 0 before both had a field.
    """

    coherence: complex
    unbiased: float
    p: float
    n_eff: float


class CrossField:
    """Compares the mean fields of two groups, tick by tick.

    Parameters
    ----------
    tau_s : float
        Time constant of the leaky means, in seconds, > 0.

    Raises
    ------
    KernelError
        When ``tau_s`` is not finite and above 0.

    Notes
    -----
    A field is Σw·u/Σw of one band, at one tick: what two :class:`becomingone.kairos.mesh.partial_sum.PartialSum` give
    as order/weight. p is the greater of e^{−nγ²}, of fields of constant modulus, and (1 − γ²)^{n − 1}, of Gaussian ones
    (C. Wunsch 1996). n is measured as in :class:`becomingone.kairos.mesh.locking_evidence.LockingEvidence`. What is
    excluded is that the difference wanders; two fields that are nearly periodic keep theirs without having met.
    """

    def __init__(self, tau_s: float) -> None:
        if not (math.isfinite(tau_s) and tau_s > 0.0):
            raise KernelError(f"tau_s is {tau_s!r}; it must be finite and above 0")
        self._tau_s = tau_s
        self._cross = 0j
        self._power_a = 0.0
        self._power_b = 0.0
        self._filled = 0.0
        self._square = 0.0
        self._before: complex | None = None
        self._wander = Wander(tau_s)
        self._latest = Cross(0j, 0.0, 1.0, 0.0)

    def update(self, a: complex | None, b: complex | None, dt_s: float, correlation_s: float) -> Cross:
        """Take the fields of one tick.

        Parameters
        ----------
        a, b : complex or None
            The groups' mean fields, modulus 0..1. None or 0, of a group without a phase, leaves everything as it was.
        dt_s : float
            Seconds since the tick before, > 0.
        correlation_s : float
            Correlation time of the fields' phases in seconds, > 0, as for
            :meth:`becomingone.kairos.mesh.locking.LockingOrder.update`.

        Raises
        ------
        KernelError
            When a field is not finite or longer than 1, or a time is not above 0.
        """
        for field in (a, b):
            if field is not None and not abs(field) <= _ROUNDED:
                raise KernelError(f"a mean field is {field!r}; its modulus must be at most 1")
        if not (math.isfinite(correlation_s) and correlation_s > 0.0):
            raise KernelError(f"correlation_s is {correlation_s!r}; it must be finite and above 0")
        alpha = alpha_of(dt_s, self._tau_s)
        if not a or not b:
            self._before = None
            return self._latest
        a, b = complex(a), complex(b)
        product = a * b.conjugate()
        self._cross += alpha * (product - self._cross)
        self._power_a += alpha * (abs(a) ** 2 - self._power_a)
        self._power_b += alpha * (abs(b) ** 2 - self._power_b)
        self._filled += alpha * (1.0 - self._filled)
        self._square = (1.0 - alpha) ** 2 * self._square + alpha * alpha / dt_s
        least_s = 0.5 * correlation_s
        if self._wander.due(dt_s, least_s):
            self._compare(product - self._cross / self._filled)
        window_s = self._filled**2 / self._square
        power = self._power_a * self._power_b
        coherence = self._cross / math.sqrt(power) if power > 0.0 else 0j
        gamma2 = min(1.0, abs(coherence) ** 2)
        n = window_s / max(least_s, self._wander.correlation_s(window_s, dt_s, gamma2))
        p = 1.0
        if n >= LEAST_N_EFF and window_s >= self._tau_s:
            p = max(math.exp(-n * gamma2), (1.0 - gamma2) ** (n - 1.0))
        unbiased = math.sqrt(max(0.0, n * gamma2 - 1.0) / (n - 1.0)) if n > 1.0 else 0.0
        self._latest = Cross(cmath.rect(math.sqrt(gamma2), cmath.phase(coherence)), min(1.0, unbiased), p, n)
        return self._latest

    def _compare(self, deviation: complex) -> None:
        before, self._before = self._before, deviation
        power = self._power_a * self._power_b / self._filled**2
        if before is None or not power > 0.0:
            self._wander.restart()
            return
        self._wander.learn(
            (deviation * before.conjugate()).real / power, 0.5 * (abs(deviation) ** 2 + abs(before) ** 2) / power
        )
