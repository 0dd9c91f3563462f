"""The command, with a regular file that passes for a disk."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from becomingone.cli.provision import cards_run
from becomingone.provisioning.cards.disks import DiskFacts
from becomingone.provisioning.cards.target import UNFINISHED

from .images import BOOT_START, SIZE, boot_text
from .test_disks import CARD


class Disk:
    """A regular file that passes for a disk."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, facts: DiskFacts = CARD) -> None:
        self.path = path
        path.write_bytes(random.Random(2).randbytes(SIZE + (1 << 20)))
        self.old = path.read_bytes()
        self.facts = facts
        monkeypatch.setattr(cards_run, "disk_of", lambda _path: 1)
        monkeypatch.setattr(cards_run, "facts_of", lambda path, _number: self.seen(path))
        monkeypatch.setattr(cards_run.DiskTarget, "is_block_device", True)

    def seen(self, path: Path) -> DiskFacts:
        return DiskFacts(**{name: getattr(self.facts, name) for name in DiskFacts.__slots__} | {"path": path})


def test_a_disk(
    flash: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = Disk(tmp_path / "sdb", monkeypatch)
    assert flash("--device", disk.path) == 2
    told = capsys.readouterr().err
    assert "STORAGE DEVICE, 32.0 GB, usb, serial 000000001206; on it: sdb1: vfat 'bootfs'" in told
    assert "nobody is there to be asked: --yes" in told
    assert disk.path.read_bytes() == disk.old
    assert flash("--device", disk.path, "--yes", "--json") == 0
    new = disk.path.read_bytes()
    assert json.loads(capsys.readouterr().out)["sha256"] == hashlib.sha256(new[:SIZE]).hexdigest()
    assert new[SIZE:] == disk.old[SIZE:]
    assert boot_text(disk.path, "meta-data").startswith("instance-id: becomingone-kitchen-")


def test_the_name_has_to_be_typed(
    flash: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = Disk(tmp_path / "sdb", monkeypatch)
    monkeypatch.setattr(cards_run, "_may_ask", lambda: True)
    for answer in ("yes", "", "/dev/sda"):
        monkeypatch.setattr(cards_run, "_answer", lambda _question, answer=answer: answer)
        assert flash("--device", disk.path) == 2
        assert "is left as it is" in capsys.readouterr().err
    assert disk.path.read_bytes() == disk.old
    monkeypatch.setattr(cards_run, "_answer", lambda _question: str(disk.path))
    assert flash("--device", disk.path) == 0


def test_another_disk_under_the_same_name(
    flash: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = Disk(tmp_path / "sdb", monkeypatch)
    serials = iter(["1", "2"])

    def seen(path: Path, _number: int) -> DiskFacts:
        return DiskFacts(
            **{name: getattr(CARD, name) for name in DiskFacts.__slots__} | {"path": path, "serial": next(serials)}
        )

    monkeypatch.setattr(cards_run, "facts_of", seen)
    assert flash("--device", disk.path, "--yes") == 2
    assert "has become another disk since it was looked at" in capsys.readouterr().err
    assert disk.path.read_bytes() == disk.old


def test_a_disk_that_loses_what_is_written(
    flash: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = Disk(tmp_path / "sdb", monkeypatch)
    real = cards_run.DiskTarget.settle

    def lose(self: Any) -> None:
        real(self)
        with disk.path.open("r+b") as file:
            file.seek(BOOT_START + 5 * (1 << 20))
            file.write(b"lost")

    monkeypatch.setattr(cards_run.DiskTarget, "settle", lose)
    assert flash("--device", disk.path, "--yes") == 1
    told = capsys.readouterr().err
    assert f"does not read back as it was written, in the MiB from byte {BOOT_START + 5 * (1 << 20)}" in told
    assert "is not finished and boots nowhere: write it again" in told
    assert disk.path.read_bytes().startswith(UNFINISHED)
    monkeypatch.setattr(cards_run.DiskTarget, "settle", real)
    assert flash("--device", disk.path, "--yes") == 0
    assert "was being written before, and that was not finished" in capsys.readouterr().err
