"""Finds how much later than a train of pulses its response comes.

Coarsely by correlation with the whole train, whose intervals are random, so that trains that were never sent tell what
chance finds. Then pulse by pulse by least squares with the pulse's own shape, averaged over each sample's span: the
maximum-likelihood estimate in white noise, and not bound to the samples' grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from becomingone.errors import BecomingOneError

TRIALS: Final = 999
"""Trains that were never sent, for the chance of a response that is none."""

CHANCE: Final = 0.005
"""The highest chance at which a response is believed."""

_BINS_PER_PULSE: Final = 25
_STEPS: Final = 10
_ROUNDS: Final = 5
_GAIN: Final = 20.0
"""How many times the noise's variance a pulse must explain to count as found; chance seldom explains 12."""

Floats = NDArray[np.float64]


class NoResponseError(BecomingOneError, RuntimeError):
    """The pulses were not seen; the message says why."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """When an output was told to be on: from `on_s` to `off_s`."""

    on_s: float
    off_s: float


@dataclass(frozen=True, slots=True)
class Shape:
    """What one pulse makes of the input.

    Parameters
    ----------
    ramp_s : float
        How long the output takes from off to on; it is half on in the middle of that.
    carrier_hz : float, optional
        Frequency of the tone that the input samples as a wave; default: the input follows the pulse itself.
    """

    ramp_s: float = 0.0
    carrier_hz: float | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What was found.

    Parameters
    ----------
    latency_s : float
        Median of response − command, s.
    sigma_s : float
        Spread of a single pulse, s: 1.4826 times the median absolute deviation.
    error_s : float
        Standard error of the median, s, the coarseness of the samples included.
    pulses, found : int
        How many were sent, and seen.
    chance : float
        Probability that a train that was never sent fits as well.
    snr_db : float
        Median of the pulses' amplitude (a tone's root mean square) against the noise's standard deviation, dB.
    """

    latency_s: float
    sigma_s: float
    error_s: float
    pulses: int
    found: int
    chance: float
    snr_db: float


def find_response(
    times_s: Floats,
    samples: Floats,
    pulses: Sequence[Pulse],
    *,
    spacing_s: float,
    shape: Shape,
    longest_s: float,
    draw: Callable[[], Sequence[float]],
) -> Response:
    """Find the latency.

    Parameters
    ----------
    times_s, samples : ndarray of float64, shape (n_samples,)
        The input; each sample stands for `spacing_s` around its time. NaN is a missing sample.
    pulses : sequence of Pulse
        The commands, on the same clock, all of about the same length.
    spacing_s : float
        Seconds between samples, above 0.
    shape : Shape
        What one pulse looks like.
    longest_s : float
        The longest latency that is looked for, s.
    draw : callable
        Gives the beginnings of another random train of as many pulses, as these were drawn.

    Raises
    ------
    NoResponseError
        Nothing that chance could not explain.
    """
    there = np.isfinite(samples)
    times_s, samples = times_s[there], samples[there]
    width_s = float(np.median([pulse.off_s - pulse.on_s for pulse in pulses]))
    if len(samples) < 4 * len(pulses) or len(samples) * spacing_s < len(pulses) * width_s:
        raise NoResponseError(f"the input gave {len(samples)} samples, too few: is it connected?")
    if np.ptp(samples) == 0:
        raise NoResponseError(f"the input gave nothing but {samples[0]:g}: is it connected, and not muted?")
    rough_s, chance = _roughly(times_s, samples, pulses, width_s, spacing_s, shape, longest_s, draw)
    if chance > CHANCE:
        raise NoResponseError(
            f"no response within {longest_s:g} s stands out from what chance finds (p = {chance:.3f}): the pulses are "
            "too weak for this input, or it does not see this output"
        )
    fits = [_Fit(times_s, samples, pulse, spacing_s, shape) for pulse in pulses]
    delays = [fit.delay(rough_s, width_s / 2) for fit in fits]
    good = [(delay, fit) for delay, fit in zip(delays, fits, strict=True) if delay is not None]
    if 2 * len(good) < len(pulses):
        raise NoResponseError(f"only {len(good)} of {len(pulses)} pulses were found: they are too weak for this input")
    found = np.array([delay for delay, _ in good])
    latency_s = float(np.median(found))
    sigma_s = 1.4826 * float(np.median(np.abs(found - latency_s)))
    snr = float(np.median([fit.amplitude / max(fit.noise, 1e-300) for _, fit in good]))
    snr /= 1.0 if shape.carrier_hz is None else math.sqrt(2)
    return Response(
        latency_s=latency_s,
        sigma_s=sigma_s,
        error_s=math.hypot(math.sqrt(math.pi / 2) * sigma_s, spacing_s / math.sqrt(12)) / math.sqrt(len(good)),
        pulses=len(pulses),
        found=len(good),
        chance=chance,
        snr_db=20 * math.log10(max(snr, 1e-12)),
    )


