"""What a memory holds, time scale by time scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.rayleigh import rayleigh_p

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Scales:
    """What a bank holds, scale by scale; K scales, or 1 for a mean over them.

    Parameters
    ----------
    tau_us : ndarray of float, shape (K,)
        Time constants in microseconds; NaN for the mean over scales.
    phasor : ndarray of complex, shape (K,)
        S/W: the mean phasor, in the unit disc; 0 in an empty bank.
    weight : ndarray of float, shape (K,)
        W decayed to the time asked for; it may underflow to 0 after a long silence, ``phasor`` then stands.
    n_eff : ndarray of float, shape (K,)
        W²/Σw², the effective number of *insertions*, independent or not; 0 in an empty bank.
    """

    tau_us: NDArray[np.float64]
    phasor: NDArray[np.complex128]
    weight: NDArray[np.float64]
    n_eff: NDArray[np.float64]

    @property
    def coherence(self) -> NDArray[np.float64]:
        """|S|/W, shape (K,), 0..1, with the bias √(π/4N) of few insertions left in."""
        return np.minimum(np.abs(self.phasor), 1.0)

    @property
    def phase(self) -> NDArray[np.float64]:
        """Arg S, shape (K,), −π..π; NaN where S is 0."""
        return np.where(self.phasor != 0.0, np.angle(self.phasor), np.nan)

    def p(self, correlation: float = 1.0) -> NDArray[np.float64]:
        """How often unrelated phases are as coherent, shape (K,), by ``rayleigh_p``; 1 in an empty bank.

        Parameters
        ----------
        correlation : float
            Insertions per independent one, ≥ 1 (Bartlett's Σρ: the phases' correlation time, 4τ of their band's
            filter, over the spacing of the insertions). 1 is right only for independent phases.

        Raises
        ------
        KernelError
            When ``correlation`` is below 1.
        """
        if not correlation >= 1.0:
            raise KernelError(f"correlation is {correlation!r}; it must be at least 1 insertion per independent one")
        pairs = zip(self.coherence.tolist(), (self.n_eff / correlation).tolist(), strict=True)
        return np.array([rayleigh_p(r, max(1.0, n)) for r, n in pairs])
