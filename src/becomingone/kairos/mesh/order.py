"""The order parameter without each channel in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.mesh.disc_points import checked_weight

if TYPE_CHECKING:
    from numpy.typing import NDArray


def leave_one_out(weight: NDArray[np.float64], phasor: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return the order parameter of all the other channels, for each channel.

    Parameters
    ----------
    weight : ndarray of float, shape (n,)
        w ≥ 0.
    phasor : ndarray of complex, shape (n,)
        u, of modulus 1, or 0 for a channel without a phase, which does not count.

    Returns
    -------
    ndarray of float, shape (n,)
        R₋ₖ = |Σw·u − w_k·u_k|/(Σw − w_k), 0..1; NaN where no other channel has a phase and a weight. R₋ₖ > R: the
        channel disturbs the order.

    Raises
    ------
    KernelError
        When shapes differ, a value is not finite or a weight is negative.
    """
    w, _, greatest = checked_weight(weight)
    if phasor.shape != w.shape:
        raise KernelError(f"{w.shape} weights and {phasor.shape} phasors; they must be as many")
    if not np.isfinite(phasor).all():
        raise KernelError("a phasor is not finite")
    w = np.where(phasor != 0.0, w, 0.0)
    # Divided by the greatest, so that sums of them neither overflow nor vanish.
    w = w / greatest if greatest > 0.0 else w
    own = w * phasor
    others = float(w.sum()) - w
    out = np.full(w.shape, np.nan)
    # What is left of a lone channel's weight after subtraction is rounding.
    np.divide(np.abs(complex(own.sum()) - own), others, out=out, where=others > 1e-12)
    np.minimum(out, 1.0, out=out)
    return out
