"""Pairwise measures: how two channels go together, for all pairs at once.

None of them tells a common cause from a connection. They differ in what raises them: PLV, PPC and coherence rise with
whatever both channels contain (mains, a shared clock, one vibration felt by two sensors); the imaginary part of
coherency, ciPLV, PLI and wPLI answer only to what arrives at one of them later, and so miss true locking at zero lag.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.pairs.pair_sums import BlockSums, Sums
from becomingone.kairos.pairs.spectra import fourier
from becomingone.kairos.rayleigh import rayleigh_p

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH: Final = 8_000

_T = TypeVar("_T", bound=np.generic)

__all__ = ["PairMeasures", "plv_floor", "plv_of_epochs", "plv_p"]


def plv_floor(n: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return √(π/4n), the mean phase-locking value of n independent samples that have nothing in common.

    Parameters
    ----------
    n : ndarray of float, or float
        (Effective) number of samples, > 0. The mean of the Rayleigh distribution; at most 1.

    Raises
    ------
    KernelError
        When n is not above 0.
    """
    count = np.asarray(n, dtype=np.float64)
    if not (count > 0.0).all():
        raise KernelError("plv_floor needs n above 0")
    floor: NDArray[np.float64] = np.minimum(1.0, np.sqrt(math.pi / (4.0 * count)))
    return floor


