"""What the hub knows of the mesh at one tick: values that are published, dispatched and remembered."""

from __future__ import annotations

import cmath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from becomingone.kairos.mesh.partial_sum import PartialSum

if TYPE_CHECKING:
    from becomingone.hub.mesh.table import ChannelTable
    from becomingone.hub.mesh.weighing import Weighing

_TINY: Final = 1e-9
_NEARLY_ALL: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Simple:
    """One band in the documents' form: of the weights as they are, before any node's share is limited.

    Parameters
    ----------
    mean_field : complex
        T_global = Σw·T/Σw, of modulus at most 1: the plain weighted mean, which follows whoever lies.
    coherence : float
        Σw·C/Σw, 0..1.
    coherent : bool
        Whether the coherence is above the threshold.
    """

    mean_field: complex
    coherence: float
    coherent: bool


def _no_rows() -> NDArray[np.intp]:
    return np.zeros(0, np.intp)


@dataclass(frozen=True, slots=True, kw_only=True)
class BandState:
    """One band as it was last evaluated.

    Parameters
    ----------
    name : str
        The band.
    valid : bool
        Whether any channel has a defined phase; the other figures mean nothing where it is False.
    time_us : int
        Mesh time of the evaluation, µs. A slow band is evaluated more slowly than the hub ticks.
    channels, nodes : int
        Channels with a defined phase, and the nodes that they belong to.
    weight : float
        Sum of the channels' weights, no node's share being greater than it may.
    n_weights : float
        (Σw)²/Σw², the effective number of channels.
    coherence : float
        Weighted mean of the channels' local coherences, 0..1.
    n_eff, p : float
        Effective number of samples behind it, and its p-value.
    decidable : bool
        Whether `n_eff` suffices for any coherence to be significant.
    order, order_p : float
        Order parameter R, 0..1, and the probability of one as great from random phases.
    mean_field : complex
        T_global, of modulus at most 1: the robust one, or in the documents' mode that of `simple`.
    omega : float
        Rate at which its phase goes on, rad/s: the median of the channels' measured rates, weighted as in T_global (in
        the documents' mode the mean); 0 where no channel is coherent at all.
    locking : float or None
        Locking order R_lock, 0..1; None until the offsets have been learnt.
    locking_unbiased : float or None
        R_lock less what chance and the learning of offsets contribute, 0..1.
    locking_p, locking_p_n_eff : float
        Probability that unrelated channels agree as well over the whole window, and the effective number of independent
        samples behind it; 1 until the offsets have been learnt.
    locking_n_eff : float
        Effective number of independent looks behind the offsets.
    ceiling : float
        Greatest R that the clocks' uncertainty allows.
    collapsed : bool
        Whether the coherence has been significant for the dwell.
    simple : Simple or None
        The documents' form of the same band; None where it is not valid.
    total : PartialSum
        The sums behind the figures, which merge with those of other meshes.
    rows : ndarray of int, shape (channels,)
        The rows of the table that have a phase and a weight, rising.
    weighing : Weighing or None
        Why each of these rows has its weight.
    """

    name: str
    valid: bool
    time_us: int = 0
    channels: int = 0
    nodes: int = 0
    weight: float = 0.0
    n_weights: float = 0.0
    coherence: float = 0.0
    n_eff: float = 1.0
    p: float = 1.0
    decidable: bool = False
    order: float = 0.0
    order_p: float = 1.0
    mean_field: complex = 0j
    omega: float = 0.0
    locking: float | None = None
    locking_unbiased: float | None = None
    locking_p: float = 1.0
    locking_p_n_eff: float = 0.0
    locking_n_eff: float = 0.0
    ceiling: float = 1.0
    collapsed: bool = False
    simple: Simple | None = None
    total: PartialSum = field(default_factory=PartialSum.empty, compare=False, repr=False)
    rows: NDArray[np.intp] = field(default_factory=_no_rows, compare=False, repr=False)
    weighing: Weighing | None = field(default=None, compare=False, repr=False)

    @property
    def phase(self) -> float | None:
        """The mean field's phase, −π..π; None where there is none, or where no channel is coherent at all."""
        return cmath.phase(self.mean_field) if self.valid and abs(self.mean_field) > _TINY else None

    def field_at(self, time_us: int) -> complex:
        """Give the mean field carried on, at its own rate, to another time.

        Parameters
        ----------
        time_us : int
            Mesh time, µs; that of the tick for whoever acts on a band that was evaluated earlier.
        """
        if time_us == self.time_us or not self.omega:
            return self.mean_field
        return self.mean_field * cmath.rect(1.0, self.omega * ((time_us - self.time_us) / 1e6))

    def phase_at(self, time_us: int) -> float | None:
        """Give `phase` carried on to another mesh time, µs."""
        return cmath.phase(self.field_at(time_us)) if self.phase is not None else None

    def leave_one_out(self, table: ChannelTable) -> dict[str, float]:
        """Give the order parameter R without each node, 0..1, by the node's id.

        A node without which R rises is one that disagrees. A node that is alone has none, and is not there.

        Parameters
        ----------
        table : ChannelTable
            The one from which the band was evaluated, before it is evaluated again.
        """
        rows = self.rows
        if not self.valid or not len(rows):
            return {}
        weight, phasor = table.floats("weight")[rows], table.phasors("tick_phasor")[rows]
        _, first, node = np.unique(table["node"][rows], return_index=True, return_inverse=True)
        own_weight = np.bincount(node, weight)
        pull = weight * phasor
        own_pull = np.bincount(node, pull.real) + 1j * np.bincount(node, pull.imag)
        rest = weight.sum() - own_weight
        without = np.abs(pull.sum() - own_pull) / np.maximum(rest, 1e-300)
        for number in np.flatnonzero(rest <= _NEARLY_ALL * own_weight):
            # One node has next to all of the weight: the difference would be rounding.
            others = node != number
            rest[number] = weight[others].sum()
            without[number] = abs(pull[others].sum()) / max(rest[number], 1e-300)
        firsts: list[int] = rows[first].tolist()
        names = [table.keys[row].node for row in firsts]
        pairs = zip(names, np.minimum(without, 1.0).tolist(), rest.tolist(), strict=True)
        return {name: order for name, order, weight in pairs if weight > 0.0}


@dataclass(frozen=True, slots=True)
class MeshState:
    """All bands at one tick, and the cell's overall figures.

    Parameters
    ----------
    time_us : int
        Mesh time of the tick.
    bands : tuple of BandState
        In the order of the cell's plan.
    """

    time_us: int
    bands: tuple[BandState, ...]

    @property
    def valid(self) -> bool:
        """Whether any band has a defined phase."""
        return any(band.valid for band in self.bands)

    @property
    def dominant(self) -> BandState | None:
        """The valid band whose channels carry the most weight times coherence; of equals, the least likely noise."""
        valid = [band for band in self.bands if band.valid]
        return max(valid, key=lambda band: (band.weight * band.coherence, -band.p), default=None)

    def overall(self, figure: str) -> float | None:
        """Combine a figure (``coherence``, ``order``, ``locking``) over the bands, by their weights.

        Returns
        -------
        float or None
            None where no band has the figure.
        """
        pairs = [
            (band.weight, value) for band in self.bands if band.valid and (value := getattr(band, figure)) is not None
        ]
        total = sum(weight for weight, _ in pairs)
        return sum(weight * value for weight, value in pairs) / total if total > 0 else None
