"""What a cell's channels add up to, band by band, for whoever merges it with other cells."""

from __future__ import annotations

import cmath
from collections.abc import Collection
from dataclasses import replace

import numpy as np

from becomingone.hub.mesh.state import BandState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.kairos.mesh.partial_sum import PartialSum


def own_sum(band: BandState, table: ChannelTable, *, without: Collection[int] = ()) -> PartialSum:
    """Sum over the channels of a band at its last evaluation, each with its own weight: no node's share is limited.

    Parameters
    ----------
    band : BandState
        The band.
    table : ChannelTable
        The one from which it was evaluated, before it is evaluated again.
    without : collection of int
        Numbers of nodes whose channels are left out.
    """
    rows, weighing = band.rows, band.weighing
    if not band.valid or weighing is None:
        return PartialSum.empty()
    weight = weighing.weight
    if without:
        own = ~np.isin(table["node"][rows], list(without))
        rows, weight = rows[own], weight[own]
    return PartialSum.of(
        weight=weight,
        phasor=table.phasors("tick_phasor")[rows],
        coherence=table.floats("coherence")[rows],
        time_us=table.floats("time_us")[rows].astype(np.int64),
    )


def carried_on(total: PartialSum, omega: float, passed_us: int) -> PartialSum:
    """Carry a sum on to another instant, all of it at one rate.

    Parameters
    ----------
    total : PartialSum
        The sum.
    omega : float
        Rate at which its mean field turns, rad/s.
    passed_us : int
        µs from its instant to the other; 0 leaves it as it is, bit for bit.
    """
    if not passed_us:
        return total
    turn = cmath.rect(1.0, omega * (passed_us * 1e-6))
    return replace(total, resonance=total.resonance * turn, order=total.order * turn, rounded=(0.0,) * 7)
