"""Why a channel has its weight: capability · freshness · trust · e^{−σ²/2}, and what the limit of its node leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.mesh.table import BandRows, ChannelTable
from becomingone.kairos.mesh.robust import capped
from becomingone.kairos.mesh.state import freshness
from becomingone.wire.frame import Flags

LEAST_WEIGHT: Final = 1e-9
"""A weight below this is none: such a phase is as good as unknown, and the square of its weight may underflow."""

FAIR: Final = 1.5
"""Of few nodes each may have so many times its equal share: a limit below that would only make all of them equal."""

_VALID: Final = int(Flags.VALID)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weighing:
    """The parts of the weights of the channels of one band; arrays of shape (n,).

    Parameters
    ----------
    capability, freshness, trust : ndarray of float
        Factors, ≥ 0.
    phase, frequency, clock : ndarray of float
        Parts of σ² in rad²: of the phase as it was measured, of its frequency times its age, of its node's clock.
    weight : ndarray of float
        capability · freshness · trust · e^{−σ²/2}; 0 where that is below `LEAST_WEIGHT`, and without a phase.
    limit : ndarray of float or None
        0..1: what the limit of its node's share multiplies the weight by; None where no node is over it.
    """

    capability: Floats
    freshness: Floats
    trust: Floats
    phase: Floats
    frequency: Floats
    clock: Floats
    weight: Floats
    limit: Floats | None = None

    @property
    def limited(self) -> Floats:
        """The weights after the limit of each node's share."""
        return self.weight if self.limit is None else self.weight * self.limit

    def only(self, these: NDArray[np.intp]) -> Weighing:
        """Give that of some of the channels."""
        return Weighing(
            self.capability[these],
            self.freshness[these],
            self.trust[these],
            self.phase[these],
            self.frequency[these],
            self.clock[these],
            self.weight[these],
            None if self.limit is None else self.limit[these],
        )


def weigh(table: ChannelTable, members: BandRows, delay_s: Floats) -> Weighing:
    """Weigh the channels of a band, each for itself.

    Parameters
    ----------
    table : ChannelTable
        What is known of them.
    members : BandRows
        Which they are, n of them.
    delay_s : ndarray of float, shape (n,)
        Age of the phases in seconds; negative of those that are ahead of the hub's clock.
    """
    index, pick = members.index, table.pick
    capability, trust = pick("capability", index), pick("trust", index)
    if isinstance(index, slice):
        capability, trust = capability.copy(), trust.copy()
    clock = pick("omega", index) * pick("clock_sigma_s", index)
    clock *= clock
    phase = np.square(pick("phase_sigma", index))
    frequency = delay_s * pick("omega_sigma", index)
    frequency *= frequency
    fresh = freshness(delay_s, pick("max_age_s", index))
    weight = clock + phase
    weight += frequency
    weight *= -0.5
    np.exp(weight, out=weight)
    weight *= capability
    weight *= fresh
    weight *= trust
    weight *= pick("alive", index)
    # So that what is not a number is no weight either.
    known = weight >= LEAST_WEIGHT
    known &= pick("flags", index) & _VALID != 0
    known &= pick("phasor", index) != 0.0
    if not known.all():
        weight[~known] = 0.0
    return Weighing(capability, fresh, trust, phase, frequency, clock, weight)


def node_limit(weighing: Weighing, node: NDArray[np.intp], nodes: int, max_share: float) -> Floats | None:
    """Limit the share of the weight that one node has, whatever the number and the capability of its channels.

    Parameters
    ----------
    weighing : Weighing
        Of the n channels with a weight.
    node : ndarray of int, shape (n,)
        To which node each belongs, 0..nodes − 1.
    nodes : int
        Number of nodes.
    max_share : float
        Greatest share, 0..1. Of fewer than 6 nodes that are all there at 0.25, `FAIR` over their number.

    Returns
    -------
    ndarray of float, shape (n,), or None
        What each channel's weight is to be multiplied by; None where no node is over the limit.

    Notes
    -----
    A node counts as there by Σ freshness · trust · e^{−σ²/2} of its channels, at most 1: one that fades away
    must not take the others' weight with it, as it would if it counted as one to the last.
    """
    if max_share >= 1.0:
        return None
    weight = weighing.weight
    if nodes == len(weight) and float(np.maximum.reduce(weight)) <= max_share * float(np.add.reduce(weight)):
        return None
    own: Floats = np.bincount(node, weight, nodes).astype(np.float64, copy=False)
    total = float(np.add.reduce(own))
    if float(np.maximum.reduce(own)) <= max_share * total:
        return None
    there = np.bincount(node, weight / weighing.capability, nodes)
    share = max(max_share, FAIR / max(FAIR, float(np.minimum(there, 1.0).sum())))
    if share >= 1.0 or float(np.maximum.reduce(own)) <= share * total:
        return None
    limit = np.ones(nodes)
    np.divide(capped(own, share), own, out=limit, where=own > 0.0)
    return limit[node]
