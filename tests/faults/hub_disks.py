"""The hub's memory in trouble: no room, a card that fails, a file that is gone or spoilt, another hub on its folder."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from becomingone.hub.memory.verify import verify

from .cell import Cell, holes, lost, tone
from .disks import card, fill
from .means import run as command
from .means import tmpfs
from .outcome import Figure, Outcome, at_most, exactly, told

NODE = {
    "frames_per_s": 20,
    "inputs": [*(tone(f"kept_{number}", keep=True) for number in range(4)), tone("live")],
    "spool": {"late_per_s": 2000},
}
MENDED_S = 30.0
_BESIDE = ("-wal", "-shm")
SLOW_S = 180.0
"""On a machine that has other work."""


@contextmanager
def _cell(base: Path, *, on: Path | None = None) -> Generator[Cell, None, None]:
    """A hub and a node at work, the hub's state on a disk of its own where one is given."""
    folder = base / "cell"
    folder.mkdir()
    with Cell(folder, {"n": NODE}, hub={"state_dir": str(on)} if on is not None else {}) as it:
        it.start("hub")
        it.start("n")
        it.wait(lambda: it.committed()[0], "kept frames", SLOW_S)
        yield it


def _fault(it: Cell) -> str:
    return str(it.ear.json("snapshot").get("memory", {}).get("fault", ""))


def _ticks(it: Cell) -> int:
    return int(it.ear.json("snapshot").get("hub", {}).get("ticks", 0))


def _frames(it: Cell) -> int:
    return sum(map(len, it.committed()[0].values()))


def _caught_up(it: Cell) -> None:
    it.wait(lambda: it.ear.json("node/n/health").get("kept", 1 << 30) < 200, "what was kept is committed", SLOW_S)


class _Through(NamedTuple):
    """How a hub came through a time without its disk."""

    ticks: int
    waited: int
    mended_s: float


def _through(it: Cell, trouble_s: float, mend: object) -> _Through:
    """Wait until the hub says what is wrong, a while longer, and until it works again."""
    it.wait(lambda: _fault(it), "the hub says that its memory fails", SLOW_S)
    before = _ticks(it)
    threading.Event().wait(trouble_s)
    ticks = _ticks(it) - before
    waited = int(it.ear.json("node/n/health")["kept"])
    assert callable(mend)
    mend()
    return _Through(ticks, waited, it.wait(lambda: not _fault(it), "its memory works again", SLOW_S))


def _kept(it: Cell) -> list[Figure]:
    """End everything, and count what has become of the frames."""
    _caught_up(it)
    it.stop("n")
    it.stop("hub")
    committed, twice = it.committed()
    return [
        exactly("lost kept frames", lost(committed, it.kept(), it.ear.seqs()), 0),
        exactly("twice in the hub's database", twice, 0),
        exactly("committed before an earlier one", holes(committed), 0),
        exactly("the memory verifies (1: yes)", int(verify(it.memory).ok), 1),
        told("committed", sum(map(len, committed.values())), "frames"),
    ]


def full(quick: bool) -> Outcome:
    """Not a byte is left while it runs; then it is killed and started on the full disk."""
    full_s = 3.0 if quick else 15.0
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as name,
        tmpfs(Path(name, "card"), "24m") as disk,
        _cell(Path(name), on=disk.folder) as it,
    ):
        filler = fill(disk.folder)
        through = _through(it, full_s, filler.unlink)
        _caught_up(it)
        filler = fill(disk.folder)
        it.kill("hub")
        it.start("hub")
        since = time.monotonic()
        it.wait(lambda: it.processes["hub"].poll() is not None or it.ear.heard_after("snapshot", since),
                "it works, or says why not", SLOW_S, expected=("hub",))  # fmt: skip
        code = it.processes["hub"].poll()
        filler.unlink()
        if code is not None:
            it.start("hub")
        figures = _kept(it)
    return Outcome(
        2,
        [
            *figures,
            told("ticks meanwhile", through.ticks),
            exactly("it goes on meanwhile (1: yes)", int(through.ticks > full_s), 1),
            told("waited at the node", through.waited, "frames"),
            at_most("works again after there is room", through.mended_s, MENDED_S, "s"),
            exactly("started while it is full: it works, or ends with code 2 (1: yes)", int(code in (None, 2)), 1),
            told("started while it is full: it works (1: yes)", int(code is None)),
        ],
    )


