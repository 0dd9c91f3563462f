"""Master and Emissary of one band's mean field, and what follows from the two."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

from becomingone.hub.mesh.even_field import EvenField, rate
from becomingone.hub.mesh.state import BandState
from becomingone.kairos.bands import Band
from becomingone.kairos.transducers.synchronise import Synchronisation, Synchroniser
from becomingone.kairos.transducers.transducer import Reading, Transducer, master

FLOOR: Final = 1e-3
"""A field as short as this has no phase."""

SHORTEST_S: Final = 0.05
"""Least time between two samples of the field, s: the hub's usual tick."""

PER_TAU: Final = 20.0
"""Samples of the field in a time constant of the band's filter, where the ticks are fast enough."""

LOOKS: Final = 4.0
"""Comparisons in an Emissary's window."""

LOOK_S: Final = (5.0, 60.0)
"""Shortest and longest time between comparisons, s."""

_TINY: Final = 1e-9
_MICRO: Final = 1e-6


def look_us(band: Band) -> int:
    """Give the time between a band's comparisons, µs: a quarter of its window, within 5 s and a minute."""
    return round(min(max(band.coherence_tau_s / LOOKS, LOOK_S[0]), LOOK_S[1]) / _MICRO)


class BandPair:
    """The hub's own transducers of one band.

    Parameters
    ----------
    band : Band
        The band; its window is the Emissary's.
    window_s : float
        The Master's window, s.
    p_false : float
        Probability of calling noise coherent.
    synchroniser : Synchroniser
        Compares the two.
    """

    def __init__(self, band: Band, window_s: float, *, p_false: float, synchroniser: Synchroniser) -> None:
        self.band = band
        self.latest: Synchronisation | None = None
        self._master = master(band, tau_s=window_s, floor=FLOOR, p_false=p_false)
        # Not `emissary`, which stands for one that acts: the mean field of a slow band is to be compared, too.
        self._emissary = Transducer(band, floor=FLOOR, real=False, p_false=p_false)
        self._synchroniser = synchroniser
        spacing_s = max(SHORTEST_S, band.tau_s / PER_TAU)
        self._field = EvenField(round(spacing_s / _MICRO), round(max(band.tau_s, 2.0 * SHORTEST_S) / _MICRO))
        self._spacing_s = self._field.spacing_us * _MICRO
        self._fade = -math.expm1(-self._spacing_s / window_s)
        self._filled = 0.0
        self._looked_us: int | None = None

    @property
    def filled(self) -> float:
        """How much of the Master's window holds a field: 0..1, 0.63 after one window without a gap."""
        return self._filled

    @property
    def emissary(self) -> Reading:
        """What the Emissary of the mean field says."""
        return self._emissary.reading

    def take(self, state: BandState) -> None:
        """Take an evaluation of the band."""
        there = state.valid and abs(state.mean_field) > _TINY
        missed, fields = self._field.take(state.mean_field if there else None, rate(state, self.band), state.time_us)
        if missed:
            self._master.skip(missed * self._spacing_s)
            self._emissary.skip(missed * self._spacing_s)
            self._filled *= math.exp(missed * math.log1p(-self._fade))
        empty = len(fields) - 1 if not any(field is not None for field in fields) else 0
        if empty > 0:  # waiting is waiting, in one step or in many
            self._master.skip(empty * self._spacing_s)
            self._emissary.skip(empty * self._spacing_s)
            self._filled *= math.exp(empty * math.log1p(-self._fade))
            fields = fields[empty:]
        for field in fields:
            self._master.tick(field, self._spacing_s)
            self._emissary.tick(field, self._spacing_s)
            self._filled += self._fade * ((field is not None) - self._filled)
        if self._looked_us is None or state.time_us - self._looked_us >= look_us(self.band):
            self._looked_us = state.time_us
            self.latest = self._synchroniser.update(self._master.reading, self._emissary.reading, state.time_us)

    def master(self, time_us: int) -> Reading:
        """Give what the Master says, its phase carried on to an instant of mesh time."""
        return carried(self._master.reading, self._field.time_us or time_us, time_us)


def carried(reading: Reading, from_us: int, to_us: int) -> Reading:
    """Carry a reading's phase on by its own rate."""
    if reading.phase is None or from_us == to_us:
        return reading
    turn = reading.phase + reading.omega * (to_us - from_us) * _MICRO
    return replace(reading, phase=math.remainder(turn, math.tau))


def reading_figures(reading: Reading) -> dict[str, Any]:
    """Give a transducer's figures as JSON has them."""
    t = reading.resonance
    return {
        "resonance": None if t is None else round(min(1.0, abs(t)), 4),
        "resonance_phase": None if not t else round(math.atan2(t.imag, t.real), 4),
        "n_eff": round(reading.n_eff, 2),
        "p": float(f"{reading.p:.3g}"),
        "phase": None if reading.phase is None else round(reading.phase, 4),
        "frequency_hz": round(reading.omega / math.tau, 6),
        "window_s": round(reading.window_s, 3),
    }


def brief_figures(found: Synchronisation) -> dict[str, Any]:
    """Give what there is to say of each of a thousand nodes."""
    content: dict[str, Any] = {"decision": found.decision.value, "reason": found.reason.value}
    agreement = found.agreement
    if agreement is not None:
        content["coherence_gap"] = round(agreement.coherence_gap, 4)
        content["phase_gap"] = None if agreement.phase_gap is None else round(agreement.phase_gap, 4)
        content["chi"] = None if agreement.chi is None else round(agreement.chi, 4)
        content["simple"] = "proceed" if agreement.simple else "dissipate"
    return content


def decision_figures(found: Synchronisation) -> dict[str, Any]:
    """Give all of a comparison's figures as JSON has them."""
    content = brief_figures(found)
    agreement = found.agreement
    if agreement is not None:
        content |= {
            "synchronised": round(agreement.synchronised, 4),
            "dissipated": round(agreement.dissipated, 4),
            "energy": round(agreement.energy, 4),
            "critical": None if found.critical is None else round(found.critical, 4),
            "p": float(f"{found.p:.3g}"),
        }
    return content
