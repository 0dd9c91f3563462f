"""Beats: the evaluations of a band taken together, a second of them at a time, as they are written and remembered.

A beat's figures are rounded before anything is done with them, so that what the tiers of a running hub hold and what
is put together from the entries after a power cut are the same numbers.
"""

from __future__ import annotations

import cmath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from becomingone.hub.mesh.state import BandState
from becomingone.kairos.bands import Band
from becomingone.kairos.memory.intake import turned_back

DIGITS: Final = 6
"""Decimals of phasors and of figures within 0..1: fine beside any phase's own error."""

_MOST: Final = 1e15


@dataclass(frozen=True, slots=True)
class Beat:
    """The evaluations of one band in one stretch of time.

    Parameters
    ----------
    time_us : int
        Mesh time of the last of them, µs.
    count : int
        How many they were.
    still : complex
        Their mean field, turned back by the band's carrier: Σw·C·T·e^{−iω₀t}/Σw·C, of modulus at most 1.
    still_weight : float
        Σw·C: of each evaluation, the sum of the channels' weights times the coherence.
    coherence, order : float
        Σw·C/Σw and Σw·R/Σw, 0..1.
    weight : float
        Σw.
    """

    time_us: int
    count: int
    still: complex
    still_weight: float
    coherence: float
    order: float
    weight: float

    def as_json(self) -> list[float]:
        """Give count, real and imaginary part of `still`, `still_weight`, `coherence`, `order`, `weight`."""
        still = self.still
        return [self.count, still.real, still.imag, self.still_weight, self.coherence, self.order, self.weight]

    @classmethod
    def from_json(cls, time_us: int, body: Sequence[float]) -> Beat:
        """Read what `as_json` gave.

        Raises
        ------
        TypeError, ValueError, OverflowError
            It is none.
        """
        count, *numbers = body
        real, imag, still_weight, coherence, order, weight = map(float, numbers)
        beat = cls(int(time_us), int(count), complex(real, imag), still_weight, coherence, order, weight)
        inside = abs(beat.still) <= 1.0 + 1e-5 and 0.0 <= coherence <= 1.0 and 0.0 <= order <= 1.0 and beat.count > 0
        if not inside or not (0.0 <= still_weight <= _MOST and 0.0 <= weight <= _MOST):
            msg = f"{body} is not a beat: count, still phasor, weight, coherence, order, weight"
            raise ValueError(msg)
        return beat


def pace_us(band: Band, every_s: float) -> int:
    """Give the length of a band's beats: whole multiples of `every_s`, and at least about τ.

    The band's filter lets a phase change no faster than in a few τ, so more would say the same again.
    """
    return max(1, round(every_s * 1e6)) * max(1, round(band.tau_s / every_s))


class BeatMaker:
    """Collects one band's evaluations.

    Parameters
    ----------
    band : Band
        Its carrier is what the mean field is turned back by.
    pace : int
        Length of a beat, µs; beats begin at its multiples.
    """

    __slots__ = ("_band", "_index", "_rows", "pace")

    def __init__(self, band: Band, pace: int) -> None:
        self.pace = pace
        self._band = band
        self._index = 0
        self._rows: list[tuple[int, complex, float, float, float]] = []

    def add(self, state: BandState, time_us: int) -> Beat | None:
        """Take an evaluation; give the beat before, where this one begins another."""
        index = time_us // self.pace
        ended = self.close() if index != self._index else None
        self._index = index
        self._rows.append((time_us, state.mean_field, state.weight, state.coherence, state.order))
        return ended

    def close(self) -> Beat | None:
        """End the beat; None where it holds nothing."""
        if not self._rows:
            return None
        times, fields, weights, coherences, orders = zip(*self._rows, strict=True)
        self._rows.clear()
        w = np.array(weights)
        c = np.clip(np.array(coherences), 0.0, 1.0)
        r = np.clip(np.array(orders), 0.0, 1.0)
        held = w * c
        total, still_weight = float(w.sum()), float(held.sum())
        still = turned_back(np.array(fields), np.array(times, dtype=np.int64), self._band.frequency_hz)
        mean = complex(held @ still) / still_weight if still_weight > 0.0 else 0j
        return Beat(
            time_us=times[-1],
            count=len(times),
            still=rounded(mean),
            still_weight=significant(still_weight),
            coherence=round(float(w @ c) / total, DIGITS) if total > 0.0 else 0.0,
            order=round(float(w @ r) / total, DIGITS) if total > 0.0 else 0.0,
            weight=significant(total),
        )


def rounded(phasor: complex) -> complex:
    """Round a phasor within the unit disc, and keep it there."""
    if abs(phasor) > 1.0:
        phasor = cmath.rect(1.0, cmath.phase(phasor))
    return complex(round(phasor.real, DIGITS) + 0.0, round(phasor.imag, DIGITS) + 0.0)


def significant(value: float) -> float:
    """Round to six significant digits."""
    return float(f"{value:.6g}")
