"""Least squares of one sinusoid: how much of a record it explains at a frequency, and where that is greatest.

The amplitude, the phase and the constant are linear, so they are eliminated (variable projection: G. H. Golub and
V. Pereyra, SIAM J. Numer. Anal. 10, 1973, 413): what is left, L(ω) = b*·M⁻¹·b with b = B*y and M = B*B, depends on the
frequency alone and is climbed by Newton's method with exact derivatives. In white Gaussian noise its maximum is the
maximum-likelihood estimate. Samples may lie anywhere in time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[np.float64] | NDArray[np.complex128]"

_ITERATIONS: Final = 40


class ToneFit:
    """The record and its model: e^{iωt}, or cos ωt and sin ωt, and a constant if there is one.

    Parameters
    ----------
    y : ndarray of float or complex, shape (n,)
        Finite samples.
    t : ndarray of float, shape (n,)
        Their times from the centre, in any one unit; ω is in radians per that unit.
    offset : bool
        Whether the model has a constant.

    Attributes
    ----------
    energy : float
        Σ|y|², of y less its mean if there is a constant: what L(ω) is a part of.
    """

    __slots__ = ("_offset", "_real", "_t", "_y", "energy")

    def __init__(self, y: Array, t: NDArray[np.float64], *, offset: bool) -> None:
        self._real = not np.iscomplexobj(y)
        self._y: Array = y - y.mean() if offset else y
        self._t = t
        self._offset = offset
        self.energy = float(np.vdot(self._y, self._y).real)

    def _columns(self, wave: NDArray[np.complex128], constant: float) -> Array:
        """Return the model's columns, shape (n, k), for a wave e^{iωt} or a derivative of it."""
        n = wave.shape[0]
        if self._real:
            real = np.full((n, 2 + self._offset), constant, dtype=np.float64)
            real[:, 0], real[:, 1] = wave.real, wave.imag
            return real
        columns = np.full((n, 1 + self._offset), constant, dtype=np.complex128)
        columns[:, 0] = wave
        return columns

    def _wave(self, omega: float, angle: float = 0.0) -> NDArray[np.complex128]:
        """e^{i(ωt + angle)} at each sample."""
        wave = np.empty(self._t.shape, dtype=np.complex128)
        np.exp(1j * (omega * self._t + angle), out=wave)
        return wave

    def explained(self, omega: float) -> tuple[float, float, float]:
        """Return L(ω), the part of the energy that a tone of this frequency explains, and its two derivatives."""
        t, wave = self._t, self._wave(omega)
        b0, b1, b2 = self._columns(wave, 1.0), self._columns(1j * t * wave, 0.0), self._columns(-t * t * wave, 0.0)
        h0, h1, h2 = (np.conj(part.T) for part in (b0, b1, b2))
        p0, p1, p2 = h0 @ self._y, h1 @ self._y, h2 @ self._y
        cross, bend = h1 @ b0, h2 @ b0
        m0 = h0 @ b0
        m1 = cross + np.conj(cross.T)
        m2 = bend + 2.0 * (h1 @ b1) + np.conj(bend.T)
        c0 = np.linalg.solve(m0, p0)
        c1 = np.linalg.solve(m0, p1 - m1 @ c0)
        value = float(np.vdot(p0, c0).real)
        slope = float((2.0 * np.vdot(p1, c0) - np.vdot(c0, m1 @ c0)).real)
        curvature = 2.0 * np.vdot(p2, c0) + 2.0 * np.vdot(p1, c1) - np.vdot(c0, m2 @ c0) - 2.0 * np.vdot(c1, m1 @ c0)
        return value, slope, float(curvature.real)

    def climb(self, omega: float, low: float, high: float) -> tuple[float, float]:
        """Return the frequency of the maximum next to ``omega``, within low..high, and L there."""
        omega = min(high, max(low, omega))
        value, slope, curvature = self.explained(omega)
        longest = 0.25 * (high - low)
        for _ in range(_ITERATIONS):
            step = -slope / curvature if curvature < 0.0 else math.copysign(longest, slope)
            step = max(-longest, min(longest, step))
            target = min(high, max(low, omega + step))
            if abs(target - omega) <= 2.0 * math.ulp(max(abs(omega), 1.0 / self._t.shape[0])):
                break
            found = self.explained(target)
            if found[0] < value * (1.0 - 1e-13):
                longest = 0.25 * abs(target - omega)
                continue
            omega, (value, slope, curvature) = target, found
        return omega, value

    def amplitude(self, omega: float) -> tuple[complex, complex, float]:
        """Solve for what is linear at a frequency.

        Returns
        -------
        tone : complex
            A·e^{iφ}, φ the phase at t = 0 of A·cos(ωt + φ) or A·e^{i(ωt + φ)}.
        constant : complex
            Beside the mean that was taken away before.
        rest : float
            Σ|y − model|².
        """
        b = self._columns(self._wave(omega), 1.0)
        c = np.linalg.lstsq(b, self._y, rcond=None)[0]
        rest = self._y - b @ c
        tone = complex(c[0].item(), -c[1].item()) if self._real else complex(c[0].item())
        constant = complex(c[-1].item()) if self._offset else 0j
        return tone, constant, float(np.vdot(rest, rest).real)

    def information(self, omega: float, tone: complex, at: float) -> NDArray[np.float64]:
        """Fisher's information of (A, φ at time ``at``, ω, constant) for noise of power 1, shape (k, k)."""
        n, modulus = self._t.shape[0], abs(tone)
        columns = np.empty((n, 3 + self._offset * (1 if self._real else 2)), dtype=np.complex128)
        columns[:, 0] = self._wave(omega, math.atan2(tone.imag, tone.real))
        columns[:, 1] = 1j * modulus * columns[:, 0]
        columns[:, 2] = (self._t - at) * columns[:, 1]
        if self._offset:
            columns[:, 3] = 1.0
        if self._offset and not self._real:
            columns[:, 4] = 1j
        if self._real:
            return np.asarray(columns.real.T @ columns.real)
        return np.asarray(2.0 * (columns.real.T @ columns.real + columns.imag.T @ columns.imag))
