"""The whole state of the mesh as JSON: what a stranger, a dashboard and our own programs read."""

from __future__ import annotations

import cmath
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from becomingone.hub.roster import Member, Roster
from becomingone.hub.state import BandState, MeshState
from becomingone.hub.table import ChannelTable
from becomingone.wire.announce import State
from becomingone.wire.frame import Flags

_DIGITS = 4


@dataclass(slots=True)
class Milestones:
    """When the hub first published what people wait for, mesh time in µs; None until then."""

    first_coherence_us: int | None = None
    first_significant_us: int | None = None


def snapshot(
    state: MeshState,
    *,
    roster: Roster,
    table: ChannelTable,
    now_ns: int,
    frames: int,
    refused: Counter[str],
    milestones: Milestones,
    broker: Mapping[str, str | int | float],
    authenticated: bool = False,
    kept: Mapping[str, int] | None = None,
    config_of: Callable[[Member], Mapping[str, str | bool | None]] = lambda _member: {},
) -> dict[str, Any]:
    """Put the snapshot together; ``docs/protocol.md`` explains each field."""
    dominant = state.dominant
    every: Counter[str] = Counter(refused)
    for member in roster.members:
        every.update(member.refused)
    rows: dict[str, list[int]] = {}
    for row, key in enumerate(table.keys):
        rows.setdefault(key.node, []).append(row)
    return {
        "time_us": state.time_us,
        "authenticated": authenticated,
        "broker": dict(broker),
        "valid": state.valid,
        "coherence": _round(state.overall("coherence")),
        "order": _round(state.overall("order")),
        "locking": _round(state.overall("locking")),
        "phase": _round(dominant.phase) if dominant is not None else None,
        "dominant_band": dominant.name if dominant is not None else None,
        "bands": {band.name: _band(band) for band in state.bands if band.valid},
        "nodes": {
            member.id: {
                **_node(member, state, table, rows.get(member.id, []), now_ns),
                "config": dict(config_of(member)),
            }
            for member in roster.members
        },
        "frames": frames,
        "missing": sum(member.missing for member in roster.members),
        "refused": dict(sorted(every.items())),
        "kept": dict(kept or {}),
        "first_coherence_us": milestones.first_coherence_us,
        "first_significant_us": milestones.first_significant_us,
    }


def _band(band: BandState) -> dict[str, Any]:
    return {
        "channels": band.channels,
        "nodes": band.nodes,
        "coherence": _round(band.coherence),
        "n_eff": _round(band.n_eff),
        "p": float(f"{band.p:.3g}"),
        "decidable": band.decidable,
        "collapsed": band.collapsed,
        "order": _round(band.order),
        "order_p": float(f"{band.order_p:.3g}"),
        "locking": _round(band.locking),
        "locking_n_eff": _round(band.locking_n_eff),
        "phase": _round(band.phase),
        "clock_ceiling": _round(band.ceiling),
    }


def _node(member: Member, state: MeshState, table: ChannelTable, rows: list[int], now_ns: int) -> dict[str, Any]:
    about = member.about
    return {
        "state": str(member.state or State.INIT),
        "silent_s": round((now_ns - member.heard_ns) / 1e9, 3),
        "hardware": about.hardware if about is not None else None,
        "pid": about.pid if about is not None else None,
        "devices": {
            device.name: "ok" if device.available else device.reason for device in (about.devices if about else ())
        },
        "outputs": [output.name for output in about.outputs] if about is not None else [],
        "frames": member.frames,
        "missing": member.missing,
        "dropped": member.health.dropped if member.health is not None else 0,
        "refused": dict(member.refused),
        "channels": _channels(member, state, table, rows),
    }


def _channels(member: Member, state: MeshState, table: ChannelTable, rows: list[int]) -> dict[str, Any]:
    channels: dict[str, Any] = {}
    origins = {channel.name: channel for channel in member.about.channels} if member.about is not None else {}
    for row in rows:
        key = table.keys[row]
        if key.channel not in origins:
            continue
        flags = Flags(int(table["flags"][row]))
        valid = bool(flags & Flags.VALID) and bool(table["weight"][row] > 0)
        channel = channels.setdefault(
            key.channel,
            {
                "origin": origins[key.channel].origin,
                "speed": origins[key.channel].speed,
                "unit": origins[key.channel].unit,
                "bands": {},
            },
        )
        channel["bands"][key.band] = {
            "valid": valid,
            "phase": _phase(table.phasors("tick_phasor")[row]) if valid else None,
            "offset": _round(float(table["offset"][row])) if valid else None,
            "coherence": _round(float(table["coherence"][row])),
            "n_eff": _round(float(table["n_eff"][row])),
            "p": float(f"{float(table['p'][row]):.3g}"),
            "decidable": not flags & Flags.UNDECIDABLE,
            "gap": bool(flags & Flags.GAP),
            "frequency_hz": _round(float(table["omega"][row]) / (2 * cmath.pi)),
            "weight": _round(float(table["weight"][row])),
            "age_s": round((state.time_us - float(table["time_us"][row])) / 1e6, 3),
        }
    return channels


def _round(value: float | None) -> float | None:
    """Round for JSON, which has no NaN: an offset that has not been learnt is one."""
    return None if value is None or not math.isfinite(value) else round(value, _DIGITS) + 0.0  # no −0.0


def _phase(value: complex) -> float:
    return round(cmath.phase(value), _DIGITS)
