"""The hub is killed over and over while it commits what nodes keep and remembers what happens."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from becomingone.errors import FrameError
from becomingone.hub.memory.protocol import Entry, StreamKey
from becomingone.hub.memory.reader import MemoryReader
from becomingone.hub.memory.verify import verify
from becomingone.wire.ack import decode_ack

from .cell import BASE, Cell, cell, tone
from .hub_costs import LIVE_S, Start, imports
from .outcome import Outcome, at_least, at_most, exactly, quantile, told

KINDS = ("event", "mesh", "witness", "signature", "pattern", "tier")
NODES = ("a", "b", "c")
FOR_EVER = 1 << 62


def node() -> dict[str, object]:
    tones = [tone("kept0", keep=True), tone("kept1", keep=True), tone("live")]
    return {"frames_per_s": 20, "inputs": tones, "spool": {"late_per_s": 1000}}


class Disturber:
    """Somebody who sends garbage in the nodes' names, so that the hub has something to tell of."""

    def __init__(self, found: Cell) -> None:
        self._cell = found
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Disturber:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        rng = random.Random(1)
        while not self._over.wait(0.1):
            topic = f"{BASE}/node/{rng.choice(NODES)}/phase/stride/{rng.choice(('x', 'y'))}"
            self._cell.ear.publish(topic, rng.randbytes(60))


class Left(NamedTuple):
    """What a killed hub has left behind."""

    seqs: dict[StreamKey, set[int]]
    twice: int
    entries: int


def acknowledged(it: Cell, names: Sequence[str]) -> dict[StreamKey, int]:
    """Give up to where the hub has told each node that its frames are committed."""
    found: dict[StreamKey, int] = {}
    for name in names:
        with it.ear.lock:
            payload = it.ear.newest.get(f"ack/{name}", b"")
        try:
            ack = decode_ack(payload)
        except FrameError:
            continue  # there was none yet
        for stream, seq in ack.committed.items():
            found[StreamKey(name, stream.band, stream.channel, stream.boot)] = seq
    return found


def newest_entries(path: Path) -> dict[str, Entry]:
    """Give the newest entry of each kind: what another process reads has been committed."""
    with closing(MemoryReader(path)) as reader:
        return {kind: entry for kind in KINDS if (entry := reader.last(kind)) is not None}


def left_behind(path: Path) -> Left:
    seqs: dict[StreamKey, set[int]] = defaultdict(set)
    times: set[tuple[str, str, str, int]] = set()
    twice = count = 0
    with closing(MemoryReader(path)) as reader:
        for record in reader.frames(0, FOR_EVER):
            when = (*record.stream[:3], record.time_us)
            twice += record.seq in seqs[record.stream] or when in times
            seqs[record.stream].add(record.seq)
            times.add(when)
        count = sum(one["records"] for kind, one in reader.summary().items() if kind != "frame")
    return Left(seqs, twice, count)


def missing(path: Path, before: dict[str, Entry]) -> int:
    """Count the entries that were there and are not, or are others now."""
    with closing(MemoryReader(path)) as reader:
        return sum(
            entry not in reader.entries(kind, entry.time_us, entry.time_us + 1) for kind, entry in before.items()
        )


def run(quick: bool) -> Outcome:
    return campaign(20 if quick else 200)


def campaign(kills: int, names: Sequence[str] = NODES) -> Outcome:
    """Most kills come when the hub has been live for a while; after every eighth, one more while it starts."""
    rng = random.Random(1)
    live: list[float] = []
    ready: list[float] = []
    alone: list[Start] = []
    spent: list[float] = []
    damaged = lost_frames = lost_entries = disordered = twice = 0
    with cell({name: node() for name in names}) as it, Disturber(it):
        it.start("hub")
        for name in names:
            it.start(name)
        it.wait(lambda: all(it.committed(name)[0] for name in names), "kept frames of all nodes are committed")
        head = ""
        for number in range(kills):
            threading.Event().wait(rng.uniform(0.0, 1.0))
            acks = acknowledged(it, names)
            before = newest_entries(it.memory)
            it.kill("hub")
            findings = verify(it.memory, expect=head)
            damaged += not findings.ok
            head = findings.head
            left = left_behind(it.memory)
            lost_frames += sum(len(set(range(seq + 1)) - left.seqs[stream]) for stream, seq in acks.items())
            disordered += sum(max(seqs) + 1 - len(seqs) for seqs in left.seqs.values() if seqs)
            twice += left.twice
            lost_entries += missing(it.memory, before)
            if number % 10 == 0:
                alone.append(imports())
            if number % 8 == 7:
                it.start("hub")
                threading.Event().wait(rng.uniform(0.0, 1.5))
                it.kill("hub")
                damaged += not verify(it.memory, expect=head).ok
            since = time.monotonic()
            it.start("hub")
            ready.append(it.wait(lambda since=since: it.ear.heard_after("hub/state", since), "the hub says so", 120.0))
            it.wait(lambda since=since: it.ear.heard_after("snapshot", since), "the hub is live", 120.0)
            live.append(it.ear.when("snapshot") - since)
            spent.append(it.cpu_s("hub"))
        it.wait(
            lambda: all(it.ear.json(f"node/{name}/health").get("kept", 1 << 30) < 200 for name in names),
            "what was kept is committed", 120.0,
        )  # fmt: skip
        events = it.ear.count("event/")
        it.stop("hub")
        damaged += not verify(it.memory, expect=head).ok
        left = left_behind(it.memory)
        with closing(MemoryReader(it.memory)) as reader:
            remembered = sum(1 for _ in reader.entries("event", 0, FOR_EVER))
    return Outcome(
        kills + kills // 8,
        [
            exactly("memories that do not verify", damaged, 0),
            exactly("acknowledged frames lost", lost_frames, 0),
            exactly("committed entries lost", lost_entries, 0),
            exactly("twice in the memory", twice + left.twice, 0),
            exactly("committed before an earlier one", disordered, 0),
            told("frames in the memory", sum(map(len, left.seqs.values()))),
            told("other entries", left.entries),
            at_least("of them events", remembered, kills),
            told("events that were heard", events),
            told("start to ready, p50", quantile(ready, 0.5), "s"),
            told("start to the first live snapshot, p50", quantile(live, 0.5), "s"),
            told("the same, p95", quantile(live, 0.95), "s"),
            at_most("the same, max", max(live), LIVE_S, "s"),
            told("processor's time for it, p50", quantile(spent, 0.5), "s"),
            told("interpreter and imports alone, p50", quantile([one.wall_s for one in alone], 0.5), "s"),
            told("the same, max", max(one.wall_s for one in alone), "s"),
            told("processor's time for these, p50", quantile([one.cpu_s for one in alone], 0.5), "s"),
        ],
    )
