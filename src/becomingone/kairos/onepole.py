"""Leaky integration, the one recursion under everything else: s ← s + α·(x − s).

The scalar form is written s += α·(x − s), because the textbook (1 − α)·s + α·x loses eleven digits at α ≤ 1e-7. The
block form gives the same numbers for a whole array: rows of 32 samples times a triangular matrix of α·λ^d, and the
carries from row to row by the same scheme one level up, which is O(n) for any n.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, overload

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROW: Final = 32
"""Samples in a row: long enough that matrix products do the work, short enough to waste little on the triangle."""

SHORT: Final = 256
"""Below this many samples the scalar loop is faster than making the block form's tables (measured)."""


def alpha_of(dt: float, tau: float) -> float:
    """Return the weight α = 1 − exp(−Δ/τ) of a sample that stands for the time Δ.

    Parameters
    ----------
    dt : float
        Time since the previous sample, in seconds, > 0.
    tau : float
        Time constant, in seconds, > 0.

    Returns
    -------
    float
        In 0..1; formed with ``expm1``, so exact to rounding however small Δ/τ is.

    Raises
    ------
    KernelError
        When either is not finite and above 0.
    """
    if not (math.isfinite(dt) and dt > 0.0):
        raise KernelError(f"time step is {dt!r} s; it must be finite and above 0")
    if not (math.isfinite(tau) and tau > 0.0):
        raise KernelError(f"time constant is {tau!r} s; it must be finite and above 0")
    return -math.expm1(-dt / tau)


class OnePole:
    """The block form of s ← λ·s + g·x along the last axis of a real array.

    Parameters
    ----------
    log_factor : float
        ln λ, ≤ 0; powers are formed as exp(d·ln λ), never by repeated multiplication.
    gain : float
        g; α for a leaky mean, 1 for the carries one level up.

    Notes
    -----
    Holds tables only, no signal: one object may serve any number of streams with the same spacing.
    """

    __slots__ = ("_log_factor", "_matrix", "_powers", "_up")

    def __init__(self, log_factor: float, gain: float) -> None:
        self._log_factor = log_factor
        exponents = np.arange(ROW + 1, dtype=np.float64)
        exponents[1:] *= log_factor
        self._powers: NDArray[np.float64] = np.exp(exponents)
        distance = np.arange(ROW)[None, :] - np.arange(ROW)[:, None]
        self._matrix: NDArray[np.float64] = np.where(distance >= 0, gain * self._powers[np.abs(distance)], 0.0)
        self._up: OnePole | None = None

    @classmethod
    def leaky(cls, alpha: float) -> OnePole:
        """Return the block form of s += α·(x − s), 0 < α ≤ 1."""
        if not 0.0 < alpha <= 1.0:
            raise KernelError(f"alpha is {alpha!r}; it must be above 0 and at most 1")
        return cls(math.log1p(-alpha) if alpha < 1.0 else -math.inf, alpha)

    def run(self, x: NDArray[np.float64], state: NDArray[np.float64]) -> NDArray[np.float64]:
        """Filter each row of ``x``.

        Parameters
        ----------
        x : ndarray of float, shape (c, n)
            c independent real signals, n ≥ 1 samples each.
        state : ndarray of float, shape (c,)
            The value before the first sample.

        Returns
        -------
        ndarray of float, shape (c, n)
            The value after each sample; the last column is the next call's ``state``.
        """
        signals, n = x.shape
        if n <= ROW:
            short: NDArray[np.float64] = x @ self._matrix[:n, :n] + state[:, None] * self._powers[1 : n + 1]
            return short
        rows = -(-n // ROW)
        if n % ROW:
            padded = np.zeros((signals, rows * ROW))
            padded[:, :n] = x
        else:
            padded = np.ascontiguousarray(x)
        local = (padded.reshape(signals * rows, ROW) @ self._matrix).reshape(signals, rows, ROW)
        if self._up is None:
            self._up = OnePole(ROW * self._log_factor, 1.0)
        carries = np.empty((signals, rows))
        carries[:, 0] = state
        carries[:, 1:] = self._up.run(np.ascontiguousarray(local[:, :-1, -1]), state)
        local += carries[:, :, None] * self._powers[1:]
        return local.reshape(signals, rows * ROW)[:, :n]


@overload
def leaky(x: NDArray[np.float64], alpha: float, state: float = ...) -> NDArray[np.float64]: ...
@overload
def leaky(x: NDArray[np.complex128], alpha: float, state: complex = ...) -> NDArray[np.complex128]: ...
def leaky(
    x: NDArray[np.float64] | NDArray[np.complex128], alpha: float, state: complex = 0.0
) -> NDArray[np.float64] | NDArray[np.complex128]:
    """Leaky mean of one signal, all outputs.

    Parameters
    ----------
    x : ndarray of float or complex, shape (n,)
        Uniform samples; n may be 0.
    alpha : float
        0 < α ≤ 1.
    state : float or complex
        The value before the first sample.

    Returns
    -------
    ndarray, shape (n,)
        The value after each sample, of the same type as ``x``.

    Raises
    ------
    KernelError
        When α is out of its range.
    """
    if not 0.0 < alpha <= 1.0:
        raise KernelError(f"alpha is {alpha!r}; it must be above 0 and at most 1")
    if x.shape[0] < SHORT:
        out = np.empty_like(x)
        value = state
        for i, sample in enumerate(x.tolist()):
            value += alpha * (sample - value)
            out[i] = value
        return out
    pole = OnePole.leaky(alpha)
    if np.iscomplexobj(x):
        parts = pole.run(np.stack((x.real, x.imag)), np.array([complex(state).real, complex(state).imag]))
        joined: NDArray[np.complex128] = parts[0] + 1j * parts[1]
        return joined
    real: NDArray[np.float64] = pole.run(np.asarray(x, dtype=np.float64)[None, :], np.array([complex(state).real]))[0]
    return real
