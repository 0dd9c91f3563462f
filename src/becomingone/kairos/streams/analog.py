"""The encoder of a sensor whose samples are numbers, real or complex."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.streams.encoded import Encoded
from becomingone.kairos.streams.encoding import Encoding, Kind
from becomingone.kairos.streams.normalise import Normaliser
from becomingone.kairos.streams.timeline import Run, Timeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.streams.normalise import Array

LARGEST: Final = 1e100
"""A sample of larger modulus is treated as missing, like NaN: its square would overflow the running power."""

LEAST_WEIGHT: Final = 1e-100
"""A sample of smaller weight is treated as missing: nothing could be divided by it."""


class AnalogEncoder:
    """Conditions a stream of numbers: slow mean away, power 1, gaps, saturation and silence flagged.

    The result is the same to rounding however the stream is cut, and whether it comes as blocks or with times.

    Parameters
    ----------
    encoding : Encoding
        Of kind real, complex or token (whose positions are then real numbers).

    Attributes
    ----------
    duplicates : int
        Samples left out, at the instant of another, that the next result will tell of.

    Raises
    ------
    KernelError
        When the stream is one of events.

    Notes
    -----
    What mean and scale do to a rhythm: the mean's filter 1 − M(ω) leads by about 1/(ω·mean_tau_s) rad (see
    :meth:`response`). The scale is a positive number; as the power of a real sine ripples at 2ω, so does the scale,
    which leads by another 1/(8ω·scale_tau_s) rad (of complex samples it does not). Saturated
    samples are kept at the end of the range: whatever a static characteristic makes of cos θ is even in θ, so the
    fundamental of a clipped sine has its phase exactly, and only its size and harmonics are wrong (clipped at c times
    its amplitude on both sides the fundamental is (2/π)·(asin c + c·√(1 − c²)) of it). They do not count for mean and
    scale, which a sensor at its end says nothing about. At an onset |sample| is at most √(1/α), α = 1 − e^{−Δ/τ} of
    the scale, until the scale has followed.
    """

    __slots__ = ("_encoding", "_normaliser", "_real", "_timeline", "duplicates")

    def __init__(self, encoding: Encoding) -> None:
        if encoding.kind is Kind.EVENT:
            raise KernelError(f"encoding {encoding.name}: events are no numbers; use an event encoder")
        self._encoding = encoding
        self._real = encoding.kind is not Kind.COMPLEX
        self.clear()

    def clear(self) -> None:
        """Forget everything that was measured."""
        encoding = self._encoding
        self._timeline = Timeline(encoding.spacing_ns, encoding.jitter)
        self._normaliser = Normaliser(encoding.mean_tau_s, encoding.scale_tau_s, encoding.floor, real=self._real)
        self.duplicates = 0

    @property
    def mean(self) -> complex:
        """The slow mean in the sensor's unit."""
        return self._normaliser.mean

    @property
    def rms(self) -> float:
        """Root of the running power in the sensor's unit; 0 where nothing is known."""
        return self._normaliser.rms

    def response(self, omega: float, spacing_s: float | None = None) -> complex:
        """Return what taking the slow mean away does to a tone once it has settled: 1 − α/(1 − λe^{−iωΔ}).

        Parameters
        ----------
        omega : float
            In rad/s.
        spacing_s : float, optional
            Spacing Δ in seconds; default the nominal one.

        Returns
        -------
        complex
            Divide by it to undo it; its angle is how far the phase leads.
        """
        spacing = self._encoding.spacing_ns * 1e-9 if spacing_s is None else spacing_s
        lam = np.exp(-spacing / self._encoding.mean_tau_s)
        turn = np.exp(-1j * omega * spacing)
        return complex(lam * (1.0 - turn) / (1.0 - lam * turn))

    def block(self, x: Array, start_ns: int, spacing_ns: float) -> Encoded:
        """Take uniform samples.

        Parameters
        ----------
        x : ndarray of float or complex, shape (n,), n ≥ 1
            In the sensor's unit; NaN, infinities and moduli beyond 1e100 are missing.
        start_ns : int
            Time of the first sample in nanoseconds, later than the latest one.
        spacing_ns : float
            Nanoseconds between them, > 0; need not be the nominal spacing.

        Raises
        ------
        KernelError
            When the block is empty or not one-dimensional, complex in a real stream, time runs backwards, or a value
            is out of its range. Nothing has changed then.
        """
        x = self._checked(x)
        gap_ns, irregular = self._timeline.lead(start_ns, spacing_ns)
        n = len(x)
        if gap_ns:
            self._normaliser.skip(gap_ns * 1e-9)
        self._timeline.latest_ns = start_ns + round((n - 1) * spacing_ns)
        step = np.full(n, spacing_ns * 1e-9)
        run = Run(np.arange(n, dtype=np.intp), step, step, start_ns, spacing_ns, gap_ns, gap_ns)
        return self._encoded(x, np.ones(n), run, irregular=irregular)

    def take(self, x: Array, time_ns: NDArray[np.int64], weight: NDArray[np.float64] | None = None) -> list[Encoded]:
        """Take samples with their times, of any spacing.

        Parameters
        ----------
        x : ndarray of float or complex, shape (n,), n ≥ 1
            As for :meth:`block`.
        time_ns : ndarray of int, shape (n,)
            Times in nanoseconds, ascending. Of samples at one instant the first counts, the others are dropped.
        weight : ndarray of float, shape (n,), optional
            How much each sample counts for mean and scale, 0..1; what is not, or is below 1e-100, makes it missing.

        Returns
        -------
        list of Encoded
            One for each stretch between gaps, evenly spaced as far as the times are; empty if all were duplicates.

        Raises
        ------
        KernelError
            When nothing is given, shapes differ, times are no whole numbers or run backwards. Nothing has changed.
        """
        x = self._checked(x)
        times = np.asarray(time_ns)
        if times.shape != x.shape or times.dtype.kind not in "iu":
            raise KernelError(f"times have shape {times.shape} and type {times.dtype}; they must be {x.shape} whole ns")
        weights = np.ones(x.shape[0]) if weight is None else np.asarray(weight, dtype=np.float64)
        if weights.shape != x.shape:
            raise KernelError(f"weights have shape {weights.shape} and samples {x.shape}; they must be the same")
        runs, duplicates = self._timeline.runs(times.astype(np.int64))
        self.duplicates += duplicates
        out: list[Encoded] = []
        for run in runs:
            if run.lost_ns:
                self._normaliser.skip(run.lost_ns * 1e-9)
            part, irregular = run.index, run.spacing_ns is None
            out.append(self._encoded(x[part], weights[part], run, irregular=irregular))
        self._timeline.latest_ns = int(times[-1])
        return out

    def _checked(self, x: Array) -> Array:
        if x.ndim != 1 or not x.shape[0]:
            raise KernelError(f"samples have shape {x.shape}; it must be (n,) with n at least 1")
        if not self._real:
            return np.asarray(x, dtype=np.complex128)
        if np.iscomplexobj(x):
            raise KernelError(f"encoding {self._encoding.name}: complex samples in a real stream")
        return np.asarray(x, dtype=np.float64)

    def _encoded(self, x: Array, weight: NDArray[np.float64], run: Run, *, irregular: bool) -> Encoded:
        """Condition a run of samples and say what is wrong with them."""
        duplicates, self.duplicates = self.duplicates, 0
        with np.errstate(over="ignore"):
            missing = ~((np.abs(x) <= LARGEST) & (weight >= LEAST_WEIGHT) & (weight <= 1.0))
        x = np.where(missing, 0.0, x)
        x, saturated = self._clipped(x)
        saturated &= ~missing
        counts = np.where(missing | saturated, 0.0, weight)
        samples, silent = self._normaliser.run(x, counts, run.stands_s)
        samples[missing] = np.nan
        return Encoded(
            start_ns=run.start_ns,
            spacing_ns=run.spacing_ns,
            dt_s=run.dt_s if run.spacing_ns is None else None,
            samples=samples,
            weight=np.where(missing, 0.0, weight),
            missing=missing,
            saturated=saturated,
            silent=silent & ~missing,
            gap_ns=run.gap_ns,
            irregular=irregular,
            duplicates=duplicates,
            mean=self._normaliser.mean,
            rms=self._normaliser.rms,
        )

    def _clipped(self, x: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Bring samples into the range, and say which stood at its ends."""
        low, high = self._encoding.low, self._encoding.high
        if self._encoding.kind is Kind.TOKEN or (low == -np.inf and high == np.inf):
            return x, np.zeros(len(x), dtype=np.bool_)
        clipped: Array = np.empty_like(x)
        np.clip(x.real, low, high, out=clipped.real)
        if self._real:
            return clipped, _at_end(x.real, low, high)
        np.clip(x.imag, low, high, out=clipped.imag)
        return clipped, _at_end(x.real, low, high) | _at_end(x.imag, low, high)


def _at_end(x: NDArray[np.float64], low: float, high: float) -> NDArray[np.bool_]:
    """Whether each number is at or beyond an end of the range."""
    return (x <= low) | (x >= high)
