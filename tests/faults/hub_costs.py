"""What the hub costs: its start, its memory at rest and under load, and how late its turns come at 1,000 frames/s."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from typing import NamedTuple

from .cell import Cell, cell, tone
from .outcome import Outcome, at_least, at_most, exactly, quantile, told

NODES = tuple(f"n{number}" for number in range(8))
NODE = {"frames_per_s": 25, "inputs": [tone(f"live{number}") for number in range(5)]}
FRAMES_PER_S = 25 * 5 * len(NODES)
IDLE_S = 10.0
LIVE_S = 2.0
"""Within which the hub is to be live, from the start of its process to its first snapshot."""

SLOW_S = 180.0


class Start(NamedTuple):
    """What a start took."""

    wall_s: float
    cpu_s: float


def imports(statement: str = "import becomingone.cli.hub_run") -> Start:
    """Measure what the interpreter and the imports alone take of the hub's start, here and now."""
    began, before = time.monotonic(), os.times()
    subprocess.run([sys.executable, "-c", f"import gc; gc.disable(); {statement}"], check=True)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return Start(time.monotonic() - began, spent)


def _live(it: Cell) -> Start:
    since = time.monotonic()
    it.start("hub")
    it.wait(lambda: it.ear.heard_after("snapshot", since), "the hub is live", SLOW_S)
    return Start(it.ear.when("snapshot") - since, it.cpu_s("hub"))


def start(quick: bool) -> Outcome:
    """Start it again and again, without nodes, and beside it what a part of the start takes alone."""
    times = 3 if quick else 20
    parts: dict[str, list[Start]] = {"pass": [], "import numpy": [], "import becomingone.cli.hub_run": []}
    live: list[Start] = []
    with cell({}) as it:
        for _ in range(times):
            for statement, found in parts.items():
                found.append(imports(statement))
            live.append(_live(it))
            it.kill("hub")
    bare, numpy, whole = (quantile([one.cpu_s for one in found], 0.5) for found in parts.values())
    return Outcome(
        times,
        [
            told("start to the first live snapshot, p50", quantile([one.wall_s for one in live], 0.5), "s"),
            at_most("the same, max", max(one.wall_s for one in live), LIVE_S, "s"),
            told("processor's time for it, p50", quantile([one.cpu_s for one in live], 0.5), "s"),
            told("of it the interpreter", bare, "s"),
            told("of it numpy", numpy - bare, "s"),
            told("of it all other imports", whole - numpy, "s"),
        ],
    )


def load(quick: bool) -> Outcome:
    return loaded(120.0 if quick else 3600.0)


def loaded(load_s: float) -> Outcome:
    """A thousand frames a second from eight nodes."""
    every_s = load_s / 20
    with cell(dict.fromkeys(NODES, NODE)) as it:
        _live(it)
        threading.Event().wait(IDLE_S)
        idle_mb = it.rss_mb("hub")
        idle_cpu_s = it.cpu_s("hub")
        threading.Event().wait(IDLE_S)
        idle_share = (it.cpu_s("hub") - idle_cpu_s) / IDLE_S
        for name in NODES:
            it.start(name)
        it.wait(
            lambda: len(it.ear.json("snapshot").get("nodes", {})) == len(NODES)
            and all(it.ear.heard_after(f"node/{name}/phase", 0.0) for name in NODES),
            "all nodes speak", SLOW_S,
        )  # fmt: skip
        threading.Event().wait(every_s)
        before, began, cpu_s = it.ear.json("snapshot")["frames"], time.monotonic(), it.cpu_s("hub")
        resident: list[float] = []
        late: list[float] = []
        heard = it.ear.count("snapshot")
        while time.monotonic() < began + load_s:
            it.wait(lambda heard=heard: it.ear.count("snapshot") > heard, "a snapshot", SLOW_S)
            heard = it.ear.count("snapshot")
            late.append(it.ear.json("snapshot")["hub"]["tick_latest_s"])
            if time.monotonic() >= began + len(resident) * every_s:
                resident.append(it.rss_mb("hub"))
        took_s = time.monotonic() - began
        share = (it.cpu_s("hub") - cpu_s) / took_s
        seen = it.ear.json("snapshot")
        shed = seen["link"]["shed"]
        frames_per_s = (seen["frames"] - before) / took_s
        for name in NODES:
            it.stop(name)
    half = resident[len(resident) // 2 :]
    growth = statistics.linear_regression([every_s * number for number in range(len(half))], half).slope
    return Outcome(
        1,
        [
            at_least("live frames that it took", frames_per_s, 0.9 * FRAMES_PER_S, "a second"),
            exactly("messages that it shed", shed, 0),
            told("processor, idle", 100 * idle_share, "%"),
            told("processor, under load", 100 * share, "%"),
            told("a turn late at most, in a second: p50", 1e3 * quantile(late, 0.5), "ms"),
            told("the same, p99", 1e3 * quantile(late, 0.99), "ms"),
            told("the same, max", 1e3 * max(late), "ms"),
            told("resident memory, idle", idle_mb, "MB"),
            told("resident memory, at the end", resident[-1], "MB"),
            told("its growth in the second half, an hour", 3600 * growth, "MB"),
            told("under load for", took_s, "s"),
        ],
    )
