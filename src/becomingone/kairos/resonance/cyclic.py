"""The temporal resonance of a whole record at one lag, for all cycle frequencies at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.resonance.lag_ring import as_stream, usable
from becomingone.kairos.resonance.rotor import cycles_of, turn
from becomingone.kairos.resonance.temporal import Mode

if TYPE_CHECKING:
    from numpy.typing import NDArray


def cyclic_autocorrelation(
    z: NDArray[np.complex128],
    lag: int,
    *,
    spacing_s: float,
    omega0: float = 0.0,
    y: NDArray[np.complex128] | None = None,
    mode: Mode = Mode.PHASE,
) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """T(L, ν) at ν = 2πk/(NΔ), all k, by one FFT; every pair weighs the same.

    What :class:`becomingone.kairos.resonance.temporal.TemporalResonances` without a window says of the same samples, to
    rounding; its time is O(N log N) for all ν together.

    Parameters
    ----------
    z : ndarray of complex, shape (N,)
        Uniform samples. NaN, infinities and moduli beyond 1e100 are missing, in phase mode 0 too.
    lag : int
        L in samples, 0..N−1.
    spacing_s : float
        Spacing Δ in seconds, > 0.
    omega0 : float
        ω₀ in rad/s, |ω₀| ≤ π/Δ.
    y : ndarray of complex, shape (N,), optional
        The channel whose past z is compared with; default z itself.
    mode : Mode
        Phase alone, or amplitude as well.

    Returns
    -------
    nu : ndarray of float, shape (N,)
        ν in rad/s, ascending in −π/Δ..π/Δ.
    resonance : ndarray of complex, shape (N,)
        T at each ν, modulus 0..1; its phase is relative to the first sample. 0 throughout where there is no pair.

    Raises
    ------
    KernelError
        When z is empty, the shapes differ, or a value is out of its range.

    Notes
    -----
    W. A. Gardner, IEEE Signal Processing Magazine 8(2), 1991, 14: the cyclic autocorrelation, here normalised.
    Between the grid's frequencies the peak of a line falls by up to a factor 0.64; append zeros (missing samples in
    phase mode) for a finer grid.
    """
    phase = Mode(mode) is Mode.PHASE
    now = usable(as_stream(z), phase=phase)
    past = now if y is None else usable(as_stream(y), phase=phase)
    n = now[0].shape[0]
    if past[0].shape[0] != n:
        raise KernelError(f"z has {n} samples and y {past[0].shape[0]}; they must be the same")
    if int(lag) != lag or not 0 <= lag < n:
        raise KernelError(f"lag is {lag!r} samples; it must be a whole number, at least 0 and below {n}")
    (carrier,) = cycles_of((omega0,), spacing_s)
    products = np.zeros(n, dtype=np.complex128)
    products[lag:] = now[0][lag:] * np.conj(past[0][: n - lag])
    here = (np.ones(n) if now[2] is None else now[2])[lag:]
    there = (np.ones(n) if past[2] is None else past[2])[: n - lag]
    if phase:
        norm = float(here @ there)
    else:
        norm = math.sqrt(float((now[1][lag:] ** 2) @ there)) * math.sqrt(float(here @ (past[1][: n - lag] ** 2)))
    # −⌊N/2⌋ .. ⌈N/2⌉ − 1: what fftshift makes of the FFT's order.
    nu = np.arange(-(n // 2), n - n // 2, dtype=np.float64) * (2.0 * math.pi / (n * spacing_s))
    if norm <= 0.0:
        return nu, np.zeros_like(products)
    resonance = np.empty(n, dtype=np.complex128)
    resonance[:] = np.roll(np.fft.fft(products), n // 2) * (turn(carrier, lag) / norm)
    np.divide(resonance, np.maximum(np.abs(resonance), 1.0), out=resonance)
    return nu, resonance
