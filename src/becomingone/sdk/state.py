"""What an engine says at one tick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from becomingone.kairos.mesh.locking import Locking
    from becomingone.kairos.mesh.robust import Robust
    from becomingone.kairos.mesh.state import MeshState
    from becomingone.kairos.pairs.pairwise import PairMeasures
    from becomingone.kairos.transducers.synchronise import Synchronisation
    from becomingone.kairos.transducers.transducer import Reading


@dataclass(frozen=True, slots=True)
class BandState:
    """The channels of one band.

    Parameters
    ----------
    channels : tuple of str
        Those with a phase and a weight at this tick, in the order in which they were added.
    phases : tuple of float
        Of each at the tick, −π..π.
    weights : tuple of float
        Of each, > 0.
    mesh : MeshState
        Coherence, order and their significance.
    direction : Robust
        The mean that liars cannot turn.
    locking : Locking or None
        The locking order, its p, and each channel's learnt offset; None at a band's first tick.
    pairs : PairMeasures or None
        Between all channels that were ever in the band, see ``names``; None with fewer than two.
    names : tuple of str
        What the rows of ``pairs`` belong to.
    collapsed : bool
        Whether the coherence has been significant for the dwell.
    emerged : bool
        Whether, beside, the coherence has been above the threshold and the locking significant for the dwell: the
        channels have become one.
    master, emissary : Reading
        The mean field, integrated slowly and fast.
    synchronisation : Synchronisation
        What follows from the two.
    """

    channels: tuple[str, ...]
    phases: tuple[float, ...]
    weights: tuple[float, ...]
    mesh: MeshState
    direction: Robust
    locking: Locking | None
    pairs: PairMeasures | None
    names: tuple[str, ...]
    collapsed: bool
    emerged: bool
    master: Reading
    emissary: Reading
    synchronisation: Synchronisation


@dataclass(frozen=True, slots=True)
class EngineState:
    """All bands at one tick.

    Parameters
    ----------
    time_us : int
        Of the tick.
    bands : mapping of str to BandState
        Only bands that have had a channel.
    """

    time_us: int
    bands: Mapping[str, BandState]

    @property
    def emerged(self) -> tuple[str, ...]:
        """The bands in which the channels have become one."""
        return tuple(name for name, band in self.bands.items() if band.emerged)
