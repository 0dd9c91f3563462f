"""To zero mean and unit power, without ever amplifying a silent sensor's noise.

The mean is a leaky sum over the sum of its weights, unbiased from the first sample on; the power is that of what is
left, likewise. Where samples are missing or saturated the weights fade together with the sums, so both are held. The
sums are reckoned from where the mean stands, so that neither a large offset nor a long drift costs digits.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from becomingone.kairos.onepole import OnePole, alpha_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64] | NDArray[np.complex128]

RESOLUTION: Final = 1e-12
"""A deviation below this share of the mean is rounding, and silence."""

_FADED: Final = 1e-280
SHORT: Final = 64
"""Shorter stretches are taken sample by sample: faster there (measured), equal everywhere."""

_CHUNK: Final = 4096


class Normaliser:
    """The running mean and power of one stream.

    Parameters
    ----------
    mean_tau_s, scale_tau_s : float
        Time constants in seconds, > 0.
    floor : float
        Amplitude in the sensor's unit, ≥ 0. Silent while a sine of the same power (of complex samples a phasor) would
        be smaller.
    real : bool
        Whether samples are real.
    """

    __slots__ = ("_floor", "_mean_tau_s", "_mean_weight", "_off", "_origin", "_poles", "_power", "_power_weight",
                 "_real", "_scale_tau_s")  # fmt: skip

    def __init__(self, mean_tau_s: float, scale_tau_s: float, floor: float, *, real: bool) -> None:
        self._mean_tau_s = mean_tau_s
        self._scale_tau_s = scale_tau_s
        # The power of a sine of amplitude A is A²/2, of a phasor A².
        self._floor = floor / math.sqrt(2.0) if real else floor
        self._real = real
        self._poles: dict[float, tuple[OnePole, OnePole]] = {}
        self._origin: complex | None = None
        self._off: complex = 0.0  # the mean, from the origin
        self._mean_weight = 0.0
        self._power = 0.0  # not divided by its weight
        self._power_weight = 0.0

    @property
    def mean(self) -> complex:
        """The slow mean in the sensor's unit; 0 before any sample."""
        mean = (0.0 if self._origin is None else self._origin) + self._off
        return mean.real if self._real else mean

    @property
    def rms(self) -> float:
        """Root of the running power in the sensor's unit; 0 where nothing is known."""
        return math.sqrt(self._power / self._power_weight) if self._power_weight > _FADED else 0.0

    def run(
        self, x: Array, weight: NDArray[np.float64], stands_s: NDArray[np.float64]
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Take samples.

        Parameters
        ----------
        x : ndarray of float or complex, shape (n,)
            Finite, of modulus at most 1e100, in the sensor's unit.
        weight : ndarray of float, shape (n,)
            How much each counts for mean and power, 0..1; at 0 both are held.
        stands_s : ndarray of float, shape (n,)
            Seconds that each stands for, > 0.

        Returns
        -------
        samples : ndarray, shape (n,)
            (x − mean)/rms, of the type of x; 0 where silent.
        silent : ndarray of bool, shape (n,)
        """
        out, silent = np.empty_like(x), np.empty(x.shape[0], dtype=np.bool_)
        # Long stretches that stand for the same time go at once, all else sample by sample.
        edges = [0, *(np.flatnonzero(stands_s[1:] != stands_s[:-1]) + 1).tolist(), x.shape[0]]
        done = 0
        for a, b in pairwise(edges):
            if b - a < SHORT:
                continue
            self._singly(slice(done, a), x, weight, stands_s, out, silent)
            for start in range(a, b, _CHUNK):
                part = slice(start, min(b, start + _CHUNK))
                out[part], silent[part] = self._chunk(x[part], weight[part], *self._poles_of(float(stands_s[a])))
            done = b
        self._singly(slice(done, x.shape[0]), x, weight, stands_s, out, silent)
        return out, silent

    def _singly(
        self,
        part: slice,
        x: Array,
        weight: NDArray[np.float64],
        stands_s: NDArray[np.float64],
        out: Array,
        silent: NDArray[np.bool_],
    ) -> None:
        """Take some of the samples one by one."""
        if part.start == part.stop:
            return
        alpha_mean = -np.expm1(stands_s[part] / -self._mean_tau_s)
        alpha_scale = -np.expm1(stands_s[part] / -self._scale_tau_s)
        rows = zip(x[part].tolist(), weight[part].tolist(), alpha_mean.tolist(), alpha_scale.tolist(), strict=True)
        results = [self._step(*row) for row in rows]
        out[part] = [result[0] for result in results]
        silent[part] = [result[1] for result in results]

    def _poles_of(self, dt_s: float) -> tuple[OnePole, OnePole]:
        poles = self._poles.get(dt_s)
        if poles is None:
            self._poles.clear()
            poles = (OnePole.leaky(alpha_of(dt_s, self._mean_tau_s)), OnePole.leaky(alpha_of(dt_s, self._scale_tau_s)))
            self._poles[dt_s] = poles
        return poles

    def _step(self, x: complex, weight: float, alpha_mean: float, alpha_scale: float) -> tuple[complex, bool]:
        """Take one sample."""
        if self._origin is None and weight > 0.0:
            self._origin = x
        y = x - (x if self._origin is None else self._origin)
        self._mean_weight += alpha_mean * (weight - self._mean_weight)
        if weight > 0.0:
            self._off += (alpha_mean * weight / self._mean_weight) * (y - self._off)
        rest = complex(y - self._off)
        square = rest.real * rest.real + rest.imag * rest.imag
        self._power += alpha_scale * (weight * square - self._power)
        self._power_weight += alpha_scale * (weight - self._power_weight)
        rms = self.rms
        if self._is_silent(rms):
            return 0.0, True
        return (rest.real if self._real else rest) / rms, False

    def _is_silent(self, rms: float) -> bool:
        least = RESOLUTION * abs(self.mean)
        return rms < self._floor or rms <= least

    def _chunk(
        self, x: Array, weight: NDArray[np.float64], pole_mean: OnePole, pole_scale: OnePole
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Take a stretch at once."""
        n = x.shape[0]
        counted = np.flatnonzero(weight > 0.0)
        if self._origin is None and counted.shape[0]:
            self._origin = x[counted[0]].item()
        origin = self._rows_of(0.0 if self._origin is None else self._origin)
        rest = np.zeros((origin.shape[0], n))
        if self._origin is not None:
            rest[0] = x.real
            if not self._real:
                rest[1] = x.imag
            rest -= origin
            rest -= self._rows_of(self._off)
        # The mean moves on from where it stands by Σ of the weighted deviations from there over Σ of the weights.
        signals = np.concatenate((weight[None, :], weight * rest))
        state = np.zeros(signals.shape[0])
        state[0] = self._mean_weight
        sums = pole_mean.run(signals, state)
        moved = _ratio(sums[1:], sums[0])
        known = sums[0] > _FADED
        if not known.all():
            # Held where all weight has faded away, at what it was last.
            last = np.maximum.accumulate(np.where(known, np.arange(n, dtype=np.intp), -1))
            moved = np.where(last >= 0, moved[:, last], 0.0)
        rest -= moved
        square = (rest * rest).sum(axis=0)
        power = pole_scale.run(np.stack((weight * square, weight)), np.array([self._power, self._power_weight]))
        rms = np.sqrt(_ratio(power[:1], power[1])[0])
        means = origin + self._rows_of(self._off) + moved
        silent = (rms < self._floor) | (rms <= RESOLUTION * np.sqrt((means * means).sum(axis=0)))
        scaled = np.divide(rest, rms, out=np.zeros_like(rest), where=~silent)
        self._off += complex(moved[0, -1], 0.0 if self._real else moved[1, -1])
        self._mean_weight = float(sums[0, -1])
        self._power, self._power_weight = float(power[0, -1]), float(power[1, -1])
        if self._real:
            return scaled[0], silent
        joined = np.empty(n, dtype=np.complex128)
        joined.real, joined.imag = scaled
        return joined, silent

    def _rows_of(self, value: complex) -> NDArray[np.float64]:
        """Return the parts of a number as a column: one of a real stream, else two."""
        value = complex(value)
        return np.array([[value.real]] if self._real else [[value.real], [value.imag]])

    def skip(self, seconds: float) -> None:
        """Let time pass without samples: mean and scale are held, and weigh less against what comes."""
        self._mean_weight *= math.exp(-seconds / self._mean_tau_s)
        decay = math.exp(-seconds / self._scale_tau_s)
        self._power *= decay
        self._power_weight *= decay


def _ratio(sums: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ over Σ of weights, shape (k, n); 0 where all weight has faded away."""
    out: NDArray[np.float64] = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > _FADED)
    return out
