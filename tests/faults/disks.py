"""The disk of a node's state is full, or may only be read: while it runs, and when it starts."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .cell import Cell, holes, lost, tone
from .means import need, need_root, run, tmpfs
from .outcome import NotRunError, Outcome, at_most, exactly, told

MANY = {
    "frames_per_s": 20,
    "inputs": [*(tone(f"kept_{number}", keep=True) for number in range(6)), tone("live")],
    "spool": {"sync_s": 1, "late_per_s": 2000},
}
NODE = {"frames_per_s": 20, "inputs": [tone("kept", keep=True), tone("live")], "spool": {"sync_s": 1}}
LIVE = "node/n/phase/stride/live_tone"


def fill(folder: Path) -> Path:
    """Leave not a byte."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def _committed_by(it: Cell) -> None:
    it.wait(lambda: it.ear.json("node/n/health").get("kept", 1 << 30) < 200, "what was kept is committed", 120.0)


def full(quick: bool) -> Outcome:
    """The hub is away meanwhile, so that everything has to be kept; what waits in memory has room on the disk later."""
    full_s = 10.0 if quick else 20.0
    with tempfile.TemporaryDirectory(prefix="faults-") as name, tmpfs(Path(name, "card"), "2m") as card:
        folder = Path(name, "cell")
        folder.mkdir()
        with Cell(folder, {"n": MANY}, state=card.folder) as it:
            it.start("hub")
            it.start("n")
            ear = it.ear
            it.wait(lambda: it.committed()[0], "kept frames")
            it.kill("hub")
            filler = fill(card.folder)
            it.wait(lambda: "frames wait in memory" in it.said("n"), "the node says that its disk is full", 120.0)
            gap_from = time.monotonic()
            threading.Event().wait(full_s)
            alive = ear.heard_after(LIVE, gap_from + full_s - 2.0)
            waited = ear.json("node/n/health")["kept"]
            filler.unlink()
            mended_s = it.wait(lambda: "works again" in it.said("n"), "its disk works again", 90.0)
            it.start("hub")
            _committed_by(it)
            it.stop("n")
            fill(card.folder)  # and now the start on a full disk
            since = time.monotonic()
            it.start("n")
            it.wait(lambda: ear.heard_after(LIVE, since), "the node starts on a full disk")
            it.wait(lambda: any(boot == 2 for _, boot in it.committed()[0]), "its frames are committed")
            _committed_by(it)
            it.stop("n")
            (card.folder / "filler").unlink()
            health = ear.json("node/n/health")
            committed, twice = it.committed()
            gone = lost(committed, it.kept(), ear.seqs())
            order = holes(committed)
    return Outcome(
        2,
        [
            exactly("lost kept frames", gone, 0),
            exactly("twice in the hub's database", twice, 0),
            exactly("committed before an earlier one", order, 0),
            exactly("frames that had to make room, as it says", health["kept_lost"], 0),
            exactly("live frames go on (1: yes)", int(alive), 1),
            exactly("lives that began while it was full", len({boot for _, boot in committed}) - 1, 1),
            told("waited at most", waited, "frames"),
            at_most("works again after there is room", mended_s, 61.0, "s"),
        ],
    )


@contextmanager
def card(folder: Path) -> Generator[Path, None, None]:
    """Mount an ext4 file system of our own: one that can fail as a worn card does."""
    need_root("to mount a file system")
    need("mkfs.ext4")
    image, place = folder / "image", folder / "card"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    try:
        run("mkfs.ext4", "-q", "-F", image)
        run("mount", "-o", "loop", image, place)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotRunError(f"no file system can be mounted here: {error}") from error
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)


def read_only(quick: bool) -> Outcome:
    """The card fails, as worn ones do: ext4 lets nobody write any more (errors=remount-ro) until it is mounted anew."""
    failed_s = 8.0 if quick else 60.0
    with tempfile.TemporaryDirectory(prefix="faults-") as name, card(Path(name)) as place:
        folder = Path(name, "cell")
        folder.mkdir()
        with Cell(folder, {"n": NODE}, state=place) as it:
            it.start("hub")
            it.start("n")
            ear = it.ear
            it.wait(lambda: it.committed()[0], "kept frames")
            run("mount", "-o", "remount,abort", place)
            it.wait(lambda: "frames wait in memory" in it.said("n"), "the node says that its disk fails", 120.0)
            broken = time.monotonic()
            before = sum(map(len, it.committed()[0].values()))
            threading.Event().wait(failed_s)
            alive = ear.heard_after(LIVE, broken + failed_s - 2.0)
            it.wait(lambda: sum(map(len, it.committed()[0].values())) > before, "frames are committed all the same")
            _committed_by(it)
            meanwhile = sum(map(len, it.committed()[0].values())) - before
            it.stop("n")
            threading.Event().wait(2.0)  # for the hub's next commit
            run("umount", place)
            run("mount", "-o", "loop", Path(name, "image"), place)
            since = time.monotonic()
            it.start("n")
            it.wait(lambda: ear.heard_after(LIVE, since), "the node starts on the card that has been mounted anew")
            _committed_by(it)
            it.stop("n")
            it.stop("hub")
            committed, twice = it.committed()
            gone = lost(committed, it.kept(), ear.seqs())
            order = holes(committed)
    return Outcome(
        1,
        [
            exactly("lost kept frames, with the hub there", gone, 0),
            exactly("twice in the hub's database", twice, 0),
            exactly("committed before an earlier one", order, 0),
            exactly("live frames go on (1: yes)", int(alive), 1),
            told("committed meanwhile, out of memory", meanwhile, "frames"),
        ],
    )


def read_only_start(quick: bool) -> Outcome:
    """A folder that may not be written from the beginning, in a cell without keys and in one with them."""
    del quick
    with tempfile.TemporaryDirectory(prefix="faults-") as name, tmpfs(Path(name, "card"), "1m") as card:
        folder = Path(name, "cell")
        folder.mkdir()
        with Cell(folder, {"n": NODE}, state=card.folder) as it:
            it.start("n")
            it.wait(lambda: it.ear.heard_after(LIVE, 0.0), "a first life with a disk that works")
            it.stop("n")
            card.read_only(True)
            it.start("n")
            it.wait(lambda: it.processes["n"].poll() is not None, "the node in a cell with keys ends", expected=("n",))
            code = it.processes["n"].returncode
            says = "give a directory that this user may write" in it.said("n")
            it.configure("n", sealed=False, **NODE)
            since = time.monotonic()
            it.start("n")
            it.wait(lambda: it.ear.heard_after(LIVE, since), "the node in a cell without keys speaks")
            about = it.ear.json("node/n/about")
            it.stop("n")
    return Outcome(
        2,
        [
            exactly(
                "without keys: it works, and says so in `about` (1: yes)",
                int("without its disk" in about["mode_why"]),
                1,
            ),
            exactly("with keys: it says why it cannot (1: yes)", int(says), 1),
            exactly("with keys: exit code", code, 2),
        ],
    )
