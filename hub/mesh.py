"""One tick: every band's channels brought to one instant, weighed, and taken together."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.config import HubConfig
from becomingone.hub.state import BandState, MeshState
from becomingone.hub.table import ChannelTable
from becomingone.kairos.bands import CORRELATION_PER_TAU, Band
from becomingone.kairos.collapse import Collapse
from becomingone.kairos.mesh.locking import LockingOrder
from becomingone.kairos.mesh.partial_sum import PartialSum
from becomingone.kairos.mesh.state import MeshState as BandFigures
from becomingone.kairos.mesh.state import extrapolate, freshness, weights

RELEASE: Final = 3.0
"""Hysteresis: a collapsed band is released at this many times the p that collapsed it, and always before p is 1."""

LEAST_WEIGHT: Final = 1e-9
"""A weight below this is none: such a phase is as good as unknown, and the square of its weight may underflow."""


class MeshEvaluator:
    """Evaluates the mesh tick by tick.

    Parameters
    ----------
    config : HubConfig
        The band plan and the rules.
    table : ChannelTable
        The channels' live state; the columns ``weight``, ``offset`` and ``tick_phasor`` are written here.
    """

    def __init__(self, config: HubConfig, table: ChannelTable) -> None:
        p_false = config.kairos.p_false
        self._table = table
        self._bands = config.band_plan()
        self._least_n_eff = -math.log(p_false)
        self._locking = [LockingOrder(max(config.master.tau_s, band.coherence_tau_s)) for band in self._bands]
        dwell_us = int(config.decision.dwell_s * 1e6)
        self._collapse = [
            Collapse(p_false=p_false, dwell_us=dwell_us, release_p=min(RELEASE * p_false, (1.0 + p_false) / 2.0))
            for _ in self._bands
        ]
        self._last_us: int | None = None

    def evaluate(self, now_us: int) -> MeshState:
        """Evaluate all bands at one instant.

        Parameters
        ----------
        now_us : int
            Mesh time of the tick; later than that of the tick before.
        """
        table = self._table
        elapsed_s = (now_us - self._last_us) / 1e6 if self._last_us is not None else 0.0
        self._last_us = now_us
        band_of = table["band"]
        usable = table.usable(now_us)
        age_s = (now_us - table.floats("time_us")) / 1e6
        phasor, variance = extrapolate(
            table.phasors(),
            table.floats("omega"),
            delay_s=age_s,
            phase_sigma=table.floats("phase_sigma"),
            omega_sigma=table.floats("omega_sigma"),
            clock_sigma_s=table.floats("clock_sigma_s"),
        )
        fresh = freshness(age_s, table.floats("max_age_s")) if len(table) else np.zeros(0)
        weight = np.where(usable, weights(table.floats("capability"), fresh, np.ones(len(table)), variance), 0.0)
        weight[weight < LEAST_WEIGHT] = 0.0
        table.floats("weight")[:] = weight
        table.phasors("tick_phasor")[:] = phasor
        return MeshState(
            now_us,
            tuple(
                self._band(number, band, np.flatnonzero((band_of == number) & (weight > 0)), now_us, elapsed_s)
                for number, band in enumerate(self._bands)
            ),
        )

    def _band(self, number: int, band: Band, rows: NDArray[np.intp], now_us: int, elapsed_s: float) -> BandState:
        table = self._table
        weight = table.floats("weight")[rows]
        phasor = table.phasors("tick_phasor")[rows]
        coherence = table.floats("coherence")[rows]
        p, n_eff = table.floats("p")[rows], table.floats("n_eff")[rows]
        total = PartialSum.of(
            weight=weight,
            phasor=phasor,
            coherence=coherence,
            time_us=table.floats("time_us")[rows].astype(np.int64),
        )
        figures = BandFigures.of(total, weight=weight, p=p, n_eff=n_eff)
        collapsed = self._collapse[number].update(figures.coherence_p, now_us)
        if not figures.valid:
            return BandState(name=band.name, valid=False, collapsed=collapsed)
        locking: float | None = None
        locking_n_eff = 0.0
        if elapsed_s > 0:
            locked = self._locking[number].update(rows, phasor, weight, elapsed_s, CORRELATION_PER_TAU * band.tau_s)
            table.floats("offset")[rows] = locked.offsets
            locking_n_eff = locked.n_eff
            locking = locked.order if locked.valid else None
        clocks = table.floats("clock_sigma_s")[rows]
        clock_variance = float(weight @ (band.omega * clocks) ** 2) / total.weight
        return BandState(
            name=band.name,
            valid=True,
            channels=figures.count,
            nodes=len(np.unique(table["node"][rows])),
            weight=total.weight,
            coherence=figures.coherence,
            n_eff=figures.coherence_n_eff,
            p=figures.coherence_p,
            decidable=figures.coherence_n_eff >= self._least_n_eff,
            order=figures.order,
            order_p=figures.order_p,
            mean_field=figures.resonance,
            omega=float((weight * coherence) @ table.floats("omega")[rows]) / total.coherence
            if total.coherence
            else 0.0,
            locking=locking,
            locking_n_eff=locking_n_eff,
            ceiling=math.exp(-clock_variance / 2.0),
            collapsed=collapsed,
        )
