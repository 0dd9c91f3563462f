"""The long proofs of the spool, each a function that gives its figures.

``python -m tests.node.spool.campaign [kills] [cuts] [wear] [speed] [--times N]``
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from becomingone.broker.kept_store import Kept
from becomingone.node.spool import log
from becomingone.node.spool.spool import Spool
from becomingone.runner import InlineRunner
from becomingone.sim.clock import VirtualScheduler

from .delivering import deliver
from .killing import kill_writers
from .wear import amplification
from .workload import SEGMENT, check, cuts, live

Figures = dict[str, object]

LIVES = 50
"""Lives of one spool."""

WAYS = ("none", "all", "some", "garbage")


def kill_minus_nine(times: int = 1_000) -> Figures:
    """Kill -9 real writers of a real spool at random points, and a tenth as many whole nodes over a real Mosquitto."""
    alone: Counter[str] = Counter()
    for first in range(0, times, LIVES):  # each spool grows with its lives, and every one of them reads it all
        with tempfile.TemporaryDirectory() as name:
            alone.update(kill_writers(Path(name, "spool"), min(LIVES, times - first), seed=first))
    with tempfile.TemporaryDirectory() as name:
        delivered = deliver(Path(name), max(2, times // 10), max(1, times // 50))
    return {"spool": dict(alone), "node, broker and hub": delivered}


def power_cut_everywhere(*, every: int = 1) -> Figures:
    """Cut the power of a simulated disk at every byte of a life of several segments, and kill the process there.

    ``cuts`` counts the ends that were looked at; each of them would have raised an AssertionError for a frame that is
    corrupt, or lost although it was synced (power) or accepted (kill).
    """
    figures: Figures = {"cuts": 0, "corrupt": 0, "synced_lost": 0, "accepted_lost": 0, "written_bytes": 0}
    with mock.patch.object(log, "SEGMENT_BYTES", (SEGMENT, 1 << 20)):
        journal = live(160)
        figures["written_bytes"] = sum(len(operation[3]) for operation in journal if operation[0] == "write")
        figures["segments"] = sum(operation[0] in ("create", "rename") for operation in journal)
        rng = random.Random(1)
        count = 0
        for number, (disk, known) in enumerate(cuts(journal, every=every)):
            check(disk.after_kill(), known, known.accepted, go_on=number % 500 == 0)
            check(disk.after_power_cut(WAYS[number % 4], rng), known, known.synced, go_on=number % 500 == 0)
            count += 2
        figures["cuts"] = count
    return figures


def write_amplification(frames: int = 10_000) -> Figures:
    """Measure the bytes that ext4 writes for each kept frame of 100 bytes."""
    return amplification(frames)


def speed(frames: int = 600_000) -> Figures:
    """Measure appends a second on the temporary folder's disk, memory, and the time that opening takes."""
    figures: Figures = {"frames": frames}
    with tempfile.TemporaryDirectory() as name:
        scheduler = VirtualScheduler()

        def opened() -> Spool:
            return Spool(
                Path(name), max_bytes=200_000_000, sync_frames=50, sync_s=10.0, scheduler=scheduler,
                runner=InlineRunner(scheduler),
            )  # fmt: skip

        spool = opened()
        payload = bytes(100)
        begun = time.perf_counter()
        for number in range(frames):
            spool.append(Kept((f"stride/leg_{number % 8}", 1), number // 8, f"t/{number % 8}", payload, 0))
            if number % 50 == 49:
                scheduler.run_for(0.001)
        figures["appends_per_s"] = round(frames / (time.perf_counter() - begun))
        spool.close()
        tracemalloc.start()
        begun = time.perf_counter()
        spool = opened()
        figures["open_s"] = round(time.perf_counter() - begun, 3)
        assert len(spool) == frames
        figures["memory_bytes_open"] = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        begun = time.perf_counter()
        seqs = dict.fromkeys(spool.streams(), -1)
        for _ in range(2_000):
            for stream, seq in seqs.items():
                entry = spool.next(stream, seq)
                assert entry is not None
                seqs[stream] = entry.seq
        figures["reads_per_s"] = round(2_000 * len(seqs) / (time.perf_counter() - begun))
        figures["disk_bytes"] = sum(file.stat().st_size for file in Path(name).iterdir())
        spool.close()
    return figures


PROOFS: dict[str, Callable[[int], Figures]] = {
    "kills": kill_minus_nine,
    "cuts": lambda _times: power_cut_everywhere(),
    "wear": lambda _times: write_amplification(),
    "speed": lambda _times: speed(),
}


def main() -> None:
    """Run the proofs that are named, or all, and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("proofs", nargs="*", choices=[[], *PROOFS])
    parser.add_argument("--times", type=int, default=1_000)
    arguments = parser.parse_args()
    for name in arguments.proofs or PROOFS:
        print(json.dumps({name: PROOFS[name](arguments.times)}, indent=2), flush=True)


if __name__ == "__main__":
    main()
