"""One band of few channels at an instant, between two evaluations: in plain numbers, as a frame cannot wait.

An array of three numbers costs more than the numbers. What is out of the ordinary here is left to the arrays, which
decide everything.
"""

from __future__ import annotations

import cmath
import math
from typing import Final, NamedTuple

import numpy as np

from becomingone.hub.mesh.section import MeshSection
from becomingone.hub.mesh.state import BandState, Simple
from becomingone.hub.mesh.table import BandRows, ChannelTable
from becomingone.hub.mesh.weighing import FAIR, LEAST_WEIGHT
from becomingone.kairos.mesh.partial_sum import PartialSum
from becomingone.kairos.mesh.robust import capped, robust_mean
from becomingone.wire.frame import Flags

FEW: Final = 16
"""Rows up to which plain numbers are quicker than arrays."""

NO_MAJORITY: Final = 2.0
"""Effective number of channels up to which none can be outvoted, and the mean is taken."""

_VALID: Final = int(Flags.VALID)
_ROUNDED: Final = 1.0 + 1e-12
_COLUMNS: Final = (
    "time_us",
    "phasor",
    "coherence",
    "omega",
    "omega_sigma",
    "phase_sigma",
    "clock_sigma_s",
    "flags",
    "max_age_s",
    "capability",
    "alive",
    "trust",
    "p",
    "n_eff",
)


class _Channel(NamedTuple):
    """A channel that has a phase and a weight."""

    place: int
    node: int
    weight: float
    capability: float
    clock: float
    phasor: complex
    coherence: float
    omega: float
    p: float
    n_eff: float
    time_us: float


def glance_at_few(
    section: MeshSection, table: ChannelTable, members: BandRows, now_us: int, latest: BandState, least_n_eff: float
) -> BandState | None:
    """Look at a band of few channels as `BandEvaluator.evaluate` would, and learn nothing.

    Parameters
    ----------
    section : MeshSection
        The rules.
    table : ChannelTable
        The channels' live state.
    members : BandRows
        The band's rows.
    now_us : int
        Mesh time of the instant, µs.
    latest : BandState
        The latest evaluation: locking, decision and the p of the order are taken from it.
    least_n_eff : float
        Effective number of samples from which on a band is decidable.

    Returns
    -------
    BandState or None
        Its sums are those of the arrays but for rounding; without `weighing`. None where a value is no ordinary one.
    """
    found = _channels(table, members, now_us)
    if found is None:
        return None
    if not found:
        return BandState(name=latest.name, valid=False, time_us=now_us, collapsed=latest.collapsed)
    own = _by_node(found)
    limit = _limits(found, own, section.max_share) if section.mode == "robust" else None
    plain = [one.weight for one in found]
    weights = plain if limit is None else [one.weight * limit[one.node] for one in found]
    sums = total = _total(found, plain)
    if limit is not None:
        total = _total(found, weights)
    steady = min(1.0, sums.coherence / sums.weight)
    simple = Simple(sums.resonance / sums.weight, steady, steady > section.coherence_threshold)
    whole = total.weight
    n_weights = max(1.0, whole * whole / total.weight_squared)
    n_eff = p = ceiling = 0.0
    for one, weight in zip(found, weights, strict=True):
        n_eff += weight * one.n_eff
        p += weight * one.p
        ceiling += weight * math.exp(-0.5 * one.clock)
    n_eff = max(1.0, n_eff / whole)
    robust = section.mode == "robust"
    rows = members.rows
    return BandState(
        name=latest.name,
        valid=True,
        time_us=now_us,
        channels=total.count,
        nodes=len(own),
        weight=whole,
        n_weights=n_weights,
        coherence=min(1.0, total.coherence / whole),
        n_eff=n_eff,
        p=min(1.0, min(2.0, whole / max(weights)) * (p / whole)),
        decidable=n_eff >= least_n_eff,
        order=min(1.0, abs(total.order) / whole),
        order_p=latest.order_p,
        mean_field=_field(found, weights, n_weights, latest, now_us) if robust else simple.mean_field,
        omega=_rate(found, weights, median=robust and n_weights > NO_MAJORITY),
        locking=latest.locking,
        locking_unbiased=latest.locking_unbiased,
        locking_p=latest.locking_p,
        locking_p_n_eff=latest.locking_p_n_eff,
        locking_n_eff=latest.locking_n_eff,
        ceiling=min(1.0, ceiling / whole),
        collapsed=latest.collapsed,
        simple=simple,
        total=total,
        rows=rows if len(found) == len(rows) else rows[[one.place for one in found]],
    )


