"""Products of all pairs of channels, summed over samples: the arithmetic under the pairwise measures.

Whatever is bilinear in the two channels is a matrix product. Only what needs the sign or the modulus of a pair's own
cross-product is formed pair by pair, half of them: the other half is its negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST: Final = 1e60
"""A coefficient beyond this is treated as missing, like NaN: its fourth power would overflow."""

SMALLEST: Final = 1e-60
"""A coefficient below this has no phase: its fourth power would vanish."""

ROUNDING: Final = 4.0 * float(np.finfo(np.float64).eps)
"""An imaginary part of x·y* below this share of |x|·|y| is rounding, not a lag, and counts as 0."""


def present(z: NDArray[np.complex128]) -> tuple[NDArray[np.complex128], NDArray[np.float64], bool]:
    """Return z with 0 for whatever has no phase (NaN, infinities, outside 1e-60..1e60), |z|, and if all have one."""
    modulus = np.abs(z)
    # False for NaN too.
    if float(modulus.min()) >= SMALLEST and float(modulus.max()) <= LARGEST:
        return z, modulus, True
    usable = (modulus >= SMALLEST) & (modulus <= LARGEST)
    return np.where(usable, z, 0.0), np.where(usable, modulus, 0.0), False


def stacked(z: NDArray[np.complex128], scale: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return the real parts of z·scale above the imaginary ones: (..., n, c) becomes (..., 2n, c)."""
    n, channels = z.shape[-2:]
    out = np.empty((*z.shape[:-2], 2 * n, channels))
    if scale is None:
        out[..., :n, :] = z.real
        out[..., n:, :] = z.imag
    else:
        # Twice a real product: numpy would make the real factor complex first, at four times the cost.
        np.multiply(z.real, scale, out=out[..., :n, :])
        np.multiply(z.imag, scale, out=out[..., n:, :])
    return out


def gram(parts: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return Σ_n z_i·z_j* as (..., c, c), exactly Hermitian, from z as :func:`stacked` gives it.

    Three real products do what a complex one takes four for, and what is symmetric comes out so to the last bit.
    """
    n = parts.shape[-2] // 2
    channels = parts.shape[-1]
    out = np.empty((*parts.shape[:-2], channels, channels), dtype=np.complex128)
    out.real = np.swapaxes(parts, -1, -2) @ parts
    half = np.swapaxes(parts[..., n:, :], -1, -2) @ parts[..., :n, :]
    np.subtract(half, np.swapaxes(half, -1, -2), out=out.imag)
    return out


def inverse(modulus: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1/|z|, and 0 where z is 0."""
    out = np.zeros(modulus.shape)
    np.divide(1.0, modulus, out=out, where=modulus > 0.0)
    return out


def lag_sums(
    z: NDArray[np.complex128],
    modulus: NDArray[np.float64],
    weight: NDArray[np.float64],
    share: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Sum Im(z_i·z_j*), its modulus, its square and its sign over samples.

    Parameters
    ----------
    z : ndarray of complex, shape (..., n, c)
    modulus : ndarray of float, same shape
        |z|.
    weight : ndarray of float, shape (n,)
        Weight of each sample; squared for the sum of squares.
    share : ndarray of float, shape (n, c), optional
        Weight of each channel in each sample, ≥ 0; a pair's weight is the product with both. Default: 1.

    Returns
    -------
    tuple of four ndarrays of float, shape (..., c, c)
        The first and the last antisymmetric, the other two symmetric, all with 0 on the diagonal.
    """
    channels = z.shape[-1]
    sums = np.zeros((4, *z.shape[:-2], channels, channels))
    x, y = np.ascontiguousarray(z.real), np.ascontiguousarray(z.imag)
    square = weight * weight
    # A row of pairs at a time, i with all after it: what is formed of them then stays in the cache.
    for i in range(channels - 1):
        imaginary = y[..., i, None] * x[..., i + 1 :] - x[..., i, None] * y[..., i + 1 :]
        size = np.abs(imaginary)
        imaginary[size <= ROUNDING * (modulus[..., i, None] * modulus[..., i + 1 :])] = 0.0
        sign = np.sign(imaginary)
        if share is not None:
            pair = share[:, i, None] * share[:, i + 1 :]
            imaginary *= pair
            sign *= pair
        size = np.abs(imaginary)
        sums[0, ..., i, i + 1 :] = weight @ imaginary
        sums[1, ..., i, i + 1 :] = weight @ size
        sums[2, ..., i, i + 1 :] = square @ (size * size)
        sums[3, ..., i, i + 1 :] = weight @ sign
    below = np.swapaxes(sums, -1, -2)
    return sums[0] - below[0], sums[1] + below[1], sums[2] + below[2], sums[3] - below[3]


def lag_sums_once(
    z: NDArray[np.complex128],
    modulus: NDArray[np.float64],
    weight: float,
    share: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return what :func:`lag_sums` does for one sample, z and the others of shape (c,): all pairs in one step."""
    x, y = z.real, z.imag
    half = np.outer(y, x)
    imaginary = half - half.T
    size = np.abs(imaginary)
    imaginary[size <= ROUNDING * np.outer(modulus, modulus)] = 0.0
    sign = np.sign(imaginary)
    factor = weight if share is None else weight * np.outer(share, share)
    imaginary *= factor
    size = np.abs(imaginary)
    return imaginary, size, size * size, sign * factor
