"""Master and Emissary taken together: whether they may proceed, and what to do if not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from becomingone.errors import KernelError
from becomingone.kairos.collapse import Collapse
from becomingone.kairos.transducers.agreement import (
    COHERENCE_THRESHOLD,
    PHASE_THRESHOLD,
    Agreement,
    noise_energy,
    window_correlation,
)

if TYPE_CHECKING:
    from becomingone.kairos.transducers.transducer import Reading

__all__ = [
    "COHERENCE_THRESHOLD",
    "PHASE_THRESHOLD",
    "Agreement",
    "Decision",
    "Realignment",
    "Reason",
    "Synchronisation",
    "Synchroniser",
    "noise_energy",
    "window_correlation",
]

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
    APART = "apart"  # χ too small: the two rhythms differ
    INCOHERENT = "incoherent"
    UNDECIDABLE = "undecidable"  # I_c > 1
    NO_MASTER = "no_master"
    NO_EMISSARY = "no_emissary"


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

    They may when the coherence gap is below the threshold, χ is large enough and C ≥ I_c for the dwell, until one of
    them fails (C by the release probability) for the dwell. Else their state dissipates, and while the Master itself is
    significant a realignment to it is requested: at once, then after 1, 2, 4 ... 64 Emissary windows.

    Parameters
    ----------
    threshold : float
        Coherence gap, > 0.
    least_chi : float
        χ, 0..1; 0: no limit. C ≥ I_c says that C is no noise, and that it is not of two steady rhythms that differ,
        either: with N of 80 and 40 a phase gap of 2.5 rad passes. ½ is a gap of π/2, and what unrelated phases have.
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
        least_chi: float = 0.0,
        p_false: float = 0.01,
        release_p: float = 0.1,
        dwell_us: int = 0,
        correlation: float | None = None,
    ) -> None:
        if not (math.isfinite(threshold) and threshold > 0.0):
            raise KernelError(f"threshold is {threshold!r}; it must be finite and above 0")
        if not 0.0 <= least_chi <= 1.0:
            raise KernelError(f"least_chi is {least_chi!r}; it must be within 0..1")
        if correlation is not None:
            noise_energy(1.0, 1.0, correlation)
        self._threshold = threshold
        self._least_chi = least_chi
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
        level, enough = agreement.coherence_gap < self._threshold, agreement.synchronised >= critical
        close = level and (agreement.chi or 0.0) >= self._least_chi
        # C = I_c is enough; rounding must not make p = p_false of it.
        seen = min(p, math.nextafter(self._p_false, 0.0)) if enough else p
        if self._collapse.update(seen if close else 1.0, time_us):
            self._attempts = 0
            reason = Reason.COHERENT if close and enough else Reason.HELD
            return Synchronisation(Decision.PROCEED, reason, agreement, critical, p, None)
        if not level:
            reason = Reason.GAP
        elif not enough:
            reason = Reason.UNDECIDABLE if critical > 1.0 else Reason.INCOHERENT
        elif not close:
            reason = Reason.APART
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
