"""The recent past of a stream, and what of a sample enters it: its phase or its value, or nothing where it is missing.

The past lies in one piece, oldest first, so that any lag of any stretch is a slice of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK: Final = 2048
"""The longest stretch that is taken at once; bounds the tables and the scratch memory."""

LARGEST: Final = 1e100
"""A sample of larger modulus is treated as missing, like NaN: its square would overflow a running power."""

LEAST: Final = 1e-150
"""A sample of smaller modulus has no phase."""

_UNIT: Final = 2e-15
"""How far |z| may be from 1 for z to be a unit phasor as it stands."""

Usable: TypeAlias = "tuple[NDArray[np.complex128], NDArray[np.float64], NDArray[np.float64] | None]"
"""z, with 0 where it is missing; |z|, likewise; and 1 where it is there, 0 where not (None: it is there everywhere)."""


def as_stream(z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return z as complex numbers of double precision.

    Raises
    ------
    KernelError
        When z is empty or not one-dimensional.
    """
    if z.ndim != 1 or not z.shape[0]:
        raise KernelError(f"samples have shape {z.shape}; it must be (n,) with n at least 1")
    return z if z.dtype == np.complex128 else z.astype(np.complex128)


def usable(z: NDArray[np.complex128], *, phase: bool) -> Usable:
    """Find what of the samples enters.

    Parameters
    ----------
    z : ndarray of complex, shape (n,), n ≥ 1
        NaN, infinities and moduli beyond 1e100 are missing.
    phase : bool
        Reduce them to unit phasors; then a modulus below 1e-150 is missing too, and |z| is given as it was.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        modulus: NDArray[np.float64] = np.abs(z)
        low, high = np.minimum.reduce(modulus), np.maximum.reduce(modulus)
    least = LEAST if phase else 0.0
    there = None
    if not (low >= least and high <= LARGEST):  # false for NaN as well
        here = (modulus >= least) & (modulus <= LARGEST)
        there = here.astype(np.float64)
        z = np.where(here, z, 0.0)
        modulus = np.where(here, modulus, 0.0)
    if not phase or (there is None and low >= 1.0 - _UNIT and high <= 1.0 + _UNIT):
        return z, modulus, there
    unit: NDArray[np.complex128] = z * (1.0 / (modulus if there is None else np.where(there > 0.0, modulus, 1.0)))
    return unit, modulus, there


def usable_one(z: complex, *, phase: bool) -> tuple[complex, float, float]:
    """Return what :func:`usable` does, of one sample."""
    z = complex(z)
    try:
        modulus = abs(z)
    except OverflowError:
        return 0j, 0.0, 0.0
    if not (LEAST if phase else 0.0) <= modulus <= LARGEST:
        return 0j, 0.0, 0.0
    return (z / modulus, modulus, 1.0) if phase else (z, modulus, 1.0)


class LagRing:
    """The latest samples of a stream; missing ones are 0.

    Parameters
    ----------
    reach : int
        The longest lag in samples, ≥ 0. Half as many more are held, at least 8,192: the past is moved to the front
        once in a while only.
    powers : bool
        Keep |y|² beside y.

    Attributes
    ----------
    past : ndarray of complex, shape (size,)
        y*, conjugate.
    there : ndarray of float, shape (size,)
        1, or 0 where y is missing.
    square : ndarray of float, shape (size,) or (0,)
        |y|².
    whole : int
        How many of the latest samples are there without a hole.
    """

    __slots__ = ("_at", "_reach", "past", "square", "there", "whole")

    def __init__(self, reach: int, *, powers: bool) -> None:
        size = reach + max(reach // 2, 4 * CHUNK)
        self._reach = reach
        self._at = reach
        self.past: NDArray[np.complex128] = np.zeros(size, dtype=np.complex128)
        self.there: NDArray[np.float64] = np.zeros(size)
        self.square: NDArray[np.float64] = np.zeros(size if powers else 0)
        self.whole = 0

    def _room(self, n: int) -> int:
        """Make room for n samples; return where the first of them goes."""
        at = self._at
        if at + n > self.past.shape[0]:
            for kept in (self.past, self.there, self.square):
                kept[: self._reach] = kept[at - self._reach : at]
            at = self._reach
        self._at = at + n
        return at

    def append(self, y: Usable) -> int:
        """Add n ≤ CHUNK samples; return where the first of them lies."""
        values, modulus, there = y
        n = values.shape[0]
        at = self._room(n)
        part = slice(at, at + n)
        np.conjugate(values, out=self.past[part])
        if there is None:
            self.there[part] = 1.0
            self.whole += n
        else:
            self.there[part] = there
            self.whole = n - 1 - int(np.flatnonzero(there == 0.0)[-1])
        if self.square.shape[0]:
            np.multiply(modulus, modulus, out=self.square[part])
        return at

    def push(self, y: tuple[complex, float, float]) -> int:
        """Add one sample; return where it lies."""
        value, modulus, there = y
        at = self._room(1)
        self.past[at] = value.conjugate()
        self.there[at] = there
        self.whole = self.whole + 1 if there else 0
        if self.square.shape[0]:
            self.square[at] = modulus * modulus
        return at

    def miss(self, slots: int) -> None:
        """Add this many missing samples."""
        slots = min(slots, self._reach)
        self.whole = 0
        for start in range(0, slots, CHUNK):
            n = min(CHUNK, slots - start)
            at = self._room(n)
            self.past[at : at + n] = 0.0
            self.there[at : at + n] = 0.0
            if self.square.shape[0]:
                self.square[at : at + n] = 0.0