def read_only(quick: bool) -> Outcome:
    """The hub's card fails as worn ones do, and is mounted anew before the hub is started again."""
    failed_s = 3.0 if quick else 15.0
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as name,
        card(Path(name)) as disk,
        _cell(Path(name), on=disk) as it,
    ):
        command("mount", "-o", "remount,abort", disk)
        it.wait(lambda: _fault(it), "the hub says that its memory fails", SLOW_S)
        before = _ticks(it)
        threading.Event().wait(failed_s)
        ticks = _ticks(it) - before
        it.kill("hub")
        command("umount", disk)
        command("mount", "-o", "loop", Path(name, "image"), disk)
        since = time.monotonic()
        it.start("hub")
        mended_s = it.wait(lambda: it.ear.heard_after("ack/n", since), "frames are committed again", SLOW_S)
        figures = _kept(it)
    return Outcome(
        1,
        [
            *figures,
            exactly("it goes on meanwhile (1: yes)", int(ticks > failed_s), 1),
            at_most("started on the card as it is mounted anew: acknowledges after", mended_s, 60.0, "s"),
        ],
    )


def spoilt(quick: bool) -> Outcome:
    """The file is deleted, then overwritten in its middle, under a hub at work; then while the hub is away."""
    del quick
    rng = random.Random(1)

    def overwrite() -> None:
        with closing(sqlite3.connect(it.memory, timeout=20.0)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what still stands in the log would hide the damage
        size = it.memory.stat().st_size
        with it.memory.open("r+b") as file:
            for place in range(4096, size, 8192):
                file.seek(place)
                file.write(rng.randbytes(256))

    def again(spoil: object, what: str) -> float:
        assert callable(spoil)
        before = it.ear.count("ack/n")
        spoil()
        since = time.monotonic()
        it.wait(lambda: it.memory.exists() and it.ear.count("ack/n") > before + 3, what, SLOW_S)
        it.wait(lambda: not _fault(it), f"{what}: without a fault", SLOW_S)
        return time.monotonic() - since

    with tempfile.TemporaryDirectory(prefix="faults-") as name, _cell(Path(name)) as it:
        it.wait(lambda: _frames(it) > 500, "some frames", SLOW_S)
        deleted_s = again(it.memory.unlink, "it begins a new file")
        new = verify(it.memory)
        it.wait(lambda: _frames(it) > 500, "some frames", SLOW_S)
        overwritten_s = again(overwrite, "it goes on after its file was spoilt")
        it.kill("hub")
        overwrite()
        since = time.monotonic()
        it.start("hub")
        started_s = it.wait(lambda: it.ear.heard_after("ack/n", since), "it starts on a spoilt file", SLOW_S)
        aside = [file for file in it.memory.parent.glob("memory.db.damaged-*") if file.suffix[-4:] not in _BESIDE]
        _caught_up(it)
        it.stop("n")
        it.stop("hub")
        committed, twice = it.committed()
        at_end = verify(it.memory)
        says = "is damaged" in it.said("hub") and "no longer the file" in it.said("hub")
    return Outcome(
        3,
        [
            exactly("deleted: the new file verifies (1: yes)", int(new.ok), 1),
            at_most("deleted: acknowledges into a new one after", deleted_s, MENDED_S, "s"),
            told("overwritten while it runs: acknowledges on after", overwritten_s, "s"),
            at_most("overwritten while it is away: acknowledges after its start, after", started_s, 60.0, "s"),
            told("files that were set aside", len(aside)),
            exactly("what it has at the end verifies (1: yes)", int(at_end.ok), 1),
            exactly("twice in the hub's database", twice, 0),
            exactly("it says that one is damaged, and one not its own (1: yes)", int(says), 1),
            told("frames in what is left", sum(map(len, committed.values()))),
        ],
    )


def second(quick: bool) -> Outcome:
    """A second hub on the same state_dir: it ends and says who has it, and the first does not notice."""
    del quick
    with tempfile.TemporaryDirectory(prefix="faults-") as name, _cell(Path(name)) as it:
        pid = it.processes["hub"].pid
        first = it.processes.pop("hub")
        try:
            began = time.monotonic()
            it.start("hub")
            it.wait(lambda: it.processes["hub"].poll() is not None, "the second hub ends", SLOW_S, expected=("hub",))
            ended_s, code = time.monotonic() - began, it.processes["hub"].returncode
        finally:
            it.processes["hub"] = first
        says = f"is used by process {pid}" in it.said("hub")
        since = time.monotonic()
        it.wait(lambda: it.ear.heard_after("ack/n", since), "the first commits on", SLOW_S)
        figures = _kept(it)
    return Outcome(
        1,
        [
            *figures,
            exactly("the second's exit code", code, 2),
            exactly("it says which process has the memory (1: yes)", int(says), 1),
            told("it ends after", ended_s, "s"),
        ],
    )
