"""Transducers: one class, whose time scales make it a Master or an Emissary.

A Master holds: what it says is a mean over minutes to an hour. An Emissary answers: what it says is of now. The
documents give each one τ; what bounds an Emissary is how soon its filter follows (τ of the band, 0.01 to 1 s), and what
makes a Master is how long it integrates (the window τ_C of the resonance, 60 to 3600 s). Everything else is the same
code, and depends on the spacing over τ only.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from becomingone.errors import KernelError
from becomingone.kairos.bands import MIN_COHERENCE_PER_TAU
from becomingone.kairos.channel.kernel import ChannelKernel

if TYPE_CHECKING:
    from becomingone.kairos.bands import Band
    from becomingone.kairos.channel.phase_block import PhaseBlock
    from becomingone.kairos.channel.timing import Samples

MASTER_S: Final = (60.0, 3600.0)
"""Shortest and longest window of a Master, in seconds."""

EMISSARY_S: Final = (0.01, 1.0)
"""Shortest and longest τ of an Emissary's filter, in seconds."""

_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Reading:
    """What a transducer says at its latest sample or tick.

    Parameters
    ----------
    resonance : complex or None
        T, modulus 0..1; None while there is no phase, or too few pairs were seen.
    coherence : float
        Local coherence, 0..1; 0 without a phase.
    n_eff : float
        Effective number of independent samples behind ``resonance``, ≥ 1.
    p : float
        Probability, 0..1, that noise has a T as large; 1 while T is None.
    phase : float or None
        Of the oscillation, at the latest sample's own time, −π..π; None when there is none. (The phase of T is
        something else: how far the rhythm has slipped from the band's frequency within one lag.)
    omega, omega_sigma : float
        Measured frequency and its standard deviation, in rad/s.
    tau_s, window_s : float
        Time constants of the filter (τ) and of the resonance's mean (τ_C), in seconds.
    """

    resonance: complex | None
    coherence: float
    n_eff: float
    p: float
    phase: float | None
    omega: float
    omega_sigma: float
    tau_s: float
    window_s: float

    @property
    def defined(self) -> bool:
        """Whether there is a phase and a T."""
        return self.phase is not None and self.resonance is not None


class Transducer:
    """Integrates a stream of samples, or a mesh's mean field, into T.

    Parameters
    ----------
    band : Band
        Frequency, τ of the filter, lag and window.
    floor : float
        Amplitude below which there is no phase, ≥ 0: in the sensor's unit, or 0..1 for a mean field.
    real : bool
        Whether the input is real: samples of a sensor. A mean field is complex.
    p_false : float
        Probability of a false alarm, 0..1, for which ``decidable`` of the evidence is reported.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """

    def __init__(self, band: Band, *, floor: float, real: bool = True, p_false: float = 0.01) -> None:
        self._kernel = ChannelKernel(band, floor=floor, real=real, p_false=p_false)
        self._evidence: PhaseBlock | None = None

    @property
    def band(self) -> Band:
        """The band."""
        return self._kernel.band

    @property
    def evidence(self) -> PhaseBlock | None:
        """All figures at the latest sample, and the latest block's phasors; None before the first."""
        return self._evidence

    @property
    def reading(self) -> Reading:
        """What holds at the latest sample or tick."""
        band, now = self._kernel.band, self._evidence
        if now is None or not now.valid:
            omega = band.omega if now is None else now.omega
            sigma = math.inf if now is None else now.omega_sigma
            return Reading(None, 0.0, 1.0, 1.0, None, omega, sigma, band.tau_s, band.coherence_tau_s)
        return Reading(
            resonance=now.resonance,
            coherence=now.coherence,
            n_eff=now.n_eff,
            p=now.p if now.resonance is not None else 1.0,
            phase=cmath.phase(now.phasors[-1].item()),
            omega=now.omega,
            omega_sigma=now.omega_sigma,
            tau_s=band.tau_s,
            window_s=band.coherence_tau_s,
        )

    def block(self, x: Samples, spacing_s: float) -> Reading:
        """Take uniform samples, shape (n,), n ≥ 1; see :meth:`becomingone.kairos.channel.ChannelKernel.block`."""
        self._evidence = self._kernel.block(x, spacing_s)
        return self.reading

    def step(self, x: complex, dt_s: float) -> Reading:
        """Take one sample, ``dt_s`` > 0 seconds after the previous one."""
        self._evidence = self._kernel.step(x, dt_s)
        return self.reading

    def tick(self, field: complex | None, dt_s: float) -> Reading:
        """Take the mean field at one tick.

        Parameters
        ----------
        field : complex or None
            T_global or Σw·u/Σw at the tick, modulus 0..1, turning at the band's frequency; None when the mesh has no
            phase.
        dt_s : float
            Seconds since the previous tick, > 0.

        Raises
        ------
        KernelError
            When the transducer was made for real samples, or ``dt_s`` is not finite and above 0.
        """
        if self._kernel.real:
            raise KernelError("a mean field for a transducer of real samples; make it with real=False")
        self._evidence = self._kernel.step(complex(math.nan, math.nan) if field is None else complex(field), dt_s)
        return self.reading

    def skip(self, seconds: float) -> None:
        """Let time pass without samples, ≥ 0 seconds."""
        self._kernel.skip(seconds)

    def clear(self) -> None:
        """Forget everything."""
        self._kernel.clear()
        self._evidence = None


def emissary(band: Band, *, floor: float, real: bool = True, p_false: float = 0.01) -> Transducer:
    """Make an Emissary: a transducer whose filter follows within 0.01 to 1 s.

    Parameters
    ----------
    band : Band
        With τ in 0.01..1 s. A short window is allowed, but needs τ_C ≥ −ln(p)·2πτ or so to decide anything.
    floor, real, p_false
        As for :class:`Transducer`.

    Raises
    ------
    KernelError
        When τ is out of that range.
    """
    least, most = EMISSARY_S
    if not least * (1.0 - _TOLERANCE) <= band.tau_s <= most * (1.0 + _TOLERANCE):
        raise KernelError(f"band {band.name}: an Emissary's τ is {least:g} to {most:g} s, not {band.tau_s:g} s")
    return Transducer(band, floor=floor, real=real, p_false=p_false)


def master(
    band: Band, *, tau_s: float = MASTER_S[0], floor: float, real: bool = False, p_false: float = 0.01
) -> Transducer:
    """Make a Master: a transducer that integrates over 60 to 3600 s.

    It listens through the same filter and at the same lag as the band's other transducers, so that T differs from
    theirs only by the time over which it was formed.

    Parameters
    ----------
    band : Band
        The band it listens to, with τ ≤ ``tau_s``/8; its own window is not used.
    tau_s : float
        Window, 60..3600 s.
    floor, real, p_false
        As for :class:`Transducer`; by default for a mean field.

    Raises
    ------
    KernelError
        When the window is out of that range, or too short for the band's filter.
    """
    least, most = MASTER_S
    if not least * (1.0 - _TOLERANCE) <= tau_s <= most * (1.0 + _TOLERANCE):
        raise KernelError(f"a Master integrates over {least:g} to {most:g} s, not {tau_s!r} s")
    if band.tau_s * MIN_COHERENCE_PER_TAU > tau_s * (1.0 + _TOLERANCE):
        raise KernelError(f"band {band.name}: τ = {band.tau_s:g} s needs a Master of at least "
                          f"{MIN_COHERENCE_PER_TAU * band.tau_s:g} s, not {tau_s:g} s")  # fmt: skip
    return Transducer(replace(band, coherence_tau_s=tau_s), floor=floor, real=real, p_false=p_false)
