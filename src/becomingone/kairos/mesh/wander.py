"""For how long the wandering of a phase difference is correlated, measured at one lag."""

from __future__ import annotations

import math
from typing import Final

STEADY: Final = 0.8
"""γ² that unrelated phases seldom reach by wandering slowly, unless they wander hardly at all within the window."""

_MOST_ALIKE: Final = 0.999
_NOTHING: Final = 1e-18


class Wander:
    """Leaky autocorrelation of a deviation from its own leaky mean, at one lag.

    The caller waits with :meth:`due`, then tells with :meth:`learn` how alike the deviations at both ends of the lag
    are.

    Parameters
    ----------
    tau_s : float
        Time constant of both leaky means, in seconds, > 0.

    Notes
    -----
    The mean of a window takes (1 + ρ)/M from the autocorrelation ρ of M lags (M. G. Kendall, Biometrika 41, 1954),
    which is given back, more of it while the window is not yet full. Phase diffusion has ρ^{t/h} at the time t.
    """

    __slots__ = ("_alike", "_lag_s", "_power", "_tau_s", "_waited_s")

    def __init__(self, tau_s: float) -> None:
        self._tau_s = tau_s
        self._alike = 0.0
        self._power = 0.0
        self._waited_s = 0.0
        self._lag_s = 0.0

    def due(self, dt_s: float, lag_s: float) -> bool:
        """Let time pass; tell whether it has come to the lag since the last :meth:`learn`."""
        self._waited_s += dt_s
        return self._waited_s >= lag_s * (1.0 - 1e-9)

    def restart(self) -> None:
        """Begin a new lag: there was nothing at one of the ends of this one."""
        self._waited_s = 0.0

    def learn(self, alike: float, power: float) -> None:
        """Take Re of the product of the deviations at both ends of the lag that has passed, and their mean square."""
        alpha = -math.expm1(-self._waited_s / self._tau_s)
        self._alike += alpha * (alike - self._alike)
        self._power += alpha * (power - self._power)
        self._lag_s = self._waited_s
        self._waited_s = 0.0

    def correlation_s(self, window_s: float, dt_s: float, agreement: float) -> float:
        """Return ∫ρ dt, two-sided, in seconds, of a deviation that is looked at every ``dt_s``.

        0 while nothing is known, or nothing but rounding wanders.

        Parameters
        ----------
        window_s : float
            Effective length of the window over which the mean was taken, in seconds.
        dt_s : float
            Time between ticks in seconds.
        agreement : float
            γ² over the window, 0..1. Above :data:`STEADY` the deviation is small, and that a small one is slow says
            little: its autocorrelation counts by the share (1 − γ²)/(1 − STEADY).
        """
        if not self._power > _NOTHING:
            return 0.0
        rho = self._alike / self._power
        missing = self._lag_s / window_s * (2.0 * self._tau_s / window_s)
        rho = min(_MOST_ALIKE, max(0.0, rho + (1.0 + rho) * missing))
        rho *= min(1.0, max(0.0, 1.0 - agreement) / (1.0 - STEADY))
        per_tick = math.pow(rho, dt_s / self._lag_s)
        return dt_s * (1.0 + per_tick) / (1.0 - per_tick)