def _roughly(
    times_s: Floats,
    samples: Floats,
    pulses: Sequence[Pulse],
    width_s: float,
    spacing_s: float,
    shape: Shape,
    longest_s: float,
    draw: Callable[[], Sequence[float]],
) -> tuple[float, float]:
    """Give the latency to within some bins, and the chance of a train that was never sent to fit as well."""
    bin_s = max(width_s / _BINS_PER_PULSE, spacing_s)
    zero_s = times_s[0] - spacing_s / 2
    response = _per_place(times_s - zero_s, samples, bin_s, max(1, round(width_s / bin_s)), shape.carrier_hz)
    lags = np.arange(int(longest_s / bin_s) + 1)

    def fit(starts: Sequence[float]) -> Floats:
        places = np.rint((np.asarray(starts) - zero_s) / bin_s).astype(np.int64)[:, None] + lags
        inside = (places >= 0) & (places < len(response))
        sums = np.where(inside, response[np.clip(places, 0, len(response) - 1)], 0.0).sum(axis=0)
        return np.asarray(np.abs(sums), np.float64)

    sent = fit([pulse.on_s for pulse in pulses])
    best = int(np.argmax(sent))
    as_good = sum(bool(np.max(fit(draw())) >= sent[best]) for _ in range(TRIALS))
    return best * bin_s, (1 + as_good) / (1 + TRIALS)


