"""A hundred thousand kept frames through sixty kills (SIGKILL) of nodes, hub and broker, all of them real processes."""

from __future__ import annotations

import random
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from tests.cli.running import PROGRAM

from becomingone.hub.memory.protocol import StreamKey
from becomingone.hub.memory.reader import MemoryReader
from becomingone.hub.memory.verify import verify
from becomingone.node.spool.spool import Spool
from becomingone.runner import InlineRunner
from becomingone.sim.clock import VirtualScheduler

from .cell import Cell, cell, tone
from .noting_node import Notes
from .outcome import Outcome, at_least, at_most, exactly, quantile, told
from .tally import tally

NODES = ("a", "b", "c", "d", "e")
NODE = {
    "frames_per_s": 25,
    "inputs": [tone(f"kept{number}", keep=True) for number in range(5)],
    "spool": {"late_per_s": 2000},
    "life": {"failed_starts": 100},
}
CATCH_UP_S = 180.0
FOR_EVER = 1 << 62


def in_the_spool(it: Cell, node: str) -> Iterator[tuple[StreamKey, int, bytes]]:
    """Give what a node that has ended still keeps."""
    scheduler = VirtualScheduler()
    folder = it.state / "home" / node / "spool"
    spool = Spool(folder, max_bytes=64_000_000, scheduler=scheduler, runner=InlineRunner(scheduler))
    try:
        assert spool.fault == "", spool.fault
        for stream in spool.streams():
            seq = -1
            while (entry := spool.next(stream, seq)) is not None:
                seq = entry.seq
                yield StreamKey(node, *stream[0].split("/"), stream[1]), seq, entry.payload
    finally:
        spool.close()


def out_of_order(path: Path) -> int:
    """Count the frames that were committed before an earlier one of their channel and life."""
    newest: dict[int, int] = {}
    found = 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as database:
        for stream, seq in database.execute("SELECT stream, seq FROM frames ORDER BY number"):
            found += seq != newest.get(stream, -1) + 1
            newest[stream] = max(seq, newest.get(stream, -1))
    return found


def frames_in(path: Path) -> int:
    """Count the frames that are committed."""
    with closing(MemoryReader(path)) as reader:
        return int(reader.summary().get("frame", {"records": 0})["records"])


def run(quick: bool) -> Outcome:
    return campaign(2, 5_000) if quick else campaign(20, 100_000)


def campaign(each: int, enough: int, names: Sequence[str] = NODES) -> Outcome:
    """As many kills of the hub as of the broker and of a node; Mosquitto's persistence is the default one: none."""
    rng = random.Random(1)
    victims = [who for who in ("hub", "broker", "node") for _ in range(each)]
    rng.shuffle(victims)
    back: dict[str, list[float]] = {"hub": [], "broker": [], "node": []}
    damaged = 0
    with cell(dict.fromkeys(names, NODE)) as it:
        ear = it.ear
        journals = {name: it.folder / f"{name}.notes" for name in names}
        program = {
            name: [sys.executable, "-m", "tests.faults.noting_node", str(path)] for name, path in journals.items()
        }
        it.start("hub")
        for name in names:
            it.start(name, program=program[name])
        it.wait(lambda: all(it.committed(name)[0] for name in names), "kept frames of all nodes are committed")
        for kind in victims:
            threading.Event().wait(rng.uniform(0.0, 2.0))
            who = rng.choice(names) if kind == "node" else kind
            if kind == "broker":
                it.broker.kill()
            else:
                it.kill(who)
            if kind == "hub":
                damaged += not verify(it.memory).ok
            threading.Event().wait(rng.uniform(0.0, 0.5))
            since = time.monotonic()
            if kind == "broker":
                it.broker.start()
            else:
                it.start(who, program=program.get(who, PROGRAM))
            wanted = [f"node/{who}/phase"] if kind == "node" else [f"ack/{name}" for name in names]
            back[kind].append(
                it.wait(
                    lambda since=since, wanted=wanted: all(ear.heard_after(begin, since) for begin in wanted),
                    f"{who} is back",
                    180.0,
                )
            )
        it.wait(lambda: frames_in(it.memory) >= enough, f"{enough} frames are committed", 600.0)
        until = time.monotonic() + CATCH_UP_S  # then what is left stays in the spools, where it is counted
        it.wait(
            lambda: time.monotonic() > until
            or all(ear.json(f"node/{name}/health").get("kept", 1 << 30) < 300 for name in names),
            "what was kept is committed, or the time is up", CATCH_UP_S + 60.0,
        )  # fmt: skip
        caught_up_s = time.monotonic() - (until - CATCH_UP_S)
        for name in names:
            it.stop(name)
        it.stop("hub")
        notes = {name: Notes(name, path) for name, path in journals.items()}
        made = {stream: digests for one in notes.values() for stream, digests in one.made.items()}
        unsure = {stream: number for one in notes.values() for stream, number in one.unsure.items()}
        findings = verify(it.memory)
        with closing(MemoryReader(it.memory)) as reader:
            records = list(reader.frames(0, FOR_EVER))
        found = tally(
            made,
            ((record.stream, record.seq, record.frame) for record in records),
            (one for name in names for one in in_the_spool(it, name)),
            unsure=unsure,
        )
        same_time = len(records) - len({(*record.stream[:3], record.time_us) for record in records})
        disordered = out_of_order(it.memory)
    return Outcome(
        len(victims),
        [
            exactly("lost kept frames", found.lost, 0),
            exactly("twice in the memory", found.twice + same_time, 0),
            exactly("not as their node made them", found.altered, 0),
            exactly("committed before an earlier one", disordered, 0),
            exactly("frames that had to make room", sum(one.gone for one in notes.values()), 0),
            exactly("memories that do not verify", damaged + (not findings.ok), 0),
            at_least("committed", found.committed, enough, "frames"),
            told("kept by the nodes", found.made, "frames"),
            told("of them on their way to the disk at a kill", sum(unsure.values())),
            told("on the nodes' disks at the end", found.waiting),
            told("lives of nodes", len({(stream.node, stream.boot) for stream in made})),
            told("then left alone for, at most 180", caught_up_s, "s"),
            *(told(f"the {kind} is back after, p50", quantile(times, 0.5), "s") for kind, times in back.items()),
            at_most("back after, max", max(max(times) for times in back.values()), 60.0, "s"),
        ],
    )
