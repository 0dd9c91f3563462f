"""The demodulating filter of a whole block as matrix products.

z₁ ← ρz₁ + αy, z₂ ← ρz₂ + αz₁ with ρ = λe^{iω₀Δ}, and m ← λ_m·m + α_m·y. Rows of 32 samples times a triangular matrix
of the impulse response, and the states from row to row by a matrix of their own, so that the work is a fixed number
of array operations for any block. Every power of ρ is formed as an exponential, never by repeated multiplication.
"""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROW: Final = 32
"""Samples in a row: long enough that matrix products do the work, short enough to waste little on the triangle."""

ROWS: Final = 32
"""Rows in a chunk."""

CHUNK: Final = ROW * ROWS
"""The longest stretch that is filtered at once; bounds the tables."""

_STATES: Final = 5


class CascadeState(NamedTuple):
    """z₁, z₂ and m after a sample."""

    z1: complex
    z2: complex
    mean: complex


class Cascade:
    """Tables of one filter at one spacing; holds no signal.

    Parameters
    ----------
    log_factor : float
        ln λ of the demodulating poles, < 0 (−∞ for α = 1).
    angle : float
        ω₀Δ in radians.
    alpha : float
        α of the demodulating poles.
    log_mean : float
        ln λ_m of the slow mean, < 0.
    alpha_mean : float
        α_m of the slow mean.
    still : complex
        What the two poles make of a constant 1 in the end.
    """

    __slots__ = (
        "_alpha",
        "_clean",
        "_ends",
        "_ends_mean",
        "_log",
        "_log_mean",
        "_mean",
        "_poles",
        "_rows",
        "_rows_mean",
        "_z",
    )

    def __init__(
        self, log_factor: float, angle: float, alpha: float, log_mean: float, alpha_mean: float, still: complex
    ) -> None:
        self._alpha = alpha
        self._log = complex(log_factor, angle)
        self._log_mean = log_mean
        steps = np.arange(ROW + 1, dtype=np.float64)
        poles = _powers(self._log, steps)
        means = _powers(complex(log_mean, 0.0), steps).real
        distance = np.arange(ROW)[None, :] - np.arange(ROW)[:, None]
        ahead = np.abs(distance)
        causal = distance >= 0
        # What a sample, and each state before the row, leaves in every output of the row; real and imaginary parts
        # side by side, so that the product is an array of complex numbers as it stands.
        answer = np.zeros((ROW + _STATES, ROW), dtype=np.complex128)
        answer[:ROW] = np.where(causal, alpha * alpha * (ahead + 1) * poles[ahead], 0.0)
        from_z1 = alpha * steps[1:] * poles[1:]
        answer[ROW], answer[ROW + 1] = from_z1, 1j * from_z1
        answer[ROW + 2], answer[ROW + 3] = poles[1:], 1j * poles[1:]
        self._mean: NDArray[np.float64] = np.zeros((ROW + _STATES, ROW))
        self._mean[:ROW] = np.where(causal, alpha_mean * means[ahead], 0.0)
        self._mean[-1] = means[1:]
        self._z: NDArray[np.float64] = answer.view(np.float64)
        self._clean: NDArray[np.float64] = (answer - still * self._mean).view(np.float64)
        # What each sample of a row leaves in the states after it.
        ends = np.stack((alpha * poles[:ROW], alpha * alpha * steps[1:] * poles[:ROW]), axis=1)[::-1]
        self._ends: NDArray[np.float64] = np.ascontiguousarray(ends).view(np.float64)
        self._ends_mean: NDArray[np.float64] = np.ascontiguousarray(alpha_mean * means[:ROW][::-1])
        # The states before each row from those before the first and what every row adds.
        behind = np.arange(ROWS)[:, None] - np.arange(ROWS)[None, :]
        lower = behind >= 0
        jumps = _powers(ROW * self._log, np.arange(ROWS, dtype=np.float64))[np.abs(behind)]
        self._poles: NDArray[np.complex128] = np.where(lower, jumps, 0.0)
        self._rows: NDArray[np.complex128] = np.where(lower, alpha * ROW * behind * jumps, 0.0)
        jumps_mean = _powers(complex(ROW * log_mean, 0.0), np.arange(ROWS, dtype=np.float64)).real[np.abs(behind)]
        self._rows_mean: NDArray[np.float64] = np.where(lower, jumps_mean, 0.0)

    def run(
        self, y: NDArray[np.float64], state: CascadeState
    ) -> tuple[NDArray[np.complex128], NDArray[np.float64], CascadeState]:
        """Filter a stretch of real samples.

        Parameters
        ----------
        y : ndarray of float, shape (n,)
            n ≥ 1 uniform samples.
        state : CascadeState
            Before the first sample; of ``mean`` the real part.

        Returns
        -------
        z : ndarray of complex, shape (n,)
            z₂ after each sample.
        mean : ndarray of float, shape (n,)
            m after each sample.
        state : CascadeState
            After the last sample.
        """
        n = y.shape[0]
        z, mean = np.empty(n, dtype=np.complex128), np.empty(n)
        for start in range(0, n, CHUNK):
            part = slice(start, min(n, start + CHUNK))
            wide, state = self._carry(y[part], state)
            z[part] = (wide @ self._z).view(np.complex128).reshape(-1)[: part.stop - start]
            mean[part] = (wide @ self._mean).reshape(-1)[: part.stop - start]
        return z, mean, state

    def run_clean(self, y: NDArray[np.float64], state: CascadeState) -> tuple[NDArray[np.complex128], CascadeState]:
        """Do the same, and return z₂ − still·m at once: what is right when nothing is growing any more."""
        n = y.shape[0]
        z = np.empty(n, dtype=np.complex128)
        for start in range(0, n, CHUNK):
            part = slice(start, min(n, start + CHUNK))
            wide, state = self._carry(y[part], state)
            z[part] = (wide @ self._clean).view(np.complex128).reshape(-1)[: part.stop - start]
        return z, state

    def _carry(self, y: NDArray[np.float64], state: CascadeState) -> tuple[NDArray[np.float64], CascadeState]:
        """Return rows of 32 samples, each with the states before it beside them, and the state after the last."""
        n = y.shape[0]
        rows = -(-n // ROW)
        wide = np.empty((rows, ROW + _STATES))
        if n == rows * ROW:
            wide[:, :ROW] = y.reshape(rows, ROW)
        else:
            wide[:-1, :ROW] = y[: (rows - 1) * ROW].reshape(rows - 1, ROW)
            wide[-1] = 0.0
            wide[-1, : n - (rows - 1) * ROW] = y[(rows - 1) * ROW :]
        samples = wide[:, :ROW]
        added = np.empty((rows, 2), dtype=np.complex128)
        means = np.empty(rows)
        added[0] = state.z1, state.z2
        means[0] = state.mean.real
        if rows > 1:
            added[1:] = (samples[:-1] @ self._ends).view(np.complex128)
            means[1:] = samples[:-1] @ self._ends_mean
            first = added[:, 0].copy()
            added = self._poles[:rows, :rows] @ added
            added[:, 1] += self._rows[:rows, :rows] @ first
            means = self._rows_mean[:rows, :rows] @ means
        wide[:, ROW:-1] = added.view(np.float64)
        wide[:, -1] = means
        last = n - (rows - 1) * ROW
        left1, left2 = (samples[-1, :last] @ self._ends[ROW - last :]).view(np.complex128).tolist()
        z1, z2 = added[-1].tolist()
        factor = cmath.exp(last * self._log) if self._log.real > -math.inf else 0.0
        held = math.exp(last * self._log_mean) if self._log_mean > -math.inf else 0.0
        mean = held * means[-1].item() + float(samples[-1, :last] @ self._ends_mean[ROW - last :])
        return wide, CascadeState(factor * z1 + left1, factor * (z2 + last * self._alpha * z1) + left2, mean)


def _powers(log_factor: complex, steps: NDArray[np.float64]) -> NDArray[np.complex128]:
    """exp(k·ln ρ) for each k ≥ 0, with 0⁰ = 1."""
    if log_factor.real == -math.inf:
        return np.asarray((steps == 0.0).astype(np.complex128))
    powers: NDArray[np.complex128] = np.exp(steps * log_factor)
    return powers
