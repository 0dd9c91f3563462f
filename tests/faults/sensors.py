"""A sensor that blocks for ever, and one that fails a thousand times a second, beside one that works."""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from pathlib import Path

from tests.cli.node_process import DEVICE
from tests.node.supervisor import Supervisor

from .cell import Cell, cell, tone
from .outcome import Figure, Outcome, at_most, exactly

WIRE = {"name": "wire", "kind": "wire"}
LIVE = "node/n/phase/stride/live_tone"
NODE = {"frames_per_s": 10, "inputs": [tone("live"), WIRE], "life": {"hung_s": 2}}
GAP_S = 3.0
"""Longest silence of the other sensor, whose frames come 10 times a second: a busy machine takes its share of it."""

RAISES = '''\
"""A sensor that is read a thousand times a second and fails at every one, or at every other."""

from pathlib import Path

from pydantic import BaseModel

from becomingone.devices.contract import Channel


class Options(BaseModel, frozen=True, extra="forbid"):
    pass


class Device:
    origin = "live"
    channels = (Channel("a", "V", 1000.0, "voltage", 0.0),)

    def __init__(self, options, ports):
        with (Path(__file__).parent / "opened").open("a") as file:
            file.write(".")

    def read(self):
        with (Path(__file__).parent / "reads").open("a") as file:
            file.write(".")
            number = file.tell()
        if number % EVERY == 0:
            raise OSError(f"bus error {number}")
        return {"a": 1.0}

    def close(self):
        pass
'''


def _devices(it: Cell, source: str) -> dict[str, str]:
    folder = it.folder / "devices"
    folder.mkdir()
    (folder / "wire.py").write_text(source)
    return {"drop_in": str(folder)}


def _watchdog(supervisor: Supervisor, seconds: float) -> int:
    """Count how often the supervisor hears that the work goes on."""
    supervisor.listen()
    supervisor.heard.clear()
    supervisor.listen_for(seconds)
    return supervisor.words.count("WATCHDOG")


def blocks(quick: bool) -> Outcome:
    """From its first read on; and later, when it has worked."""
    seconds = 4.0 if quick else 30.0
    gaps: dict[str, float] = {}
    fed: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name, Supervisor(Path(name)) as supervisor:
        for when in ("first", "later"):
            with cell({"n": NODE}) as it:
                it.configure("n", **NODE, **_devices(it, DEVICE))
                block = it.folder / "devices/block-read"
                if when == "first":
                    block.touch()
                it.start("n", NOTIFY_SOCKET=supervisor.address, WATCHDOG_USEC="400000")
                it.wait(lambda it=it: it.ear.heard_after(LIVE, 0.0), "the other sensor's frames")
                if when == "first":
                    it.wait(lambda it=it: "wire: unavailable" in it.said("n"), "it says so")
                else:
                    it.wait(lambda it=it: "wire: available" in it.said("n"), "it works")
                    block.touch()
                    it.wait(lambda it=it: "no longer fed: wire" in it.said("n"), "it says so")
                it.ear.gaps.clear()
                fed[when] = _watchdog(supervisor, seconds)
                gaps[when] = max(it.ear.gaps[LIVE], time.monotonic() - it.ear.times[LIVE])
    return Outcome(
        2,
        [
            at_most("blocked from the first read on: longest gap of the other's frames", gaps["first"], GAP_S, "s"),
            at_most("blocked later: longest gap of the other's frames", gaps["later"], GAP_S, "s"),
            exactly("blocked from the first read on: watchdog fed (1: yes)", int(fed["first"] > 0), 1),
            exactly("blocked later: watchdog fed, so that a restart may cure it", fed["later"], 0, "times"),
        ],
    )


def raises(quick: bool) -> Outcome:
    """It fails at every read, or at every other one, so that it seems to work again and again."""
    seconds = 5.0 if quick else 60.0
    figures: list[Figure] = []
    opened = 0
    for what, every in (("at every read", 1), ("at every other read", 2)):
        with cell({"n": NODE}) as it:
            it.configure("n", **NODE, **_devices(it, RAISES.replace("EVERY", str(every))))
            it.start("n")
            it.wait(lambda it=it: it.ear.heard_after(LIVE, 0.0), "the other sensor's frames")
            it.wait(lambda it=it: "bus error" in it.said("n"), "it says so")
            count, pid = it.folder / "devices/opened", it.processes["n"].pid
            times, lines, busy = count.stat().st_size, it.said("n").count("\n"), _cpu_s(pid)
            it.ear.gaps.clear()
            threading.Event().wait(seconds)
            gap = max(it.ear.gaps[LIVE], time.monotonic() - it.ear.times[LIVE])
            times = count.stat().st_size - times
            opened += times
            figures += [
                at_most(f"{what}: opened again", times, 5 + seconds / 3, "times"),
                at_most(f"{what}: lines of the log", it.said("n").count("\n") - lines, 2 * (5 + seconds / 3)),
                at_most(f"{what}: longest gap of the other's frames", gap, GAP_S, "s"),
                at_most(f"{what}: processor, all told", 100 * (_cpu_s(pid) - busy) / seconds, 50.0, "%"),
            ]
    return Outcome(opened, figures)


def _cpu_s(pid: int) -> float:
    fields = re.sub(r".*\) ", "", Path(f"/proc/{pid}/stat").read_text(), flags=re.DOTALL).split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
