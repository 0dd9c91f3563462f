"""Bytes that a file system writes for each kept frame: on an ext4 image of our own where we may mount one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from becomingone.broker.kept_store import Kept
from becomingone.node.spool.spool import Spool
from becomingone.runner import InlineRunner
from becomingone.sim.clock import VirtualScheduler

FRAME = 100
Measure = Callable[[], int]


@contextmanager
def ext4() -> Iterator[tuple[Path, Measure, str]]:
    """Mount an empty ext4 file system with blocks of 4 KiB; without the rights to, use the temporary folder's."""
    with tempfile.TemporaryDirectory() as name:
        image, folder = Path(name, "image"), Path(name, "disk")
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(300 << 20)
        try:
            subprocess.run(["mkfs.ext4", "-q", "-b", "4096", image], check=True, capture_output=True)
            subprocess.run(["mount", "-o", "loop,noatime", image, folder], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            yield folder, _handed_over, "pages dirtied by this process (/proc/self/io write_bytes), no metadata"
            return
        try:
            source = subprocess.run(
                ["findmnt", "-n", "-o", "SOURCE", folder], check=True, capture_output=True, text=True
            ).stdout.strip()
            stat = Path("/sys/class/block", Path(source).name, "stat")
            yield (
                folder,
                lambda: int(stat.read_text().split()[6]) * 512,
                "sectors written to an ext4 image, journal and all",
            )
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def _handed_over() -> int:
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise AssertionError


def settled(measure: Measure) -> int:
    """Write back everything, and read the counter."""
    os.sync()
    return measure()


def spool_frames(folder: Path, frames: int, *, every: int) -> None:
    """Keep frames as a node does whose hub acknowledges what it is sent."""
    with contextlib.closing(Node(folder, every)) as node:
        for _ in range(frames):
            node.keep()


def paced(folder: Path, frames: int, measure: Measure, *, per_s: float) -> int:
    """Keep frames at a steady pace, and give the bytes written; not those of the beginning and the end."""
    with contextlib.closing(Node(folder, 50)) as node:
        for _ in range(100):
            node.keep()
        before = settled(measure)
        for _ in range(frames):
            node.keep()
            time.sleep(1 / per_s)
        return settled(measure) - before


class Node:
    """A spool, and a hub that acknowledges."""

    def __init__(self, folder: Path, every: int, *, channels: int = 4) -> None:
        self._scheduler = VirtualScheduler()
        self._every = every
        self._channels = channels
        self._number = 0
        self._spool = Spool(
            folder,
            max_bytes=64_000_000,
            sync_frames=every,
            sync_s=3600.0,
            scheduler=self._scheduler,
            runner=InlineRunner(self._scheduler),
        )

    def keep(self) -> None:
        """Keep one frame more."""
        number, channels = self._number, self._channels
        self._number += 1
        stream, seq = (f"stride/leg_{number % channels}", 1), number // channels
        self._spool.append(Kept(stream, seq, f"t/{stream[0]}", os.urandom(FRAME), self._scheduler.monotonic_ns()))
        self._scheduler.run_for(0.01)
        if number % self._every == self._every - 1:
            for channel in range(channels):
                self._spool.forget((f"stride/leg_{channel}", 1), seq - 2)

    def close(self) -> None:
        """End, as a node does."""
        assert self._spool.fault == ""
        self._spool.close()


def append_frames(folder: Path, frames: int, *, every: int) -> None:
    """Append the same records to a file that grows, and sync it: the log that we did not choose."""
    with (folder / "grows").open("wb", buffering=0) as file:
        for number in range(frames):
            file.write(os.urandom(FRAME + 34))
            if number % every == every - 1:
                os.fdatasync(file.fileno())


def sqlite_frames(folder: Path, frames: int, *, every: int) -> None:
    """Insert the frames into SQLite in WAL mode, commit, and delete what the hub has acknowledged."""
    database = sqlite3.connect(folder / f"kept-{every}.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE kept (stream INTEGER, seq INTEGER, payload BLOB, PRIMARY KEY (stream, seq))")
    database.execute("BEGIN")
    for number in range(frames):
        database.execute("INSERT INTO kept VALUES (?, ?, ?)", (number % 4, number // 4, os.urandom(FRAME)))
        if number % every == every - 1:
            if number % 50 == 49:
                database.execute("DELETE FROM kept WHERE seq <= ?", (number // 4 - 2,))
            database.execute("COMMIT")
            database.execute("BEGIN")
    database.execute("COMMIT")
    database.close()


def amplification(frames: int = 20_000, *, slow: bool = True) -> dict[str, object]:
    """Measure the bytes written for each kept frame of 100 bytes, by way of keeping it."""
    with ext4() as (folder, measure, how):
        figures: dict[str, object] = {"measured": how}

        def run(name: str, keep: Callable[[], None], count: int) -> None:
            before = settled(measure)
            keep()
            figures[name] = round((settled(measure) - before) / count)

        spool = folder / "spool"
        run("spool, every 50, its first files", lambda: spool_frames(spool, frames, every=50), frames)
        spool_frames(spool, frames, every=50)  # some more files, until there are as many as are used in turn
        run("spool, every 50", lambda: spool_frames(spool, frames, every=50), frames)
        run("spool, every 10", lambda: spool_frames(spool, frames, every=10), frames)
        run("growing log, every 50", lambda: append_frames(folder, frames, every=50), frames)
        run("SQLite (WAL), every 50", lambda: sqlite_frames(folder, frames, every=50), frames)
        run("SQLite (WAL), each frame", lambda: sqlite_frames(folder, frames // 20, every=1), frames // 20)
        run("spool, each frame", lambda: spool_frames(spool, frames // 20, every=1), frames // 20)
        if slow:
            figures["spool, every 50, 20 a second"] = round(paced(spool, 500, measure, per_s=20.0) / 500)
        return figures
