"""Samples a second that one hub takes from a real Mosquitto in frames of 100, as `becomingone.bench.ingest` has it."""

from __future__ import annotations

import random
from typing import Final

from becomingone.bench import hub_load
from becomingone.bench.hub_load import Effort
from becomingone.bench.mesh_traffic import Cell
from becomingone.bench.report import Report, Row

TARGET: Final = 3e6
SAMPLES: Final = 100
"""Complex samples in a frame."""

FULL: Final = Effort(rounds=5, nodes=100, channels=3, frames=150)
QUICK: Final = Effort(rounds=1, nodes=10, channels=2, frames=50)


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
    rounds = hub_load.measure(cell, rounds=effort.rounds, each=effort.frames, samples=SAMPLES, rng=rng)
    ratio = hub_load.median(rounds, lambda one: one.ratio)
    rate = SAMPLES * hub_load.median(rounds, lambda one: one.ours)
    baseline = SAMPLES * hub_load.median(rounds, lambda one: one.baseline)
    row = Row(
        "block",
        "samples/s",
        baseline,
        rate,
        ratio,
        f"≥ {TARGET:g} samples/s",
        rate >= TARGET,
        hub_load.processor(rounds),
    )
    return Report("block", [row])
