"""A band's figures and decisions as JSON: what ``mesh`` entries and signatures hold of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from becomingone.hub.memory.beats import Beat, rounded, significant
from becomingone.hub.mesh.state import BandState
from becomingone.hub.mesh.table import ChannelTable

_DIGITS = 4


def band_body(band: BandState, beat: Beat | None) -> dict[str, Any]:
    """Give a band's figures; of one that is not valid, that it has no channels.

    ``coherence``, ``order`` and so on are those of the last evaluation; ``simple`` is the documents' coherence, where
    it is another; ``beat`` is what the tiers take (`Beat.as_json`).
    """
    if not band.valid:
        return {"time_us": band.time_us, "channels": 0, **({"beat": beat.as_json()} if beat is not None else {})}
    body: dict[str, Any] = {
        "time_us": beat.time_us if beat is not None else band.time_us,
        "channels": band.channels,
        "nodes": band.nodes,
        "weight": significant(band.weight),
        "coherence": _round(band.coherence),
        "n_eff": significant(band.n_eff),
        "p": _three(band.p),
        "collapsed": band.collapsed,
        "order": _round(band.order),
        "order_p": _three(band.order_p),
        "phase": _round(band.phase),
        "omega": significant(band.omega),
        "locking": _round(band.locking),
        "locking_p": _three(band.locking_p),
        "ceiling": _round(band.ceiling),
    }
    if band.simple is not None and _round(band.simple.coherence) != body["coherence"]:
        body["simple"] = _round(band.simple.coherence)
    if beat is not None:
        body["beat"] = beat.as_json()
    return {name: value for name, value in body.items() if value is not None}


def resonance(band: BandState, table: ChannelTable) -> complex | None:
    """Give the band's T_τ: Σw·T/Σw over the channels whose last frames had one; None where none had."""
    values = table.phasors("resonance")[band.rows]
    weights = table.floats("weight")[band.rows]
    known = np.isfinite(values.real) & np.isfinite(values.imag) & (weights > 0.0)
    if not known.any():
        return None
    return rounded(complex(weights[known] @ values[known]) / float(weights[known].sum()))


def parts(phasor: complex) -> list[float]:
    """Give a phasor as JSON."""
    small = rounded(phasor)
    return [small.real, small.imag]


def clean(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold, and what it cannot
    """Make JSON of what was told: no NaN, no infinity, names as text."""
    if isinstance(value, Mapping):
        return {str(name): clean(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, np.generic):
        return clean(value.item())
    if isinstance(value, complex):
        return clean([value.real, value.imag])
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)  # pyright: ignore[reportUnknownArgumentType]


def _round(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, _DIGITS) + 0.0  # no −0.0


def _three(value: float) -> float | None:
    return float(f"{value:.3g}") if math.isfinite(value) else None