def _channels(table: ChannelTable, members: BandRows, now_us: int) -> list[_Channel] | None:
    """Weigh the channels as `becomingone.hub.mesh.weighing.weigh` does; None where a value is no ordinary one."""
    index, pick = members.index, table.pick
    nodes: list[int] = members.node.tolist()
    found: list[_Channel] = []
    columns = (pick(name, index).tolist() for name in _COLUMNS)
    for place, row in enumerate(zip(nodes, *columns, strict=True)):
        node, time_us, phasor, coherence, omega, omega_sigma, phase_sigma, clock_sigma_s, flags = row[:9]
        max_age_s, capability, alive, trust, p, n_eff = row[9:]
        if not alive or not flags & _VALID or not phasor:
            continue
        delay_s = (now_us - time_us) * 1e-6
        clock = omega * clock_sigma_s
        clock *= clock
        spread = delay_s * omega_sigma
        variance = clock + phase_sigma * phase_sigma + spread * spread
        turn = omega * delay_s
        modulus = abs(phasor)
        ordinary = (
            max_age_s > 0.0
            and 0.0 <= variance < math.inf
            and abs(turn) < math.inf
            and 0.0 < modulus < math.inf
            and 0.0 <= coherence < math.inf
            and 0.0 <= capability * trust < math.inf
            and abs(p) < math.inf
            and abs(n_eff) < math.inf
        )
        if not ordinary:
            return None
        weight = math.exp(-0.5 * variance) * capability * max(0.0, min(1.0, 2.0 - 2.0 * delay_s / max_age_s)) * trust
        if weight >= LEAST_WEIGHT:
            moved = phasor * cmath.rect(1.0, turn)
            found.append(_Channel(place, node, weight, capability, clock, moved, coherence, omega, p, n_eff, time_us))
    return found


def _by_node(found: list[_Channel]) -> dict[int, float]:
    own: dict[int, float] = {}
    for one in found:
        own[one.node] = own.get(one.node, 0.0) + one.weight
    return own


def _limits(found: list[_Channel], own: dict[int, float], max_share: float) -> dict[int, float] | None:
    """Limit each node's share as `becomingone.hub.mesh.weighing.node_limit` does."""
    greatest, total = max(own.values()), sum(own.values())
    if max_share >= 1.0 or greatest <= max_share * total:
        return None
    there = dict.fromkeys(own, 0.0)
    for one in found:
        there[one.node] += one.weight / one.capability
    share = max(max_share, FAIR / max(FAIR, sum(min(1.0, part) for part in there.values())))
    if share >= 1.0 or greatest <= share * total:
        return None
    left = capped(np.array(list(own.values())), share).tolist()
    return {node: part / before for (node, before), part in zip(own.items(), left, strict=True)}


def _total(found: list[_Channel], weights: list[float]) -> PartialSum:
    whole = coherence = squared = 0.0
    resonance = order = 0j
    for one, weight in zip(found, weights, strict=True):
        modulus = abs(one.phasor)
        pull = weight * (one.phasor / modulus if modulus > _ROUNDED else one.phasor)
        steady = min(1.0, one.coherence)
        whole += weight
        order += pull
        resonance += steady * pull
        coherence += weight * steady
        squared += weight * weight
    oldest = int(min(one.time_us for one in found))
    return PartialSum(whole, resonance, order, coherence, squared, len(found), oldest)


def _field(found: list[_Channel], weights: list[float], n_weights: float, latest: BandState, now_us: int) -> complex:
    points = [one.coherence * one.phasor for one in found]
    if n_weights > NO_MAJORITY:
        start = latest.field_at(now_us) if latest.valid else None
        return robust_mean(np.array(points), np.array(weights), start=start).resonance
    whole = sum(weights)
    field = 0j
    for point, weight in zip(points, weights, strict=True):
        modulus = abs(point)
        field += weight / whole * (point / modulus if modulus > _ROUNDED else point)
    modulus = abs(field)
    return field / modulus if modulus > 1.0 else field


def _rate(found: list[_Channel], weights: list[float], *, median: bool) -> float:
    """Give the field's rate as `becomingone.hub.mesh.rate.rate` does."""
    pulls = [(one.omega, weight * one.coherence) for one, weight in zip(found, weights, strict=True)]
    total = sum(pull for _, pull in pulls)
    if not total > 0.0:
        return 0.0
    if not median:
        return sum(omega * pull for omega, pull in pulls) / total
    pulls.sort()
    below = 0.0
    for omega, pull in pulls:
        below += pull
        if below >= 0.5 * total:
            return omega
    return pulls[-1][0]
