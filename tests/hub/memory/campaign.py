"""The long proofs of the memory, each a function that gives its figures.

``python -m tests.hub.memory.campaign [kills] [pruned] [flips] [speed] [migrate] [--times N]``
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from becomingone.hub.memory.backup import backup
from becomingone.hub.memory.migrate import migrate
from becomingone.hub.memory.protocol import Record, StreamKey
from becomingone.hub.memory.verify import verify

from .flipping import flip_bytes, small
from .killing import kill_writers
from .posts import Rig
from .test_migrate import old

Figures = dict[str, object]

BATCH = 10_000


def kills(times: int) -> Figures:
    """Kill -9 writers of one memory at random points."""
    with tempfile.TemporaryDirectory() as name:
        return dict(kill_writers(Path(name, "memory.db"), times, max_mb=1e5))


def pruned(times: int) -> Figures:
    """Do the same while room is short, so that the oldest are given up all the time."""
    with tempfile.TemporaryDirectory() as name:
        return dict(kill_writers(Path(name, "memory.db"), times, seed=2, max_mb=0.3))


def flips(times: int) -> Figures:
    """Alter every byte of a small memory, one at a time; `harmless` are those whose change changes nothing."""
    del times
    with tempfile.TemporaryDirectory() as name:
        path = small(Path(name, "memory.db"))
        outcome = flip_bytes(path, Path(name, "flipped.db"), every=1, rng=random.Random(1))
        return outcome._asdict()


def speed(times: int) -> Figures:
    """Commit a million frames of 100 bytes in batches, and verify, back up and open what that makes.

    Wall-clock figures are of this machine and what else it does; ``per_cpu_s`` are of the processor's time only, and
    ``plain_per_s`` is what SQLite takes of the same rows without a chain, in the tables of the first version.
    """
    del times
    with tempfile.TemporaryDirectory() as name:
        rig = Rig(Path(name, "memory.db"), max_mb=1e5)
        plain = Path(name, "plain.db")
        old(plain, 0)
        took, took_cpu, plain_s = 0.0, 0.0, 0.0
        with closing(sqlite3.connect(plain, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = FULL")
            for first in range(0, 1_000_000, BATCH):
                records = batch(first)
                marks = {record.stream: record.seq for record in records}
                began, began_cpu = time.perf_counter(), time.process_time()
                told: list[object] = []
                rig.memory.commit(records, marks, told.append)
                while not told:
                    rig.posts.turn()
                took += time.perf_counter() - began
                took_cpu += time.process_time() - began_cpu
                rows = [(*record.stream, record.seq, record.time_us, record.frame) for record in records]
                began = time.perf_counter()
                database.execute("BEGIN IMMEDIATE")
                database.executemany("INSERT OR IGNORE INTO frames VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                database.execute("COMMIT")
                plain_s += time.perf_counter() - began
        rig.close()
        began_cpu = time.process_time()
        findings = verify(rig.path)
        verify_cpu = time.process_time() - began_cpu
        began = time.perf_counter()
        copied = backup(rig.path, Path(name, "copy.db"))
        backup_s = time.perf_counter() - began
        began = time.perf_counter()
        again = Rig(rig.path, max_mb=1e5)
        opened_s = time.perf_counter() - began
        again.close()
        total = sum(findings.records.values())
        return {
            "ok": findings.ok and copied.ok,
            "committed_per_s": round(1_000_000 / took),
            "committed_per_cpu_s": round(1_000_000 / took_cpu),
            "plain_per_s": round(1_000_000 / plain_s),
            "verified_per_s": round(total / findings.seconds),
            "verified_per_cpu_s": round(total / verify_cpu),
            "bytes_per_frame": round(rig.path.stat().st_size / 1_000_000, 1),
            "plain_bytes_per_frame": round(plain.stat().st_size / 1_000_000, 1),
            "backup_s": round(backup_s, 2),
            "opened_s": round(opened_s, 4),
        }


def batch(first: int) -> list[Record]:
    """Make frames of thirty nodes."""
    streams = [StreamKey(f"node{number}", "stride", "leg", 1) for number in range(30)]
    return [Record(streams[n % 30], n // 30, 1_000 * n, bytes(100)) for n in range(first, first + BATCH)]


def migration(times: int) -> Figures:
    """Migrate 300,000 frames of the first version."""
    del times
    with tempfile.TemporaryDirectory() as name:
        old(Path(name, "frames.db"), *range(300_000))
        began = time.perf_counter()
        migrate(Path(name, "memory.db"), now_us=0)
        took = time.perf_counter() - began
        return {"ok": verify(Path(name, "memory.db")).ok, "per_s": round(300_000 / took)}


PROOFS: dict[str, Callable[[int], Figures]] = {
    "kills": kills,
    "pruned": pruned,
    "flips": flips,
    "speed": speed,
    "migrate": migration,
}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("proofs", nargs="*", metavar="PROOF", help=", ".join(PROOFS))
    parser.add_argument("--times", type=int, default=200, help="how many kills (default: 200)")
    arguments = parser.parse_args()
    for name in arguments.proofs or PROOFS:
        began = time.perf_counter()
        figures = PROOFS[name](arguments.times)
        print(json.dumps({"proof": name, **figures, "seconds": round(time.perf_counter() - began, 1)}), flush=True)


if __name__ == "__main__":
    main()
