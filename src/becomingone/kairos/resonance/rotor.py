"""e^{−iνnΔ} for any n, exactly: a rotation that is indexed by a count instead of multiplied along.

Multiplying a rotor on by a rounded e^{−iνΔ} turns it wrong by up to 1e-16 rad a sample in the same direction every
time, and off the circle likewise: 1e-8 after 10⁸ samples. Here the angle of sample n is the fraction of n·c cycles,
with c = νΔ/2π the one number that is rounded, and that fraction is formed in whole numbers.
"""

from __future__ import annotations

import cmath
import math
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SPLIT: Final = 2.0**36
"""c is split at 36 binary places, so that a product with up to 2¹⁶ has no rounding error in its fraction."""


def turn(cycles: float, index: int) -> complex:
    """Return e^{−2πi·cycles·index} without loss of digits.

    Parameters
    ----------
    cycles : float
        Cycles per sample, finite; taken as the exact number that the float is.
    index : int
        Any whole number.

    Returns
    -------
    complex
        Of modulus 1 to rounding, and of the exact angle to 1e-15 rad however large ``index`` is.
    """
    numerator, denominator = cycles.as_integer_ratio()
    return cmath.exp(-2j * math.pi * (((index * numerator) % denominator) / denominator))


def turns(cycles: float, n: int) -> NDArray[np.complex128]:
    """Return e^{−2πi·cycles·k} for k = 0..n−1, n ≤ 65 536, each exact to 1e-15 rad; shape (n,)."""
    coarse = round(cycles * _SPLIT) / _SPLIT
    k = np.arange(n, dtype=np.float64)
    angle = np.fmod(k * coarse, 1.0) + k * (cycles - coarse)
    rotor: NDArray[np.complex128] = np.exp(-2j * np.pi * angle)
    return rotor


def cycles_of(nu: Sequence[float], spacing_s: float) -> tuple[float, ...]:
    """Return νΔ/2π for each angular frequency.

    Parameters
    ----------
    nu : sequence of float
        Angular frequencies in rad/s, each |ν| ≤ π/Δ.
    spacing_s : float
        Spacing Δ in seconds, > 0.

    Raises
    ------
    KernelError
        When the spacing is not above 0, or a frequency is not finite or above Nyquist.
    """
    if not (math.isfinite(spacing_s) and spacing_s > 0.0):
        raise KernelError(f"spacing_s is {spacing_s!r}; it must be finite and above 0")
    cycles = tuple(float(value) * spacing_s / (2.0 * math.pi) for value in nu)
    for value, cycle in zip(nu, cycles, strict=True):
        if not abs(cycle) <= 0.5 * (1.0 + 1e-12):
            raise KernelError(f"nu is {value!r} rad/s; beyond ±π/Δ = {math.pi / spacing_s:g} it is an alias of another")
    return cycles
