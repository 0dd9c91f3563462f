"""The witnesses of a band's channels with what is kept of each: windows, calibration, recent p-values."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.witnessing.section import WitnessingSection
from becomingone.hub.witnessing.windows import Closed, Windows
from becomingone.kairos.witnessing.bank import WitnessBank
from becomingone.kairos.witnessing.charts import Charts
from becomingone.kairos.witnessing.tail_tables import deviates, healths, uniformities

FLOOR: Final = 4e-6
"""rad²: (2 mrad)². What deviates less is no matter: clocks are not known better."""

STEADY: Final = 0.1
"""rad²: a channel whose innovations have a greater variance slips by whole turns now and then; its tails are heavier
than the tests believe, and it is not accused of anything by them."""

CALM: Final = 3
"""Lags without a jump after which another one is one more; phases that have lost their rhythm jump all the time."""

RECENT: Final = 8
"""p-values that are kept of each channel for the macro layer."""

_NOISIER: Final = 2.0
_SETTLED_SIGMAS: Final = 3.0
_NEAR_BOUND: Final = 4.0
_BOUND_VARIANCE: Final = 1.4
"""As in `kairos.witnessing.layers`."""


class WindowHealth(NamedTuple):
    """p-values of the windows that are complete, each of shape (n,).

    Parameters
    ----------
    p : ndarray of float
        The health signal: NIS and whiteness together.
    still : ndarray of float
        Probability of so little motion.
    moved : ndarray of float
        The mean as a normal deviate, ≥ 0.
    """

    p: NDArray[np.float64]
    still: NDArray[np.float64]
    moved: NDArray[np.float64]


class Outcome(NamedTuple):
    """What a look has shown.

    Parameters
    ----------
    z : ndarray of float, shape (n,)
        Normalised innovations; 0 where there is none.
    valid, jumped, again : ndarray of bool, shape (n,)
        Whether there is one; whether it is a jump; whether it is one after some lags without.
    closed, health : Closed and WindowHealth, or None
        Of the windows that are complete with it.
    ended : ndarray of int
        Places whose epoch has ended with it.
    """

    z: NDArray[np.float64]
    valid: NDArray[np.bool_]
    jumped: NDArray[np.bool_]
    again: NDArray[np.bool_]
    closed: Closed | None
    health: WindowHealth | None
    ended: NDArray[np.intp]


class Filter:
    """Witnesses by place.

    Parameters
    ----------
    section : WitnessingSection
        Epochs and windows.

    Attributes
    ----------
    steady : ndarray of bool
        By place: has been at its fixed point, and has a phase that hardly ever slips.
    settled : ndarray of bool
        By place: has been at its fixed point since its last drift.
    epochs : int
        Applications of G so far.
    """

    floor = FLOOR

    def __init__(self, section: WitnessingSection) -> None:
        self.bank = WitnessBank(epoch=section.epoch, first=section.first_epoch, floor=FLOOR)
        self.epochs = 0
        self.steady: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self.settled: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._windows = Windows(section.window)
        _make_tables(section)
        self._length = section.window
        self._calibrated: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._drifting: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self.of_scale, self.of_gain = Charts(), Charts()
        self.recent: NDArray[np.float64] = np.zeros((0, RECENT))
        self.count: NDArray[np.int64] = np.zeros(0, np.int64)
        self._before: NDArray[np.float64] = np.zeros(0)
        self._calm: NDArray[np.int64] = np.zeros(0, np.int64)
        self._claims: NDArray[np.float64] = np.zeros(0)
        self._said: NDArray[np.float64] = np.zeros(0)
        self._reference: NDArray[np.float64] = np.zeros((0, 2))
        self._claim: NDArray[np.float64] = np.zeros(0)

    @property
    def scale(self) -> NDArray[np.float64]:
        """Variance of the innovations by which they are measured, rad²; NaN where not known."""
        scale: NDArray[np.float64] = np.maximum(self.bank["scale"], FLOOR)
        return scale

    def grow(self, size: int) -> None:
        """Make at least this many places."""
        more = size - len(self.steady)
        if more <= 0:
            return
        for part in (self.bank, self._windows, self.of_scale, self.of_gain):
            part.grow(size)
        for name in ("steady", "settled", "_calibrated", "_drifting"):
            setattr(self, name, np.concatenate((getattr(self, name), np.zeros(more, np.bool_))))
        self.recent = np.concatenate((self.recent, np.ones((more, RECENT))))
        self.count = np.concatenate((self.count, np.zeros(more, np.int64)))
        self._calm = np.concatenate((self._calm, np.zeros(more, np.int64)))
        self._reference = np.concatenate((self._reference, np.full((more, 2), math.nan)))
        for name in ("_before", "_claims", "_said"):
            setattr(self, name, np.concatenate((getattr(self, name), np.zeros(more))))
        self._claim = np.concatenate((self._claim, np.full(more, math.inf)))

    def clear(self, places: NDArray[np.intp]) -> None:
        """Forget where these were; what was learnt stays."""
        self.bank.clear(places)
        self._windows.empty(places)
        self.count[places] = 0

    def skip(self, away: NDArray[np.intp], present: NDArray[np.intp], lags: int) -> None:
        """Let a lag pass for those that are away, and for all the lags that were missed altogether."""
        self.bank.skip(away, lags)
        if lags > 1:
            self.bank.skip(present, lags - 1)

    def ahead(self, places: NDArray[np.intp], values: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Give how far phases are ahead of what is expected of each, rad."""
        return self.bank.ahead(places, values)

    def take(
        self,
        places: NDArray[np.intp],
        values: NDArray[np.complex128],
        claimed_variance: NDArray[np.float64],
        share: NDArray[np.float64],
        jump: float,
    ) -> Outcome:
        """Take a phase of each place; see `WitnessBank.step`.

        Parameters
        ----------
        claimed_variance : ndarray of float, shape (n,)
            That of the phase, by its node's own word, rad². A channel that says that it has become less certain is
            believed.
        jump : float
            Normal deviate beyond which an innovation is a jump.
        """
        learnt_from = self.bank["learnt_from"][places]
        claim = np.maximum(claimed_variance, FLOOR)
        # By its word before this phase: what it says after a jump, it says because of it.
        share = share * np.maximum(1.0, np.minimum(claim, self._said[places]) / self._claim[places])
        self._said[places] = claim
        z = self.bank.expected(places, values, share)
        jumped, again = self._jumps(places, z, learnt_from, jump)
        # A jump is the micro layer's. It is neither learnt nor held against the window; one on top of another is.
        known = values * ~jumped
        step = self.bank.step(places, known, share)
        self.bank.restart(places[jumped], values[jumped])
        self._claims[places] += np.where(step.innovation != 0.0, claim, 0.0)
        ratio = np.square(step.innovation) / claim
        # Of what has no phase to speak of nothing can be foretold; but what it claims can be held against it.
        counts = step.valid | ((self.bank["scale"][places] > 1.0) & (step.innovation != 0.0))
        closed = self._windows.fill(places[counts], step.normalised[counts], ratio[counts])
        health = None if closed is None else self._health(closed)
        ended = places[step.ended]
        self._settle(ended)
        return Outcome(z, step.valid | jumped, jumped, again, closed, health, ended)

    def _jumps(
        self,
        places: NDArray[np.intp],
        z: NDArray[np.float64],
        learnt_from: NDArray[np.float64],
        limit: float,
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Find sudden innovations, and those among them that come after some that were none.

        What drifts gets far, too, but not from one lag to the next.
        """
        far = deviates(z, learnt_from) > limit
        sudden = deviates(z - self._before[places], learnt_from) > limit
        calm = self._calm[places]
        jumped = self.steady[places] & far & sudden & (calm > 0)
        self._before[places] = np.where(jumped, 0.0, z)
        again = jumped & (calm >= CALM)
        self._calm[places] = np.where(far, 0, calm + 1)
        return jumped, again

    def _health(self, closed: Closed) -> WindowHealth:
        places, n = closed.places, self._length
        learnt_from = self.bank["learnt_from"][places]
        whole = healths(closed.nis, closed.rho, n, learnt_from)
        still = healths(closed.spread, closed.rho, n - 1, learnt_from).below
        # Below the floor there is nothing but rounding, which is as it likes: only too much can be wrong.
        fine = self.bank["scale"][places] < FLOOR
        p = np.where(fine, np.minimum(1.0, 2.0 * whole.above), whole.p)
        kept = self.steady[places]
        ids = places[kept]
        self.recent[ids, self.count[ids] % RECENT] = p[kept]
        self.count[ids] += 1
        # What has become noisier has a mean of more noise, which is no motion.
        student = deviates(closed.mean / np.sqrt(np.maximum(closed.spread, 1.0)), np.full(len(places), n - 1.0))
        moved = np.where(closed.spread > _NOISIER, student, deviates(closed.mean, learnt_from))
        return WindowHealth(p, still, moved)

    def _settle(self, ended: NDArray[np.intp]) -> None:
        if not len(ended):
            return
        self.epochs += len(ended)
        bank = self.bank
        # What was learnt was learnt by what the node has claimed meanwhile.
        claim = self._claims[ended] / bank["learnt_from"][ended]
        bank.rescale(ended, np.maximum(1.0, claim / self._claim[ended]))
        self._claim[ended], self._claims[ended] = claim, 0.0
        scale = bank["scale"][ended]
        # Rounding has a colour of its own; whoever is that clean has nothing to settle.
        white = np.abs(bank["rho"][ended]) * np.sqrt(bank["learnt_from"][ended]) <= _SETTLED_SIGMAS
        at_rest = (white | (scale < FLOOR)) & (scale <= 1.0)
        lost = ended[scale > 1.0]
        self._drifting[ended] = self.settled[ended] & (scale <= 1.0)
        self.settled[ended] = (self.settled[ended] | at_rest) & (scale <= 1.0)
        self._calibrated[ended] = (self._calibrated[ended] | at_rest) & (scale <= 1.0)
        self.steady[ended] = self._calibrated[ended] & (scale <= STEADY)
        self.count[lost] = 0

    def drifted(self, outcome: Outcome, threshold: float) -> NDArray[np.intp]:
        """Give the places whose scale or gain has drifted with the epochs that have just ended."""
        ended = outcome.ended[self._drifting[outcome.ended]] if len(outcome.ended) else outcome.ended
        if not len(ended):
            return ended
        bank = self.bank
        n = bank["learnt_from"][ended]
        gain = bank["gain_used"][ended]
        squares, claim = self.scale[ended], self._claim[ended]
        fresh = np.isnan(self._reference[ended, 0])
        self._reference[ended[fresh]] = np.column_stack((squares, claim))[fresh]
        by_scale = self.of_scale.update(ended, np.log(squares), np.sqrt(2.0 / n), threshold)
        variance = np.where(gain * np.sqrt(n) < _NEAR_BOUND, _BOUND_VARIANCE, 1.0)
        coloured = np.where(squares > FLOOR, bank["rho"][ended], 0.0)
        by_gain = self.of_gain.update(ended, gain + coloured, np.sqrt(variance / n), threshold)
        alarm = by_scale | by_gain
        found = ended[alarm]
        grown, said = np.log(np.column_stack((squares, claim)) / self._reference[ended])[alarm].T
        self.of_scale.clear(found)
        self.of_gain.clear(found)
        self.settled[found] = False
        self._reference[found] = math.nan
        # A node that itself says that it has become less certain has told of it.
        untold: NDArray[np.intp] = found[(grown <= 0.0) | (said < 0.5 * grown)]
        return untold


def _make_tables(section: WitnessingSection) -> None:
    """Have the tables of the tails made now: they take a tenth of a second, which a tick has not."""
    learnt_from = np.array([section.first_epoch, section.epoch], dtype=np.float64)
    for n in (section.window, section.window - 1):
        healths(np.ones(2), np.zeros(2), n, learnt_from)
    uniformities(np.full((1, RECENT), 0.5))
