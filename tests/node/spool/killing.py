"""Killing writers of a spool at random points, and looking at what they leave behind."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from becomingone.node.spool.spool import Spool
from becomingone.runner import InlineRunner
from becomingone.sim.clock import VirtualScheduler

from .zygote import Zygote, payload_of


def kill_writers(folder: Path, times: int, *, seed: int = 1, most: int = 200, max_bytes: int = 64_000_000):
    """Kill writers of one spool, one after the other, each after a random number of its lines, or before the first.

    Returns
    -------
    dict
        Figures: kills, messages accepted, lost, corrupt, and those that came again though they were done with.
    """
    rng = random.Random(seed)
    begun, accepted, done = set(), set(), {}
    figures = {"kills": 0, "accepted": 0, "lost": 0, "corrupt": 0, "again": 0, "damaged": 0}
    with Zygote() as zygote:
        for boot in range(1, times + 1):
            pid = zygote.begin(do="write", folder=str(folder), boot=boot, max_bytes=max_bytes)
            last = rng.choice((0, rng.randrange(1, most)))
            if not last:
                time.sleep(rng.uniform(0.0, 0.01))
                os.kill(pid, signal.SIGKILL)
            for number, (letter, name, life, seq) in enumerate(zygote.lines(), 1):
                if number == last:
                    os.kill(pid, signal.SIGKILL)
                key = (name, int(life)), int(seq)
                if letter == "B":
                    begun.add(key)
                elif letter == "A":
                    accepted.add(key)
                else:
                    done[key[0]] = max(key[1], done.get(key[0], -1))
            assert zygote.status == -signal.SIGKILL, "the writer has failed"
            figures["kills"] += 1
            left, damaged, bad = read_all(folder, begun, max_bytes)
            must = {key for key in accepted if key[1] > done.get(key[0], -1)}
            figures["lost"] += len(must - left)
            figures["again"] += len({key for key in left if key[1] <= done.get(key[0], -1)})
            figures["corrupt"] += bad
            figures["damaged"] += damaged
            # What was found is what counts from now on; what was under way at a kill may have been accepted too.
            figures["accepted"] += len(accepted)
            begun, accepted = left | must, left | must
            figures["accepted"] -= len(accepted)
    figures["accepted"] += len(accepted)
    return figures


def read_all(folder: Path, begun: set, max_bytes: int):
    """Open a spool whose writer is dead, and read every message."""
    scheduler = VirtualScheduler()
    spool = Spool(
        folder, max_bytes=max_bytes, sync_frames=50, sync_s=10.0, scheduler=scheduler, runner=InlineRunner(scheduler)
    )
    found, bad = set(), 0
    try:
        assert spool.fault == ""
        for name, boot in spool.streams():
            seq = -1
            while (entry := spool.next((name, boot), seq)) is not None:
                seq = entry.seq
                found.add(((name, boot), seq))
                bad += entry.payload != payload_of(name, boot, seq) or ((name, boot), seq) not in begun
        return found, spool.damaged, bad
    finally:
        spool.close()
