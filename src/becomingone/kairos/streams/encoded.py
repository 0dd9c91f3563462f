"""A conditioned stretch of a sensor's stream, with everything that is wrong with it said beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Samples between two gaps, evenly spaced or with their own times.

    Hand it on like this: let ``gap_ns`` pass first (``skip``); then, if ``spacing_ns`` is given, take ``samples`` as
    one block of that spacing, else each sample as a step of its ``dt_s``.

    Parameters
    ----------
    start_ns : int
        Time of the first sample in nanoseconds.
    spacing_ns : float or None
        Nanoseconds between samples, > 0; None where they are not evenly spaced.
    dt_s : ndarray of float, shape (n,), or None
        Seconds since the previous sample, or since the end of the gap; None where evenly spaced.
    samples : ndarray of float64 or complex128, shape (n,)
        Without slow mean, of power 1 (mean square, or mean squared modulus); NaN where missing, 0 where silent. Real
        streams stay real numbers, because what follows must remove their image.
    weight : ndarray of float, shape (n,)
        0..1: 0 where missing, else 1, or a token's confidence.
    missing : ndarray of bool, shape (n,)
        The sensor gave no usable number.
    saturated : ndarray of bool, shape (n,)
        The sensor stood at an end of its range, or the value was beyond it (then the end was taken). The phase of a
        clipped sine is right; its size and its harmonics are not.
    silent : ndarray of bool, shape (n,)
        Less power than the sensor can tell from its own noise, so nothing was scaled up.
    gap_ns : float
        Nanoseconds that are missing before the first sample, 0 where it follows directly.
    irregular : bool
        A time was off by more than the declared jitter.
    duplicates : int
        Samples told twice, for one instant, and dropped.
    mean : complex
        The slow mean at the last sample, in the sensor's unit (float of a real stream).
    rms : float
        What samples were divided by at the last one, in the sensor's unit; 0 where nothing is known. Times this, they
        are deviations in the sensor's unit again.
    """

    start_ns: int
    spacing_ns: float | None
    dt_s: NDArray[np.float64] | None
    samples: NDArray[np.float64] | NDArray[np.complex128]
    weight: NDArray[np.float64]
    missing: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    gap_ns: float
    irregular: bool
    duplicates: int
    mean: complex
    rms: float

    @property
    def gap(self) -> bool:
        """Whether anything is missing, before the stretch or in it."""
        return self.gap_ns > 0.0 or bool(self.missing.any())

    @property
    def saturated_share(self) -> float:
        """Share of the samples that are there which are saturated, 0..1."""
        there = self.missing.shape[0] - int(np.count_nonzero(self.missing))
        return int(np.count_nonzero(self.saturated)) / there if there else 0.0

    @property
    def times_ns(self) -> NDArray[np.int64]:
        """Time of each sample in nanoseconds, rounded."""
        if self.dt_s is not None:
            steps = np.round(self.dt_s * 1e9).astype(np.int64)
            steps[0] = 0
            irregular: NDArray[np.int64] = self.start_ns + np.cumsum(steps)
            return irregular
        spacing = 0.0 if self.spacing_ns is None else self.spacing_ns
        offsets = np.round(np.arange(self.samples.shape[0], dtype=np.float64) * spacing).astype(np.int64)
        even: NDArray[np.int64] = self.start_ns + offsets
        return even
