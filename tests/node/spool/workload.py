"""A life of a spool, step by step, and what must be left of it wherever it is cut off."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from becomingone.broker.kept_store import Kept, StreamId
from becomingone.node.spool.spool import Spool
from becomingone.runner import InlineRunner
from becomingone.sim.clock import VirtualScheduler

from .sim_disk import SimDisk

SEGMENT = 8192
STREAMS = ("stride/leg_x", "stride/leg_y", "day/temperature")


def payload_of(stream: StreamId, seq: int, size: int) -> bytes:
    """A content that tells whose it is."""
    return random.Random(f"{stream} {seq} {size}").randbytes(size)


def spool_on(disk: SimDisk, scheduler: VirtualScheduler | None = None, **options) -> Spool:
    scheduler = scheduler or VirtualScheduler()
    limits = {"max_bytes": 8 * SEGMENT, "sync_frames": 10, "sync_s": 5.0, **options}
    return Spool(Path("spool"), scheduler=scheduler, runner=InlineRunner(scheduler), make_disk=lambda: disk, **limits)


@dataclass
class Known:
    """What is known at an instant.

    ``accepted``: all that `append` has returned for, ``begun``: and the one under way; ``synced``: what a finished sync
    has put on the disk; ``forgotten``: per stream, up to where all is done with or has made room.
    """

    begun: dict[tuple[StreamId, int], bytes] = field(default_factory=dict)
    accepted: set[tuple[StreamId, int]] = field(default_factory=set)
    synced: set[tuple[StreamId, int]] = field(default_factory=set)
    forgotten: dict[StreamId, int] = field(default_factory=dict)


def live(frames: int, *, sizes=(0, 100, 100, 100, 700), seed: int = 1, acknowledged: float = 0.7) -> list[tuple]:
    """Let a spool live, and give the journal of its disk, with notes of what it was asked and has answered."""
    rng = random.Random(seed)
    disk, scheduler = SimDisk(), VirtualScheduler()
    spool = spool_on(disk, scheduler)
    note = disk.journal.append
    following = dict.fromkeys(STREAMS, 0)
    for _ in range(frames):
        name = rng.choices(STREAMS, (10, 10, 1))[0]
        stream, seq = (name, 1), following[name]
        following[name] += 1
        payload = payload_of(stream, seq, rng.choice(sizes))
        begun = len(disk.journal)
        note(("note", "begun", stream, seq, payload))
        gone = spool.append(Kept(stream, seq, f"t/{name}", payload, scheduler.monotonic_ns()))
        note(("note", "accepted", stream, seq))
        # What has to make room is lost from the moment at which the new frame asks for it.
        disk.journal[begun:begun] = [("note", "forgotten", some.stream, some.seq) for some in gone]
        scheduler.run_for(rng.choice((0.0, 0.1, 1.0)))
        if rng.random() < acknowledged / 10:
            done = rng.choice(STREAMS)
            seq = following[done] - 1 - rng.randrange(4)
            note(("note", "forgotten", (done, 1), seq))
            spool.forget((done, 1), seq)
    return disk.journal


def cuts(journal: list[tuple], *, every: int = 1) -> Iterator[tuple[SimDisk, Known]]:
    """Give the disk and what is known at every operation, and within every write at each `every`-th byte."""
    disk, known = SimDisk(), Known()
    written: set[tuple[StreamId, int]] = set()
    for operation in journal:
        if operation[0] == "note":
            _, what, stream, seq, *rest = operation
            if what == "begun":
                known.begun[stream, seq] = rest[0]
            elif what == "accepted":
                known.accepted.add((stream, seq))
            else:
                known.forgotten[stream] = max(seq, known.forgotten.get(stream, -1))
            continue
        if operation[0] == "write":
            _, name, offset, data = operation
            for end in range(every, len(data), every):
                disk.do_write(name, offset + end - every, data[end - every : end])
                yield disk, known
        disk.do(operation)
        if operation[0] == "sync":
            known.synced |= written
        written = set(known.accepted)  # what was accepted before the next sync began
        yield disk, known


def check(disk: SimDisk, known: Known, must: set[tuple[StreamId, int]], *, go_on: bool = False) -> int:
    """Open what is left, compare it with what is known, and give how many messages there are.

    Raises
    ------
    AssertionError
        Something is corrupt, out of order or lost.
    """
    spool = spool_on(disk)
    assert spool.fault == ""
    found = set()
    for stream in spool.streams():
        seq = -1
        while (entry := spool.next(stream, seq)) is not None:
            assert entry.seq > seq
            assert entry.payload == known.begun[stream, entry.seq], "corrupt"
            assert entry.topic == f"t/{stream[0]}"
            seq = entry.seq
            found.add((stream, seq))
    lost = {(stream, seq) for stream, seq in must - found if seq > known.forgotten.get(stream, -1)}
    assert not lost, f"lost: {sorted(lost)}"
    assert len(spool) == len(found)
    if go_on:
        fresh = Kept(("stride/leg_x", 2), 0, "t/stride/leg_x", b"after the cut", None)
        gone = dict(known.forgotten)
        for some in spool.append(fresh):
            gone[some.stream] = max(some.seq, gone.get(some.stream, -1))
        spool.close()
        again = spool_on(disk.after_power_cut("none"))
        assert again.next(fresh.stream, -1) == fresh
        left = {(stream, seq) for stream, seq in must if seq > gone.get(stream, -1)}
        assert all(again.next(stream, seq - 1).seq == seq for stream, seq in left)
    return len(found)
