"""Witnessing, W = G[W]: a filter that observes its own innovations and becomes the one whose innovations are right.

The state W is a gain K and a scale s. The filter predicts each value from those before it, x ← x + K·e; what it did
not foresee, the innovation e, is all that it learns about itself. G maps W to the filter that the innovations of a
stretch, an epoch, ask for:

- K ← clip(K + 0.8·ρ₁), with ρ₁ = Σe_n·e_{n−1}/Σe_n² (whiteness: R. K. Mehra, On the identification of variances and
  adaptive Kalman filtering, IEEE Trans. Autom. Control 15, 1970),
- s ← s·NIS, with NIS = ⟨e²⟩/s the mean normalised innovation squared.

Its fixed point is: white innovations, NIS = 1. For a random walk of step variance Q, observed with noise of variance
R, that is the steady Kalman filter, :func:`steady_gain`. With θ = 1 − K of that filter and φ = 1 − k of the one in
use, the innovations are ARMA(1, 1) and ρ₁ = (φ − θ)(1 − φθ)/(1 − 2φθ + θ²), whose derivative by k at k = K is −1
whatever Q/R: G contracts by 1 − 0.8 = 0.2 an epoch, and by at most 0.6 from any larger gain.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.witnessing.innovations import Stretch, Witnessing, least_gain
from becomingone.kairos.witnessing.records import Innovations, Micro
from becomingone.kairos.witnessing.tails import KNOWN, normal_tail
from becomingone.kairos.witnessing.track import LARGEST, Track

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.channel.timing import Samples

__all__ = ["Innovations", "Micro", "Witness", "Witnessing", "steady_gain"]

LEAST_EPOCH: Final = 32
"""Innovations that G needs at least; σ of the gain is then still 0.14."""

LARGEST_ANGLE: Final = 1.0
"""Scale in rad² above which a phase witness is lost: uniform phases, which tell nothing, have π²/3."""

RECENT: Final = 4
"""Epochs whose steepest slope is the Lipschitz constant: a cycle has steep and flat places."""

_LEAST_CHUNK: Final = 64
_CHUNK: Final = 8192


def steady_gain(ratio: float) -> float:
    """Return the steady Kalman gain of a random walk in noise, K = (√(q² + 4q) − q)/2 with q = Q/R; K²/(1 − K) = q.

    Raises
    ------
    KernelError
        When the ratio is not finite and above 0.
    """
    if not (math.isfinite(ratio) and ratio > 0.0):
        raise KernelError(f"Q/R is {ratio!r}; it must be finite and above 0")
    # The same without cancellation.
    return 2.0 / (1.0 + math.sqrt(1.0 + 4.0 / ratio))


class Witness:
    """A filter of one value or one phase that observes itself.

    Values come at one spacing; a missing one (NaN, infinite, beyond 1e100; for phases also 0) lets the prediction run
    on, and the next innovation is expected to be larger, by the filter's own model. That model is a level that
    wanders: whatever else the value does must be told by ``advance``, and values must lie as far apart as their noise
    is correlated (2πτ or more for phases behind a band's filter), or no gain can make the innovations white and
    ``misfit`` says so.

    Parameters
    ----------
    gain : float
        K to begin with, 1/√epoch..1.
    scale : float or None
        s to begin with, the innovations' variance in the input's unit squared (rad² for phases), > 0. None: not
        known, and no innovation is valid before the first epoch is over.
    epoch : int
        Innovations from one application of G to the next, ≥ 32. K has a standard deviation of 0.82/√epoch and is
        never below 1/√epoch.
    circular : bool
        Whether values are phases, given as phasors.
    advance : float
        What the value is expected to gain from one sample to the next; ωΔ for a phase. May be changed at any time.
    frozen : bool
        Whether to observe and leave W as it is. May be changed at any time.

    Raises
    ------
    KernelError
        When a value is out of its range.

    Notes
    -----
    What lasts longer than an epoch is learnt: a fault shows for one epoch, and again when it ends, unless the witness
    is frozen. Memory is constant, and a block gives the same to rounding as its values one by one.
    """

    def __init__(
        self,
        *,
        gain: float = 0.5,
        scale: float | None = None,
        epoch: int = 1024,
        circular: bool = False,
        advance: float = 0.0,
        frozen: bool = False,
    ) -> None:
        if scale is not None and not (math.isfinite(scale) and scale > 0.0):
            raise KernelError(f"scale is {scale!r}; it must be finite and above 0, or None")
        if epoch < LEAST_EPOCH:
            raise KernelError(f"epoch is {epoch!r}; it must be at least {LEAST_EPOCH} innovations")
        if not least_gain(epoch) <= gain <= 1.0:
            raise KernelError(f"gain is {gain!r}; it must be within 1/√epoch = {least_gain(epoch):.3g}..1")
        self._gain = gain
        self._scale = scale
        self._learnt_from = KNOWN
        self._epoch = epoch
        self._circular = circular
        self.advance = advance
        self.frozen = frozen
        self._slopes: deque[float] = deque(maxlen=RECENT - 1)
        self._latest: Witnessing | None = None
        self.clear()

    @property
    def gain(self) -> float:
        """The gain K, 1/√epoch..1."""
        return self._gain

    @property
    def scale(self) -> float | None:
        """The scale s in the input's unit squared; None before the first epoch unless it was given."""
        return self._scale

    @property
    def learnt_from(self) -> float:
        """How many innovations s was learnt from; 1e8 for one that was given."""
        return self._learnt_from

    @property
    def latest(self) -> Witnessing | None:
        """The latest application of G; None before the first."""
        return self._latest

    @property
    def lost(self) -> bool:
        """Whether a phase witness's innovations are so large, above 1 rad², that there is no phase to speak of."""
        return self._circular and self._scale is not None and self._scale > LARGEST_ANGLE

    @property
    def advance(self) -> float:
        """Expected gain from one sample to the next, in the input's unit or in radians."""
        return self._advance

    @advance.setter
    def advance(self, value: float) -> None:
        if not math.isfinite(value):
            raise KernelError(f"advance is {value!r}; it must be finite")
        self._advance = value

    def clear(self) -> None:
        """Forget the track and the unfinished epoch; W stays."""
        self._track = Track(circular=self._circular)
        self._stretch = Stretch()

    def skip(self, samples: int) -> None:
        """Let this many samples be missing, ≥ 0."""
        if samples < 0:
            raise KernelError(f"skip of {samples!r} samples; it must be at least 0")
        self._track.missing += samples

    def step(self, value: complex) -> Micro:
        """Take one value: a float, or for a circular witness a phasor of any modulus, 0 if there is no phase.

        Raises
        ------
        KernelError
            When the value is complex and the witness not circular.
        """
        if isinstance(value, complex) and not self._circular:
            raise KernelError("a phasor for a witness of values; make it with circular=True")
        track = self._track
        predicted = track.predicted(self._advance)
        if not track.usable(value):
            track.missing += 1
            return Micro(predicted, math.nan, 0.0, 0.0, 1.0, False)
        observed = track.read(value)
        if not track.begun:
            track.begin(value, self._gain)
            return Micro(predicted, observed, 0.0, 0.0, 1.0, False)
        innovation, whitened, tangent = track.step(value, self._gain, self._advance)
        micro = Micro(predicted, observed, innovation, 0.0, 1.0, False)
        if self._scale is not None and not self.lost:
            normalised = whitened / math.sqrt(self._scale)
            p = normal_tail(normalised, self._learnt_from)
            micro = Micro(predicted, observed, innovation, normalised, p, True)
        self._stretch.step(whitened, tangent)
        if self._stretch.n >= self._epoch:
            self._become()
        return micro

    def block(self, values: Samples) -> Innovations:
        """Take values at consecutive samples, shape (n,), each as in ``step``.

        Raises
        ------
        KernelError
            When the block is not one-dimensional, or complex and the witness not circular.
        """
        if values.ndim != 1 or (np.iscomplexobj(values) and not self._circular):
            raise KernelError(f"{values.dtype} of shape {values.shape}; it must be (n,), and real unless circular")
        samples: Samples = np.asarray(values, np.complex128) if self._circular else np.asarray(values, np.float64)
        n = samples.shape[0]
        innovation, normalised, valid = np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.bool_)
        epochs: list[tuple[int, Witnessing]] = []
        modulus = np.abs(samples)
        missing = ~(modulus <= LARGEST) | ((modulus == 0.0) & self._circular)
        gaps: list[int] = [*np.flatnonzero(missing).tolist(), n]
        at, chunk = 0, _LEAST_CHUNK
        while at < n:
            stop = min(at + chunk, at + self._epoch - self._stretch.n, gaps[int(np.searchsorted(gaps, at))])
            before = self._latest
            taken = self._run(samples[at:stop], innovation[at:stop], normalised[at:stop], valid[at:stop])
            chunk = min(_CHUNK, 2 * chunk) if taken == stop - at else _LEAST_CHUNK
            if not taken:
                micro = self.step(samples[at].item())
                innovation[at], normalised[at], valid[at] = micro.innovation, micro.normalised, micro.valid
                taken = 1
            at += taken
            if self._latest is not before and self._latest is not None:
                epochs.append((at, self._latest))
        return Innovations(innovation, normalised, valid, tuple(epochs))

    def _run(
        self,
        values: Samples,
        innovation: NDArray[np.float64],
        normalised: NDArray[np.float64],
        valid: NDArray[np.bool_],
    ) -> int:
        """Take as many of the values as the steady filter can at once, at most to the end of the epoch; 0: none."""
        track = self._track
        if values.shape[0] < 2 or track.missing or track.spread != self._gain:
            return 0
        e, tangent = track.run(values, self._gain, self._advance)
        n = int(e.shape[0])
        if n:
            innovation[:n] = e
            if self._scale is not None and not self.lost:
                normalised[:n] = e / math.sqrt(self._scale)
                valid[:n] = True
            self._stretch.block(e, tangent)
            if self._stretch.n >= self._epoch:
                self._become()
        return n

    def _become(self) -> None:
        """W ← G[W]."""
        made = self._stretch.apply(self._gain, self._scale, max(self._slopes, default=0.0), frozen=self.frozen)
        self._stretch.reset()
        self._latest = made
        if math.isnan(made.slope):
            return
        self._slopes.append(abs(made.slope))
        if not self.frozen or self._scale is None:
            self._track.retune(self._gain, made.gain)
            self._gain, self._scale, self._learnt_from = made.gain, made.scale, float(made.n)
