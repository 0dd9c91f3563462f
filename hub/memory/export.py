"""Export: frames, figures and events of a stretch of the past, as CSV or XDF, read and written as a stream."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from becomingone.hub.memory.export_csv import write_csv
from becomingone.hub.memory.export_rows import Exported, Progress, What, Where
from becomingone.hub.memory.export_xdf import write_xdf

Format = Literal["csv", "xdf"]


def export(
    where: Where, path: Path, kind: Format, what: Sequence[What], *, progress: Progress = lambda _count, _time: None
) -> Exported:
    """Write a file; as long as it is not whole, it has another name.

    Parameters
    ----------
    where : Where
        Of what.
    path : Path
        The file; one that is there is replaced.
    kind : {"csv", "xdf"}
        The format.
    what : sequence of {"frames", "figures", "events"}
        For CSV one of them, for its rows have the same columns.
    progress : callable, optional
        Told now and then.

    Raises
    ------
    OSError
        The file cannot be written; nothing of it is left.
    """
    fresh = path.with_name(f"{path.name}.new")
    try:
        with fresh.open("wb") as file:
            done = (
                write_xdf(where, file, what, progress) if kind == "xdf" else write_csv(where, file, what[0], progress)
            )
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return done
