"""A scheduler for what a thread posts, and memories to try."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from becomingone.hub.memory.protocol import Record, StreamKey
from becomingone.hub.memory.section import MemorySection
from becomingone.hub.memory.store import SqliteMemory
from becomingone.sim.clock import VirtualScheduler
from becomingone.wire.signature import Signer

WAIT_S = 20.0
STREAM = StreamKey("kitchen", "stride", "leg", 3)
SIGNER = Signer(bytes(range(32)))


class Posts(VirtualScheduler):
    """A scheduler that hands over what a thread posts; `ended` refuses it, as a loop that has ended does."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = False
        self._posted = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._theirs: list[Callable[[], None]] = []

    def post(self, callback: Callable[[], None]) -> None:
        if self.ended:
            raise RuntimeError("Event loop is closed")
        if threading.current_thread() is threading.main_thread():
            super().post(callback)
        else:
            with self._lock:
                self._theirs.append(callback)
        self._posted.release()

    def turn(self) -> None:
        assert self._posted.acquire(timeout=WAIT_S)
        self.look()

    def look(self) -> None:
        with self._lock:
            theirs, self._theirs = self._theirs, []
        for callback in theirs:
            super().post(callback)
        self.run_for(0.0)


class Rig:
    def __init__(self, path: Path, *, signer: Signer | None = SIGNER, boot: int = 1, **section: Any) -> None:
        self.posts = Posts()
        self.path = path
        rules = MemorySection.model_validate({"max_mb": 10.0, "commit_s": 0.01, **section})
        self.memory = SqliteMemory(path, self.posts, section=rules, signer=signer, boot=boot)
        self.told: list[Mapping[StreamKey, int] | None] = []
        self.heard: list[dict[str, Any]] = []
        self.memory.watch(lambda kind, content: self.heard.append({"kind": kind, **content}))

    def commit(self, *seqs: int, stream: StreamKey = STREAM, size: int = 90) -> Mapping[StreamKey, int] | None:
        records = [Record(stream, seq, 1_000 * seq, bytes(size)) for seq in seqs]
        self.memory.commit(records, {stream: seqs[-1]}, self.told.append)
        before = len(self.told)
        while len(self.told) == before:
            self.posts.turn()
        return self.told[-1]

    def remember(self, kind: str, time_us: int, **body: Any) -> bool:
        return self.memory.append(kind, time_us, body)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline
            threading.Event().wait(0.002)
            self.posts.look()

    def close(self) -> None:
        self.memory.close()
        self.posts.look()


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.execute("SELECT node, band, channel, boot, seq, time_us FROM kept ORDER BY seq"))


def altered(path: Path, sql: str, *bound: object) -> None:
    """Do something to a database behind its owner's back."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(sql, bound)
