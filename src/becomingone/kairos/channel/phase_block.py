"""What a channel says about its rhythm after a block of samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PhaseBlock(NamedTuple):
    """The phases of a block, and the figures that hold at its last sample.

    While ``valid`` is false there is no phase to speak of: ``coherence`` is 0, ``n_eff`` and ``p`` are 1,
    ``phase_sigma`` is that of an unknown phase and ``resonance`` is None.

    Parameters
    ----------
    phasors : ndarray of complex128, shape (n,)
        e^{iφ} at each sample's own time; modulus 1, or 0 where the phase is undefined (missing sample, amplitude
        below the floor, warm-up).
    coherence : float
        Local coherence 0..1 over the coherence window, bias removed.
    n_eff : float
        Effective number of independent samples behind the temporal resonance, ≥ 1.
    p : float
        Probability, 0..1, that noise has a temporal resonance as large: exp(−n_eff·|T|²).
    omega : float
        Measured frequency in rad/s.
    omega_sigma : float
        Its standard deviation in rad/s.
    phase_sigma : float
        Standard deviation of the phase in radians, 0..π/√3.
    resonance : complex or None
        Temporal resonance T_τ, modulus 0..1; None until as many valid pairs were seen as fill one lag.
    amplitude : float
        Peak of the oscillation in the band, in the sensor's unit, ≥ 0.
    valid : bool
        Whether the last sample has a phase.
    decidable : bool
        Whether ``n_eff`` suffices for any coherence to be significant: N_eff ≥ −ln(p_false).
    gap : bool
        Whether samples were missing in the block, or time was skipped since the previous one.
    """

    phasors: NDArray[np.complex128]
    coherence: float
    n_eff: float
    p: float
    omega: float
    omega_sigma: float
    phase_sigma: float
    resonance: complex | None
    amplitude: float
    valid: bool
    decidable: bool
    gap: bool
