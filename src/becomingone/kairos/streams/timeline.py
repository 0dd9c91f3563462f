"""Which samples follow each other evenly, which do not, and where time is missing between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_TIME_NS: Final = 2**61
"""Times lie within ± this, 73 years, so that differences cannot overflow."""

LATE: Final = 3.0
"""Spacings after which a sample is preceded by a gap, however odd the interval; an interval of a whole number of
spacings, to within the jitter, is one from the second on: samples were lost."""

BLOCK_LATE: Final = 0.5
"""Spacings by which a block may begin later than the previous one ended and still follow without a gap."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Samples without a gap between them.

    Parameters
    ----------
    index : ndarray of int, shape (n,)
        Which of the samples asked about.
    dt_s : ndarray of float, shape (n,)
        Seconds since the previous sample, or since the end of the gap.
    stands_s : ndarray of float, shape (n,)
        Seconds that each sample stands for: the nominal spacing where regular, so that jitter of the times is no
        jitter of the weights, else ``dt_s``.
    start_ns : int
    spacing_ns : float or None
        None where a time is off by more than the jitter.
    gap_ns : float
        What is missing before the first sample, such that the sample lies ``spacing_ns`` (where uneven ``dt_s``) after
        its end.
    lost_ns : float
        The same, less one nominal spacing instead: it does not depend on what follows.
    """

    index: NDArray[np.intp]
    dt_s: NDArray[np.float64]
    stands_s: NDArray[np.float64]
    start_ns: int
    spacing_ns: float | None
    gap_ns: float
    lost_ns: float


class Timeline:
    """The time of the latest sample, against which the next ones are held.

    Parameters
    ----------
    spacing_ns : float
        Nominal spacing in nanoseconds, > 0.
    jitter : float
        Share of the spacing, 0..0.25.

    Attributes
    ----------
    latest_ns : int or None
        Time of the latest sample; the caller moves it on once nothing can fail any more.
    """

    __slots__ = ("_jitter", "_spacing_ns", "latest_ns")

    def __init__(self, spacing_ns: float, jitter: float) -> None:
        self._spacing_ns = spacing_ns
        self._jitter = jitter
        self.latest_ns: int | None = None

    def lead(self, start_ns: int, spacing_ns: float) -> tuple[float, bool]:
        """Hold the start of a block of uniform samples against the previous ones.

        Parameters
        ----------
        start_ns : int
            Time of the block's first sample.
        spacing_ns : float
            The block's own spacing.

        Returns
        -------
        gap_ns : float
            Time that is missing before it; 0 if none.
        irregular : bool
            It begins off its time by more than the jitter.

        Raises
        ------
        KernelError
            When the first sample is not later than the latest one, or the spacing is not above 0.
        """
        if not (math.isfinite(spacing_ns) and spacing_ns > 0.0):
            raise KernelError(f"spacing_ns is {spacing_ns!r}; it must be finite and above 0")
        if not abs(start_ns) <= MAX_TIME_NS:
            raise KernelError(f"start_ns is {start_ns!r}; it must be within ±2^61 ns")
        if self.latest_ns is None:
            return 0.0, False
        if start_ns <= self.latest_ns:
            raise KernelError(
                f"time runs backwards: a block begins at {start_ns} ns, the latest sample {self.latest_ns}"
            )
        late = start_ns - self.latest_ns - spacing_ns
        return (late if late > BLOCK_LATE * spacing_ns else 0.0), abs(late) > self._jitter * spacing_ns

    def runs(self, time_ns: NDArray[np.int64]) -> tuple[list[Run], int]:
        """Divide samples into runs without gaps; of samples at one instant the first counts.

        Parameters
        ----------
        time_ns : ndarray of int, shape (n,)
            Times in nanoseconds, in ascending order.

        Returns
        -------
        runs : list of Run
        duplicates : int
            Samples that are left out, at the instant of another.

        Raises
        ------
        KernelError
            When time runs backwards, or a time is out of its range.
        """
        if not time_ns.shape[0]:
            raise KernelError("no samples were given; an empty stretch has no time")
        if int(time_ns.max()) > MAX_TIME_NS or int(time_ns.min()) < -MAX_TIME_NS:
            raise KernelError("a time is more than 2^61 ns from 0")
        before = time_ns[0] if self.latest_ns is None else self.latest_ns
        passed = np.diff(time_ns, prepend=before)
        if (passed < 0).any():
            first = int(np.flatnonzero(passed < 0)[0])
            raise KernelError(
                f"time runs backwards: sample {first} is at {time_ns[first]} ns, before the one before it"
            )
        fresh = passed > 0
        if self.latest_ns is None:
            fresh[0] = True
        kept = np.flatnonzero(fresh)
        dt = passed[kept].astype(np.float64)
        if self.latest_ns is None:
            dt[0] = self._spacing_ns
        gaps = self._gaps(dt)
        starts = np.flatnonzero(gaps > 0.0)
        edges = [0, *starts[starts > 0].tolist(), kept.shape[0]]
        runs = [self._run(kept[a:b], time_ns[kept[a:b]], dt[a:b], float(gaps[a])) for a, b in pairwise(edges) if b > a]
        return runs, int(time_ns.shape[0] - kept.shape[0])

    def _gaps(self, dt: NDArray[np.float64]) -> NDArray[np.float64]:
        """Nanoseconds that are missing before each sample, beyond one spacing."""
        spacings = dt / self._spacing_ns
        whole = np.round(spacings)
        lost = (whole >= 2.0) & (np.abs(spacings - whole) <= self._jitter)
        gaps: NDArray[np.float64] = np.where(lost | (spacings > LATE), dt - self._spacing_ns, 0.0)
        return gaps

    def _run(self, index: NDArray[np.intp], time_ns: NDArray[np.int64], dt: NDArray[np.float64], lost_ns: float) -> Run:
        """Judge samples between two gaps."""
        spacing, slack = self._spacing_ns, self._jitter * self._spacing_ns
        continued = lost_ns == 0.0 and self.latest_ns is not None  # all other runs begin with a gap, or with the stream
        steps = dt.copy()
        if lost_ns > 0.0:
            steps[0] = spacing
        regular = np.abs(steps - spacing) <= slack
        # From the sample before, if it follows directly, so that no time is lost from one run to the next.
        origin, first = (float(-steps[0]), 1) if continued else (0.0, 0)
        offsets = (time_ns - time_ns[0]).astype(np.float64)
        count = index.shape[0] - 1 + first
        even = (float(offsets[-1]) - origin) / count if count else spacing
        line = origin + even * np.arange(first, first + index.shape[0], dtype=np.float64)
        uniform = bool(regular.all()) and float(np.abs(offsets - line).max()) <= slack
        stands = np.where(regular, spacing, steps)
        gap_ns = float(dt[0]) - even if uniform and lost_ns > 0.0 else lost_ns
        return Run(index, steps * 1e-9, stands * 1e-9, int(time_ns[0]), even if uniform else None, gap_ns, lost_ns)
