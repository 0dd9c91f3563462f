"""The network between a node and everybody else goes away for half a minute, and is bad before and after."""

from __future__ import annotations

import threading
import time

from .cell import cell, holes, lost, tone
from .outcome import Outcome, at_most, exactly, quantile, told
from .wire import HERE, Wire

NODE = {
    "frames_per_s": 10,
    "inputs": [tone("kept", keep=True), tone("live")],
}
LIVE = "node/n/phase/stride/live_tone"
PERFECT, BAD = (0.0, (0.0, 0.0)), (0.3, (0.02, 0.08))


def _run(quick: bool, line: tuple[float, tuple[float, float]], back_s: float) -> Outcome:
    cuts, cut_s = (1, 10.0) if quick else (4, 30.0)
    back: list[float] = []
    disordered = 0
    with cell({"n": NODE}, from_afar=True) as it, Wire() as wire:
        config = it.folder / "n.yaml"
        config.write_text(config.read_text().replace(f"127.0.0.1:{it.port}", f"{HERE}:{it.far_port}"))
        wire.loss, wire.delay_s = line
        it.start("hub")
        it.start("n", within=wire.namespace)
        ear = it.ear
        it.wait(lambda: it.committed()[0] and ear.heard_after(LIVE, 0.0), "frames", 120.0)
        for _ in range(cuts):
            threading.Event().wait(5.0)
            wire.loss = 1.0
            threading.Event().wait(cut_s)
            wire.loss = line[0]
            healed = time.monotonic()
            back.append(it.wait(lambda since=healed: ear.heard_after(LIVE, since), "live frames", 120.0))
            disordered += holes(it.committed()[0])
        wire.loss, wire.delay_s = PERFECT
        caught_up_s = it.wait(
            lambda: ear.json("node/n/health").get("kept", 1 << 30) < 60, "what was kept is committed", 180.0
        )
        it.stop("n")
        it.stop("hub")
        committed, twice = it.committed()
        gone = lost(committed, it.kept(), ear.seqs())
    return Outcome(
        cuts,
        [
            exactly("lost kept frames", gone, 0),
            exactly("twice in the hub's database", twice, 0),
            exactly("committed before an earlier one", disordered, 0),
            told("committed", sum(map(len, committed.values()))),
            told("packets lost on the way", wire.lost),
            told("live frames after, p50", quantile(back, 0.5), "s"),
            at_most("live frames after, max", max(back), back_s, "s"),
            told("what waited is committed after", caught_up_s, "s"),
        ],
    )


def clean(quick: bool) -> Outcome:
    return _run(quick, PERFECT, 10.0)


def bad(quick: bool) -> Outcome:
    return _run(quick, BAD, 60.0)
