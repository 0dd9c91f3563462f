"""What the hub knows of the mesh at one tick: values that are published, dispatched and remembered."""

from __future__ import annotations

import cmath
from dataclasses import dataclass
from typing import Final

_TINY: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class BandState:
    """One band at one tick.

    Parameters
    ----------
    name : str
        The band.
    valid : bool
        Whether any channel has a defined phase; the other figures mean nothing where it is False.
    channels, nodes : int
        Channels with a defined phase, and the nodes that they belong to.
    weight : float
        Sum of the channels' weights.
    coherence : float
        Weighted mean of the channels' local coherences, 0..1.
    n_eff, p : float
        Effective number of samples behind it, and its p-value.
    decidable : bool
        Whether `n_eff` suffices for any coherence to be significant.
    order, order_p : float
        Order parameter R, 0..1, and the probability of one as great from random phases.
    mean_field : complex
        T_global, of modulus at most 1.
    omega : float
        Rate at which its phase goes on, rad/s: the mean of the channels' measured rates, weighted as in T_global; 0
        where no channel is coherent at all.
    locking : float or None
        Locking order R_lock, 0..1; None until the offsets have been learnt.
    locking_n_eff : float
        Effective number of independent looks behind the offsets.
    ceiling : float
        Greatest R that the clocks' uncertainty allows.
    collapsed : bool
        Whether the coherence has been significant for the dwell.
    """

    name: str
    valid: bool
    channels: int = 0
    nodes: int = 0
    weight: float = 0.0
    coherence: float = 0.0
    n_eff: float = 1.0
    p: float = 1.0
    decidable: bool = False
    order: float = 0.0
    order_p: float = 1.0
    mean_field: complex = 0j
    omega: float = 0.0
    locking: float | None = None
    locking_n_eff: float = 0.0
    ceiling: float = 1.0
    collapsed: bool = False

    @property
    def phase(self) -> float | None:
        """The mean field's phase, −π..π; None where there is none, or where no channel is coherent at all."""
        return cmath.phase(self.mean_field) if self.valid and abs(self.mean_field) > _TINY else None


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
