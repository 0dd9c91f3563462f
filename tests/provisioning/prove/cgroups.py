"""A control group for each machine: no two share their services' groups, and one can be killed whole."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

PARENTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd"))
"""Version 2 alone, or 2 beside 1, which then has one for names only."""


def _folders(name: str) -> list[Path]:
    return [parent / name for parent in PARENTS if (parent / "cgroup.procs").exists()]


def make(name: str) -> list[Path]:
    """Make a machine's groups; what is to be in them writes itself to their ``cgroup.procs``."""
    folders = _folders(name)
    for folder in folders:
        folder.mkdir(exist_ok=True)
    return folders


def kill(name: str) -> int:
    """Kill what is in them; gives how many processes there were."""
    left = [int(pid) for folder in _folders(name) for pid in _processes(folder)]
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(left)


def remove(name: str) -> None:
    """Remove them, once they are empty."""
    for folder in _folders(name):
        for path in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
            path.rmdir()
        if folder.exists():
            folder.rmdir()


def _processes(folder: Path) -> Iterator[str]:
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        with contextlib.suppress(FileNotFoundError):
            yield from (path / "cgroup.procs").read_text().split()
