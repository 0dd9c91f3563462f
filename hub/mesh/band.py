"""One band of the cell, from tick to tick: what it has learnt, and how its state is made from the table."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.mesh.glance import FEW, NO_MAJORITY, glance_at_few
from becomingone.hub.mesh.rate import rate
from becomingone.hub.mesh.section import MeshSection
from becomingone.hub.mesh.state import BandState, Simple
from becomingone.hub.mesh.table import BandRows, ChannelTable
from becomingone.hub.mesh.weighing import Weighing, node_limit, weigh
from becomingone.kairos.bands import CORRELATION_PER_TAU, Band
from becomingone.kairos.collapse import Collapse
from becomingone.kairos.mesh.locking import Locking, LockingOrder
from becomingone.kairos.mesh.partial_sum import PartialSum
from becomingone.kairos.mesh.robust import robust_mean
from becomingone.kairos.mesh.state import MeshState as BandFigures
from becomingone.kairos.mesh.state import carried
from becomingone.kairos.sums import dot

RELEASE: Final = 3.0
"""Hysteresis: a collapsed band is released at this many times the p that collapsed it, and always before p is 1."""


class BandEvaluator:
    """Evaluates one band.

    Parameters
    ----------
    section : MeshSection
        The rules.
    number : int
        The band's number in the plan.
    band : Band
        The band.
    table : ChannelTable
        The channels' live state; of the band's rows, ``weight``, ``offset`` and ``tick_phasor`` are written.
    p_false : float
        Probability of calling noise coherent.
    dwell_us : int
        µs for which evidence must hold.
    offset_tau_s : float
        Time over which offsets are learnt, s; at least the band's coherence window.
    """

    def __init__(
        self,
        section: MeshSection,
        number: int,
        band: Band,
        table: ChannelTable,
        *,
        p_false: float,
        dwell_us: int,
        offset_tau_s: float,
    ) -> None:
        self._section = section
        self._robust = section.mode == "robust"
        self._number = number
        self._band = band
        self._table = table
        self._least_n_eff = -math.log(p_false)
        self._locking = LockingOrder(max(offset_tau_s, band.coherence_tau_s))
        release_p = min(RELEASE * p_false, (1.0 + p_false) / 2.0)
        self._collapse = Collapse(p_false=p_false, dwell_us=dwell_us, release_p=release_p)
        self._members: BandRows | None = None

    @property
    def grown(self) -> bool:
        """Whether the band has other rows than at its latest evaluation."""
        return self._table.of_band(self._number) is not self._members

    def left(self, latest: BandState) -> bool:
        """Tell whether a node has gone since an evaluation in which it had a phase: nobody may act on that one."""
        return not self._table.pick("alive", latest.rows).all()

    def evaluate(self, now_us: int, latest: BandState | None) -> BandState:
        """Bring the band's channels to one instant, take them together, and learn from them.

        Parameters
        ----------
        now_us : int
            Mesh time of the instant.
        latest : BandState or None
            The evaluation before; one that was not earlier teaches nothing.
        """
        table = self._table
        members = self._members = table.of_band(self._number)
        moved, there = self._look(members, now_us)
        table.phasors("tick_phasor")[members.index] = moved
        if there is None:
            table.floats("weight")[members.index] = 0.0
            return self._nothing(now_us, collapsed=self._collapse.update(1.0, now_us))
        if there.where is not members.index:
            table.floats("weight")[members.index] = 0.0
        table.floats("weight")[there.where] = there.weight
        sums = self._sums(there)
        p = sums.figures.coherence_p if self._robust else float(not sums.simple.coherent)
        locked = self._lock(there, (now_us - latest.time_us) / 1e6 if latest is not None else 0.0)
        if locked is not None:
            table.floats("offset")[there.where] = locked.offsets
        learnt = _Learnt(
            locking=locked.order if locked is not None and locked.valid else None,
            unbiased=locked.unbiased if locked is not None and locked.valid else None,
            p=locked.p if locked is not None else 1.0,
            p_n_eff=locked.p_n_eff if locked is not None else 0.0,
            n_eff=locked.n_eff if locked is not None else 0.0,
            collapsed=self._collapse.update(p, now_us),
        )
        return self._state(there, sums, learnt, now_us, latest)

    def glance(self, latest: BandState, now_us: int) -> BandState:
        """Look at the band between two evaluations, for whoever cannot wait: nothing is learnt, decided or written.

        Parameters
        ----------
        latest : BandState
            The latest evaluation: locking and decision are taken from it, and of few channels the p of the order.
        now_us : int
            Mesh time now.

        Returns
        -------
        BandState
            As of now; the table's columns are not.
        """
        members = self._table.of_band(self._number)
        if len(members.rows) <= FEW:
            found = glance_at_few(self._section, self._table, members, now_us, latest, self._least_n_eff)
            if found is not None:
                return found
        there = self._look(members, now_us)[1]
        if there is None:
            return self._nothing(now_us, collapsed=latest.collapsed)
        learnt = _Learnt(
            latest.locking,
            latest.locking_unbiased,
            latest.locking_p,
            latest.locking_p_n_eff,
            latest.locking_n_eff,
            latest.collapsed,
        )
        return self._state(there, self._sums(there), learnt, now_us, latest)

    def _look(self, members: BandRows, now_us: int) -> tuple[NDArray[np.complex128], _There | None]:
        """Give the phasors at an instant, and the channels that have a weight; None where there is none."""
        table, index = self._table, members.index
        delay_s = now_us - table.pick("time_us", index)
        delay_s *= 1e-6
        moved = carried(table.pick("phasor", index), table.pick("omega", index), delay_s)
        weighing, phasor = weigh(table, members, delay_s), moved
        counted = int(np.count_nonzero(weighing.weight))
        if not counted:
            return moved, None
        nodes = members.nodes
        if counted < len(phasor):
            these = np.flatnonzero(weighing.weight)
            rows = members.rows[these]
            members = BandRows(rows, members.place[these], members.node[these], members.nodes, rows)
            nodes = int(np.count_nonzero(np.bincount(members.node)))
            weighing, phasor = weighing.only(these), phasor[these]
        if self._robust:
            limit = node_limit(weighing, members.node, members.nodes, self._section.max_share)
            weighing = weighing if limit is None else replace(weighing, limit=limit)
        coherence = table.pick("coherence", members.index)
        return moved, _There(members, members.index, nodes, phasor, weighing, weighing.limited, coherence)

    def _sums(self, there: _There) -> _Sums:
        table, index, weight = self._table, there.where, there.weight
        time_us = table.pick("time_us", index).astype(np.int64)
        total = PartialSum.of(weight=weight, phasor=there.phasor, coherence=there.coherence, time_us=time_us)
        figures = BandFigures.of(total, weight=weight, p=table.pick("p", index), n_eff=table.pick("n_eff", index))
        plain = total
        if there.weighing.limit is not None:
            plain = PartialSum.of(
                weight=there.weighing.weight, phasor=there.phasor, coherence=there.coherence, time_us=time_us
            )
        steady = min(1.0, plain.coherence / plain.weight)
        coherent = steady > self._section.coherence_threshold
        return _Sums(total, figures, Simple(plain.resonance / plain.weight, steady, coherent))

    def _lock(self, there: _There, elapsed_s: float) -> Locking | None:
        """Learn the offsets of the channels that are trusted; None where no time has passed."""
        if not elapsed_s > 0.0:
            return None
        weight, trust = there.weight, there.weighing.trust
        if np.minimum.reduce(trust) < self._section.least_trust:
            weight = np.where(trust < self._section.least_trust, 0.0, weight)
        correlation_s = CORRELATION_PER_TAU * self._band.tau_s
        return self._locking.update(there.members.place, there.phasor, weight, elapsed_s, correlation_s)

    def _nothing(self, now_us: int, *, collapsed: bool) -> BandState:
        return BandState(name=self._band.name, valid=False, time_us=now_us, collapsed=collapsed)

    def _state(self, there: _There, sums: _Sums, learnt: _Learnt, now_us: int, latest: BandState | None) -> BandState:
        figures, weight, total = sums.figures, there.weight, sums.total
        field = sums.simple.mean_field
        if self._robust:
            start = latest.field_at(now_us) if latest is not None and latest.valid else None
            field = robust_mean(there.coherence * there.phasor, weight, start=start).resonance
        return BandState(
            name=self._band.name,
            valid=True,
            time_us=now_us,
            channels=figures.count,
            nodes=there.nodes,
            weight=total.weight,
            n_weights=figures.n_weights,
            coherence=figures.coherence,
            n_eff=figures.coherence_n_eff,
            p=figures.coherence_p,
            decidable=figures.coherence_n_eff >= self._least_n_eff,
            order=figures.order,
            order_p=figures.order_p,
            mean_field=field,
            omega=rate(
                self._table.pick("omega", there.where),
                weight,
                there.coherence,
                robust=self._robust and figures.n_weights > NO_MAJORITY,
            ),
            locking=learnt.locking,
            locking_unbiased=learnt.unbiased,
            locking_p=learnt.p,
            locking_p_n_eff=learnt.p_n_eff,
            locking_n_eff=learnt.n_eff,
            ceiling=min(1.0, dot(weight, np.exp(-0.5 * there.weighing.clock)) / total.weight),
            collapsed=learnt.collapsed,
            simple=sums.simple,
            total=total,
            rows=there.members.rows,
            weighing=there.weighing,
        )


class _There(NamedTuple):
    """The channels that have a phase and a weight at an instant."""

    members: BandRows
    where: slice | NDArray[np.intp]
    nodes: int
    phasor: NDArray[np.complex128]
    weighing: Weighing
    weight: NDArray[np.float64]
    coherence: NDArray[np.float64]


class _Sums(NamedTuple):
    """What follows from their sums."""

    total: PartialSum
    figures: BandFigures
    simple: Simple


class _Learnt(NamedTuple):
    """What only a whole evaluation tells."""

    locking: float | None
    unbiased: float | None
    p: float
    p_n_eff: float
    n_eff: float
    collapsed: bool
