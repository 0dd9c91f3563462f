"""The boot id: a persisted counter that only grows, so that frames of different lives are never confused."""

from __future__ import annotations

from pathlib import Path

from becomingone.config.atomic import replace_text
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
        replace_text(path, f"{number}\n")
    except OSError as error:
        msg = f"state_dir {state_dir}: {error.strerror or error}; give a directory that this user may write"
        raise ConfigError(msg) from error
    except ValueError as error:
        msg = f"{path} must hold a number 0..{_LARGEST - 1}; delete the file only with a new node id"
        raise ConfigError(msg) from error
    return number
