"""The whole state of the mesh as JSON: what a stranger, a dashboard and our own programs read."""

from __future__ import annotations

import cmath
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.section import MeshSection
from becomingone.hub.mesh.state import BandState, MeshState, Simple
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.showing.channels import DIGITS
from becomingone.hub.showing.events import compact
from becomingone.hub.showing.nodes import ConfigOf, NodeSection, TrustOf
from becomingone.wire.announce import State

MAX_BYTES: Final = 900_000
"""A snapshot is at most so long: below 1 MiB, the most that readers of ours take, with room for what is around it."""

MAX_PART_BYTES: Final = 300_000
"""Of these at most so many are other parts' sections."""

_WHY: Final = "no room: what is unwell comes first, then what has the most weight"


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
    config_of: ConfigOf = lambda _member: {},
    trust_of: TrustOf = lambda _node: {},
    mesh: MeshSection | None = None,
    parts: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Put the snapshot together; ``docs/protocol.md`` explains each field.

    Parameters
    ----------
    state : MeshState
        The latest.
    roster, table : Roster, ChannelTable
        Nodes and channels.
    now_ns : int
        The hub's monotonic clock.
    frames, refused, milestones, broker, authenticated, kept
        As they are told.
    config_of, trust_of : callable
        What is known of a node's configuration, given the member; by reason, why a node is trusted less, given its id.
    mesh : MeshSection, optional
        How the mesh is evaluated.
    parts : mapping of str to dict, optional
        Sections of other parts of the hub, put in as they are where they are not longer than `MAX_PART_BYTES`
        altogether; of longer ones the longest are left out.

    Raises
    ------
    ValueError
        When a part has the name of a field of the snapshot, or a figure is not finite.
    """
    rules = mesh if mesh is not None else MeshSection()
    dominant = state.dominant
    every: Counter[str] = Counter(refused)
    for member in roster.members:
        every.update(member.refused)
    content: dict[str, Any] = {
        "time_us": state.time_us,
        "authenticated": authenticated,
        "broker": dict(broker),
        "mode": rules.mode,
        "valid": state.valid,
        "coherence": _round(state.overall("coherence")),
        "order": _round(state.overall("order")),
        "locking": _round(state.overall("locking")),
        "phase": _round(dominant.phase_at(state.time_us)) if dominant is not None else None,
        "dominant_band": dominant.name if dominant is not None else None,
        "simple": _simple_of_all(state, rules),
        "bands": {band.name: _band(band, state.time_us) for band in state.bands if band.valid},
        "nodes": {},
        "states": dict(sorted(Counter(str(member.state or State.INIT) for member in roster.members).items())),
        "frames": frames,
        "missing": sum(member.missing for member in roster.members),
        "refused": dict(sorted(every.items())),
        "kept": dict(kept or {}),
        "first_coherence_us": milestones.first_coherence_us,
        "first_significant_us": milestones.first_significant_us,
        "left_out": {},
    }
    told, untold = _fitting(parts or {}, content)
    content.update(told)
    nodes = NodeSection(
        state,
        roster.members,
        table,
        now_ns,
        config_of=config_of,
        trust_of=trust_of,
        room=MAX_BYTES - len(compact(content)),
    )
    content["nodes"] = nodes.nodes
    some = nodes.left_out or nodes.channels_left_out or untold
    content["left_out"] = {
        "nodes": nodes.left_out,
        "channels": nodes.channels_left_out,
        "parts": untold,
        "why": _WHY if some else None,
    }
    return content


def _fitting(
    parts: Mapping[str, Mapping[str, Any]], content: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Give the parts for which there is room, and the names of the others."""
    taken = sorted(parts.keys() & content.keys())
    if taken:
        msg = f"the snapshot has fields of its own named {', '.join(taken)}"
        raise ValueError(msg)
    told = {name: dict(part) for name, part in parts.items()}
    sizes = {name: len(compact(part)) for name, part in told.items()}
    untold: list[str] = []
    while sum(sizes.values()) > MAX_PART_BYTES:
        longest = max(sizes, key=lambda name: sizes[name])
        untold.append(longest)
        del sizes[longest], told[longest]
    return told, untold


def _band(band: BandState, now_us: int) -> dict[str, Any]:
    return {
        "channels": band.channels,
        "nodes": band.nodes,
        "weight": _round(band.weight),
        "n_weights": _round(band.n_weights),
        "coherence": _round(band.coherence),
        "n_eff": _round(band.n_eff),
        "p": _p(band.p),
        "decidable": band.decidable,
        "collapsed": band.collapsed,
        "order": _round(band.order),
        "order_p": _p(band.order_p),
        "locking": _round(band.locking),
        "locking_unbiased": _round(band.locking_unbiased),
        "locking_n_eff": _round(band.locking_n_eff),
        "locking_p": _p(band.locking_p),
        "locking_p_n_eff": _round(band.locking_p_n_eff),
        "resonance": _round(abs(band.mean_field)),
        "phase": _round(band.phase_at(now_us)),
        "frequency_hz": _round(band.omega / (2.0 * math.pi)),
        "clock_ceiling": _round(band.ceiling),
        "simple": _simple(band.simple, band, now_us) if band.simple is not None else None,
        "age_s": round((now_us - band.time_us) / 1e6, 3),
    }


def _simple(simple: Simple, band: BandState, now_us: int) -> dict[str, Any]:
    turned = simple.mean_field * cmath.rect(1.0, band.omega * ((now_us - band.time_us) / 1e6))
    return {
        "coherence": _round(simple.coherence),
        "resonance": _round(abs(simple.mean_field)),
        "phase": _round(cmath.phase(turned)) if abs(simple.mean_field) > 0.0 else None,
        "coherent": simple.coherent,
    }


def _simple_of_all(state: MeshState, rules: MeshSection) -> dict[str, Any]:
    """Give the documents' single number of the cell, and whether it is above the threshold."""
    pairs = [(band.weight, band.simple.coherence) for band in state.bands if band.valid and band.simple is not None]
    total = math.fsum(weight for weight, _ in pairs)
    coherence = math.fsum(weight * value for weight, value in pairs) / total if total > 0.0 else None
    return {
        "coherence": _round(coherence),
        "coherent": coherence is not None and coherence > rules.coherence_threshold,
        "threshold": rules.coherence_threshold,
    }


def _p(value: float) -> float:
    return float(f"{value:.3g}")


def _round(value: float | None) -> float | None:
    """Round for JSON, which has no NaN."""
    return None if value is None or not math.isfinite(value) else round(value, DIGITS) + 0.0  # no −0.0
