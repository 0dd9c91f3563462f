"""A disk that is full, read-only, broken, damaged or somebody else's: the node goes on, and says what is wrong."""

import errno
import logging
import os
import subprocess
import sys

import pytest

from becomingone.broker.kept_store import Kept
from becomingone.errors import ConfigError
from becomingone.node.spool import log
from becomingone.node.spool.disk import FolderDisk
from becomingone.node.spool.spool import Spool
from becomingone.runner import InlineRunner
from becomingone.sim.clock import VirtualScheduler

from .sim_disk import SimDisk
from .workload import SEGMENT, payload_of, spool_on

A = ("stride/leg_x", 1)


@pytest.fixture(autouse=True)
def small_segments(mocker):
    mocker.patch.object(log, "SEGMENT_BYTES", (SEGMENT, 1 << 20))


@pytest.fixture
def scheduler():
    return VirtualScheduler()


def real(folder, scheduler):
    return Spool(folder, max_bytes=1_000_000, scheduler=scheduler, runner=InlineRunner(scheduler))


def append(spool, first, last, size=100):
    for seq in range(first, last):
        spool.append(Kept(A, seq, "t", payload_of(A, seq, size), 0))
        spool._scheduler.run_for(0.001)


def seqs(spool, stream=A):
    found, seq = [], -1
    while (entry := spool.next(stream, seq)) is not None:
        assert entry.payload == payload_of(stream, entry.seq, len(entry.payload))
        seq = entry.seq
        found.append(seq)
    return found


