"""Killing writers of a memory at random points, and looking at what they leave behind."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from becomingone.hub.memory.protocol import StreamKey
from becomingone.hub.memory.verify import verify

from .killed import Zygote, frame_of
from .posts import Rig


def kill_writers(path: Path, times: int, *, seed: int = 1, most: int = 60, **section: Any) -> dict[str, float]:
    """Kill writers of one memory, one after the other, each at a random point of its life.

    Half of them at a random number of what they say, half at a random time: in the middle of a commit, of a checkpoint,
    of opening. After each, the memory is verified and opened.

    Returns
    -------
    dict
        Kills, frames acknowledged, of which lost or altered, entries acknowledged and lost, memories found damaged, and
        the longest that opening took, s.
    """
    rng = random.Random(seed)
    reached: dict[StreamKey, int] = {}
    told: dict[int, int] = defaultdict(int)
    figures: dict[str, float] = defaultdict(float)
    with Zygote() as zygote:
        for boot in range(1, times + 1):
            pid = zygote.begin(path=str(path), boot=boot, section=section)
            by_time = rng.random() < 0.5
            last = rng.randrange(1, most)
            if by_time:
                threading.Event().wait(rng.uniform(0.0, 0.15))
                os.kill(pid, signal.SIGKILL)
            for number, words in enumerate(zygote.lines(), 1):
                if number == last and not by_time:
                    os.kill(pid, signal.SIGKILL)
                if words[0] == "A":
                    reached[StreamKey(words[1], "stride", "leg", int(words[2]))] = int(words[3])
                elif words[0] == "T":
                    told[int(words[1])] = int(words[2])
            assert zygote.status == -signal.SIGKILL, "the writer has failed"
            figures["kills"] += 1
            began = time.perf_counter()
            rig = Rig(path, boot=boot, **section)
            figures["slowest_open_s"] = max(figures["slowest_open_s"], time.perf_counter() - began)
            marks = rig.memory.marks()
            rig.close()
            figures["damaged"] += not verify(path).ok
            newest = max((stream.boot for stream in reached), default=0)
            figures["marks_lost"] += sum(
                marks.get(stream, -1) < seq for stream, seq in reached.items() if stream.boot > newest - 10
            )
    figures.update(compare(path, reached, told))
    return dict(figures)


def compare(path: Path, reached: dict[StreamKey, int], told: dict[int, int]) -> dict[str, float]:
    """Count what was acknowledged and is not there, or is not what it was."""
    rig = Rig(path, boot=1 << 20, max_mb=1e5)
    reader = rig.memory.reader()
    found: dict[StreamKey, set[int]] = defaultdict(set)
    altered = twice = 0
    for record in reader.frames(0, 1 << 62):
        twice += record.seq in found[record.stream]
        found[record.stream].add(record.seq)
        altered += record.frame != frame_of(record.stream, record.seq)
    gone = reader.summary().get("frame", {"gone": 0})["gone"]
    events: dict[int, set[int]] = defaultdict(set)
    for entry in reader.entries("event", 0, 1 << 62):
        events[entry.body["boot"]].add(entry.body["n"])
    reader.close()
    rig.close()
    return {
        "acknowledged": sum(seq + 1 for seq in reached.values()),
        "there": sum(map(len, found.values())),
        "given_up": gone,
        "lost": sum(len(set(range(seq + 1)) - found[stream]) for stream, seq in reached.items()),
        "altered": altered,
        "twice": twice,
        "entries": sum(told.values()),
        "entries_lost": sum(len(set(range(count)) - events[boot]) for boot, count in told.items()),
    }
