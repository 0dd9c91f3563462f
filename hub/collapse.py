"""Events of bands that collapse into a stable pattern, and of patterns that dissipate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from becomingone.hub.config import HubConfig
from becomingone.hub.snapshot import Milestones
from becomingone.hub.state import BandState, MeshState

Tell = Callable[[str, dict[str, Any]], None]
"""Publishes an event of a kind."""


class Collapses:
    """Watches the bands for changes.

    Parameters
    ----------
    config : HubConfig
        The rules, which every event names.
    milestones : Milestones
        Takes note of the first collapse.
    tell : callable
        Publishes an event.
    """

    def __init__(self, config: HubConfig, milestones: Milestones, tell: Tell) -> None:
        self._config = config
        self._milestones = milestones
        self._tell = tell
        self._collapsed: set[str] = set()

    def look(self, state: MeshState) -> None:
        """Tell of every band that is not as it was at the last tick."""
        for band in state.bands:
            if band.collapsed != (band.name in self._collapsed):
                self._changed(band, state.time_us)

    def _changed(self, band: BandState, time_us: int) -> None:
        if band.collapsed:
            self._collapsed.add(band.name)
            if self._milestones.first_significant_us is None:
                self._milestones.first_significant_us = time_us
        else:
            self._collapsed.discard(band.name)
        self._tell(
            "collapse" if band.collapsed else "dissipation",
            {
                "band": band.name,
                "coherence": round(band.coherence, 4),
                "n_eff": round(band.n_eff, 3),
                "p": float(f"{band.p:.3g}"),
                "channels": band.channels,
                "p_false": self._config.kairos.p_false,
                "dwell_s": self._config.decision.dwell_s,
            },
        )
