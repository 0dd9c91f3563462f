"""Where a run keeps its boot counters, configurations and logs: one folder, one run at a time."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TextIO

from becomingone.errors import ConfigError

_MOST_RUNS = 16
"""Runs of one user side by side without a folder asked for."""


@contextlib.contextmanager
def state_folder(wanted: Path | None, environ: Mapping[str, str]) -> Generator[Path, None, None]:
    """Make a folder and hold it for this run, so that another run cannot change its files underneath.

    Parameters
    ----------
    wanted : Path or None
        The folder; None takes ``becomingone`` in the user's state directory (XDG base directory specification), or
        ``becomingone-2`` and so on while other runs hold those.
    environ : mapping
        The environment.

    Raises
    ------
    ConfigError
        The folder cannot be written, or another run holds it.
    """
    if wanted is not None:
        candidates = [wanted]
    else:
        base = Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        candidates = [base / "becomingone", *(base / f"becomingone-{number}" for number in range(2, _MOST_RUNS + 1))]
    for folder in candidates:
        lock = _hold(folder)
        if lock is not None:
            with lock:
                yield folder.resolve()
            return
    msg = f"another run uses {candidates[-1]}: stop it or choose another folder with --state DIR"
    raise ConfigError(msg)


def _hold(folder: Path) -> TextIO | None:
    """Lock a folder until the returned file is closed; None where another run holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w", encoding="ascii")
    except OSError as error:
        msg = f"{folder} cannot be written: {error.strerror or error}; choose another folder with --state DIR"
        raise ConfigError(msg) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
