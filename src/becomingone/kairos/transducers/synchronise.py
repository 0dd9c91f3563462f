"""Master and Emissary taken together: whether they agree, and what to do if not.

The documents have two formulas for the synchronised coherence, |T_sync|² = (|T_m|² + |T_e|²)/2 and
T_sync = (T_m + T_e)/2. The parallelogram law reconciles them: the first is E = C + D, all of the energy; the second's
C = |(T_m + T_e)/2|² is the part in which the two agree, and D = |(T_m − T_e)/2|² the part in which they do not. The
decision rests on C. E would pass two states in antiphase, and so would their coherence gap.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from becomingone.errors import KernelError
from becomingone.kairos.collapse import Collapse

if TYPE_CHECKING:
    from becomingone.kairos.transducers.transducer import Reading

PHASE_THRESHOLD: Final = 0.1
"""The documents' ``phase_threshold``: the greatest coherence gap with which to proceed."""

COHERENCE_THRESHOLD: Final = 0.95
"""The documents' ``coherence_threshold``, a fixed I_c for E in their simple mode."""

MOST_DOUBLINGS: Final = 6
"""The wait between requests grows to 64 Emissary windows at most."""


class Decision(StrEnum):
    """What follows from a comparison."""

    PROCEED = "proceed"
    DISSIPATE = "dissipate"
    REALIGN = "realign"


class Reason(StrEnum):
    """Why."""

    COHERENT = "coherent"
    HELD = "held"  # no longer qualified, but not yet for the dwell
    DWELL = "dwell"  # qualified, but not yet for the dwell
    GAP = "gap"
    INCOHERENT = "incoherent"
    UNDECIDABLE = "undecidable"  # I_c > 1
    NO_MASTER = "no_master"
    NO_EMISSARY = "no_emissary"


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


@dataclass(frozen=True, slots=True)
class Realignment:
    """A request to whatever oscillates under control, and to it alone: the evidence is never touched.

    Parameters
    ----------
    target_phase : float
        The Master's phase when this was made, −π..π.
    omega : float
        The Master's frequency in rad/s, at which the target goes on.
    correction : float
        Target less the Emissary's phase, −π..π.
    expires_s : float
        Seconds after which it is void: a new one may come, or the target is uncertain by a radian.
    attempt : int
        1 for the first since they last agreed.
    """

    target_phase: float
    omega: float
    correction: float
    expires_s: float
    attempt: int


@dataclass(frozen=True, slots=True)
class Synchronisation:
    """The outcome of one comparison.

    Parameters
    ----------
    decision : Decision
        ``proceed``; ``dissipate``; or ``realign``: dissipate, and here is a request.
    reason : Reason
    agreement : Agreement or None
        None when a T is not defined.
    critical : float or None
        I_c of C, ≥ 0.
    p : float
        Probability, 0..1, that noise has as large a C; 1 when a T is not defined.
    realignment : Realignment or None
    """

    decision: Decision
    reason: Reason
    agreement: Agreement | None
    critical: float | None
    p: float
    realignment: Realignment | None


class Synchroniser:
    """Decides, again and again, whether Master and Emissary may proceed.

    They may when the coherence gap is below the threshold and C ≥ I_c for the dwell, until one of the two fails (C by
    the release probability) for the dwell. Else their state dissipates, and while the Master itself is significant a
    realignment to it is requested: at once, then after 1, 2, 4 ... 64 Emissary windows.

    Parameters
    ----------
    threshold : float
        Coherence gap, > 0.
    p_false, release_p, dwell_us
        Of C; see :class:`becomingone.kairos.collapse.Collapse`.
    correlation : float or None
        κ of :func:`noise_energy`, 0..1. None: they listen to one input at one lag.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """

    def __init__(
        self,
        *,
        threshold: float = PHASE_THRESHOLD,
        p_false: float = 0.01,
        release_p: float = 0.1,
        dwell_us: int = 0,
        correlation: float | None = None,
    ) -> None:
        if not (math.isfinite(threshold) and threshold > 0.0):
            raise KernelError(f"threshold is {threshold!r}; it must be finite and above 0")
        if correlation is not None:
            noise_energy(1.0, 1.0, correlation)
        self._threshold = threshold
        self._p_false = p_false
        self._correlation = correlation
        self._collapse = Collapse(p_false=p_false, release_p=release_p, dwell_us=dwell_us)
        self._attempts = 0
        self._waits_us = 0.0
        self._asked_us = 0

    def update(self, master: Reading, emissary: Reading, time_us: int) -> Synchronisation:
        """Compare two readings.

        Parameters
        ----------
        master, emissary : Reading
        time_us : int
            Time of the comparison in microseconds, on any one clock. A step back starts dwell and waiting anew.
        """
        if master.resonance is None or master.phase is None or emissary.resonance is None or emissary.phase is None:
            self._collapse.update(1.0, time_us)
            reason = Reason.NO_EMISSARY if master.defined else Reason.NO_MASTER
            return Synchronisation(Decision.DISSIPATE, reason, None, None, 1.0, None)
        agreement = Agreement.of(master.resonance, emissary.resonance)
        kappa = self._correlation
        if kappa is None:
            kappa = window_correlation(master.window_s, emissary.window_s)
        mean = noise_energy(master.n_eff, emissary.n_eff, kappa)
        critical = -math.log(self._p_false) * mean
        p = math.exp(-agreement.synchronised / mean)
        close, enough = agreement.coherence_gap < self._threshold, agreement.synchronised >= critical
        # C = I_c is enough; rounding must not make p = p_false of it.
        seen = min(p, math.nextafter(self._p_false, 0.0)) if enough else p
        if self._collapse.update(seen if close else 1.0, time_us):
            self._attempts = 0
            reason = Reason.COHERENT if close and enough else Reason.HELD
            return Synchronisation(Decision.PROCEED, reason, agreement, critical, p, None)
        if not close:
            reason = Reason.GAP
        elif not enough:
            reason = Reason.UNDECIDABLE if critical > 1.0 else Reason.INCOHERENT
        else:
            reason = Reason.DWELL
        request = None
        if reason is not Reason.DWELL and master.p < self._p_false:
            request = self._ask(master, master.phase - emissary.phase, emissary.window_s, time_us)
        decision = Decision.DISSIPATE if request is None else Decision.REALIGN
        return Synchronisation(decision, reason, agreement, critical, p, request)

    def _ask(self, master: Reading, correction: float, window_s: float, time_us: int) -> Realignment | None:
        """Make a request, unless it is too soon after the last one."""
        if self._attempts:
            self._asked_us = min(self._asked_us, time_us)
            if time_us - self._asked_us < self._waits_us:
                return None
        wait_s = window_s * 2.0 ** min(self._attempts, MOST_DOUBLINGS)
        self._attempts += 1
        self._asked_us = time_us
        self._waits_us = 1e6 * wait_s
        certain_s = 1.0 / master.omega_sigma if master.omega_sigma > 0.0 else math.inf
        return Realignment(
            target_phase=master.phase if master.phase is not None else 0.0,
            omega=master.omega,
            correction=math.remainder(correction, 2.0 * math.pi),
            expires_s=min(wait_s, certain_s),
            attempt=self._attempts,
        )
