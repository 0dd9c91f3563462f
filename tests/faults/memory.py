"""A month of virtual time: does what a node and a hub hold grow?"""

from __future__ import annotations

import gc
import math
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest import mock

from becomingone.hub import service
from becomingone.hub.config import HubConfig
from becomingone.hub.memory.protocol import Committed, Record, StreamKey
from becomingone.hub.memory.volatile import VolatileMemory
from becomingone.node import timesync
from becomingone.node.config import NodeConfig
from becomingone.sim.bench import Bench
from becomingone.sim.cells import authenticated

from .outcome import Outcome, at_most, told

DAY_S = 86_400.0
BANDS = {"slow": {"frequency_hz": 0.005, "tau_s": 200.0}}
TONE = {"frequency_hz": 0.005, "rate_hz": 0.1, "noise": 0.1}
CELL = {
    "bands": BANDS,
    "broker": {"keepalive_s": 300},
}
NODE = {
    "node": "n",
    "hardware": "pi_2",
    "health_s": 300,
    "inputs": [
        {"name": "kept", "kind": "synthetic", "prefix": "kept_", "keep": True, "options": {**TONE, "rate_hz": 0.05}},
        {"name": "live", "kind": "synthetic", "prefix": "live_", "options": TONE},
    ],
    "outputs": [{"name": "light", "kind": "terminal", "stale_s": 60}],
    "emissary": {"rate_hz": 0.05, "frames_per_s": 0.02},
}
HUB = {"dispatch": {"rate_hz": 0.05, "expiry_s": 30}, "memory": {"commit_s": 60}}


PACE_S = 300.0
"""Snapshots, and the clock's bursts, come so seldom here: a month is to take minutes. In life it is 1 s and 8 s."""

TICK_HZ = 0.05
"""And the hub's ticks, which are one a second at least in life."""


class ForgottenLog(VolatileMemory):
    """A hub's disk, of which only the marks are in its memory."""

    def commit(self, records: Sequence[Record], marks: Mapping[StreamKey, int], done: Committed) -> None:
        super().commit(records, marks, done)
        self.records.clear()
        self.told.clear()


def slope(values: Sequence[float]) -> tuple[float, float]:
    """Fit a line to values a day apart; give its slope a day, and the half of its 95 % confidence interval.

    The scatter of daily values is taken to be independent: noise, not a walk.
    """
    days = range(len(values))
    middle, mean = statistics.fmean(days), statistics.fmean(values)
    spread = sum((day - middle) ** 2 for day in days)
    per_day = sum((day - middle) * (value - mean) for day, value in zip(days, values, strict=True)) / spread
    rest = [value - mean - per_day * (day - middle) for day, value in zip(days, values, strict=True)]
    sigma = math.sqrt(sum(one * one for one in rest) / (len(values) - 2) / spread)
    return per_day, 2.1 * sigma  # Student's t for 18 degrees of freedom and 95 %


def run(quick: bool) -> Outcome:
    """Broker and hub are restarted; the hub's last time is on the tenth day, for a new one would hide its growth."""
    days, settled, parts = (6, 2, 8) if quick else (30, 10, 1)  # a quick day is shorter
    with mock.patch.multiple(timesync, FIRST_S=PACE_S, SLOW_S=PACE_S), mock.patch.object(service, "SNAPSHOT_S", PACE_S):
        return _run(days, settled, parts)


def _run(days: int, settled: int, parts: int) -> Outcome:
    bench = Bench(1, keep_trace=False)
    bench.memory = ForgottenLog(bench.scheduler)
    hub = HubConfig.model_validate({**CELL, **HUB}).model_copy(update={"tick_hz": TICK_HZ})
    hubs, nodes = authenticated(hub, [NodeConfig.model_validate({**CELL, **NODE})], seed=1)
    bench.add_hub(hubs)
    bench.add_node(nodes[0])
    blocks: list[float] = []
    resident: list[float] = []
    restarts = 0
    for day in range(days):
        bench.run_for(DAY_S / parts - 60.0)
        bench.broker.crash()
        restarts += 1
        bench.run_for(60.0)
        bench.broker.restart()
        if day < settled:
            bench.add_hub(hubs)
            restarts += 1
        bench.ports["n"].screen.seek(0)
        bench.ports["n"].screen.truncate()
        bench.run_for(600.0)  # until all that the restart has set off is over
        gc.collect()
        blocks.append(sys.getallocatedblocks())
        resident.append(_rss_kb())
    block_slope, block_noise = slope(blocks[settled:])
    kb_slope, kb_noise = slope(resident[settled:])
    frames = bench.nodes["n"].frames
    return Outcome(
        restarts,
        [
            told("days", days),
            told("frames of the node", frames),
            told("slope of the allocated blocks", block_slope, "a day"),
            told("half of its 95 % interval", block_noise, "a day"),
            at_most("of all blocks a year, at least", 36_500 * (block_slope - block_noise) / blocks[-1], 1.0, "%"),
            told("slope of the resident memory", kb_slope, "kB a day"),
            told("half of its 95 % interval", kb_noise, "kB a day"),
            at_most("resident memory a year, at least", 365 * (kb_slope - kb_noise) / 1000, 1.0, "MB"),
        ],
        simulation=True,
    )


def _rss_kb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1000
