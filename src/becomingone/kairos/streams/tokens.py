"""The encoder of tokens: a position 0..1 with a confidence 0..1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.streams.analog import LEAST_WEIGHT, AnalogEncoder
from becomingone.kairos.streams.encoded import Encoded
from becomingone.kairos.streams.encoding import Encoding, Kind
from becomingone.kairos.streams.timeline import Timeline

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TokenEncoder:
    """Conditions a stream of tokens; a position is a phase only if the stream was declared cyclic.

    Cyclic: each token is the phasor confidence·e^{2πi·position}, a complex stream as it stands. It is on the unit
    disc and needs neither mean nor scale; taking a mean away would move the angles. Below the floor of confidence it
    is 0 and silent.

    Not cyclic: the position is a real stream, conditioned like any sensor's, and the confidence is the weight with
    which a token counts for the mean and the scale. Whether it has a rhythm is for the demodulator to find.

    Parameters
    ----------
    encoding : Encoding
        Of kind token.

    Raises
    ------
    KernelError
        When it is of another kind.
    """

    __slots__ = ("_encoding", "_position", "_timeline")

    def __init__(self, encoding: Encoding) -> None:
        if encoding.kind is not Kind.TOKEN:
            raise KernelError(f"encoding {encoding.name} is of kind {encoding.kind.value}, not token")
        self._encoding = encoding
        self.clear()

    def clear(self) -> None:
        """Forget everything that was measured."""
        self._position = AnalogEncoder(self._encoding)
        self._timeline = Timeline(self._encoding.spacing_ns, self._encoding.jitter)

    def take(
        self, position: NDArray[np.float64], confidence: NDArray[np.float64], time_ns: NDArray[np.int64]
    ) -> list[Encoded]:
        """Take tokens with their times.

        Parameters
        ----------
        position, confidence : ndarray of float, shape (n,), n ≥ 1
            0..1, both ends included; a token with either outside of that, or of no confidence, is missing.
        time_ns : ndarray of int, shape (n,)
            Times in nanoseconds, ascending. Of tokens at one instant the first counts.

        Returns
        -------
        list of Encoded
            As :meth:`AnalogEncoder.take`; complex samples of a cyclic stream, real ones of another.

        Raises
        ------
        KernelError
            When nothing is given, shapes differ, times are no whole numbers or run backwards. Nothing has changed.
        """
        position, confidence = np.asarray(position, np.float64), np.asarray(confidence, np.float64)
        if position.shape != confidence.shape or position.ndim != 1:
            raise KernelError(f"shapes {position.shape} and {confidence.shape}; both must be (n,)")
        times = np.asarray(time_ns)
        if times.shape != position.shape or times.dtype.kind not in "iu":
            raise KernelError(f"times have shape {times.shape} and type {times.dtype}; they must be (n,) whole ns")
        there = (position >= 0.0) & (position <= 1.0) & (confidence >= LEAST_WEIGHT) & (confidence <= 1.0)
        weight = np.where(there, confidence, 0.0)
        if not self._encoding.cyclic:
            return self._position.take(np.where(there, position, np.nan), times, weight)
        runs, duplicates = self._timeline.runs(times.astype(np.int64))
        heard = there & (confidence >= self._encoding.floor)
        angle = 2.0 * np.pi * np.where(there, position, 0.0)
        phasors = np.where(heard, weight, 0.0) * np.exp(1j * angle)
        phasors[~there] = np.nan
        out = [
            Encoded(
                start_ns=run.start_ns,
                spacing_ns=run.spacing_ns,
                dt_s=run.dt_s if run.spacing_ns is None else None,
                samples=phasors[run.index],
                weight=weight[run.index],
                missing=~there[run.index],
                saturated=np.zeros(run.index.shape, dtype=np.bool_),
                silent=(there & ~heard)[run.index],
                gap_ns=run.gap_ns,
                irregular=run.spacing_ns is None,
                duplicates=0 if k else duplicates,
                mean=0j,
                rms=1.0,
            )
            for k, run in enumerate(runs)
        ]
        self._timeline.latest_ns = int(times[-1])
        return out
