"""One tick: every band that is due brought to one instant, weighed, and taken together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from becomingone.hub.mesh.band import BandEvaluator
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.kairos.bands import Band

if TYPE_CHECKING:
    from becomingone.hub.config import HubConfig
    from becomingone.hub.mesh.section import MeshSection


NOTHING_US: Final = 1_000_000
"""µs after which no tick rests any longer on a band's having had no phase."""


class MeshEvaluator:
    """Evaluates the mesh tick by tick, slow bands at a pace of their own.

    Parameters
    ----------
    config : HubConfig
        The band plan and the rules.
    table : ChannelTable
        The channels' live state; the columns ``weight``, ``offset`` and ``tick_phasor`` are written here.
    """

    def __init__(self, config: HubConfig, table: ChannelTable) -> None:
        rules = config.mesh
        tick_s = 1.0 / config.tick_hz
        self._bands = [
            _Paced(
                BandEvaluator(
                    rules,
                    number,
                    band,
                    table,
                    p_false=config.kairos.p_false,
                    dwell_us=int(config.decision.dwell_s * 1e6),
                    offset_tau_s=config.master.tau_s,
                ),
                least_us=least_us(interval_s(band, rules, tick_s), tick_s),
            )
            for number, band in enumerate(config.band_plan())
        ]

    def evaluate(self, now_us: int) -> MeshState:
        """Evaluate the bands that are due at one instant; the others are as they were.

        Parameters
        ----------
        now_us : int
            Mesh time of the tick. One that is not later than the tick before teaches nothing.
        """
        return MeshState(now_us, tuple(band.at(now_us) for band in self._bands))

    def rests(self, now_us: int) -> bool:
        """Tell whether no band has to be evaluated at an instant of mesh time, µs."""
        return all(band.rests(now_us) for band in self._bands)

    def glance(self, band: int, now_us: int) -> BandState:
        """Look at one band now, between two ticks, for whoever cannot wait: nothing is learnt, decided or written.

        Parameters
        ----------
        band : int
            Number of the band in the plan.
        now_us : int
            Mesh time now.
        """
        return self._bands[band].glance(now_us)


def interval_s(band: Band, rules: MeshSection, tick_s: float) -> float:
    """Give the time between two evaluations of a band, s: whole ticks, at least one."""
    wanted_s = min(band.period_s / rules.per_period, rules.slowest_s)
    return max(1, math.floor(wanted_s / tick_s * (1.0 + 1e-9))) * tick_s


def least_us(interval_s: float, tick_s: float) -> int:
    """Give the µs that must have passed since a band's evaluation for a tick to be its next one; 0: any tick is."""
    return 0 if interval_s < 1.5 * tick_s else round((interval_s - 0.5 * tick_s) * 1e6)


class _Paced:
    """A band that is evaluated when it is due."""

    def __init__(self, band: BandEvaluator, *, least_us: int) -> None:
        self._band = band
        self._least_us = least_us
        self._latest: BandState | None = None

    def rests(self, now_us: int) -> bool:
        """Tell whether a tick may be left out; where there was nothing, what has come since is seen a little later."""
        latest = self._latest
        if latest is None or latest.valid or self._band.grown:
            return not self.due(now_us)
        return 0 <= now_us - latest.time_us < max(self._least_us, NOTHING_US)

    def due(self, now_us: int) -> bool:
        latest = self._latest
        return (
            latest is None
            or not 0 <= now_us - latest.time_us < self._least_us
            or self._band.grown
            or self._band.left(latest)
        )

    def at(self, now_us: int) -> BandState:
        latest = self._latest
        if latest is None or self.due(now_us):
            latest = self._latest = self._band.evaluate(now_us, latest)
        return latest

    def glance(self, now_us: int) -> BandState:
        return self._band.glance(self._latest, now_us) if self._latest is not None else self.at(now_us)
