"""What the four layers of witnesses record: micro, meso, macro and meta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from becomingone.kairos.witnessing.innovations import Witnessing


@dataclass(frozen=True, slots=True)
class Micro:
    """The micro layer: one innovation.

    Parameters
    ----------
    predicted, observed : float
        In the input's unit, or in radians −π..π for phases. ``observed`` is NaN for a missing value, ``predicted``
        before the first one.
    innovation : float
        Observed less predicted, −π..π for phases; 0 when there is none.
    normalised : float
        Innovation over its expected standard deviation, learnt before it; 0 while ``valid`` is false.
    p : float
        Probability, 0..1, that a filter at its fixed point errs as much, either way; 1 while ``valid`` is false.
    valid : bool
        Whether there is an innovation, and a scale to measure it by.
    """

    predicted: float
    observed: float
    innovation: float
    normalised: float
    p: float
    valid: bool


@dataclass(frozen=True, slots=True)
class Innovations:
    """The innovations of a block.

    Parameters
    ----------
    innovation, normalised, valid : ndarray of float, float and bool, shape (n,)
        As in :class:`Micro`.
    epochs : tuple of (int, Witnessing)
        The epochs that ended in the block, each with the number of the block's samples up to its end.
    """

    innovation: NDArray[np.float64]
    normalised: NDArray[np.float64]
    valid: NDArray[np.bool_]
    epochs: tuple[tuple[int, Witnessing], ...]


@dataclass(frozen=True, slots=True)
class Meso:
    """The meso layer: one witness over a window of its innovations, which do not overlap those of other windows.

    Parameters
    ----------
    name : str
    n : int
        Innovations in the window.
    nis : float
        Mean normalised innovation squared; 1 when all is well, near 0 for a stuck sensor.
    nis_p : float
        Two-sided p-value of n·NIS as χ² with n degrees of freedom (F, if the scale was learnt from few).
    rho : float
        Lag-1 autocorrelation of the normalised innovations.
    rho_p : float
        Its two-sided p-value.
    p : float
        **The health signal**, 0..1: how often a witness at its fixed point would show a residual of W = G[W], gain
        and scale together, as far from 0. Uniform on 0..1 in health, so below p once in 1/p windows; near 0 in a
        fault. A p of 0.9 is no better than one of 0.3. 1 while ``valid`` is false.
    valid : bool
        The witness has been at its fixed point, or was given one, and is not lost. If not, nothing is known, good or
        bad.
    """

    name: str
    n: int
    nis: float
    nis_p: float
    rho: float
    rho_p: float
    p: float
    valid: bool


@dataclass(frozen=True, slots=True)
class Macro:
    """The macro layer: whether the p-values of the whole mesh are what p-values should be.

    Parameters
    ----------
    names : int
        Witnesses that have a p-value.
    values : int
        p-values, at most ``depth`` of each.
    pool_p : float
        p-value of the uniformity of all of them: a model that is wrong everywhere.
    suspect : str or None
        The name whose own p-values are least uniform.
    suspect_p : float
        p-value of that, for as many names as there are.
    p : float
        Twice the smaller of the two, at most 1 (Bonferroni); 1 without names.
    """

    names: int
    values: int
    pool_p: float
    suspect: str | None
    suspect_p: float
    p: float


@dataclass(frozen=True, slots=True)
class Meta:
    """The meta layer: whether the witnesses' calibrations hold still.

    Parameters
    ----------
    epochs : int
        Applications of G by all witnesses.
    drifting : tuple of str
        Names whose scale or gain has drifted, until ``acknowledge``.
    unsettled : tuple of str
        Names that have not yet been at a fixed point, or not since their last drift.
    level : float
        The highest of the running sums over its threshold, 0..1.
    false_alarm_epochs : float
        Mean number of epochs of one witness between false alarms.
    """

    epochs: int
    drifting: tuple[str, ...]
    unsettled: tuple[str, ...]
    level: float
    false_alarm_epochs: float
