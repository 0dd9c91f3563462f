"""The node is killed over and over while it writes."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.node.spool.delivering import deliver
from tests.node.spool.killing import kill_writers

from .cell import cell, holes, lost, tone
from .means import need_mosquitto
from .outcome import Outcome, at_most, exactly, quantile, told

KILLS = 50
"""In one spool."""

NODE = {"frames_per_s": 20, "inputs": [tone("kept_a", keep=True), tone("kept_b", keep=True), tone("live")]}


def spool(quick: bool) -> Outcome:
    """Processes that write a spool as fast as they can."""
    found: Counter[str] = Counter()
    for seed in range(1 if quick else 20):  # what has gathered is read after each kill, which takes ever longer
        with tempfile.TemporaryDirectory() as folder:
            found.update(kill_writers(Path(folder, "spool"), KILLS, seed=seed))
    return Outcome(
        found["kills"],
        [
            exactly("accepted frames lost", found["lost"], 0),
            exactly("corrupt", found["corrupt"], 0),
            exactly("damaged places", found["damaged"], 0),
            told("accepted", found["accepted"]),
        ],
    )


def delivery(quick: bool) -> Outcome:
    """Processes that keep and send over a real Mosquitto, which is killed now and then as well."""
    need_mosquitto()
    kills, broker_kills = (10, 2) if quick else (100, 20)
    with tempfile.TemporaryDirectory() as folder:
        found = deliver(Path(folder), kills, broker_kills)
    return Outcome(
        found["kills"],
        [
            exactly("accepted frames lost", found["lost"], 0),
            exactly("twice in the memory", found["twice"], 0),
            exactly("refused by the hub", found["refused"], 0),
            told("accepted", found["accepted"]),
            told("copies that were dropped", found["duplicates_dropped"]),
        ],
    )


def whole(quick: bool) -> Outcome:
    """The whole program against the whole hub."""
    kills = 5 if quick else 50
    rng = random.Random(1)
    back: list[float] = []
    disordered = 0
    with cell({"n": {**NODE, "life": {"failed_starts": 100}}}) as it:
        it.start("hub")
        ear = it.ear
        for boot in range(1, kills + 2):
            since = time.monotonic()
            it.start("n")
            back.append(
                it.wait(
                    lambda since=since, boot=boot: (
                        ear.heard_after("node/n/phase", since)
                        and all((name, boot) in ear.seqs() for name in ("kept_a_tone", "kept_b_tone"))
                    ),
                    f"frames of life {boot}",
                )
            )
            threading.Event().wait(rng.uniform(0.0, 2.0))
            if boot <= kills:
                it.kill("n")
                disordered += holes(it.committed()[0])
        it.wait(lambda: ear.json("node/n/health").get("kept", 1 << 30) < 60, "what earlier lives kept is committed")
        it.stop("n")
        it.stop("hub")
        committed, twice = it.committed()
        kept = it.kept()
        gone = lost(committed, kept, {name: seqs for name, seqs in ear.seqs().items() if name[0].startswith("kept")})
    lives = {boot for _, boot in committed}
    return Outcome(
        kills,
        [
            exactly("lost kept frames", gone, 0),
            exactly("twice in the hub's database", twice, 0),
            exactly("committed before an earlier one", disordered, 0),
            exactly("lives that the hub has frames of", len(lives), kills + 1),
            told("committed", sum(map(len, committed.values()))),
            told("start to frames, p50", quantile(back, 0.5), "s"),
            at_most("start to frames, max", max(back), 60.0, "s"),
        ],
    )
