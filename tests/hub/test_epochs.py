"""The nodes' newest lives on the disk: there after any restart, never half written, never waited for."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest

from becomingone.errors import ConfigError
from becomingone.hub.intake import epochs
from becomingone.hub.intake.epochs import EpochFile


def save(file: EpochFile, **lives: int) -> None:
    file.save(lives)
    file.close()


def test_what_is_saved_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "epochs.json"
    assert EpochFile(path).load() == {}
    save(EpochFile(path), kitchen=7, attic=(1 << 32) - 1)
    assert EpochFile(path).load() == {"kitchen": 7, "attic": (1 << 32) - 1}
    save(EpochFile(path), kitchen=8)
    assert EpochFile(path).load() == {"kitchen": 8}
    assert [entry.name for entry in tmp_path.iterdir()] == ["epochs.json"]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"n": -1}', b'{"n": 4294967296}', b'{"n": 1.5}', b'{"n": "1"}', b'{"N!": 1}', b"\xff"],
)
def test_a_file_that_cannot_be_read_keeps_the_hub_from_starting(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "epochs.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="must be one JSON object of node ids and boot ids; delete it only") as caught:
        EpochFile(path).load()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give a state_dir that this user may read"):
        EpochFile(tmp_path).load()


def test_a_slow_disk_is_not_waited_for_and_gets_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "epochs.json"
    go, began = threading.Event(), threading.Event()
    written: list[str] = []

    def slow(_path: Path, text: str) -> None:
        began.set()
        assert go.wait(30)
        written.append(text)

    monkeypatch.setattr(epochs, "replace_text", slow)
    file = EpochFile(path)
    file.save({"n": 1})
    assert began.wait(30)
    for boot in range(2, 100):
        file.save({"n": boot})  # returns, though the first is still being written
    go.set()
    file.close()
    assert [text.split() for text in written] == [["{", '"n":', "1", "}"], ["{", '"n":', "99", "}"]]


def test_a_full_disk_is_told_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "epochs.json"
    save(EpochFile(path), n=1)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with caplog.at_level(logging.ERROR):
        save(EpochFile(path), n=2)
    assert "cannot be written: No space left on device" in caplog.text
    assert EpochFile(path).load() == {"n": 1}
