"""Two resonances compared: how far they agree, and how far noise would.

The documents have two formulas for the synchronised coherence, |T_sync|² = (|T_m|² + |T_e|²)/2 and
T_sync = (T_m + T_e)/2. The parallelogram law reconciles them: the first is E = C + D, all of the energy; the second's
C = |(T_m + T_e)/2|² is the part in which the two agree, and D = |(T_m − T_e)/2|² the part in which they do not. The
decision rests on C. E would pass two states in antiphase, and so would their coherence gap.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Final

from becomingone.errors import KernelError

PHASE_THRESHOLD: Final = 0.1
"""The documents' ``phase_threshold``: the greatest coherence gap with which to proceed."""

COHERENCE_THRESHOLD: Final = 0.95
"""The documents' ``coherence_threshold``, a fixed I_c for E in their simple mode."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two resonances compared.

    Parameters
    ----------
    coherence_gap : float
        Difference of the moduli of T_m and T_e, 0..1. Not a phase.
    phase_gap : float or None
        arg(T_m·T_e*), −π..π; None when either vanishes. With equal lags τ̄ it is the difference of their mean
        frequencies times τ̄.
    resonance : complex
        T_sync = (T_m + T_e)/2.
    synchronised, dissipated, energy : float
        C, D and E = C + D (to 1e-15), 0..1.
    chi : float or None
        χ = C/E, 0..1: the share in which they agree, ½ for unrelated phases of equal modulus. None when E = 0.
    """

    coherence_gap: float
    phase_gap: float | None
    resonance: complex
    synchronised: float
    dissipated: float
    energy: float
    chi: float | None

    @property
    def simple(self) -> bool:
        """The documents' simple mode: gap < 0.1 and E ≥ 0.95. It cannot tell agreement from antiphase."""
        return self.coherence_gap < PHASE_THRESHOLD and self.energy >= COHERENCE_THRESHOLD

    @classmethod
    def of(cls, master: complex, emissary: complex) -> Agreement:
        """Compare T_m with T_e.

        Raises
        ------
        KernelError
            When one of them is not finite or its modulus is above 1.
        """
        for name, value in (("master", master), ("emissary", emissary)):
            if not abs(value) <= 1.0 + 1e-9:
                raise KernelError(f"the {name}'s T is {value!r}; its modulus must be within 0..1")
        mean, half = 0.5 * (master + emissary), 0.5 * (master - emissary)
        synchronised, dissipated = _square(mean), _square(half)
        energy = 0.5 * (_square(master) + _square(emissary))
        product = master * emissary.conjugate()
        return cls(
            coherence_gap=abs(abs(master) - abs(emissary)),
            phase_gap=cmath.phase(product) if product != 0.0 else None,
            resonance=mean,
            synchronised=synchronised,
            dissipated=dissipated,
            energy=energy,
            chi=min(1.0, synchronised / energy) if energy > 0.0 else None,
        )


def _square(z: complex) -> float:
    return z.real * z.real + z.imag * z.imag


def window_correlation(master_s: float, emissary_s: float) -> float:
    """Correlation of T_m and T_e of one noise, formed over different windows: 2√(τ_m·τ_e)/(τ_m + τ_e), 0..1.

    ∫e^{−t/τ_m}·e^{−t/τ_e}dt over the root of both squares' integrals: the Emissary's window is part of the Master's.
    """
    return 2.0 * math.sqrt(master_s * emissary_s) / (master_s + emissary_s)


def noise_energy(master_n: float, emissary_n: float, correlation: float) -> float:
    """Mean of C under noise: (1/N_m + 1/N_e + 2κ/√(N_m·N_e))/4.

    T of noise is nearly complex Gaussian of variance 1/N. (T_m + T_e)/2 is too, with this one: P(C ≥ c) = e^{−c/mean}.

    Parameters
    ----------
    master_n, emissary_n : float
        N_eff of each, ≥ 1.
    correlation : float
        κ under noise, 0..1: 0 for unrelated inputs, :func:`window_correlation` for one input at one lag, 1 for any.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """
    for n in (master_n, emissary_n):
        if not (math.isfinite(n) and n >= 1.0):
            raise KernelError(f"n_eff is {n!r}; it must be finite and at least 1")
    if not 0.0 <= correlation <= 1.0:
        raise KernelError(f"correlation is {correlation!r}; it must be within 0..1")
    return 0.25 * (1.0 / master_n + 1.0 / emissary_n + 2.0 * correlation / math.sqrt(master_n * emissary_n))
