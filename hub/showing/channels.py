"""The channels of a snapshot: what each says in each band, and why it has the weight that it has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.mesh.weighing import LEAST_WEIGHT
from becomingone.wire.announce import ChannelAbout
from becomingone.wire.frame import Flags

DIGITS: Final = 4

_PARTS: Final = ("capability", "freshness", "trust", "phase", "frequency", "clock")

_REASONS: Final = ("away", "no_phase", "stale", "distrusted", "no_capability", "uncertain", "new")
"""Why a channel has no weight; the first that is true."""

Entry = dict[str, Any]


def channel_entries(state: MeshState, table: ChannelTable, rows: NDArray[np.intp]) -> list[Entry]:
    """Give what is told of some rows of the table, in their order.

    Parameters
    ----------
    state : MeshState
        The latest.
    table : ChannelTable
        From which it was evaluated.
    rows : ndarray of int, shape (n,)
        Which.
    """
    if not len(rows):
        return []
    weight = table.floats("weight")[rows]
    flags = table["flags"][rows]
    age_s = (state.time_us - table.floats("time_us")[rows]) / 1e6
    omega = table.floats("omega")[rows]
    valid = ((flags & int(Flags.VALID)) != 0) & (weight > 0.0)
    band_of = table["band"][rows]
    since_s = np.zeros(max(len(state.bands), int(band_of.max()) + 1))
    since_s[: len(state.bands)] = [(state.time_us - band.time_us) / 1e6 for band in state.bands]
    turned = np.angle(table.phasors("tick_phasor")[rows] * np.exp(1j * (omega * since_s[band_of])))
    phase, offset = np.where(valid, turned, math.nan), np.where(valid, table.floats("offset")[rows], math.nan)
    columns: dict[str, list[Any]] = {
        "valid": valid.tolist(),
        "phase": _rounded(phase),
        "offset": _rounded(offset),
        "coherence": _rounded(table.floats("coherence")[rows]),
        "n_eff": _rounded(table.floats("n_eff")[rows]),
        "p": [float(f"{p:.3g}") for p in table.floats("p")[rows].tolist()],
        "decidable": ((flags & int(Flags.UNDECIDABLE)) == 0).tolist(),
        "gap": ((flags & int(Flags.GAP)) != 0).tolist(),
        "frequency_hz": _rounded(omega / (2.0 * math.pi)),
        "weight": _rounded(weight),
        "age_s": _rounded(age_s, 3),
        "why": _why(state, table, rows, weight, age_s),
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def channels(entries: Sequence[tuple[str, str, Entry]], described: Mapping[str, ChannelAbout]) -> dict[str, Any]:
    """Put a node's entries, (channel, band, entry), together by channel, of those that it still describes."""
    found: dict[str, Any] = {}
    for name, band, entry in entries:
        about = described.get(name)
        if about is None:
            continue
        channel = found.setdefault(
            name, {"origin": about.origin, "speed": about.speed, "unit": about.unit, "bands": {}}
        )
        channel["bands"][band] = entry
    return found


def _why(
    state: MeshState,
    table: ChannelTable,
    rows: NDArray[np.intp],
    weight: NDArray[np.float64],
    age_s: NDArray[np.float64],
) -> list[Entry]:
    """Explain the weights: their factors as of the evaluation, or why there is none."""
    parts = {name: np.zeros(len(table)) for name in _PARTS}
    limit, share = np.ones(len(table)), np.zeros(len(table))
    for band in state.bands:
        weighing = band.weighing
        if weighing is None:
            continue
        for name in _PARTS:
            parts[name][band.rows] = getattr(weighing, name)
        limit[band.rows] = 1.0 if weighing.limit is None else weighing.limit
        share[band.rows] = weighing.limited / band.weight
    named = [_rounded(parts[name][rows]) for name in _PARTS]
    limits = [1.0 if factor == 1.0 else float(f"{factor:.4g}") for factor in limit[rows].tolist()]
    missing = _no_weight(table, rows, age_s)
    return [
        {
            "capability": capability,
            "freshness": freshness,
            "trust": trust,
            "phase_variance": phase,
            "frequency_variance": frequency,
            "clock_variance": clock,
            "limit": limited,
            "share": shared,
        }
        if counted
        else {"none": _REASONS[reason]}
        for counted, reason, capability, freshness, trust, phase, frequency, clock, limited, shared in zip(
            (weight > 0.0).tolist(), missing, *named, limits, _rounded(share[rows]), strict=True
        )
    ]


def _no_weight(table: ChannelTable, rows: NDArray[np.intp], age_s: NDArray[np.float64]) -> list[int]:
    """Give the number of the reason why each row has no weight, if it has none."""
    spread = np.square(table.floats("omega")[rows] * table.floats("clock_sigma_s")[rows])
    spread += np.square(table.floats("phase_sigma")[rows])
    spread += np.square(age_s * table.floats("omega_sigma")[rows])
    defined = ((table["flags"][rows] & int(Flags.VALID)) != 0) & (table.phasors()[rows] != 0.0)
    reasons = np.select(
        [
            ~table["alive"][rows],
            ~defined,
            age_s >= table.floats("max_age_s")[rows],
            ~(table.floats("trust")[rows] >= LEAST_WEIGHT),
            ~(table.floats("capability")[rows] >= LEAST_WEIGHT),
            ~(np.exp(-0.5 * spread) >= LEAST_WEIGHT),
        ],
        list(range(len(_REASONS) - 1)),
        len(_REASONS) - 1,
    )
    numbers: list[int] = reasons.tolist()
    return numbers


def _rounded(values: NDArray[np.float64], digits: int = DIGITS) -> list[float | None]:
    """Round for JSON, which has no NaN: an offset that has not been learnt is one."""
    finite = np.isfinite(values)
    rounded: list[float | None] = (np.round(np.where(finite, values, 0.0), digits) + 0.0).tolist()  # no −0.0
    if not finite.all():
        for row in np.flatnonzero(~finite).tolist():
            rounded[row] = None
    return rounded
