"""The maximum-likelihood estimate of one tone in a record: frequency, phase and amplitude, each with its deviation."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.resonance.tone_fit import Array, ToneFit
from becomingone.kairos.resonance.tone_search import peak_p, scattered_peaks, uniform_peaks

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST: Final = 1e100
"""A sample of larger modulus is treated as missing, like NaN."""

_LEAST_REAL: Final = 6
_LEAST_COMPLEX: Final = 4
_SIGMA_UNIFORM: Final = math.pi / math.sqrt(3.0)
_SILENT: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Tone:
    """A·cos(2πf(t − t₀) + φ), or A·e^{i(2πf(t − t₀) + φ)} of complex samples.

    The deviations are Cramér and Rao's bound at the measured amplitude and noise power, for white Gaussian noise.
    The estimate attains it above a threshold of about 14 dB of SNR·n (D. C. Rife and R. R. Boorstyn, IEEE Trans.
    Inf. Theory 20, 1974, 591); below that the highest peak may be the noise's, and only ``p`` tells.

    Parameters
    ----------
    frequency_hz, frequency_sigma_hz : float
        f in hertz, of either sign for complex samples.
    phase, phase_sigma : float
        φ in radians, −π..π, and its deviation, at most π/√3.
    amplitude, amplitude_sigma : float
        A in the samples' unit, ≥ 0.
    time_s : float
        t₀, the instant of the phase, in seconds on the record's own scale.
    noise_power : float
        Power of the rest, per sample, less what the fit took up; samples' unit squared.
    snr : float
        A²/2 (of complex samples A²) over the noise power; infinite where there is no rest.
    p : float
        How often white noise has a peak as high anywhere in the band, 0..1; an upper bound. Of coloured noise it says
        nothing: use a band in which the noise is level.
    n : int
        Samples that were there.
    at_edge : bool
        The maximum lies at an end of the band and is none: the tone is elsewhere.
    valid : bool
        False where the record is constant: then there is no tone, A is 0, p is 1 and f the middle of the band.
    """

    frequency_hz: float
    frequency_sigma_hz: float
    phase: float
    phase_sigma: float
    amplitude: float
    amplitude_sigma: float
    time_s: float
    noise_power: float
    snr: float
    p: float
    n: int
    at_edge: bool
    valid: bool


def estimate_tone(
    x: Array,
    spacing_s: float,
    *,
    band_hz: tuple[float, float] | None = None,
    at_s: float | None = None,
    offset: bool | None = None,
) -> Tone:
    """Estimate the strongest tone in a band of uniform samples.

    A zero-padded FFT finds the peak, Newton's method on the exact likelihood refines it to rounding; no window, which
    would cost variance. O(n log n).

    Parameters
    ----------
    x : ndarray of float or complex, shape (n,)
        NaN, infinities and values beyond 1e100 are missing; at least 6 real or 4 complex samples must be there.
    spacing_s : float
        Spacing in seconds, > 0. The first sample is at 0 s.
    band_hz : (float, float), optional
        Where to look, in hertz, within ±1/(2Δ). Real samples: within ½/T and 1/(2Δ) − ½/T, T the record's length,
        because nearer to 0 or Nyquist a tone cannot be told from a constant; default all of that.
    at_s : float, optional
        The instant of the phase in seconds; default the middle of the record, where the phase is known best.
    offset : bool, optional
        Fit a constant as well; default for real samples, whose sensor has one, but not for complex.

    Raises
    ------
    KernelError
        When there are too few samples, or a value is out of its range.
    """
    if not (math.isfinite(spacing_s) and spacing_s > 0.0):
        raise KernelError(f"spacing_s is {spacing_s!r}; it must be finite and above 0")
    here = _present(x)
    n = x.shape[0]
    y = x[here]
    offset = not np.iscomplexobj(x) if offset is None else offset
    low, high = -0.5, 0.5
    if band_hz is not None:
        low, high = band_hz[0] * spacing_s, band_hz[1] * spacing_s
    whole = band_hz is None and np.iscomplexobj(x)
    low, high = _limits(low, high, n, real=not np.iscomplexobj(x))
    at = np.flatnonzero(here).astype(np.float64)
    filled = np.zeros_like(x)
    filled[here] = y - y.mean() if offset else y
    peaks = uniform_peaks(filled, low, high)
    return _estimate(y, at, peaks, (low, high), n, spacing_s, at_s, offset=offset, whole=whole)


def estimate_tone_at(
    x: Array,
    time_s: NDArray[np.float64],
    *,
    band_hz: tuple[float, float],
    at_s: float | None = None,
    offset: bool | None = None,
) -> Tone:
    """Estimate the strongest tone in a band of samples at any times: a least-squares (Lomb-Scargle) periodogram.

    Meant for few samples: O(n·m) for m = 4·(f_high − f_low)·T frequencies.

    Parameters
    ----------
    x : ndarray of float or complex, shape (n,)
        As for :func:`estimate_tone`.
    time_s : ndarray of float, shape (n,)
        Finite, in any order, not all the same. (Subtract an epoch first: a float of epoch seconds has steps of
        0.24 µs.)
    band_hz : (float, float)
        Where to look, in hertz. There is no Nyquist frequency to bound it: wide bands find more chance peaks, which p
        allows for. Real samples: at least ½/T.
    at_s, offset
        As for :func:`estimate_tone`; the default instant is the samples' mean time.

    Raises
    ------
    KernelError
        When there are too few samples, or a value is out of its range.
    """
    here = _present(x)
    if time_s.shape != x.shape or not np.isfinite(time_s).all():
        raise KernelError(f"time_s has shape {time_s.shape} and x {x.shape}; they must be alike and all times finite")
    t, y = time_s[here], x[here]
    span = float(t.max() - t.min())
    if not span > 0.0:
        raise KernelError("all samples are at one instant; a frequency needs more")
    # One unit is the mean spacing, so that what follows is of order 1.
    n = t.shape[0]
    unit = span / (n - 1)
    offset = not np.iscomplexobj(x) if offset is None else offset
    low, high = band_hz[0] * unit, band_hz[1] * unit
    low, high = _limits(low, high, n, real=not np.iscomplexobj(x), nyquist=False)
    scaled: NDArray[np.float64] = (t - t.min()) / unit
    rest = y - y.mean() if offset else y
    peaks = scattered_peaks(rest, scaled - scaled.mean(), low, high, offset=offset)
    instant = None if at_s is None else at_s - float(t.min())
    tone = _estimate(y, scaled, peaks, (low, high), n, unit, instant, offset=offset, whole=False)
    return replace(tone, time_s=tone.time_s + float(t.min()))


def _present(x: Array) -> NDArray[np.bool_]:
    """Return which samples are there, if they are enough."""
    if x.ndim != 1:
        raise KernelError(f"samples have shape {x.shape}; it must be (n,)")
    here: NDArray[np.bool_] = np.isfinite(x) & (np.maximum(np.abs(x.real), np.abs(x.imag)) <= LARGEST)
    least = _LEAST_COMPLEX if np.iscomplexobj(x) else _LEAST_REAL
    if np.count_nonzero(here) < least:
        raise KernelError(f"{np.count_nonzero(here)} of {x.shape[0]} samples are there; a tone needs at least {least}")
    return here


def _limits(low: float, high: float, n: int, *, real: bool, nyquist: bool = True) -> tuple[float, float]:
    """Return the band in cycles per sample, cut to where a tone can be told apart."""
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise KernelError("band_hz must be two finite frequencies, the lower one first")
    if nyquist and (low < -0.5 * (1.0 + 1e-12) or high > 0.5 * (1.0 + 1e-12)):
        raise KernelError("band_hz reaches beyond half the sample rate; what lies there is an alias of another")
    if real:
        low = max(low, 0.5 / n)
        high = min(high, 0.5 - 0.5 / n) if nyquist else high
        if low > high:
            raise KernelError("band_hz holds no frequency that differs from a constant over this record")
    return low, high


def _estimate(
    y: Array,
    at: NDArray[np.float64],
    peaks: NDArray[np.float64],
    band: tuple[float, float],
    n: int,
    unit_s: float,
    at_s: float | None,
    *,
    offset: bool,
    whole: bool,
) -> Tone:
    """Refine the peaks and report the highest; times and frequencies in units of ``unit_s`` and its inverse."""
    real = not np.iscomplexobj(y)
    count = y.shape[0]
    centre = float(at.mean())
    instant = centre * unit_s if at_s is None else at_s
    if not math.isfinite(instant):
        raise KernelError(f"at_s is {at_s!r}; it must be finite")
    # So that the squares of what is huge or tiny stay within a float's range.
    scale = float(np.abs(y).max())
    nothing = Tone(0.5 * sum(band) / unit_s, math.inf, 0.0, _SIGMA_UNIFORM, 0.0, math.inf, instant, 0.0, 0.0, 1.0,
                   count, at_edge=False, valid=False)  # fmt: skip
    if scale <= 0.0:
        return nothing
    fit = ToneFit(y / scale, at - centre, offset=offset)
    if fit.energy <= _SILENT**2 * count:
        return nothing
    low, high = -math.inf if whole else 2.0 * math.pi * band[0], math.inf if whole else 2.0 * math.pi * band[1]
    reach = math.pi / n
    found = [
        fit.climb(start, max(low, start - reach), min(high, start + reach))
        for start in (2.0 * math.pi * peaks).tolist()
    ]
    omega, explained = max(found, key=lambda place: place[1])
    tone, _, rest = fit.amplitude(omega)
    degrees = (1.0 if real else 2.0) * (count - offset)
    noise = rest / max(0.5, 0.5 * (degrees - 3.0) * (2.0 if real else 1.0))
    variance = noise * np.diag(np.linalg.pinv(fit.information(omega, tone, instant / unit_s - centre), hermitian=True))
    sigma: list[float] = np.sqrt(np.maximum(variance, 0.0)).tolist()
    width = (band[1] - band[0]) * math.sqrt(4.0 * math.pi * float(at.var()))
    if whole:
        omega = math.remainder(omega, 2.0 * math.pi)
    power = abs(tone) ** 2 * (0.5 if real else 1.0)
    return Tone(
        frequency_hz=omega / (2.0 * math.pi * unit_s),
        frequency_sigma_hz=sigma[2] / (2.0 * math.pi * unit_s),
        phase=cmath.phase(tone * cmath.exp(1j * omega * (instant / unit_s - centre))),
        phase_sigma=min(_SIGMA_UNIFORM, sigma[1]),
        amplitude=abs(tone) * scale,
        amplitude_sigma=sigma[0] * scale,
        time_s=instant,
        noise_power=noise * scale * scale,
        snr=power / noise if noise > 0.0 else math.inf,
        p=peak_p(explained / fit.energy, degrees, width),
        n=count,
        at_edge=not whole and min(omega - low, high - omega) <= 1e-9 * reach,
        valid=True,
    )