def plv_p(plv: NDArray[np.float64], n: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability that n unrelated phase differences lock at least as well.

    Parameters
    ----------
    plv : ndarray of float
        Phase-locking values, 0..1; NaN gives p = 1.
    n : ndarray of float, same shape
        (Effective) number of independent samples; below 1 counts as 1.

    Returns
    -------
    ndarray of float, same shape
        0..1, by :func:`becomingone.kairos.rayleigh.rayleigh_p`. Of independent samples alone: of neighbouring samples
        of one rhythm it is far too small, see :mod:`becomingone.kairos.pairs.surrogates`.

    Raises
    ------
    KernelError
        When the shapes differ or a value is outside 0..1.
    """
    if plv.shape != n.shape:
        raise KernelError(f"shapes {plv.shape} and {n.shape}; they must be the same")
    out = np.ones(plv.shape)
    flat = out.reshape(-1)
    pairs = zip(plv.ravel().tolist(), n.ravel().tolist(), strict=True)
    for k, (value, count) in enumerate(pairs):
        if not math.isnan(value):
            flat[k] = rayleigh_p(value, max(1.0, count))
    return out


def plv_of_epochs(
    data: NDArray[np.float64],
    sfreq: float,
    fmin: float | None = None,
    fmax: float | None = None,
    *,
    average: bool = False,
) -> NDArray[np.float64]:
    """Phase-locking value of all pairs, from epochs of samples.

    The same as mne-connectivity's ``spectral_connectivity_epochs(method="plv", mode="fourier")``, to rounding.

    Parameters
    ----------
    data : ndarray of float, shape (n_epochs, n_channels, n_times)
        Samples in any unit; see :func:`becomingone.kairos.pairs.spectra.fourier`, also for gaps and errors.
    sfreq : float
        Sample rate in hertz, > 0.
    fmin, fmax : float, optional
        Range of frequencies in hertz, both included. Default: 5 periods an epoch, and half the sample rate.
    average : bool
        Return the mean over the frequencies.

    Returns
    -------
    ndarray of float, shape (n_channels, n_channels, n_freqs), or (n_channels, n_channels) if averaged
        0..1, symmetric, 1 on the diagonal; NaN for a pair without an epoch in common.
    """
    z, _ = fourier(data, sfreq, fmin, fmax)
    epochs, channels, n_freqs = z.shape
    # A few frequencies at a time, because fresh memory costs more than the arithmetic (measured).
    step = max(1, _BATCH // (epochs * channels))
    out = np.empty((n_freqs, channels, channels))
    for start in range(0, n_freqs, step):
        sums = BlockSums(z[:, :, start : start + step])
        out[start : start + step] = _plv(sums.phase, sums.weight)
    return out.mean(axis=0) if average else _last(out)


class PairMeasures:
    """Every pairwise measure, each computed when it is first asked for.

    All are arrays of shape (n_channels, n_channels), or (n_channels, n_channels, n_freqs) when the coefficients have
    frequencies. A pair without a sample in common is NaN; n_eff says how many samples a figure rests on.

    Parameters
    ----------
    sums : Sums
        The sums over samples: of a block by :meth:`of`, of a stream by
        :class:`becomingone.kairos.pairs.pair_stream.PairStream`.
    """

    def __init__(self, sums: Sums) -> None:
        self._sums = sums

    @classmethod
    def of(cls, z: NDArray[np.complex128]) -> PairMeasures:
        """Measure a block of independent samples.

        Parameters
        ----------
        z : ndarray of complex, shape (n_samples, n_channels) or (n_samples, n_channels, n_freqs)
            Coefficients in any unit, one row an epoch. 0, NaN, infinities and what lies outside 1e-60..1e60 have no
            phase: the channel's pairs leave that epoch out.

        Raises
        ------
        KernelError
            When ``z`` has another number of dimensions or an empty axis.
        """
        return cls(BlockSums(z))

    @cached_property
    def n_eff(self) -> NDArray[np.float64]:
        """Effective number of independent samples of the pair: (Σw)²/Σw² over the correlation; 0 without any."""
        sums = self._sums
        return _last(_ratio(sums.weight**2, sums.square * sums.correlation, 0.0))

    @cached_property
    def plv(self) -> NDArray[np.float64]:
        """Phase-locking value |⟨u_i·u_j*⟩|, 0..1, 1 on the diagonal (Lachaux et al., Hum. Brain Mapp. 8, 1999).

        Rises with a common signal, and by chance: compare with ``plv_floor``, or use ``ppc``.
        """
        return _last(_plv(self._sums.phase, self._sums.weight))

    @cached_property
    def plv_floor(self) -> NDArray[np.float64]:
        """√(π/4N_eff): the PLV to expect of channels that have nothing in common; 1 without a sample."""
        return plv_floor(np.where(self.n_eff > 0.0, self.n_eff, 0.5))

    @cached_property
    def plv_p(self) -> NDArray[np.float64]:
        """Probability of at least this PLV by chance, given N_eff; 1 on the diagonal and without a sample."""
        plv, n = self.plv, self.n_eff
        rows, columns = np.triu_indices(plv.shape[0], 1)
        out = np.ones(plv.shape)
        out[rows, columns] = plv_p(plv[rows, columns], n[rows, columns])
        out[columns, rows] = out[rows, columns]
        return out

    @cached_property
    def ciplv(self) -> NDArray[np.float64]:
        """Corrected imaginary PLV |Im⟨uu*⟩|/√(1 − Re²⟨uu*⟩), 0..1, 0 on the diagonal (Bruña, Maestú and Pereda, 2018).

        0 for a common signal at zero lag, and for true locking at zero lag.
        """
        sums = self._sums
        locking = _ratio(sums.phase, sums.weight, 0.0)
        rest = np.maximum((1.0 - locking.real) * (1.0 + locking.real), 0.0)
        return _last(self._defined(np.minimum(1.0, _ratio(np.abs(locking.imag), np.sqrt(rest), 0.0))))

    @cached_property
    def ppc(self) -> NDArray[np.float64]:
        """Pairwise phase consistency (N·PLV² − 1)/(N − 1), N = N_eff (Vinck et al., NeuroImage 51, 2010).

        An unbiased estimate of the true PLV²: 0 on average by chance, where it may be negative; 1 on the diagonal.
        NaN unless N_eff > 1.
        """
        n = self.n_eff
        return _ratio(n * self.plv**2 - 1.0, np.where(n > 1.0, n - 1.0, 0.0), np.nan)

    @cached_property
    def pli(self) -> NDArray[np.float64]:
        """Phase-lag index |⟨sgn Im(x_i·x_j*)⟩|, 0..1, 0 on the diagonal (Stam, Nolte and Daffertshofer, 2007)."""
        return _last(np.abs(_ratio(self._sums.lag_sign, self._sums.weight, np.nan)))

    @cached_property
    def wpli(self) -> NDArray[np.float64]:
        """Weighted phase-lag index |⟨Im⟩|/⟨|Im|⟩, 0..1, 0 on the diagonal and where every Im is 0 (Vinck et al., 2011).

        1 for any constant lag other than 0 and π, however small, and for a single sample: it is biased upwards; about
        0 for a common signal with independent noise.
        """
        sums = self._sums
        return _last(self._defined(_ratio(np.abs(sums.lag), sums.lag_modulus, 0.0)))

    @cached_property
    def wpli2_debiased(self) -> NDArray[np.float64]:
        """Debiased estimate of wPLI²: ((Σ Im)² − Σ Im²)/((Σ|Im|)² − Σ Im²), the sums of squares times the correlation.

        About 0 by chance, where it may be negative; 0 where nothing has a lag. NaN while the samples do not suffice
        for one independent pair of them (Vinck et al., NeuroImage 55, 2011).
        """
        sums = self._sums
        own = sums.lag_square * sums.correlation
        rest = sums.lag_modulus**2 - own
        # With one independent sample nothing is left but rounding.
        enough = rest > 1e-12 * sums.lag_modulus**2
        value = _ratio(sums.lag**2 - own, np.where(enough, rest, 0.0), np.nan)
        return _last(self._defined(np.where(sums.lag_modulus > 0.0, value, 0.0)))

    @cached_property
    def coherency(self) -> NDArray[np.complex128]:
        """⟨x_i·x_j*⟩/√(⟨|x_i|²⟩⟨|x_j|²⟩), complex, Hermitian, modulus ≤ 1, 1 on the diagonal.

        The powers are those over the samples the two have in common.
        """
        power = self._sums.power
        scale = np.sqrt(power) * np.sqrt(np.swapaxes(power, -1, -2))
        return _last(_ratio(self._sums.cross, scale, complex(np.nan, np.nan)))

    @cached_property
    def imcoh(self) -> NDArray[np.float64]:
        """Imaginary part of coherency, −1..1, antisymmetric, 0 on the diagonal (Nolte et al., 2004).

        Positive when channel i leads channel j by less than half a period.
        """
        imaginary: NDArray[np.float64] = self.coherency.imag
        return imaginary

    @cached_property
    def msc(self) -> NDArray[np.float64]:
        """Magnitude-squared coherence |coherency|², 0..1, 1 on the diagonal; by chance 1/N_eff on average."""
        value = self.coherency
        return np.minimum(1.0, value.real**2 + value.imag**2)

    @cached_property
    def msc_p(self) -> NDArray[np.float64]:
        """Probability (1 − MSC)^(N_eff − 1) of at least this coherence between independent Gaussian series.

        1 unless N_eff > 1, and on the diagonal.
        """
        n = np.maximum(self.n_eff - 1.0, 0.0)
        certain = np.minimum(np.where(np.isnan(self.msc), 0.0, self.msc), 1.0 - 1e-16)
        p: NDArray[np.float64] = np.exp(n * np.log1p(-certain))
        p[np.diag_indices(p.shape[0])] = 1.0
        return p

    def _defined(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """NaN where the pair has no sample."""
        return np.where(self._sums.weight > 0.0, value, np.nan)


def _last(m: NDArray[_T]) -> NDArray[_T]:
    """Bring the frequencies, if there are any, to the end."""
    return m if m.ndim == 2 else m.transpose(1, 2, 0)


def _ratio(over: NDArray[_T], under: NDArray[np.float64], otherwise: complex) -> NDArray[_T]:
    """over/under, and what to put where under is 0."""
    out = np.full(over.shape, otherwise, dtype=over.dtype)
    np.divide(over, under, out=out, where=under > 0.0)
    return out


def _plv(phase: NDArray[np.complex128], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """|phase|/weight, at most 1, NaN where there is no weight."""
    square = phase.real**2
    square += phase.imag**2
    value = _ratio(np.sqrt(square, out=square), weight, np.nan)
    np.minimum(1.0, value, out=value)
    return value
