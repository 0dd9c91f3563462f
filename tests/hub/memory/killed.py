"""A process that writes a memory until it is killed: forked from one that has everything imported."""

from __future__ import annotations

import ctypes
import json
import os
import queue
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from becomingone.hub.memory.protocol import Record, StreamKey
from becomingone.hub.memory.section import MemorySection
from becomingone.hub.memory.store import SqliteMemory
from becomingone.scheduling import SystemClock, Timer
from becomingone.wire.signature import Signer

CHANNELS = 5


class Turns(SystemClock):
    """The least that is a scheduler: posted calls, one after the other."""

    def __init__(self) -> None:
        self.posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def post(self, callback: Callable[[], None]) -> None:
        self.posted.put(callback)

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        raise NotImplementedError


def stream_of(number: int, boot: int) -> StreamKey:
    return StreamKey(f"node{number % CHANNELS}", "stride", "leg", boot)


def frame_of(stream: StreamKey, seq: int) -> bytes:
    return random.Random(f"{stream} {seq}").randbytes(60 + seq % 80)


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def write(order: dict[str, Any]) -> None:
    """Write until the end: what is acknowledged is said at once, with the channel, the life and up to which number."""
    turns, rng, boot = Turns(), random.Random(order["boot"]), order["boot"]
    memory = SqliteMemory(
        Path(order["path"]),
        turns,
        section=MemorySection.model_validate({"commit_s": 0.005, "checkpoint_records": 200, **order["section"]}),
        signer=Signer(bytes(32)),
        boot=boot,
    )
    say("O")
    seqs = [0] * CHANNELS
    told = 0
    while True:
        records: list[Record] = []
        for _ in range(rng.choice((1, 20, 400))):
            channel = rng.randrange(CHANNELS)
            stream, seq = stream_of(channel, boot), seqs[channel]
            seqs[channel] += 1
            records.append(Record(stream, seq, turns.time_us(), frame_of(stream, seq)))
        for _ in range(rng.randrange(4)):
            told += memory.append("event", turns.time_us(), {"boot": boot, "n": told})
        reached = {record.stream: record.seq for record in records}
        entries = told

        def done(kept: Mapping[StreamKey, int] | None, entries: int = entries) -> None:
            assert kept is not None, memory.figures()
            for stream, seq in kept.items():
                say("A", stream.node, stream.boot, seq)
            say("T", boot, entries)

        memory.commit(records, reached, done)
        turns.posted.get()()


def end_with_the_parent() -> None:
    """Have the kernel kill this process when its parent ends, however that ends (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))


def main() -> None:
    end_with_the_parent()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            end_with_the_parent()
            say("P", os.getpid())
            try:
                write(json.loads(line))
            finally:
                os._exit(1)
        say("E", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


class Zygote:
    """The process, from outside; use it as a context manager."""

    def __enter__(self) -> Zygote:
        root = Path(__file__).parents[3]
        env = {
            **os.environ,
            "PYTHONPATH": f"{root}/src:{root}:{os.environ.get('PYTHONPATH', '')}",
            "PYTHONHASHSEED": "0",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hub.memory.killed"],
            cwd=root, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def begin(self, **order: Any) -> int:
        """Begin a writer, and give its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        letter, pid = self._process.stdout.readline().split()
        assert letter == "P"
        return int(pid)

    def lines(self) -> Iterator[list[str]]:
        """Give what the writer says, until it has ended; `status` is set then."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            words = line.split()
            if words[0] == "E":
                self.status = int(words[1])
                return
            yield words
        raise AssertionError("the process that forks has ended")


if __name__ == "__main__":
    main()
