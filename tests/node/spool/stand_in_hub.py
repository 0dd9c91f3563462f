"""A hub that does nothing but commit kept frames to SQLite and acknowledge them afterwards."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

from becomingone.broker.kept_receiver import KeptReceiver, Verdict
from becomingone.errors import FrameError
from becomingone.scheduling import NANOSECONDS, Repeating
from becomingone.wire.ack import MAX_STREAMS, Ack, Stream, encode_ack
from becomingone.wire.frame import Flags, decode_frame
from becomingone.wire.kept import decode_kept
from becomingone.wire.seal import claimed_boot, open_sealed, seal
from becomingone.wire.topics import Topics


class StandInHub:
    """The hub's half for one node; another one on the same file goes on where the last has ended."""

    def __init__(
        self, link, topics: Topics, node: str, key: bytes | None, file: Path | str, scheduler, *, boot: int = 1
    ):
        self.link, self.topics, self.node, self.key, self.boot = link, topics, node, key, boot
        self.newest = 0
        self.seq = 0
        self.refused = Counter()
        self.verdicts = Counter()
        self.announced = []
        self.flags = Counter()
        self.committing = True
        self.waiting = []
        self.database = sqlite3.connect(file)
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute("PRAGMA synchronous=FULL")
        self.database.execute(
            "CREATE TABLE IF NOT EXISTS frames (band, channel, boot, seq, payload, UNIQUE (band, channel, boot, seq))"
        )
        self.receiver = KeptReceiver(
            {
                (f"{band}/{channel}", life): seq
                for band, channel, life, seq in self.database.execute(
                    "SELECT band, channel, boot, MAX(seq) FROM frames GROUP BY band, channel, boot"
                )
            }
        )
        link.subscribe(f"{topics.base}/node/{node}/phase/+/+", self.take, qos=1)
        link.subscribe(topics.kept(node), self.hear, qos=1)
        self.turn = Repeating(scheduler, NANOSECONDS // 50, self.commit)

    def open(self, message) -> None:
        if self.key is None:
            return
        epoch = claimed_boot(message.payload)
        try:
            open_sealed(self.key, message.topic, message.payload, epoch)
        except FrameError:
            epoch = self.newest
            open_sealed(self.key, message.topic, message.payload, epoch)
        self.newest = max(self.newest, epoch)

    def take(self, message) -> None:
        try:
            self.open(message)
            frame = decode_frame(message.payload)
        except FrameError as error:
            self.refused[error.reason] += 1
            return
        band, channel = message.topic.split("/")[-2:]
        verdict = self.receiver.take(f"{band}/{channel}", frame.boot, frame.seq)
        self.verdicts[verdict] += 1
        if verdict is Verdict.NEW:
            self.flags[bool(frame.flags & Flags.HISTORICAL)] += 1
            self.waiting.append((band, channel, frame.boot, frame.seq, message.payload))

    def hear(self, message) -> None:
        self.open(message)
        kept = decode_kept(message.payload)
        self.announced.append(kept)
        for (boot, band, channel), seq in kept.oldest.items():
            self.receiver.oldest_kept(f"{band}/{channel}", boot, seq)

    def commit(self) -> None:
        if not self.committing:
            return
        if self.waiting:
            with self.database:  # UNIQUE: what came twice would end this
                self.database.executemany("INSERT INTO frames VALUES (?, ?, ?, ?, ?)", self.waiting)
            for band, channel, boot, seq, _ in self.waiting:
                self.receiver.committed(f"{band}/{channel}", boot, seq)
            self.waiting.clear()
        self.acknowledge({Stream(boot, *name.split("/")): seq for name, boot, seq in self.receiver.acknowledgements()})

    def acknowledge(self, committed: dict[Stream, int]) -> None:
        streams = list(committed.items())
        for first in range(0, len(streams), MAX_STREAMS):
            ack = Ack(boot=self.boot, seq=self.seq, committed=dict(streams[first : first + MAX_STREAMS]))
            self.seq += 1
            topic = self.topics.ack(self.node)
            payload = encode_ack(ack)
            self.link.publish(
                topic, payload if self.key is None else seal(self.key, topic, payload, self.newest), qos=1
            )

    def rows(self) -> set[tuple[str, int, int]]:
        found = self.database.execute("SELECT band, channel, boot, seq FROM frames").fetchall()
        return {(f"{band}/{channel}", boot, seq) for band, channel, boot, seq in found}

    def count(self) -> int:
        return self.database.execute("SELECT COUNT(*) FROM frames").fetchone()[0]

    def close(self) -> None:
        self.turn.cancel()
        self.database.close()
