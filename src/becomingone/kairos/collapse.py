"""Collapse: the moment a coherence is more than noise, at a stated rate of false alarms."""

from __future__ import annotations

import math

from becomingone.errors import KernelError
from becomingone.kairos.rayleigh import rayleigh_p

__all__ = ["Collapse", "critical", "critical_amplitude", "rayleigh_p"]


def critical(p: float, n_eff: float, *, tests: int = 1) -> float:
    """Return the threshold I_c = −ln(p)/N_eff of |T|² or C² in phase mode.

    Parameters
    ----------
    p : float
        False-alarm probability, 0 < p ≤ 1.
    n_eff : float
        Effective number of independent samples, ≥ 1.
    tests : int
        Over how many lags and frequencies the greatest |T|² was looked for, ≥ 1 (Bonferroni).

    Returns
    -------
    float
        ≥ 0. Above 1 nothing can pass: N_eff does not suffice to decide at this p.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """
    _check(p, n_eff, tests)
    return -math.log(p / tests) / n_eff


def critical_amplitude(p: float, n_eff: float, *, tests: int = 1) -> float:
    """Return the threshold I_c = 1 − p^{1/(N_eff − 1)} of the squared coherence in amplitude mode.

    Parameters
    ----------
    p : float
        False-alarm probability, 0 < p ≤ 1.
    n_eff : float
        Effective number of independent complex Gaussian samples, > 1.
    tests : int
        Over how many lags and frequencies the greatest was looked for, ≥ 1 (Bonferroni).

    Returns
    -------
    float
        0..1.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """
    _check(p, n_eff, tests)
    if n_eff <= 1.0:
        raise KernelError(f"n_eff is {n_eff!r}; amplitude mode needs more than 1")
    return -math.expm1(math.log(p / tests) / (n_eff - 1.0))


def _check(p: float, n_eff: float, tests: int) -> None:
    if not 0.0 < p <= 1.0:
        raise KernelError(f"p is {p!r}; it must be above 0 and at most 1")
    if not (math.isfinite(n_eff) and n_eff >= 1.0):
        raise KernelError(f"n_eff is {n_eff!r}; it must be finite and at least 1")
    if tests < 1:
        raise KernelError(f"tests is {tests!r}; it must be at least 1")


class Collapse:
    """A decision with hysteresis and dwell, so that one lucky tick neither makes nor breaks it.

    Parameters
    ----------
    p_false : float
        Enter when p < p_false for the whole dwell; 0 < p_false < 1.
    release_p : float
        Leave when p > release_p for the whole dwell; p_false ≤ release_p ≤ 1.
    dwell_us : int
        Microseconds, ≥ 0. With 0 the first update that qualifies decides.

    Raises
    ------
    KernelError
        When a value is out of its range.

    Notes
    -----
    The dwell runs from the first update that qualifies; an update that does not, or a clock that steps back,
    starts it anew. Between updates nothing is known: the caller updates at least once per tick.
    """

    def __init__(self, *, p_false: float, release_p: float, dwell_us: int) -> None:
        if not 0.0 < p_false < 1.0:
            raise KernelError(f"p_false is {p_false!r}; it must be above 0 and below 1")
        if not p_false <= release_p <= 1.0:
            raise KernelError(f"release_p is {release_p!r}; it must be within p_false = {p_false:g} .. 1")
        if dwell_us < 0:
            raise KernelError(f"dwell_us is {dwell_us!r}; it must be at least 0")
        self._p_false = p_false
        self._release_p = release_p
        self._dwell_us = dwell_us
        self._state = False
        self._since_us: int | None = None
        self._latest_us: int | None = None

    @property
    def state(self) -> bool:
        """Whether the coherence stands as more than noise."""
        return self._state

    def update(self, p: float, time_us: int) -> bool:
        """Take the p-value of one tick.

        Parameters
        ----------
        p : float
            0..1. NaN counts as "not known": it qualifies for neither direction.
        time_us : int
            Time of the tick in microseconds, on any one clock.

        Returns
        -------
        bool
            The state after this tick.
        """
        if self._latest_us is not None and time_us < self._latest_us:
            self._since_us = None
        self._latest_us = time_us
        qualifies = p > self._release_p if self._state else p < self._p_false
        if not qualifies:
            self._since_us = None
            return self._state
        if self._since_us is None:
            self._since_us = time_us
        if time_us - self._since_us >= self._dwell_us:
            self._state = not self._state
            self._since_us = None
        return self._state