FAULTS = {
    "full": ({"write": errno.ENOSPC, "create": errno.ENOSPC}, "cannot be written"),
    "no room for another file": ({"create": errno.ENOSPC}, "cannot be written"),
    "read-only": ({"write": errno.EROFS, "create": errno.EROFS, "rename": errno.EROFS}, "cannot be written"),
    "broken writes": ({"write": errno.EIO}, "cannot be written"),
    "broken syncs": ({"sync": errno.EIO}, "cannot be synced"),
    "broken altogether": (dict.fromkeys(("write", "create", "rename", "syncing"), errno.EIO), "cannot be written"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_a_failing_disk_does_not_take_waits_in_memory(scheduler, caplog, name):
    failing, words = FAULTS[name]
    disk = SimDisk()
    spool = spool_on(disk, scheduler)
    mended = []
    spool.on_mended = lambda: mended.append(scheduler.monotonic_ns())
    append(spool, 0, 73)
    disk.failing = failing
    append(spool, 73, 200)
    scheduler.run_for(6.0)
    assert words in spool.fault
    assert seqs(spool) == list(range(200))
    assert len(spool) == 200
    scheduler.run_for(300.0)
    append(spool, 200, 250)
    assert seqs(spool) == list(range(250))
    assert not mended
    disk.failing = {}
    scheduler.run_for(61.0)
    assert spool.fault == ""
    assert len(mended) == 1
    append(spool, 250, 300)
    assert seqs(spool) == list(range(300))
    spool.close()
    again = spool_on(disk.after_power_cut("none"))
    assert seqs(again) == list(range(300))
    assert (again.damaged, again.lost, spool.lost) == (0, 0, 0)
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 2, "once that it fails, once that it works again"


def test_a_sync_that_fails_now_and_then_loses_nothing(scheduler):
    disk = SimDisk()
    spool = spool_on(disk, scheduler)
    for round_ in range(20):
        disk.failing = {"sync": errno.EIO} if round_ % 2 else {}
        append(spool, 40 * round_, 40 * round_ + 40)
        scheduler.run_for(3.0)
    disk.failing = {}
    scheduler.run_for(61.0)
    assert seqs(spool) == list(range(800))[-len(spool) :]
    assert spool.lost == 800 - len(spool)
    spool.close()
    again = spool_on(disk.after_power_cut("none"))
    assert seqs(again) == seqs(spool_on(disk.after_kill())) == list(range(spool.lost, 800))


def test_memory_is_bounded_while_the_disk_fails(scheduler):
    disk = SimDisk()
    disk.failing = {"names": errno.EROFS}
    spool = spool_on(disk, scheduler, max_bytes=20_000)
    append(spool, 0, 500)
    assert spool.taken <= 20_000
    assert spool.lost == 500 - len(spool)
    assert seqs(spool) == list(range(500))[-len(spool) :]


def test_a_disk_that_cannot_be_opened_is_opened_later(scheduler):
    disk = SimDisk()
    before = spool_on(disk, scheduler)
    append(before, 0, 20)
    before.close()
    disk.failing = {"names": errno.EIO}
    spool = spool_on(disk, scheduler)
    other = ("fast/leg_x", 2)
    spool.append(Kept(other, 0, "t", payload_of(other, 0, 9), 0))
    assert "cannot be opened" in spool.fault
    assert spool.streams() == [other]
    disk.failing = {}
    scheduler.run_for(5.0)
    assert spool.fault == ""
    assert seqs(spool) == list(range(20))
    assert seqs(spool, other) == [0]


def test_what_cannot_be_read_is_waited_for_and_then_given_up(scheduler):
    """One page of one segment is bad; what stands in the others comes."""
    disk = SimDisk()
    spool = spool_on(disk, scheduler)
    append(spool, 0, 120)
    spool.close()
    name = min(name for name in disk.files if name.startswith("kept"))
    read = disk.read

    def bad(wanted, offset, size):
        if wanted == name and offset < 8192 and offset + size > 4096:
            raise OSError(errno.EIO, "bad block")
        return read(wanted, offset, size)

    spool = spool_on(disk, scheduler)
    append(spool, 120, 125)
    disk.read = bad
    spool._log._reader._loaded.clear()
    assert spool.next(A, -1) is None
    assert "cannot be read" in spool.fault
    for _ in range(20):
        scheduler.run_for(61.0)
        spool.next(A, -1)
    found = seqs(spool)
    assert spool.fault == ""
    assert spool.damaged > 0
    missing = set(range(125)) - set(found)
    assert 0 < len(missing) <= 40
    assert len(spool) == len(found)


def test_a_bit_that_has_changed_costs_one_frame_at_most_and_is_counted():
    """Also where it is a route that has changed, for it is written twice."""
    disk = SimDisk()
    spool = spool_on(disk)
    append(spool, 0, 55)
    spool.close()
    (name,) = disk.files
    end = max(index for index, byte in enumerate(disk.files[name].cached) if byte) + 1
    for at in range(0, end, 11):
        broken = disk.after_power_cut("none")
        broken.files[name].cached[at] ^= 1 << at % 8
        left = spool_on(broken)
        found = seqs(left)
        assert len(found) == len(left)
        missing = set(range(55)) - set(found)
        assert len(missing) <= 1, (at, missing)
        assert left.damaged >= len(missing - {54})  # after the last there is nothing that could tell


def test_the_index_of_sealed_segments_is_taken_from_the_newer_ones(mocker):
    """So that a full spool opens at once; what it says is checked when it is read."""
    disk = SimDisk()
    spool = spool_on(disk, max_bytes=40 * SEGMENT)
    append(spool, 0, 1_500)
    spool.close()
    reads = []
    read = disk.read
    mocker.patch.object(disk, "read", lambda *wanted: reads.append(wanted[2]) or read(*wanted))
    again = spool_on(disk, max_bytes=40 * SEGMENT)
    assert len(again) == 1_500
    assert sum(size == SEGMENT for size in reads) <= 3
    assert len(disk.files) > 25
    assert seqs(again) == list(range(1_500))


def test_two_processes_cannot_use_one_spool(tmp_path, scheduler):
    code = (
        "import sys; from pathlib import Path; from becomingone.node.spool.disk import FolderDisk\n"
        "FolderDisk(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "spool"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(ConfigError, match="is used by another process; stop that one"):
            real(tmp_path / "spool", scheduler)
    real(tmp_path / "spool", scheduler).close()


def test_a_spool_of_a_later_version_is_left_alone(tmp_path, scheduler):
    FolderDisk(tmp_path).close()
    (tmp_path / "format").write_text("2\n")
    with pytest.raises(ConfigError, match=r"format 2, written by a later version .* install the later version again"):
        real(tmp_path, scheduler)
    assert [file.name for file in tmp_path.iterdir()] == ["format"]
    assert (tmp_path / "format").read_text() == "2\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_a_fault_and_no_end(tmp_path, scheduler):
    tmp_path.chmod(0o500)
    spool = real(tmp_path / "spool", scheduler)
    append(spool, 0, 3)
    assert "cannot be opened" in spool.fault
    assert seqs(spool) == [0, 1, 2]


def test_a_folder_that_cannot_be_made_is_a_fault_and_no_end(tmp_path, scheduler):
    (tmp_path / "state").write_text("a file where a folder should be")
    spool = real(tmp_path / "state" / "spool", scheduler)
    append(spool, 0, 3)
    assert "cannot be opened" in spool.fault
    assert seqs(spool) == [0, 1, 2]
    (tmp_path / "state").unlink()
    scheduler.run_for(61.0)
    assert spool.fault == ""
    spool.close()
    again = real(tmp_path / "state" / "spool", scheduler)
    assert seqs(again) == [0, 1, 2]
    again.close()


def test_files_of_others_in_the_folder_are_left_alone(tmp_path, scheduler):
    (tmp_path / "notes.txt").write_text("mine")
    spool = real(tmp_path, scheduler)
    append(spool, 0, 3)
    spool.close()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_giving_up_a_segment_makes_the_next_ones_marks_no_longer_than_there_is_room_for(scheduler):
    """The marks at the start of a segment were once counted before the giving up that adds to them."""
    spool = spool_on(SimDisk(), scheduler, max_bytes=6 * 4096)
    append(spool, 0, 11, 324)
    append(spool, 11, 12, 20_331)
    assert seqs(spool) == [11]
    assert spool.lost == 11


def test_a_stream_that_was_away_and_has_come_back_has_no_mark(scheduler):
    spool = spool_on(SimDisk(), scheduler, max_bytes=6 * SEGMENT, sync_frames=5)
    for name in ("stride/leg_y", "stride/leg_x"):
        spool.append(Kept((name, 1), 0, "t", bytes(SEGMENT - 300), 0))
    spool.forget(("stride/leg_y", 1), 0)
    for seq in range(1, 4):
        spool.append(Kept(("stride/leg_y", 1), seq, "t", b"", 0))
    scheduler.run_for(6.0)
    assert spool.fault == ""
    assert spool.next(("stride/leg_y", 1), -1).seq == 1
