"""What the coherence was: from the entries where they remain, exactly; from the tiers, with a bound, where not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from becomingone.hub.memory.beats import Beat
from becomingone.hub.memory.protocol import Entry, Reading
from becomingone.hub.memory.shapes import as_object
from becomingone.hub.memory.tier_entries import beats_of
from becomingone.hub.memory.tiers import Tiers
from becomingone.kairos.bands import Band
from becomingone.kairos.memory.intake import MAX_TIME_US
from becomingone.kairos.memory.reconstruct import Reconstruction

Source = Literal["entry", "beats", "tiers", "nothing"]

LONGEST_BEATS_US: Final = 86_400_000_000
"""µs of the longest window that is put together from entries; longer ones come from the tiers."""

ROUNDING: Final = 5e-5
"""Figures in entries have four decimals."""

PATIENCE: Final = 3
"""Beats for which the figures of an entry stand: then nobody measured anything."""


@dataclass(frozen=True, slots=True)
class BandCoherence:
    """What one band's coherence was.

    Parameters
    ----------
    band : str
        The band.
    source : str
        ``entry``: the figures as they were published; ``beats``: a mean over the window, of the entries in it;
        ``tiers``: the same of blocks that may be coarser than the window; ``nothing``: nobody measured anything.
    time_us, window_us : int
        The window (time − window, time], µs; a window of 0 is the moment of the entry.
    coherence, order : float
        Global coherence and order parameter, 0..1; the means over a window are weighted by Σw.
    bound : float
        The true values are within this of either, 0..1.
    resonance : complex
        The mean field turned back by the carrier, in the unit disc: of a window the mean weighted by Σw·C. Its
        modulus says how steadily the rhythm was kept over the window.
    resonance_bound : float
        The true one is within this of it, 0..2.
    n_eff : float
        Effective number of beats behind it.
    resolution_us : int
        How coarse the memory is there, µs; 0 where it was as fine as asked.
    collapsed : bool or None
        The band's decision; None where only means remain.
    figures : Mapping
        All that the entry says of the band.
    """

    band: str
    source: Source
    time_us: int
    window_us: int
    coherence: float = 0.0
    order: float = 0.0
    bound: float = 1.0
    resonance: complex = 0j
    resonance_bound: float = 2.0
    weight: float = 0.0
    n_eff: float = 0.0
    resolution_us: int = 0
    collapsed: bool | None = None
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def valid(self) -> bool:
        """Whether there was a phase at all."""
        return self.source != "nothing" and self.weight > 0.0

    def as_json(self) -> dict[str, Any]:
        """Give the fields."""
        body: dict[str, Any] = {"band": self.band, "source": self.source, "valid": self.valid}
        body |= {"time_us": self.time_us, "window_us": self.window_us}
        if self.valid:
            body |= {
                "coherence": round(self.coherence, 6),
                "order": round(self.order, 6),
                "bound": round(self.bound, 6),
                "resonance": [round(self.resonance.real, 6), round(self.resonance.imag, 6)],
                "resonance_bound": round(self.resonance_bound, 6),
                "weight": float(f"{self.weight:.6g}"),
                "n_eff": float(f"{self.n_eff:.6g}"),
                "resolution_us": self.resolution_us,
            }
        if self.collapsed is not None:
            body["collapsed"] = self.collapsed
        return body


@dataclass(frozen=True, slots=True)
class CoherenceState:
    """What the mesh's coherence was.

    Parameters
    ----------
    time_us : int
        The moment that was asked about, µs.
    bands : tuple of BandCoherence
        In the order of the plan.
    """

    time_us: int
    bands: tuple[BandCoherence, ...]

    @property
    def valid(self) -> bool:
        """Whether any band had a phase."""
        return any(band.valid for band in self.bands)

    @property
    def coherence(self) -> float | None:
        """The documents' single figure: the bands' coherences, weighted; None where there was none."""
        valid = [band for band in self.bands if band.valid]
        total = sum(band.weight for band in valid)
        return sum(band.weight * band.coherence for band in valid) / total if total > 0 else None

    @property
    def bound(self) -> float:
        """The true value of `coherence` is within this of it.

        Where the bands' weights are known from entries it is the greatest of the bands' bounds. Where they are
        estimates the true value is still a mean of the bands' coherences, whatever their weights.
        """
        value = self.coherence
        valid = [band for band in self.bands if band.valid]
        if value is None:
            return 1.0
        if all(band.source in ("entry", "beats") or band.bound == 0.0 for band in valid):
            return max(band.bound for band in valid)
        low = min(max(0.0, band.coherence - band.bound) for band in valid)
        high = max(min(1.0, band.coherence + band.bound) for band in valid)
        return max(value - low, high - value)


def reconstruct(
    past: Reading, tiers: Mapping[str, Tiers], bands: Sequence[Band], time_us: int, window_us: int = 0
) -> CoherenceState:
    """Say what the coherence was.

    Parameters
    ----------
    past : Reading
        The memory.
    tiers : mapping of str to Tiers
        By band.
    bands : sequence of Band
        Those that are asked about.
    time_us : int
        The moment, µs.
    window_us : int
        A mean over the time before it; 0: the moment itself. Where its entry has gone, the mean of one beat is looked
        for in the tiers, whose bound then says how much of it they still know.
    """
    return CoherenceState(
        time_us,
        tuple(_band(past, tiers[band.name], band.name, time_us, window_us) for band in bands if band.name in tiers),
    )


def _band(past: Reading, tiers: Tiers, name: str, time_us: int, window_us: int) -> BandCoherence:
    pace = tiers.pace_us
    if not window_us:
        found = _moment(past, name, time_us, pace)
        if found is not None:
            return found
    window = window_us or pace
    if window <= LONGEST_BEATS_US and window_us:
        oldest = next(past.entries("mesh", 0, time_us + 1, limit=1), None)
        newest = past.last("mesh")
        # What the recorder still holds back is in its tiers, and not in the memory.
        written = newest is not None and (tiers.newest_us <= newest.time_us or time_us <= newest.time_us)
        if written and oldest is not None and oldest.time_us <= time_us - window:
            entries = past.entries("mesh", time_us - window + 1, time_us + 1 + pace)
            beats = [b for band, b in beats_of(entries) if band == name and time_us - window < b.time_us <= time_us]
            return _of_beats(name, beats, time_us, window)
    still, coherence, order = (pyramid.reconstruct_coherence(time_us, window) for pyramid in tiers.pyramids())
    return _of_tiers(name, still, coherence, order, time_us, window)


def _moment(past: Reading, name: str, time_us: int, pace: int) -> BandCoherence | None:
    """Give the newest figures at or before a moment; None where the entries do not reach it."""
    newest: tuple[Entry, dict[str, Any]] | None = None
    for entry in past.entries("mesh", time_us - PATIENCE * pace, time_us + pace):
        body = as_object(as_object(entry.body.get("bands")).get(name))
        if body and int(body.get("time_us", MAX_TIME_US)) <= time_us:
            newest = (entry, body)
    if newest is None:
        return None
    body = newest[1]
    if not body.get("channels"):
        return BandCoherence(name, "entry", int(body["time_us"]), 0, bound=0.0, figures=body)
    beat = next((beat for band, beat in beats_of(iter([newest[0]])) if band == name), None)
    return BandCoherence(
        name,
        "entry",
        int(body["time_us"]),
        0,
        coherence=float(body.get("coherence", math.nan)),
        order=float(body.get("order", math.nan)),
        bound=ROUNDING,
        resonance=beat.still if beat is not None else 0j,
        resonance_bound=0.0 if beat is not None else 2.0,
        weight=float(body.get("weight", 0.0)),
        n_eff=1.0,
        collapsed=bool(body.get("collapsed")),
        figures=body,
    )


def _of_beats(name: str, beats: Sequence[Beat], time_us: int, window: int) -> BandCoherence:
    w = np.array([beat.weight for beat in beats])
    held = np.array([beat.still_weight for beat in beats])
    if not len(beats) or not w.sum() > 0.0:
        return BandCoherence(name, "nothing", time_us, window)
    still = complex(held @ np.array([beat.still for beat in beats])) / float(held.sum()) if held.sum() > 0.0 else 0j
    return BandCoherence(
        name,
        "beats",
        time_us,
        window,
        coherence=float(w @ np.array([beat.coherence for beat in beats]) / w.sum()),
        order=float(w @ np.array([beat.order for beat in beats]) / w.sum()),
        bound=1e-6,
        resonance=still,
        resonance_bound=2e-6,
        weight=float(w.sum() / sum(beat.count for beat in beats)),
        n_eff=float(w.sum() ** 2 / (w @ w)),
    )


def _of_tiers(
    name: str, still: Reconstruction, coherence: Reconstruction, order: Reconstruction, time_us: int, window: int
) -> BandCoherence:
    if not coherence.valid:
        return BandCoherence(name, "nothing", time_us, window)
    return BandCoherence(
        name,
        "tiers",
        time_us,
        window,
        coherence=min(1.0, max(0.0, coherence.phasor.real)),
        order=min(1.0, max(0.0, order.phasor.real)),
        bound=min(1.0, max(coherence.bound, order.bound) + 1e-6),
        resonance=still.phasor,
        resonance_bound=min(2.0, still.bound + 2e-6),
        weight=coherence.weight,
        n_eff=coherence.n_eff,
        resolution_us=coherence.resolution_us,
    )
