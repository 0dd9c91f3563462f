"""What the hub says of its own health: each second in the snapshot, now and then on a small topic of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from becomingone.hub.machine import HubMachine
from becomingone.hub.showing.pace import Pace
from becomingone.scheduling import NANOSECONDS
from becomingone.vitals import cpu_s, cpu_temperature_c, rss_bytes
from becomingone.wire.announce import State


class HubAccount:
    """The hub's vital figures.

    Parameters
    ----------
    machine : HubMachine
        Its process, where it has one of its own.
    pace : Pace
        How it keeps its ticks.
    """

    def __init__(self, machine: HubMachine, pace: Pace) -> None:
        self._scheduler = machine.scheduler
        self._real = machine.about is not None and machine.about.pid > 0
        self._pace = pace
        self._began_ns = machine.scheduler.monotonic_ns()

    def seconds(self) -> dict[str, Any]:
        """Give the snapshot's section: uptime, ticks since the last time, memory and processor of the process."""
        return {
            "uptime_s": round((self._scheduler.monotonic_ns() - self._began_ns) / NANOSECONDS, 1),
            **self._pace.figures(),
            "rss_bytes": rss_bytes() if self._real else None,
            "cpu_s": round(cpu_s(), 2) if self._real else 0.0,
            "temperature_c": cpu_temperature_c() if self._real else None,
        }

    def health(self, snapshot: Mapping[str, Any]) -> dict[str, Any]:
        """Give ``hub/health``.

        Parameters
        ----------
        snapshot : mapping
            The last one; empty before the first.
        """
        states = snapshot.get("states", {})
        refused = snapshot.get("refused", {})
        return {
            "nodes": sum(states.values()),
            "nodes_ready": states.get(State.READY, 0),
            "frames": snapshot.get("frames", 0),
            "missing": snapshot.get("missing", 0),
            "refused_total": sum(refused.values()),
            **snapshot.get("hub", {}),
        }