def _per_place(times_s: Floats, samples: Floats, bin_s: float, width: int, carrier_hz: float | None) -> Floats:
    """Give how well a pulse that begins at each bin fits: the mean within it less the mean beside it.

    Of a carrier it is the power within it, whatever its phase. Bins without samples count as the mean of all.
    """
    place = np.floor(times_s / bin_s).astype(np.int64)
    level = samples - np.mean(samples)
    parts = [level]
    if carrier_hz is not None:
        turn = 2 * np.pi * carrier_hz * times_s
        parts = [level * np.cos(turn), level * np.sin(turn)]
    count = np.maximum(np.bincount(place), 1)
    total: Floats = np.zeros(len(count))
    beside = max(1, width // 2)
    for part in parts:
        sums = np.concatenate([np.zeros(beside), np.bincount(place, part) / count, np.zeros(width + beside)])
        ends = np.concatenate([[0.0], np.cumsum(sums)])
        first = np.arange(len(count)) + beside
        within = (ends[first + width] - ends[first]) / width
        if carrier_hz is not None:
            total += within**2
        else:
            around = ends[first] - ends[first - beside] + ends[first + width + beside] - ends[first + width]
            total += within - around / (2 * beside)
    return total


class _Fit:
    """One pulse's response, by least squares: offset, amplitude and delay; of a carrier also its phase."""

    def __init__(self, times_s: Floats, samples: Floats, pulse: Pulse, spacing_s: float, shape: Shape) -> None:
        self.amplitude = 0.0
        self.noise = 0.0
        self._times_s = times_s
        self._samples = samples
        self._pulse = pulse
        self._spacing_s = spacing_s
        self._shape = shape

    def delay(self, rough_s: float, reach_s: float) -> float | None:
        """Give the delay that fits best, at most `reach_s` off `rough_s`; None where the pulse is not to be seen."""
        pulse = self._pulse
        first, stop = np.searchsorted(
            self._times_s, [pulse.on_s + rough_s - 2 * reach_s, pulse.off_s + rough_s + 2 * reach_s]
        )
        times = self._times_s[first:stop]
        if len(times) < 8:
            return None
        samples = self._samples[first:stop] - np.mean(self._samples[first:stop])
        carrier_hz = self._shape.carrier_hz
        turn = None if carrier_hz is None else np.exp(2j * np.pi * carrier_hz * (times - times[0]))
        centre, reach = rough_s, reach_s
        best = (0.0, 0.0)
        for _ in range(_ROUNDS):
            delays = np.linspace(centre - reach, centre + reach, 2 * _STEPS + 1)
            fits = [_explained(samples, self._mean_pulse(times, float(delay)), turn) for delay in delays]
            place = max(range(len(fits)), key=lambda k: fits[k][0])
            best, centre, reach = fits[place], float(delays[place]), 2 * reach / _STEPS
        explained, self.amplitude = best
        rest = max(float(samples @ samples) - explained, 0.0)
        self.noise = math.sqrt(rest / len(samples))
        seen = explained >= _GAIN * self.noise**2
        return centre if seen and abs(centre - rough_s) < 0.98 * reach_s else None

    def _mean_pulse(self, times: Floats, delay_s: float) -> Floats:
        """Give the pulse's mean over the span of each sample, 0..1."""
        half, ramp = self._spacing_s / 2, self._shape.ramp_s
        begun = times - (self._pulse.on_s + delay_s)
        width = self._pulse.off_s - self._pulse.on_s
        if 8 * half < ramp:  # the mean over so short a span is the middle
            return np.asarray(np.clip(begun / ramp + 0.5, 0, 1) - np.clip((begun - width) / ramp + 0.5, 0, 1))
        area = self._risen(begun + half) - self._risen(begun - half)
        return np.asarray((area - self._risen(begun + half - width) + self._risen(begun - half - width)) / (2 * half))

    def _risen(self, since: Floats) -> Floats:
        """Give the integral of a step at 0 that takes ``ramp_s``."""
        ramp = self._shape.ramp_s
        if ramp == 0:
            return np.maximum(since, 0.0)
        begun = np.clip(since + ramp / 2, 0.0, ramp)
        return np.asarray(begun**2 / (2 * ramp) + np.maximum(since - ramp / 2, 0.0))


def _explained(samples: Floats, pulse: Floats, turn: NDArray[np.complex128] | None) -> tuple[float, float]:
    """Give the sum of squares that a pulse explains, and its amplitude.

    Parameters
    ----------
    samples : ndarray of float64
        Their mean is 0.
    pulse : ndarray of float64
        How much of each sample's span the pulse is on.
    turn : ndarray of complex128, optional
        The carrier, e^{iωt}; default: none.
    """
    if turn is None:
        pulse = pulse - np.mean(pulse)
        power, product = float(pulse @ pulse), float(pulse @ samples)
        return (product**2 / power, abs(product) / power) if power > 0 else (0.0, 0.0)
    wave = pulse * turn
    products = np.array([wave.real @ samples, wave.imag @ samples])
    squares = np.array([[wave.real @ wave.real, wave.real @ wave.imag], [wave.real @ wave.imag, wave.imag @ wave.imag]])
    if np.linalg.det(squares) <= 1e-12 * np.trace(squares) ** 2:
        return 0.0, 0.0
    weights = np.linalg.solve(squares, products)
    return float(products @ weights), float(np.hypot(*weights))
