"""BLEND: phasors remembered over many time scales at once, by a bank of lazily decayed sums.

Each scale τ_k holds S_k = Σw·u·e^{−(t−t_i)/τ_k}, W_k = Σw·e^{…} and Σw²·e^{−2…} of everything that was ever inserted.
All three are linear in the insertions, so their order does not matter, late ones are exact, and banks add up.

The sums are kept undecayed, as of a landmark per scale (forward decay: G. Cormode et al., ICDE 2009), and only moved
when the newest time passes the next landmark, 16 e-foldings on. Decaying them at every insertion would multiply by
e^{−Δ/τ}, which rounds to 1 for Δ/τ < 1e-16 and would never forget.

The memory is **logarithmic in time, not lossless**: N insertions become 3·K numbers, in which an event of age t is
known to a factor of about c in time. What was inserted cannot be got back.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypedDict

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.memory.intake import MAX_TIME_US, checked
from becomingone.kairos.memory.scales import Scales

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.memory.log_time import LogTime

FOLDINGS: Final = 16.0
"""e-foldings from one landmark to the next: few enough that nothing overflows, many enough to move seldom."""

_CHUNK: Final = 2048


class BlendState(TypedDict):
    """The whole content of a bank, as plain arrays and values; K scales."""

    tau_us: NDArray[np.float64]
    """Time constants in microseconds, shape (K,)."""
    time_us: NDArray[np.int64]
    """Landmarks: the time as of which the sums are given, shape (K,); of no meaning in an empty bank."""
    sum: NDArray[np.complex128]
    """S_k, shape (K,)."""
    weight: NDArray[np.float64]
    """W_k, shape (K,)."""
    square: NDArray[np.float64]
    """Sum of squared weights, shape (K,)."""
    count: int
    """Number of insertions with a phase and a weight."""
    oldest_us: int
    newest_us: int


class Blend:
    """A bank of leaky phasor sums of one stream.

    The phasor must be one that stands still while the rhythm is steady: a temporal resonance T_τ, a phase difference,
    or a phase turned back by its band's carrier (:func:`becomingone.kairos.memory.intake.turned_back`). The raw phase
    of an oscillation goes round, and its mean over many periods is 0 however steady it is.

    Parameters
    ----------
    tau_us : ndarray of float, shape (K,), K ≥ 1
        Time constants in microseconds, 1e-3..1e17, ascending: ``LogTime.of(…).tau_us``.

    Raises
    ------
    KernelError
        When a time constant is out of its range or they do not ascend.

    Notes
    -----
    Phase-weighted memory: give C as the **weight** of a unit phasor, and an incoherent moment counts for little
    beside a coherent one, now and ever after. Give C·u with weight 1, and it counts fully, as a moment without a
    phase. The rate of fading is the same for both; see :mod:`becomingone.kairos.memory.forgetting`.

    A time from the future ages everything before it for good: check clocks first.
    """

    __slots__ = ("_count", "_landmark", "_newest", "_oldest", "_square", "_step", "_sum", "_tau", "_weight")

    def __init__(self, tau_us: NDArray[np.float64]) -> None:
        tau = np.array(tau_us, dtype=np.float64)
        if tau.ndim != 1 or tau.shape[0] == 0 or not ((tau >= 1e-3) & (tau <= 1e17)).all() or (np.diff(tau) <= 0).any():
            raise KernelError("tau_us must be a row of ascending time constants within 1e-3..1e17 µs")
        scales = tau.shape[0]
        self._tau = tau
        self._step: NDArray[np.int64] = np.maximum(1, np.rint(FOLDINGS * tau)).astype(np.int64)
        self._landmark: NDArray[np.int64] = np.zeros(scales, dtype=np.int64)
        self._sum: NDArray[np.complex128] = np.zeros(scales, dtype=np.complex128)
        self._weight: NDArray[np.float64] = np.zeros(scales)
        self._square: NDArray[np.float64] = np.zeros(scales)
        self._count = 0
        self._oldest = 0
        self._newest = 0

    @property
    def count(self) -> int:
        """Number of insertions that had a phase and a weight."""
        return self._count

    @property
    def newest_us(self) -> int | None:
        """The latest time inserted; None in an empty bank."""
        return self._newest if self._count else None

    @property
    def oldest_us(self) -> int | None:
        """The earliest time inserted; None in an empty bank."""
        return self._oldest if self._count else None

    def insert(self, time_us: int, phasor: complex, weight: float = 1.0) -> None:
        """Insert one phasor, at any time; as :meth:`insert_block` with arrays of one."""
        self.insert_block(np.array([time_us]), np.array([phasor], dtype=np.complex128), np.array([weight]))

    def insert_block(
        self,
        time_us: NDArray[np.int64],
        phasor: NDArray[np.complex128],
        weight: NDArray[np.float64] | None = None,
    ) -> None:
        """Insert phasors, in any order; O(K) each.

        Parameters
        ----------
        time_us : ndarray of int, shape (n,)
            Times in microseconds, |t| ≤ 2^60; earlier ones than before are as good as later ones.
        phasor : ndarray of complex, shape (n,)
            In the unit disc; 0 is "no phase" and adds neither to sum nor weight.
        weight : ndarray of float, shape (n,), optional
            0, or 1e-100..1e100; default 1. Coherence, for a phase-weighted memory.

        Raises
        ------
        KernelError
            When a value is out of its range; nothing is then inserted.
        """
        times, u, w = checked(time_us, phasor, weight)
        if not times.shape[0]:
            return
        newest = int(times.max())
        self._advance(max(newest, self._newest) if self._count else newest)
        for start in range(0, times.shape[0], _CHUNK):
            part = slice(start, start + _CHUNK)
            decay = np.exp((times[part, None] - self._landmark) / self._tau)
            self._sum += (w[part] * u[part]) @ decay
            self._weight += w[part] @ decay
            self._square += (w[part] * w[part]) @ (decay * decay)
        oldest = int(times.min())
        self._oldest = min(oldest, self._oldest) if self._count else oldest
        self._newest = max(newest, self._newest) if self._count else newest
        self._count += times.shape[0]

    def _advance(self, newest: int) -> None:
        """Move the landmarks to the last ones at or before this time, and the sums with them."""
        target = newest // self._step * self._step
        if self._count:
            decay = np.exp((self._landmark - target) / self._tau)
            self._sum *= decay
            self._weight *= decay
            self._square *= decay * decay
        self._landmark = target

    def scales(self, time_us: int | None = None) -> Scales:
        """Return what each scale holds at a time.

        Parameters
        ----------
        time_us : int, optional
            Not before the newest insertion, which is the default. Silence changes weights only.

        Raises
        ------
        KernelError
            When the time is before the newest insertion: sums cannot be undone (a Pyramid remembers moments).
        """
        decay = np.exp(-self._foldings(time_us))
        if not self._count:
            zero = np.zeros(self._tau.shape[0])
            return Scales(self._tau.copy(), zero.astype(np.complex128), zero, zero.copy())
        mean = self._sum / self._weight
        return Scales(self._tau.copy(), mean, self._weight * decay, self._weight**2 / self._square)

    def mean(self, log_time: LogTime, time_us: int | None = None) -> Scales:
        """Return the mean over all scales, Σv_k·S_k/Σv_k·W_k: each insertion weighted by w·k(its age), about w/age.

        The kernel's range should begin at the spacing of the insertions: from 1 µs on, an insertion just made counts
        50,000 times as much as one of 50 ms ago, and the mean is little else.

        Parameters
        ----------
        log_time : LogTime
            Weights v_k for the bank's own time constants.
        time_us : int, optional
            As for :meth:`scales`.

        Returns
        -------
        Scales
            One row. Its ``n_eff`` is a lower bound (Minkowski: √Σ(Σ_k a_k)² ≤ Σ_k√Σa_k²), its ``weight`` Σw·k(age) in
            1/µs.

        Raises
        ------
        KernelError
            When the time constants differ, or the time is before the newest insertion.
        """
        if not np.array_equal(log_time.tau_us, self._tau):
            raise KernelError("the weights are for other time constants than the bank's")
        foldings = self._foldings(time_us)
        if not self._count:
            zero = np.zeros(1)
            return Scales(np.full(1, np.nan), zero.astype(np.complex128), zero, zero.copy())
        # As seen by the slowest scale, so that the ratio stands however long the silence.
        least = float(foldings.min())
        share = log_time.weight * np.exp(least - foldings)
        weight = float(share @ self._weight)
        return Scales(
            np.full(1, np.nan),
            np.array([complex(share @ self._sum) / weight]),
            np.array([weight * math.exp(-least)]),
            np.array([(weight / float(share @ np.sqrt(self._square))) ** 2]),
        )

    def _foldings(self, time_us: int | None) -> NDArray[np.float64]:
        """How many time constants each landmark lies back, ≥ 0."""
        time = self._newest if time_us is None else time_us
        if self._count and time < self._newest:
            raise KernelError(f"time {time} µs is before the newest insertion, {self._newest} µs")
        if abs(time) > MAX_TIME_US:
            raise KernelError(f"time {time} µs; at most 2^60 µs from 0 is allowed")
        return (time - self._landmark) / self._tau

    def __add__(self, other: Blend) -> Blend:
        """Return the bank of everything inserted into either; both stay as they are."""
        if not np.array_equal(self._tau, other._tau):
            raise KernelError("banks with different time constants cannot be merged")
        first = Blend.from_state(self.state())
        if not other._count:
            return first
        second = Blend.from_state(other.state())
        if not first._count:
            return second
        newest = max(first._newest, second._newest)
        first._advance(newest)
        second._advance(newest)
        first._sum += second._sum
        first._weight += second._weight
        first._square += second._square
        first._oldest = min(first._oldest, second._oldest)
        first._newest = newest
        first._count += second._count
        return first

    def state(self) -> BlendState:
        """Return a copy of the whole content; :meth:`from_state` gives the same bank bit for bit."""
        return {
            "tau_us": self._tau.copy(),
            "time_us": self._landmark.copy(),
            "sum": self._sum.copy(),
            "weight": self._weight.copy(),
            "square": self._square.copy(),
            "count": self._count,
            "oldest_us": self._oldest,
            "newest_us": self._newest,
        }

    @classmethod
    def from_state(cls, state: BlendState) -> Blend:
        """Make a bank from what :meth:`state` gave.

        Raises
        ------
        KernelError
            When the arrays cannot have come from a bank.
        """
        bank = cls(state["tau_us"])
        shape = bank._tau.shape
        landmark = np.array(state["time_us"], dtype=np.int64)
        total = np.array(state["sum"], dtype=np.complex128)
        weight = np.array(state["weight"], dtype=np.float64)
        square = np.array(state["square"], dtype=np.float64)
        count, oldest, newest = int(state["count"]), int(state["oldest_us"]), int(state["newest_us"])
        if not shape == landmark.shape == total.shape == weight.shape == square.shape:
            raise KernelError("a bank's state needs arrays of one length")
        if not (np.isfinite(total).all() and np.isfinite(weight).all() and np.isfinite(square).all()):
            raise KernelError("a bank's state has a value that is not finite")
        if count < 0 or max(abs(oldest), abs(newest)) > MAX_TIME_US or oldest > newest:
            raise KernelError("a bank's state has a negative count or times that run backwards")
        if count and ((weight <= 0.0) | (square <= 0.0) | (np.abs(total) > weight * (1.0 + 1e-9))).any():
            raise KernelError("a bank's state has a weight that is not above 0, or a sum greater than its weight")
        if count and (landmark != newest // bank._step * bank._step).any():
            raise KernelError("a bank's state has a landmark that does not belong to its newest time")
        bank._landmark, bank._sum, bank._weight, bank._square = landmark, total, weight, square
        bank._count, bank._oldest, bank._newest = count, oldest, newest
        return bank
