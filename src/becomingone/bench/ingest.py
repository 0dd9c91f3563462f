"""Frames of one sample a second that one hub takes from a real Mosquitto, against a bare paho-mqtt that drops them.

The hub is the whole process, as it runs in a home: it opens, checks and stores every frame, ticks and publishes. Its
own count must be complete afterwards: nothing missing, nothing refused.
"""

from __future__ import annotations

import random
from typing import Final

from becomingone.bench import hub_load
from becomingone.bench.hub_load import Effort
from becomingone.bench.mesh_traffic import Cell
from becomingone.bench.report import Report, Row

TARGET: Final = 1.5
"""Times a bare paho-mqtt: most of what the hub reads, it reads without paho (with paho it would be 0.8)."""

FULL: Final = Effort(rounds=5, nodes=100, channels=10, frames=120)
QUICK: Final = Effort(rounds=1, nodes=10, channels=2, frames=100)


def run(effort: Effort | None = None) -> Report:
    """Measure.

    Raises
    ------
    LinkError
        There is no Mosquitto, or the hub does not take every frame.
    """
    effort = effort or FULL
    rng = random.Random(1)  # noqa: S311 - draws figures, guards nothing
    cell = Cell(effort.nodes, effort.channels)
    rounds = hub_load.measure(cell, rounds=effort.rounds, each=effort.frames, samples=1, rng=rng)
    ratio = hub_load.median(rounds, lambda one: one.ratio)
    baseline, ours = max(one.baseline for one in rounds), max(one.ours for one in rounds)
    row = Row(
        "ingest",
        "frames/s",
        baseline,
        ours,
        ratio,
        f"≥ {TARGET:g} × baseline",
        ratio >= TARGET,
        hub_load.processor(rounds),
    )
    return Report("ingest", [row])
