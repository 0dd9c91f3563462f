"""Events of bands that collapse into a stable pattern, and of patterns that dissipate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from becomingone.hub.config import HubConfig
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.showing.snapshot import Milestones

MAX_NODES: Final = 64
"""Nodes without which an event tells the order; those that make most of a difference."""

Tell = Callable[[str, dict[str, Any]], object]
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
    table : ChannelTable, optional
        From which the bands are evaluated; without it no event tells what each node contributed.
    """

    def __init__(
        self,
        config: HubConfig,
        milestones: Milestones,
        tell: Tell,
        *,
        table: ChannelTable | None = None,
    ) -> None:
        rules = config.mesh
        by_threshold = {"threshold": rules.coherence_threshold} if rules.mode == "documents" else {}
        self._rules: dict[str, Any] = {
            "p_false": config.kairos.p_false,
            **by_threshold,
            "dwell_s": config.decision.dwell_s,
        }
        self._milestones = milestones
        self._tell = tell
        self._table = table
        self._collapsed: set[str] = set()

    def look(self, state: MeshState) -> None:
        """Tell of every band that is not as it was at the last tick."""
        for band in state.bands:
            if band.collapsed != (band.name in self._collapsed):
                self._changed(band)

    def _changed(self, band: BandState) -> None:
        if band.collapsed:
            self._collapsed.add(band.name)
            if self._milestones.first_significant_us is None:
                self._milestones.first_significant_us = band.time_us
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
                "order": round(band.order, 4),
                "order_p": float(f"{band.order_p:.3g}"),
                "clock_ceiling": round(band.ceiling, 4),
                "without": self._without(band),
                **self._rules,
            },
        )

    def _without(self, band: BandState) -> dict[str, float]:
        """Give the order without each of the nodes that make most of a difference to it."""
        if self._table is None:
            return {}
        without = band.leave_one_out(self._table)
        most = sorted(without, key=lambda node: (-abs(without[node] - band.order), node))[:MAX_NODES]
        return {node: round(without[node], 4) for node in sorted(most)}
