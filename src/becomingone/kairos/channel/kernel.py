"""One channel in one band: from samples to phase, coherence, frequency and temporal resonance.

The stages are files of their own (demodulate, reader, rhythm), run in order by chain; this one is what a caller
sees. The result is the same to rounding for any split of the stream, whenever it is looked at.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.channel.chain import WARM_UP_PERIODS, Chain
from becomingone.kairos.channel.coherence import circular_sigma, p_noise
from becomingone.kairos.channel.phase_block import PhaseBlock
from becomingone.kairos.channel.timing import Samples
from becomingone.kairos.rayleigh import unbiased

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.bands import Band

__all__ = ["WARM_UP_PERIODS", "ChannelKernel", "PhaseBlock"]

LARGEST: Final = 1e100
"""A sample beyond this is treated as missing, like NaN: its square would overflow the running power."""


class ChannelKernel:
    """Streaming phase and coherence of one channel in one band; memory is constant in the length of the run.

    Parameters
    ----------
    band : Band
        Frequency, filter time constant, lag and coherence window.
    floor : float
        Amplitude in the sensor's unit, ≥ 0, below which there is no phase; applied before any scaling, because
        scaling a silent sensor to unit power would amplify its noise into an invented phase.
    real : bool
        Whether samples are real (their spectrum then has an image at −ω, which is removed) or complex.
    p_false : float
        Probability of a false alarm, 0 < p < 1, for which ``decidable`` is reported.

    Raises
    ------
    KernelError
        When ``floor`` is negative or not finite, or ``p_false`` is outside 0..1.
    """

    def __init__(self, band: Band, *, floor: float, real: bool = True, p_false: float = 0.01) -> None:
        if not (math.isfinite(floor) and floor >= 0.0):
            raise KernelError(f"floor is {floor!r}; it must be finite and at least 0, in the sensor's unit")
        if not 0.0 < p_false < 1.0:
            raise KernelError(f"p_false is {p_false!r}; it must be above 0 and below 1")
        self.band = band
        self.floor = floor
        self.real = real
        self.p_false = p_false
        self._gap = False
        self._last: complex = 0.0
        self._chain = Chain(band, floor, real=real)

    def clear(self) -> None:
        """Forget everything that was measured."""
        self._gap = False
        self._last = 0.0
        self._chain = Chain(self.band, self.floor, real=self.real)

    def block(self, x: Samples, spacing_s: float, *, gap: bool = False) -> PhaseBlock:
        """Take uniform samples that follow directly on the previous one.

        Parameters
        ----------
        x : ndarray of float or complex, shape (n,), n ≥ 1
            Samples in the sensor's unit. The first lies ``spacing_s`` after the previous sample (or after the end of
            the latest ``skip``). NaN, infinities and values beyond 1e100 are missing samples.
        spacing_s : float
            Spacing in seconds, > 0.
        gap : bool
            Flag the result as having a gap. Tell how long it was with ``skip`` before.

        Raises
        ------
        KernelError
            When the block is empty or not one-dimensional, complex in a real channel, or the spacing is not above 0.
        """
        samples = self._checked(x)
        chain = self._chain
        timing = chain.timing_for(spacing_s)
        n = samples.shape[0]
        phasors = np.zeros(n, dtype=np.complex128)
        # A NaN makes this false too.
        missing = not np.abs(samples).max() <= LARGEST
        if not missing:
            chain.run(samples, timing, phasors)
        else:
            usable = np.abs(samples) <= LARGEST
            # Stretches of present and of missing samples, in turn.
            edges = [0, *(np.flatnonzero(usable[1:] != usable[:-1]) + 1).tolist(), n]
            for start, stop in itertools.pairwise(edges):
                if usable[start]:
                    chain.run(samples[start:stop], timing, phasors[start:stop])
                else:
                    chain.wait((stop - start) * spacing_s)
        self._gap = self._gap or gap or missing
        self._last = phasors[-1].item()
        return self._report(phasors)

    def feed(self, x: float | complex, dt_s: float) -> complex:
        """Take one sample; return its phasor, or 0, and leave the figures for :meth:`report`.

        Parameters
        ----------
        x : float or complex
            The sample; not finite, or beyond 1e100, counts as missing.
        dt_s : float
            Seconds since the previous sample (or since the end of the latest ``skip``), > 0.

        Raises
        ------
        KernelError
            When ``dt_s`` is not finite and above 0, or ``x`` is complex in a real channel.

        Notes
        -----
        Phase, coherence and frequency use the time each sample stands for. The lagged figures (resonance, ω̂) put the
        samples into slots of the first spacing seen; where slots stay empty they rest on fewer pairs.
        """
        chain = self._chain
        # The way of nearly all samples, with as few questions as there can be.
        if dt_s == chain.regular_s and type(x) is float and -LARGEST <= x <= LARGEST:
            self._last = chain.sample(x)
            return self._last
        if isinstance(x, complex) and self.real:
            raise KernelError("a complex sample in a channel that was declared real")
        usable = abs(x) <= LARGEST
        if usable and dt_s == chain.regular_s:
            self._last = chain.sample(x)
            return self._last
        timing = chain.timing_for(dt_s)
        if usable:
            self._last = chain.irregular(x, timing)
        else:
            self._gap = True
            self._last = 0.0
            chain.wait(dt_s)
        return self._last

    def report(self) -> PhaseBlock:
        """Return the figures that hold at the last sample, with that one's phasor."""
        return self._report(np.array([self._last], dtype=np.complex128))

    def step(self, x: complex, dt_s: float) -> PhaseBlock:
        """Take one sample, see :meth:`feed`, and return the figures that hold at it."""
        self.feed(x, dt_s)
        return self.report()

    def skip(self, seconds: float) -> None:
        """Let time pass without samples.

        Every mean keeps its value and loses weight, the filter's phase goes on at ω₀ and the coherence's reference at
        ω̂; the lag's ring is filled with "undefined". After more than one lag the channel warms up anew.

        Parameters
        ----------
        seconds : float
            Duration, ≥ 0 and finite.

        Raises
        ------
        KernelError
            When it is negative or not finite.
        """
        if not (math.isfinite(seconds) and seconds >= 0.0):
            raise KernelError(f"skip of {seconds!r} s; it must be finite and at least 0")
        if seconds > 0.0:
            self._chain.wait(seconds)
            self._gap = True

    def _checked(self, x: Samples) -> Samples:
        if x.ndim != 1 or x.shape[0] == 0:
            raise KernelError(f"a block of shape {x.shape}; it must be one-dimensional and hold at least one sample")
        if np.iscomplexobj(x) and self.real:
            raise KernelError("complex samples in a channel that was declared real")
        if self.real:
            return np.asarray(x, dtype=np.float64)
        return np.asarray(x, dtype=np.complex128)

    def _report(self, phasors: NDArray[np.complex128]) -> PhaseBlock:
        """Put together what holds at the last sample."""
        gap, self._gap = self._gap, False
        chain = self._chain
        chain.catch_up()
        rhythm = chain.rhythm
        if self._last == 0.0 or rhythm is None:
            raw, resonance, n_eff, p = 0.0, None, 1.0, 1.0
        else:
            raw, resonance = rhythm.coherence, rhythm.resonance
            n_eff = 1.0 if resonance is None else rhythm.n_eff
            p = 1.0 if resonance is None else p_noise(abs(resonance), n_eff)
        sigma = circular_sigma(raw)
        return PhaseBlock(
            phasors=phasors,
            coherence=unbiased(raw, rhythm.n_white) if raw and rhythm is not None else 0.0,
            n_eff=n_eff,
            p=p,
            omega=chain.omega,
            # A phase noise σ that is correlated over the window cannot be told from a slope of σ√2 per window.
            omega_sigma=math.sqrt(2.0) * sigma / self.band.coherence_tau_s,
            phase_sigma=sigma,
            resonance=resonance,
            amplitude=chain.reader.amplitude,
            valid=self._last != 0.0,
            decidable=n_eff >= -math.log(self.p_false),
            gap=gap,
        )
