"""Many phase witnesses at once: the filter of `witness.Witness`, a row each, at the price of a few numpy passes.

Row by row it is the same as a `Witness` with ``circular=True`` and ``advance=0``, to rounding. What a phase is expected
to do from one sample to the next is turned back by whoever gives the values.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.witnessing.bank_columns import COLUMNS, BankStep
from becomingone.kairos.witnessing.innovations import STEP, least_gain
from becomingone.kairos.witnessing.tails import KNOWN
from becomingone.kairos.witnessing.track import LARGEST
from becomingone.kairos.witnessing.witness import LARGEST_ANGLE, LEAST_EPOCH, RECENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SETTLED: Final = 1e-6
_NOTHING: Final = 1e-12
_SIGMAS: Final = 4.0
_TURN: Final = 2.0 * math.pi


class WitnessBank:
    """Witnesses of phases, by row.

    Parameters
    ----------
    epoch : int
        Innovations from one application of G to the next, ≥ 32.
    first : int, optional
        The same for a row whose scale is not known, or that is lost, ≥ 32: what knows nothing learns sooner.
    gain : float
        K to begin with, 1/√first..1.
    floor : float
        Least scale by which innovations are measured, rad², ≥ 0.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """

    def __init__(self, *, epoch: int = 256, first: int | None = None, gain: float = 0.5, floor: float = 0.0) -> None:
        first = epoch if first is None else first
        if min(epoch, first) < LEAST_EPOCH:
            raise KernelError(f"epochs of {epoch!r} and {first!r}; they must be at least {LEAST_EPOCH} innovations")
        if not least_gain(first) <= gain <= 1.0:
            raise KernelError(f"gain is {gain!r}; it must be within 1/√first = {least_gain(first):.3g}..1")
        if not (math.isfinite(floor) and floor >= 0.0):
            raise KernelError(f"floor is {floor!r}; it must be finite and at least 0")
        self._epoch = epoch
        self._first = first
        self._gain = gain
        self._floor = floor
        self._columns: dict[str, NDArray[Any]] = {name: np.zeros(0, dtype) for name, dtype in COLUMNS.items()}
        self._slopes: NDArray[np.float64] = np.zeros((0, RECENT - 1))

    def __len__(self) -> int:
        return len(self._columns["gain"])

    def __getitem__(self, column: str) -> NDArray[Any]:
        """Give a figure of all rows; a view.

        ``gain``; ``scale`` in rad², NaN where not known; ``learnt_from``; ``missing`` samples since the last;
        ``gain_used``, ``rho``, ``mean_square``, ``slope``, ``lipschitz`` and ``misfit`` of the latest epoch.
        """
        return self._columns[column]

    def grow(self, size: int) -> None:
        """Make at least this many rows."""
        more = size - len(self)
        if more > 0:
            for name, dtype in COLUMNS.items():
                self._columns[name] = np.concatenate((self._columns[name], np.zeros(more, dtype)))
            self._slopes = np.concatenate((self._slopes, np.zeros((more, RECENT - 1))))
            self.forget(np.arange(size - more, size))

    def forget(self, rows: NDArray[np.intp]) -> None:
        """Begin with these rows as if they had never been."""
        for column in self._columns.values():
            column[rows] = 0
        self._columns["gain"][rows] = self._gain
        self._columns["scale"][rows] = math.nan
        self._columns["learnt_from"][rows] = KNOWN
        self._columns["epoch"][rows] = self._first
        self._columns["lipschitz"][rows] = math.nan
        self._slopes[rows] = 0.0

    def clear(self, rows: NDArray[np.intp]) -> None:
        """Forget where these rows were, and the unfinished epoch; gain and scale stay."""
        for name in ("begun", "carry", "tangent", "missing", "n", "pairs", "squares", "products", "same", "tangents"):
            self._columns[name][rows] = 0
        self._columns["chained"][rows] = False

    def skip(self, rows: NDArray[np.intp], samples: int = 1) -> None:
        """Let samples of these rows be missing."""
        self._columns["missing"][rows] += samples

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Whether each row's innovations are so large that there is no phase to speak of."""
        lost: NDArray[np.bool_] = self._columns["scale"] > LARGEST_ANGLE
        return lost

    def ahead(self, rows: NDArray[np.intp], values: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Return how far values would be ahead of what is expected, rad, shape (n,); NaN for a row's first.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
        values : ndarray of complex, shape (n,)
            Phasors of any modulus above 0.
        """
        columns = self._columns
        turned = values * np.conj(columns["last"][rows])
        innovation = _wrapped(columns["carry"][rows] + np.angle(turned))
        return np.where(columns["begun"][rows], innovation, math.nan)

    def step(
        self, rows: NDArray[np.intp], values: NDArray[np.complex128], share: NDArray[np.float64] | float = 1.0
    ) -> BankStep:
        """Take the phases of one sample.

        Parameters
        ----------
        rows : ndarray of int, shape (n,)
            Each at most once. A row that is not among them keeps its state: see ``skip``.
        values : ndarray of complex, shape (n,)
            Phasors of any modulus; 0, or one that is not finite, is a missing value.
        share : ndarray of float, shape (n,), or float
            Variance of the innovations over the row's scale, > 0: less than 1 for a phase against a mean that it is
            part of, more for one that is known to be less certain now.
        """
        columns = self._columns
        count = rows.shape[0]
        usable = (np.abs(values) <= LARGEST) & (values != 0.0)
        begun = columns["begun"][rows]
        innovation, normalised = np.zeros(count), np.zeros(count)
        valid, ended = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        if not usable.all():
            columns["missing"][rows[~usable]] += 1
        self._begin(rows[usable & ~begun], values[usable & ~begun])
        part = usable & begun
        if part.any():
            ids = rows[part]
            e, whitened, tangent = self._track(ids, values[part])
            root = np.sqrt(share[part] if isinstance(share, np.ndarray) else share)
            whitened, tangent = whitened / root, tangent / root
            innovation[part] = e
            scale = columns["scale"][ids]
            known = scale <= LARGEST_ANGLE
            with np.errstate(invalid="ignore", divide="ignore"):
                measured = whitened / np.sqrt(np.maximum(scale, self._floor))
            valid[part] = known
            normalised[part] = np.where(known, measured, 0.0)
            ended[part] = self._stretch(ids, whitened, tangent)
        return BankStep(innovation, normalised, valid, ended)

    def expected(
        self, rows: NDArray[np.intp], values: NDArray[np.complex128], share: NDArray[np.float64] | float = 1.0
    ) -> NDArray[np.float64]:
        """Return the normalised innovations that ``step`` would give, shape (n,), and leave everything as it is.

        0 where there would be none.
        """
        columns = self._columns
        gain, scale = columns["gain"][rows], columns["scale"][rows]
        variance = columns["spread"][rows] + columns["missing"][rows] * gain * gain + 1.0 - gain
        ahead = self.ahead(rows, values)
        with np.errstate(invalid="ignore"):
            z = ahead / np.sqrt(variance * share * np.maximum(scale, self._floor))
        return np.where(np.isnan(z) | ~(scale <= LARGEST_ANGLE) | (values == 0.0), 0.0, z)

    def restart(self, rows: NDArray[np.intp], values: NDArray[np.complex128]) -> None:
        """Go on from these phases as from a first one: what was expected is over, what was learnt stays."""
        self._begin(rows, values)
        self._columns["carry"][rows] = 0.0
        self._columns["tangent"][rows] = 0.0
        self._columns["chained"][rows] = False

    def rescale(self, rows: NDArray[np.intp], factor: NDArray[np.float64]) -> None:
        """Multiply scales by factors > 0: what ``share`` is a share of has changed."""
        self._columns["scale"][rows] *= factor

    def _begin(self, ids: NDArray[np.intp], values: NDArray[np.complex128]) -> None:
        if not ids.shape[0]:
            return
        columns = self._columns
        gain = columns["gain"][ids]
        columns["last"][ids] = values
        columns["begun"][ids] = True
        columns["missing"][ids] = 0
        columns["spread"][ids] = 1.0 - gain + gain * gain

    def _track(
        self, ids: NDArray[np.intp], values: NDArray[np.complex128]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Do as ``Track.step``, row by row: innovations, and innovations and sensitivities made white."""
        columns = self._columns
        gain, old = columns["gain"][ids], columns["tangent"][ids]
        square = gain * gain
        innovation = _wrapped(columns["carry"][ids] + np.angle(values * np.conj(columns["last"][ids])))
        spread = columns["spread"][ids] + columns["missing"][ids] * square
        variance = spread + 1.0 - gain
        root = np.sqrt(variance)
        kept = 1.0 - spread / variance
        columns["carry"][ids] = kept * innovation
        columns["tangent"][ids] = kept * old - innovation
        spread = kept * spread + square
        columns["spread"][ids] = np.where(np.abs(spread - gain) <= _SETTLED * gain, gain, spread)
        columns["last"][ids] = values
        columns["missing"][ids] = 0
        return innovation, innovation / root, old / root

    def _stretch(self, ids: NDArray[np.intp], e: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Do as ``Stretch.step``, row by row; tell whether each row's epoch has ended and said something."""
        columns = self._columns
        columns["n"][ids] += 1
        columns["squares"][ids] += e * e
        columns["same"][ids] += e * t
        chained = columns["chained"][ids]
        before = np.where(chained, columns["before"][ids], 0.0)
        columns["pairs"][ids] += chained
        columns["products"][ids] += e * before
        columns["tangents"][ids] += t * before + e * np.where(chained, columns["before_tangent"][ids], 0.0)
        columns["before"][ids], columns["before_tangent"][ids], columns["chained"][ids] = e, t, True
        out = columns["n"][ids] >= columns["epoch"][ids]
        if out.any():
            out[out] = self._become(ids[out])
        return out

    def _become(self, ids: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Do as ``Stretch.apply``, W ← G[W]; tell whether each stretch says anything."""
        columns = self._columns
        n, pairs = columns["n"][ids].astype(np.float64), columns["pairs"][ids].astype(np.float64)
        scale, gain = columns["scale"][ids], columns["gain"][ids]
        mean_square = columns["squares"][ids] / n
        says = (mean_square > _NOTHING * np.where(np.isnan(scale), 0.0, scale)) & (pairs > 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            rho = columns["products"][ids] / pairs / mean_square
            steepness = (columns["tangents"][ids] / pairs - 2.0 * rho * columns["same"][ids] / n) / mean_square
        slope = 1.0 + STEP * steepness
        wanted = gain + STEP * rho
        bounded = np.minimum(1.0, np.maximum(1.0 / np.sqrt(n), wanted))
        steepest = np.maximum(np.abs(slope), self._slopes[ids].max(axis=1))
        for name in ("n", "pairs", "squares", "products", "same", "tangents"):
            columns[name][ids] = 0
        # One that says nothing may be told from one that iterates to rest, but not be relied upon.
        columns["lipschitz"][ids] = np.where(says, steepest, math.nan)
        ids, n, wanted, bounded = ids[says], n[says], wanted[says], bounded[says]
        columns["rho"][ids], columns["mean_square"][ids] = rho[says], mean_square[says]
        columns["gain_used"][ids] = gain[says]
        columns["slope"][ids] = slope[says]
        columns["misfit"][ids] = (wanted != bounded) & (np.abs(rho[says]) * np.sqrt(n) > _SIGMAS)
        self._slopes[ids] = np.column_stack((np.abs(slope[says]), self._slopes[ids, :-1]))
        steady = columns["spread"][ids] == columns["gain"][ids]
        columns["spread"][ids] = np.where(steady, bounded, columns["spread"][ids])
        columns["gain"][ids], columns["scale"][ids], columns["learnt_from"][ids] = bounded, mean_square[says], n
        columns["epoch"][ids] = np.where(mean_square[says] > LARGEST_ANGLE, self._first, self._epoch)
        return says


def _wrapped(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return angles in −π..π."""
    return np.where(np.abs(angle) > math.pi, angle - _TURN * np.rint(angle / _TURN), angle)
