"""The Bessel functions J₀ and J₁ on arrays, fast: polynomials, to 1e-7."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEAR: Final = 3.0

# M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 9.4.1, 9.4.3, 9.4.4, 9.4.6; highest power first.
_J0_NEAR: Final = (0.0002100, -0.0039444, 0.0444479, -0.3163866, 1.2656208, -2.2499997, 1.0)
_J0_SIZE: Final = (0.00014476, -0.00072805, 0.00137237, -0.00009512, -0.00552740, -0.00000077, 0.79788456)
_J0_TURN: Final = (0.00013558, -0.00029333, -0.00054125, 0.00262573, -0.00003954, -0.04166397, -0.78539816)
_J1_NEAR: Final = (0.00001109, -0.00031761, 0.00443319, -0.03954289, 0.21093573, -0.56249985, 0.5)
_J1_SIZE: Final = (-0.00020033, 0.00113653, -0.00249511, 0.00017105, 0.01659667, 0.00000156, 0.79788456)
_J1_TURN: Final = (-0.00029166, 0.00079824, 0.00074348, -0.00637879, 0.00005650, 0.12499612, -2.35619449)


def j0(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return J₀(x), x ≥ 0, of the same shape, to 1e-7."""
    near = np.minimum(x, _NEAR)
    far = np.maximum(x, _NEAR)
    return np.where(x <= _NEAR, _polynomial(_J0_NEAR, np.square(near / 3.0)), _wave(_J0_SIZE, _J0_TURN, far))


def j1(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return J₁(x), x ≥ 0, of the same shape, to 1e-7."""
    near = np.minimum(x, _NEAR)
    far = np.maximum(x, _NEAR)
    return np.where(x <= _NEAR, near * _polynomial(_J1_NEAR, np.square(near / 3.0)), _wave(_J1_SIZE, _J1_TURN, far))


def _wave(size: tuple[float, ...], turn: tuple[float, ...], x: NDArray[np.float64]) -> NDArray[np.float64]:
    inverse = 3.0 / x
    wave: NDArray[np.float64] = _polynomial(size, inverse) * np.cos(x + _polynomial(turn, inverse)) / np.sqrt(x)
    return wave


def _polynomial(coefficients: tuple[float, ...], x: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        out *= x
        out += c
    return out
