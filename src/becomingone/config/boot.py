"""The boot id: a persisted counter that only grows, so that frames of different lives are never confused."""

from __future__ import annotations

import os
from pathlib import Path

from becomingone.errors import ConfigError

_LARGEST = (1 << 32) - 1


def next_boot(state_dir: Path) -> int:
    """Count a start and give its number, 1..2³²−1.

    The new number is on the disk, synced, before it is given.

    Raises
    ------
    ConfigError
        When the directory cannot be written, or the counter in it cannot be read.
    """
    path = state_dir / "boot"
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        text = path.read_text("ascii") if path.exists() else "0"
        number = int(text) + 1
        if not 1 <= number <= _LARGEST:
            raise ValueError
        _write(path, f"{number}\n")
    except OSError as error:
        msg = f"state_dir {state_dir}: {error.strerror or error}; give a directory that this user may write"
        raise ConfigError(msg) from error
    except ValueError as error:
        msg = f"{path} must hold a number 0..{_LARGEST - 1}; delete the file only with a new node id"
        raise ConfigError(msg) from error
    return number


def _write(path: Path, text: str) -> None:
    """Replace a file's content so that a power cut at any instant leaves the old or the new one, never neither."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with fresh.open("w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the new name is on the disk only now
    finally:
        os.close(folder)
