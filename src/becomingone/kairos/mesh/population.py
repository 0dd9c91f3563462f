"""Kuramoto's population of oscillators, simulated: for benches, planning and tests, not evidence of any mesh."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.mesh.kuramoto import above_zero, checked_lag

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Population:
    """N oscillators θ̇ = ω + K·R·sin(Ψ − θ − α) + √(2D)·ξ in their own mean field R·e^{iΨ}.

    Parameters
    ----------
    omega : ndarray of float, shape (n,)
        Own rates in rad/s; n ≥ 1.
    phase : ndarray of float, shape (n,)
        Phases at the start in radians.
    gain : float
        K in rad/s, ≥ 0.
    lag : float
        α in radians, |α| < π/2.
    diffusion : float
        D in rad²/s, ≥ 0.
    random : numpy.random.Generator or None
        Source of ξ; needed when D > 0.

    Raises
    ------
    KernelError
        When shapes differ, or a value is not finite or out of its range.

    Notes
    -----
    O(N) a step. Half of the own rotation, the coupling, the other half (G. Strang 1968). The coupling alone, in a
    field held constant, is a Möbius map of u = e^{iθ}: with v = u·e^{−iΨ'}, v ← (v + h)/(1 + h·v), h = tanh(κt/2), the
    same h for all. The field held is that of the middle of the step, predicted by half a step: second order, and stable
    at any step. No sine is taken.
    """

    __slots__ = ("_gain", "_half", "_lag", "_noise", "_omega", "_random", "_step_s", "_u")

    def __init__(
        self,
        omega: NDArray[np.float64],
        phase: NDArray[np.float64],
        gain: float,
        *,
        lag: float = 0.0,
        diffusion: float = 0.0,
        random: np.random.Generator | None = None,
    ) -> None:
        if omega.shape != phase.shape or omega.ndim != 1 or not omega.shape[0]:
            raise KernelError(f"shapes {omega.shape} and {phase.shape}; both must be (n,), n at least 1")
        if not (np.isfinite(omega).all() and np.isfinite(phase).all()):
            raise KernelError("a rate or a phase is not finite")
        for name, value in (("gain", gain), ("diffusion", diffusion)):
            if not (math.isfinite(value) and value >= 0.0):
                raise KernelError(f"{name} is {value!r}; it must be finite and at least 0")
        checked_lag(lag)
        if diffusion > 0.0 and random is None:
            raise KernelError("diffusion needs a source of randomness")
        self._omega = omega.astype(np.float64)
        self._u: NDArray[np.complex128] = np.exp(1j * phase)
        self._gain = gain
        self._lag = lag
        self._noise = diffusion
        self._random = random
        self._step_s = 0.0
        self._half = np.ones_like(self._u)

    @property
    def field(self) -> complex:
        """R·e^{iΨ}."""
        return complex(self._u.mean())

    @property
    def phasors(self) -> NDArray[np.complex128]:
        """A copy of u, shape (n,)."""
        return self._u.copy()

    def step(self, dt_s: float) -> complex:
        """Go on by one step and return the mean field at its end.

        Parameters
        ----------
        dt_s : float
            Seconds, > 0. Accurate while K·dt is well below 1.

        Raises
        ------
        KernelError
            When the step is not finite and above 0.
        """
        above_zero(dt_s, "dt_s")
        if dt_s != self._step_s:
            self._step_s = dt_s
            self._half = np.exp(0.5j * dt_s * self._omega)
        u = self._u * self._half
        middle = self._coupled(u, complex(u.mean()), 0.5 * dt_s)
        u = self._coupled(u, complex(middle.mean()), dt_s)
        u *= self._half
        if self._random is not None and self._noise > 0.0:
            kicks = np.asarray(self._random.standard_normal(u.shape), dtype=np.float64)
            u *= np.exp(1j * math.sqrt(2.0 * self._noise * dt_s) * kicks)
        # Rounding moves |u| from 1 by a few units in the last place a step.
        u /= np.abs(u)
        self._u = u
        return complex(u.mean())

    def run(self, duration_s: float, dt_s: float) -> NDArray[np.complex128]:
        """Go on by whole steps and return the mean field after each, shape (round(duration/dt),)."""
        above_zero(duration_s, "duration_s")
        above_zero(dt_s, "dt_s")
        return np.array([self.step(dt_s) for _ in range(round(duration_s / dt_s))], dtype=np.complex128)

    def _coupled(self, u: NDArray[np.complex128], field: complex, t: float) -> NDArray[np.complex128]:
        size = abs(field)
        if not size > 0.0:
            return u.copy()
        h = math.tanh(0.5 * self._gain * size * t)
        towards = field / size * complex(math.cos(self._lag), -math.sin(self._lag))
        # (v + h)/(1 + h·v) with v = u/towards, turned back.
        moved: NDArray[np.complex128] = (u + h * towards) / (1.0 + h * towards.conjugate() * u)
        return moved
