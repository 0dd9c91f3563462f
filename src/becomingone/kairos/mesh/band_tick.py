"""One tick of one band: channels brought to one instant, weighed, and taken together in every way there is."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.mesh.locking import Locking, LockingOrder
from becomingone.kairos.mesh.partial_sum import PartialSum
from becomingone.kairos.mesh.robust import Robust, capped, robust_mean
from becomingone.kairos.mesh.state import MeshState, extrapolate, freshness, weights

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Channels:
    """What is known of the channels of one band; arrays of shape (n,).

    Parameters
    ----------
    ids : ndarray of int
        ≥ 0, each at most once, the same for the same channel at every tick.
    time_us : ndarray of int
        Time of the latest evidence, in microseconds.
    phasor : ndarray of complex
        u at that time; 0 without a phase.
    coherence : ndarray of float
        C, 0..1.
    p, n_eff : ndarray of float
        Significance of C, 0..1, and effective number of samples, ≥ 1.
    omega, omega_sigma : ndarray of float
        Frequency and its uncertainty in rad/s.
    phase_sigma : ndarray of float
        Uncertainty of the phase in radians.
    clock_sigma_s : ndarray of float
        Uncertainty of the channel's clock in seconds.
    capability, trust : ndarray of float
        ≥ 0.
    max_age_s : ndarray of float
        Age in seconds at which evidence has lost all weight, > 0.
    """

    ids: NDArray[np.intp]
    time_us: NDArray[np.int64]
    phasor: NDArray[np.complex128]
    coherence: NDArray[np.float64]
    p: NDArray[np.float64]
    n_eff: NDArray[np.float64]
    omega: NDArray[np.float64]
    omega_sigma: NDArray[np.float64]
    phase_sigma: NDArray[np.float64]
    clock_sigma_s: NDArray[np.float64]
    capability: NDArray[np.float64]
    trust: NDArray[np.float64]
    max_age_s: NDArray[np.float64]


_ARRAYS: Final = tuple(field.name for field in fields(Channels))


@dataclass(frozen=True, slots=True)
class BandTick:
    """What one band is at one tick.

    Parameters
    ----------
    total : PartialSum
        The sums that merge with those of other meshes.
    state : MeshState
        Weighted means, order and coherence, with their significance.
    robust : Robust
        The robust T_global, of these channels alone: it does not merge.
    locking : Locking or None
        None at the first tick, before any time has passed.
    phasor : ndarray of complex, shape (n,)
        u at the tick.
    weight : ndarray of float, shape (n,)
        w at the tick, as capped.
    """

    total: PartialSum
    state: MeshState
    robust: Robust
    locking: Locking | None
    phasor: NDArray[np.complex128]
    weight: NDArray[np.float64]


class MeshBand:
    """Evaluates one band, tick by tick; holds what the locking order has learnt.

    Parameters
    ----------
    tau_s : float
        Time over which offsets are learnt, in seconds, > 0.
    correlation_s : float
        Correlation time of a phase behind the band's filter, in seconds, > 0: 4τ of the band's two poles.
    max_share : float
        Greatest share of the weight that one channel may have, 0 < max_share ≤ 1; 1 caps nothing.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """

    def __init__(self, tau_s: float, correlation_s: float, *, max_share: float = 1.0) -> None:
        if not (math.isfinite(correlation_s) and correlation_s > 0.0):
            raise KernelError(f"correlation_s is {correlation_s!r}; it must be finite and above 0")
        if not 0.0 < max_share <= 1.0:
            raise KernelError(f"max_share is {max_share!r}; it must be above 0 and at most 1")
        self._locking = LockingOrder(tau_s)
        self._correlation_s = correlation_s
        self._max_share = max_share
        self._last_us: int | None = None

    def tick(self, channels: Channels, now_us: int) -> BandTick:
        """Evaluate the band at one instant.

        Parameters
        ----------
        channels : Channels
            Those that the band has now; more or fewer than at the tick before.
        now_us : int
            Time of the tick in microseconds, later than that of the tick before.

        Raises
        ------
        KernelError
            When time runs backwards or stands still, shapes differ, or a value has no meaning; the state is as before.
        """
        shape = channels.ids.shape
        for name in _ARRAYS:
            if getattr(channels, name).shape != shape:
                raise KernelError(f"{name} has shape {getattr(channels, name).shape}; it must be {shape}")
        if self._last_us is not None and now_us <= self._last_us:
            raise KernelError(f"a tick at {now_us} µs after one at {self._last_us} µs; time must advance")
        delay_s = np.asarray(now_us - channels.time_us, dtype=np.float64) * 1e-6
        phasor, variance = extrapolate(
            channels.phasor,
            channels.omega,
            delay_s=delay_s,
            phase_sigma=channels.phase_sigma,
            omega_sigma=channels.omega_sigma,
            clock_sigma_s=channels.clock_sigma_s,
        )
        weight = weights(channels.capability, freshness(delay_s, channels.max_age_s), channels.trust, variance)
        if np.count_nonzero(phasor) < phasor.shape[0]:
            weight[phasor == 0.0] = 0.0
        if self._max_share < 1.0:
            weight = capped(weight, self._max_share)
        total = PartialSum.of(weight=weight, phasor=phasor, coherence=channels.coherence, time_us=channels.time_us)
        state = MeshState.of(total, weight=weight, p=channels.p, n_eff=channels.n_eff)
        robust = robust_mean(channels.coherence * phasor, weight)
        locking = None
        if self._last_us is not None:
            elapsed_s = (now_us - self._last_us) * 1e-6
            locking = self._locking.update(channels.ids, phasor, weight, elapsed_s, self._correlation_s)
        self._last_us = now_us
        return BandTick(total, state, robust, locking, phasor, weight)
