"""The broker is killed and started again, over and over, while a node and a hub work and others talk."""

from __future__ import annotations

import os
import random
import threading
import time

from .cell import BASE, Cell, cell, holes, lost, tone
from .outcome import Outcome, at_most, exactly, quantile, told

NODE = {
    "frames_per_s": 20,
    "inputs": [tone("kept", keep=True), *(tone(f"live{number}") for number in range(4))],
}


class Load:
    """Somebody who publishes 200 messages of 200 bytes a second."""

    def __init__(self, found: Cell) -> None:
        self._cell = found
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.05):
            for number in range(10):
                self._cell.ear.publish(f"{BASE}-load/{number}", os.urandom(200))
                self.sent += 1


def run(quick: bool) -> Outcome:
    kills = 8 if quick else 100
    rng = random.Random(1)
    back: list[float] = []
    disordered = 0
    with cell({"n": NODE}) as it, Load(it) as load:
        it.start("hub")
        it.start("n")
        ear = it.ear
        it.wait(lambda: it.committed()[0], "the first kept frames are committed")
        for _ in range(kills):
            threading.Event().wait(rng.uniform(0.0, 2.0))
            it.broker.kill()
            threading.Event().wait(rng.uniform(0.0, 0.5))
            it.broker.start()
            since = time.monotonic()
            back.append(
                it.wait(
                    lambda since=since: all(ear.heard_after(begin, since) for begin in ("node/n/phase", "ack/n")),
                    "node and hub speak again",
                )
            )
            disordered += holes(it.committed()[0])
        caught_up_s = it.wait(
            lambda: ear.json("node/n/health").get("kept", 1 << 30) < 60, "what was kept is committed", 180.0
        )
        code = it.stop("n")
        it.stop("hub")
        committed, twice = it.committed()
        kept = it.kept()
        gone = lost(committed, kept, ear.seqs())
        health = ear.json("node/n/health")
    frames = sum(map(len, committed.values()))
    return Outcome(
        kills,
        [
            exactly("lost kept frames", gone, 0),
            exactly("kept frames that had to make room", health["kept_lost"], 0),
            exactly("twice in the hub's database", twice, 0),
            exactly("committed before an earlier one", disordered, 0),
            exactly("ends of the node, exit code", code, 0),
            told("committed", frames),
            told("on the node's disk at the end", sum(map(len, kept.values()))),
            told("other messages meanwhile", load.sent),
            told("all committed after the last", caught_up_s, "s"),
            told("back after, p50", quantile(back, 0.5), "s"),
            at_most("back after, max", max(back), 10.0, "s"),
        ],
    )
