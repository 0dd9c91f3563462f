"""The rate at which a mean field's phase goes on."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from becomingone.kairos.sums import dot

_SAMPLE: Final = 256
"""Channels of which the median is taken, at most."""


def rate(
    omega: NDArray[np.float64], weight: NDArray[np.float64], coherence: NDArray[np.float64], *, robust: bool
) -> float:
    """Give the rate at which the mean field's phase goes on.

    Parameters
    ----------
    omega : ndarray of float, shape (n,)
        The channels' rates, rad/s.
    weight, coherence : ndarray of float, shape (n,)
        Their product is what each pulls by, ≥ 0.
    robust : bool
        Whether to take the weighted median, of every so-manieth channel where there are many, or the mean.

    Returns
    -------
    float
        rad/s; 0 where nothing pulls.
    """
    if robust:
        stride = -(-len(omega) // _SAMPLE)
        if stride > 1:
            omega, weight, coherence = omega[::stride], weight[::stride], coherence[::stride]
        order = omega.argsort()
        sums = (weight * coherence)[order].cumsum()
        total = float(sums[-1])
        return float(omega[order[sums.searchsorted(0.5 * total)]]) if total > 0.0 else 0.0
    pull = weight * coherence
    total = float(np.add.reduce(pull))
    return dot(pull, omega) / total if total > 0.0 else 0.0
