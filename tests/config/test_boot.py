"""The boot counter only grows, whatever happens to the machine."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from becomingone.config.boot import is_volatile, next_boot, volatile_boot
from becomingone.errors import ConfigError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_grows_from_one(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert [next_boot(folder) for _ in range(3)] == [1, 2, 3]
    assert (folder / "boot").read_text() == "3\n"
    assert names(folder) == ["boot"]


def test_a_counter_without_a_line_end_is_read(tmp_path: Path) -> None:
    (tmp_path / "boot").write_text("41")
    assert next_boot(tmp_path) == 42


@pytest.mark.parametrize(
    "content", [b"", b"many", b"-1", b"-2\n", b"1.5", b"\xff\xfe", b"4294967295", b"9" * 5000, b"1\n2\n"]
)
def test_a_counter_that_cannot_be_read_is_an_error_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "boot"
    path.write_bytes(content)
    with pytest.raises(
        ConfigError, match=r"boot must hold a number 0\.\.4294967294; delete the file only with"
    ) as caught:
        next_boot(tmp_path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content
    assert names(tmp_path) == ["boot"]


def test_the_last_number(tmp_path: Path) -> None:
    (tmp_path / "boot").write_text("4294967294\n")
    assert next_boot(tmp_path) == 4294967295
    with pytest.raises(ConfigError):
        next_boot(tmp_path)


def test_a_file_where_the_directory_should_be(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    for folder in (tmp_path / "state", tmp_path / "state" / "home"):
        with pytest.raises(ConfigError, match="give a directory that this user may write") as caught:
            next_boot(folder)
        assert str(folder) in str(caught.value)
        assert "Errno" not in str(caught.value)


def test_a_directory_where_the_file_should_be(tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    with pytest.raises(ConfigError, match="state_dir"):
        next_boot(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="Permission denied; give a directory"):
        next_boot(tmp_path)


def test_on_a_full_disk_the_number_grows_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(9):
        next_boot(tmp_path)
    place = (tmp_path / "boot").stat().st_ino

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("becomingone.config.boot.replace_text", full)
    assert [next_boot(tmp_path) for _ in range(3)] == [10, 11, 12]
    assert (tmp_path / "boot").read_text() == "12\n"
    assert (tmp_path / "boot").stat().st_ino == place


def test_the_first_life_needs_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("becomingone.config.boot.replace_text", full)
    with pytest.raises(ConfigError, match="give a directory that this user may write"):
        next_boot(tmp_path)


def test_what_cannot_be_counted_is_drawn_above_all_that_is() -> None:
    rng = random.Random(1)
    drawn = [volatile_boot(rng) for _ in range(1000)]
    assert len(set(drawn)) == 1000
    assert all(is_volatile(boot) and boot < 1 << 32 for boot in drawn)
    assert not is_volatile(1)


def test_a_disk_that_syncs_nothing_leaves_no_smaller_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    next_boot(tmp_path)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left on device"):
        next_boot(tmp_path)
    assert int((tmp_path / "boot").read_text()) in (1, 2)
    assert names(tmp_path) == ["boot"]


def test_the_number_is_on_the_disk_before_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut right after must find the new number under its name: content first, name second, directory last."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def recording_fsync(descriptor: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().relative_to(tmp_path.parent)}")
        fsync(descriptor)

    def recording_replace(source: Path, target: Path) -> Path:
        steps.append(f"rename to {target.name}")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(Path, "replace", recording_replace)
    next_boot(tmp_path)
    name = tmp_path.name
    assert steps == [f"sync {name}/boot.new", "rename to boot", f"sync {name}"]
