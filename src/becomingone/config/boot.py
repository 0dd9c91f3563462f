"""The boot id: a persisted counter that only grows, so that frames of different lives are never confused."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import Final

from becomingone.config.atomic import replace_text
from becomingone.errors import ConfigError

_LARGEST: Final = (1 << 32) - 1

_VOLATILE: Final = 1 << 31
"""From here on are numbers that no counter reaches: lives that cannot be counted draw one of them."""


def next_boot(state_dir: Path) -> int:
    """Count a start and give its number, 1..2³²−1.

    The new number is on the disk, synced, before it is given; on a full disk it takes the room of the one before.

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
        try:
            replace_text(path, f"{number}\n")
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            _overwrite(path, f"{number}\n")
    except OSError as error:
        msg = f"state_dir {state_dir}: {error.strerror or error}; give a directory that this user may write"
        raise ConfigError(msg) from error
    except ValueError as error:
        msg = f"{path} must hold a number 0..{_LARGEST - 1}; delete the file only with a new node id"
        raise ConfigError(msg) from error
    return number


def volatile_boot(rng: random.Random) -> int:
    """Draw the number of a life that cannot be counted, 2³¹..2³²−1.

    It is not greater than those of other such lives, but another: two of a thousand are the same with a probability of
    2·10⁻⁴. A cell whose messages are sealed refuses it, sooner or later, for there numbers must grow.
    """
    return rng.randint(_VOLATILE, _LARGEST)


def is_volatile(boot: int) -> bool:
    """Tell whether a life's number was drawn."""
    return boot >= _VOLATILE


def _overwrite(path: Path, text: str) -> None:
    """Write a few bytes over those of a file, within one sector, which a power cut leaves as it was or as it is."""
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(file, text.encode("ascii"), 0)
        os.fsync(file)
    finally:
        os.close(file)
