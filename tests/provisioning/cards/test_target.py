"""Files and disks as targets; a regular file stands for the disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.cards import target as target_module
from becomingone.provisioning.cards.target import HEAD, UNFINISHED, DiskTarget, FileTarget

MIB = 1 << 20
SIZE = 4 * MIB


def test_a_file_is_there_only_when_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "a.img"
    with FileTarget(path, SIZE) as file:
        file.write(0, b"a" * MIB)
        file.write(MIB, bytes(MIB))
        assert not path.exists()
        assert (tmp_path / "a.img.part").stat().st_mode & 0o777 == 0o600
        file.settle()
        assert file.read(MIB - 1, 2) == b"a\0"
        file.finish()
    assert path.stat().st_size == SIZE
    assert path.stat().st_blocks * 512 < 2 * MIB  # holes stay holes
    assert [one.name for one in tmp_path.iterdir()] == ["a.img"]


def test_a_file_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.img"
    path.write_bytes(b"old")

    def fail() -> None:
        with FileTarget(path, SIZE, replace=True) as file:
            file.write(0, b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.img"]


def test_files_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.img").write_bytes(b"old")
    with pytest.raises(ConfigError, match=r"a\.img is there already: --yes writes over it"):
        FileTarget(tmp_path / "a.img", SIZE)
    with pytest.raises(ConfigError, match="is not a file"):
        FileTarget(tmp_path, SIZE, replace=True)
    with pytest.raises(ConfigError, match="No such file or directory"):
        FileTarget(tmp_path / "none" / "a.img", SIZE)
    with FileTarget(tmp_path / "b.img", SIZE), pytest.raises(ConfigError, match="is being written by another process"):
        FileTarget(tmp_path / "b.img", SIZE)
    (tmp_path / "c.img.part").symlink_to(tmp_path / "a.img")
    with pytest.raises(ConfigError, match=r"c\.img\.part: "):
        FileTarget(tmp_path / "c.img", SIZE)
    assert (tmp_path / "a.img").read_bytes() == b"old"


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_file: int, _data: object, _offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.img"

    def write() -> None:
        with FileTarget(path, SIZE) as file:
            file.write(0, b"a")

    monkeypatch.setattr(target_module.os, "pwrite", full)
    with pytest.raises(ProvisioningError, match="there is no room for it"):
        write()
    assert list(tmp_path.iterdir()) == []


def _disk(path: Path) -> bytes:
    content = os.urandom(SIZE)
    path.write_bytes(content)
    return content


def test_a_disk_boots_only_when_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    old = _disk(path)
    image = b"".join(bytes([number]) * (MIB // 2) for number in range(1, 7))
    with DiskTarget(path, len(image)) as disk:
        disk.begin()
        for offset in range(0, len(image), 768 * 1024):  # across the end of the beginning
            disk.write(offset, image[offset : offset + 768 * 1024])
        disk.settle()
        there = path.read_bytes()
        assert there[:HEAD] == UNFINISHED.ljust(HEAD, b"\0")
        assert there[HEAD:] == image[HEAD:] + old[len(image) :]
        assert disk.read(HEAD - 10, 20) == image[HEAD - 10 : HEAD + 10]
        disk.finish()
        assert disk.read(HEAD - 10, 20) == image[HEAD - 10 : HEAD + 10]
    assert path.read_bytes() == image + old[len(image) :]


def test_an_image_smaller_than_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    old = _disk(path)
    with DiskTarget(path, 1024) as disk:
        disk.begin()
        disk.write(0, b"x" * 1024)
        disk.finish()
    assert path.read_bytes() == b"x" * 1024 + old[1024:]


def test_disks_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        DiskTarget(tmp_path / "none", SIZE)
    for error, why in [
        (PermissionError(errno.EACCES, "Permission denied"), "you may not write to it: sudo"),
        (OSError(errno.EBUSY, "Device or resource busy"), "is in use: something of it is mounted or held"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
    ]:

        def refuse(_path: object, _flags: int, error: OSError = error) -> int:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(target_module.os, "open", refuse)
            with pytest.raises(ConfigError, match=why):
                DiskTarget(tmp_path / "sdb", SIZE)


def test_a_disk_is_opened_for_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags: list[int] = []
    real = os.open
    (tmp_path / "disk").write_bytes(bytes(1024))

    def seen(path: Path, wanted: int) -> int:
        flags.append(wanted)
        return real(path, wanted)

    monkeypatch.setattr(target_module.os, "open", seen)
    DiskTarget(tmp_path / "disk", 1024).__exit__()
    assert flags[0] & os.O_EXCL
    assert not flags[0] & os.O_CREAT
