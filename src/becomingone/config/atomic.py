"""Small files that are replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path


def replace_text(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Replace a file's content so that a power cut at any instant leaves the old or the new one, never neither.

    Parameters
    ----------
    path : Path
        The file; its folder is there already.
    text : str
        ASCII.
    mode : int, optional
        Who may do what with it, less the process's mask, as for open(2).

    Raises
    ------
    OSError
        The file system refuses; the old content is still there.
    """
    fresh = path.with_name(f"{path.name}.new")  # one name, so that a kill leaves one file behind, and not one each time
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
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
