"""A progress bar on a terminal, and nothing elsewhere or where rich is not installed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """Shows how far each step is, with speed and remaining time.

    Parameters
    ----------
    quiet : bool
        Never show anything.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._on = not quiet and sys.stderr.isatty()

    def show(self, what: str, done: int, of: int) -> None:
        """Say how many bytes of a step are done, and how many there are."""
        if not self._on:
            return
        if self._progress is None:
            self._progress = _made()
            if self._progress is None:
                self._on = False
                return
            self._progress.start()
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=of)
        self._progress.update(self._tasks[what], completed=done)

    def close(self) -> None:
        """Leave the terminal to others; the next `show` begins anew."""
        if self._progress is not None:
            self._progress.stop()
        self._progress, self._tasks = None, {}

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_error: Any) -> None:  # noqa: ANN401
        self.close()


def _made() -> Progress | None:
    try:
        from rich import progress  # noqa: PLC0415 - only where there is a terminal
        from rich.console import Console  # noqa: PLC0415
    except ImportError:
        return None
    return progress.Progress(
        progress.TextColumn("{task.description:9}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
    )
