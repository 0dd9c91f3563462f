"""Whether the filter holds a channel's rhythm yet, or still its beginning.

A rhythm that begins after a silence is to the filter what a first sample is: for a while its output is its own
transient, which has a phase and a frequency of its own. Correlations that were learnt from it would be the filter's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SETTLED_TAUS: Final = 3.9
"""Filter time constants from the start, from a gap longer than the lag, or from the end of a silence, from which on the
filter's output says anything about correlations: its weight is then 0.9."""

SILENT_TAUS: Final = 2.0
"""Time constants below the amplitude floor that are a silence: the filter's group delay. Of a rhythm that dips for less
it still holds the most."""


class Onset:
    """Knows at which ticks a channel's filter had settled.

    Parameters
    ----------
    tau_s : float
        Time constant of each of the filter's poles, in seconds.
    warm_s : float
        Seconds from the first sample up to which there is no phase, whatever the amplitude.
    """

    __slots__ = ("_began_s", "_settled_s", "_silence_s", "_silent_s", "_warm_s")

    def __init__(self, tau_s: float, warm_s: float) -> None:
        self._warm_s = warm_s
        self._settled_s = SETTLED_TAUS * tau_s
        self._silence_s = SILENT_TAUS * tau_s
        # When, since the first sample, the rhythm began, and when the present silence did.
        self._began_s = 0.0
        self._silent_s: float | None = None

    def restart(self) -> None:
        """Begin again: the next sample counts as the first."""
        self._began_s = 0.0
        self._silent_s = None

    def settled(self, phases: NDArray[np.complex128], elapsed: NDArray[np.floating[Any]]) -> NDArray[np.bool_] | None:
        """Tell which of the next ticks have a phase and a filter that had settled; None: all of them.

        Parameters
        ----------
        phases : ndarray of complex
            0 where there is none.
        elapsed : ndarray of float, same shape
            Seconds since the first sample.
        """
        since = self._began_s + self._settled_s
        if self._silent_s is None and elapsed.flat[0] >= since and phases.all():
            return None
        settled = np.zeros(phases.shape, dtype=np.bool_)
        for tick, (present, at_s) in enumerate(zip((phases != 0.0).flat, elapsed.flat, strict=True)):
            if not present:
                if self._silent_s is None and at_s >= self._warm_s:
                    self._silent_s = float(at_s)
            elif self._silent_s is not None:
                if at_s - self._silent_s >= self._silence_s:
                    self._began_s = float(at_s)
                    since = self._began_s + self._settled_s
                self._silent_s = None
            settled.flat[tick] = present and at_s >= since
        return None if settled.all() else settled
