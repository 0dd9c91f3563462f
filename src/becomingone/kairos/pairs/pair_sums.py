"""The sums over samples from which every pairwise measure follows, for all pairs at once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.pairs.pair_products import gram, inverse, lag_sums, present, stacked

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH: Final = 1 << 17
"""Coefficients of which all pairs are formed at a time."""


class Sums(Protocol):
    """What :class:`becomingone.kairos.pairs.pairwise.PairMeasures` needs; each of shape (..., n_channels, n_channels).

    x is the coefficient, u = x/|x| its phasor, w a sample's weight for the pair (0 where either has no phase).
    """

    @property
    def phase(self) -> NDArray[np.complex128]:
        """Σ w·u_i·u_j*."""
        ...

    @property
    def weight(self) -> NDArray[np.float64]:
        """Σ w."""
        ...

    @property
    def square(self) -> NDArray[np.float64]:
        """Σ w²."""
        ...

    @property
    def correlation(self) -> NDArray[np.float64]:
        """Samples in one independent sample, ≥ 1."""
        ...

    @property
    def cross(self) -> NDArray[np.complex128]:
        """Σ w·x_i·x_j*."""
        ...

    @property
    def power(self) -> NDArray[np.float64]:
        """Σ w·|x_i|² over the samples that count for the pair; not symmetric."""
        ...

    @property
    def lag(self) -> NDArray[np.float64]:
        """Σ w·Im(x_i·x_j*)."""
        ...

    @property
    def lag_modulus(self) -> NDArray[np.float64]:
        """Σ w·|Im(x_i·x_j*)|."""
        ...

    @property
    def lag_square(self) -> NDArray[np.float64]:
        """Σ w²·Im(x_i·x_j*)²."""
        ...

    @property
    def lag_sign(self) -> NDArray[np.float64]:
        """Σ w·sgn Im(x_i·x_j*)."""
        ...


class BlockSums:
    """Sums over independent samples, each formed when it is first asked for.

    Parameters
    ----------
    z : ndarray of complex, shape (n_samples, n_channels) or (n_samples, n_channels, n_freqs)
        Coefficients in any unit, one row a sample (an epoch, an independent look). 0, NaN, infinities and what lies
        outside 1e-60..1e60 have no phase: the channel's pairs leave that sample out.

    Attributes
    ----------
    complete : bool
        Every coefficient has a phase.

    Raises
    ------
    KernelError
        When ``z`` has another number of dimensions or an empty axis.
    """

    def __init__(self, z: NDArray[np.complex128]) -> None:
        if z.ndim not in (2, 3) or 0 in z.shape:
            raise KernelError(f"coefficients of shape {z.shape}; (n_samples, n_channels[, n_freqs]) needed")
        coefficients = np.asarray(z, dtype=np.complex128)
        if z.ndim == 3:
            # One matrix product a frequency needs the frequencies first; what `fourier` returns has them so already.
            coefficients = np.ascontiguousarray(coefficients.transpose(2, 0, 1))
        self._z, self._modulus, self.complete = present(coefficients)

    @property
    def phase(self) -> NDArray[np.complex128]:
        """Σ u_i·u_j*."""
        return self._phase

    @cached_property
    def _phase(self) -> NDArray[np.complex128]:
        scale = 1.0 / self._modulus if self.complete else inverse(self._modulus)
        return gram(stacked(self._z, scale))

    @property
    def weight(self) -> NDArray[np.float64]:
        """Number of samples in which both have a phase."""
        return self._weight

    @cached_property
    def _weight(self) -> NDArray[np.float64]:
        if self.complete:
            samples, channels = self._z.shape[-2:]
            return np.broadcast_to(float(samples), (*self._z.shape[:-2], channels, channels))
        mask = (self._modulus > 0.0).astype(np.float64)
        return np.swapaxes(mask, -1, -2) @ mask

    @property
    def square(self) -> NDArray[np.float64]:
        """The same number: every weight is 1."""
        return self.weight

    @property
    def correlation(self) -> NDArray[np.float64]:
        """1: samples are taken as independent."""
        return np.ones_like(self.weight)

    @property
    def cross(self) -> NDArray[np.complex128]:
        """Σ x_i·x_j*."""
        return self._cross

    @cached_property
    def _cross(self) -> NDArray[np.complex128]:
        return gram(stacked(self._z))

    @property
    def power(self) -> NDArray[np.float64]:
        """Σ |x_i|² over the samples in which j has a phase too."""
        return self._power

    @cached_property
    def _power(self) -> NDArray[np.float64]:
        square = self._modulus * self._modulus
        return np.swapaxes(square, -1, -2) @ (self._modulus > 0.0).astype(np.float64)

    @cached_property
    def _lags(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        samples, channels = self._z.shape[-2:]
        weight = np.ones(samples)
        if self._z.ndim == 2:
            return lag_sums(self._z, self._modulus, weight)
        batch = max(1, _BATCH // (samples * channels))
        parts = [
            lag_sums(self._z[start : start + batch], self._modulus[start : start + batch], weight)
            for start in range(0, self._z.shape[0], batch)
        ]
        lag, modulus, square, sign = (np.concatenate(part) for part in zip(*parts, strict=True))
        return lag, modulus, square, sign

    @property
    def lag(self) -> NDArray[np.float64]:
        """Σ Im(x_i·x_j*)."""
        return self._lags[0]

    @property
    def lag_modulus(self) -> NDArray[np.float64]:
        """Σ |Im(x_i·x_j*)|."""
        return self._lags[1]

    @property
    def lag_square(self) -> NDArray[np.float64]:
        """Σ Im(x_i·x_j*)²."""
        return self._lags[2]

    @property
    def lag_sign(self) -> NDArray[np.float64]:
        """Σ sgn Im(x_i·x_j*)."""
        return self._lags[3]
