"""What an event of emergence or dissolution says: every figure that it rests on."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from becomingone.hub.emergence.look import Look
    from becomingone.hub.emergence.watch import Watch
    from becomingone.hub.intake.roster import Roster
    from becomingone.hub.mesh.state import BandState
    from becomingone.hub.mesh.table import ChannelTable
    from becomingone.kairos.pairs.shared_fluctuation import SharedFluctuation

MOST_NODES: Final = 200
"""Nodes that an event tells of, the heaviest; of the others only how many there are."""


def event(
    state: BandState, watch: Watch, table: ChannelTable, roster: Roster, *, offset_tau_s: float
) -> dict[str, Any]:
    """Put an event together.

    Parameters
    ----------
    state : BandState
        The band at that moment.
    watch : Watch
        What was asked for and seen.
    table : ChannelTable
        As of the band's evaluation.
    roster : Roster
        The nodes' names.
    offset_tau_s : float
        The time over which the hub learns offsets, s.
    """
    section, band, locked = watch.section, watch.band, watch.locked.latest
    seen = watch.latest if watch.latest is not None else watch.behind
    simple = state.simple
    nodes = _nodes(state, seen, table, roster)
    content: dict[str, Any] = {
        "band": band.name,
        "frequency_hz": band.frequency_hz,
        "tau_s": band.tau_s,
        "nodes": state.nodes,
        "channels": state.channels,
        "coherence": _round(state.coherence),
        "coherence_needed": section.coherence,
        "coherence_p": _p(state.p),
        "n_eff": _round(state.n_eff),
        "order": _round(state.order),
        "order_p": _p(state.order_p),
        "phase": _round(state.phase),
        "locking": _round(locked.order if locked is not None and locked.valid else None),
        "locking_p": _p(locked.p if locked is not None else 1.0),
        "locking_p_needed": watch.p_locked,
        "locking_n_eff": _round(locked.p_n_eff if locked is not None else 0.0),
        "locking_s": section.locking_tau * band.tau_s,
        "locking_slow": _round(state.locking),
        "locking_slow_p": _p(state.locking_p),
        "locking_slow_s": offset_tau_s,
        "fluctuation": _look(seen),
        "spending": {
            "p_false": section.p_false,
            "window_s": section.window_tau * band.tau_s,
            "looks": watch.looks,
            "spent": _p(watch.spending.spent),
            "false_alarm_s": round(watch.spending.false_alarm_s, 1),
        },
        "clock_ceiling": _round(state.ceiling),
        "dwell_s": section.dwell_tau * band.tau_s,
        "simple": {
            "coherence": _round(simple.coherence),
            "coherent": simple.coherent,
            "order": _round(abs(simple.mean_field)),
        }
        if simple is not None
        else None,
        "members": dict(list(nodes.items())[:MOST_NODES]),
    }
    if len(nodes) > MOST_NODES:
        content["members_left_out"] = len(nodes) - MOST_NODES
    return content


def _look(seen: Look | None) -> dict[str, Any] | None:
    best = seen.best if seen is not None else None
    if seen is None or best is None:
        return None
    shared, length_s = best
    other: SharedFluctuation | None = seen.whole if shared is seen.recent else seen.recent
    return {
        "time_us": seen.time_us,
        "r": _round(shared.value),
        "p": _p(shared.p),
        "p_needed": _p(seen.alpha),
        "independent": _round(shared.independent),
        "window_s": round(length_s, 3),
        "nodes": len(seen.nodes),
        "beaten": _round(shared.beaten),
        "other_p": _p(other.p) if other is not None else None,
    }


def _nodes(state: BandState, seen: Look | None, table: ChannelTable, roster: Roster) -> dict[str, dict[str, Any]]:
    """Tell of each node, the heaviest first."""
    rows = state.rows
    weight, offset = table.floats("weight")[rows], table.floats("offset")[rows]
    clock, coherence = table.floats("clock_sigma_s")[rows], table.floats("coherence")[rows]
    of_node: dict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(table["node"][rows].tolist()):
        of_node[number].append(place)
    total = float(weight.sum())
    without = state.leave_one_out(table)
    best = seen.best if seen is not None else None
    own: dict[int, tuple[float, float]] = {}
    if seen is not None and best is not None:
        own = dict(zip(seen.nodes, zip(best[0].each.tolist(), best[0].each_p.tolist(), strict=True), strict=True))
    told: list[tuple[float, str, dict[str, Any]]] = []
    for number, places in of_node.items():
        heaviest = max(places, key=lambda place: float(weight[place]))
        share = float(weight[places].sum()) / total if total > 0 else 0.0
        name = roster.members[number].id
        r, p = own.get(number, (math.nan, 1.0))
        told.append(
            (
                share,
                name,
                {
                    "channels": [table.keys[int(rows[place])].channel for place in places],
                    "weight": _round(share),
                    "coherence": _round(float(np.average(coherence[places], weights=weight[places]))),
                    "offset": _round(float(offset[heaviest])),
                    "clock_sigma_s": float(f"{float(clock[places].max()):.3g}"),
                    "order_without": _round(without.get(name)),
                    "r": _round(r),
                    "p": _p(p) if math.isfinite(r) else None,
                },
            )
        )
    told.sort(key=lambda entry: (-entry[0], entry[1]))
    return {name: content for _, name, content in told}


def _round(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4) + 0.0


def _p(value: float) -> float:
    return float(f"{value:.3g}")
