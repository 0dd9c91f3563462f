"""Compares a run with the trace of an earlier one, line by line, while it goes on."""

from __future__ import annotations

from collections.abc import Iterator


class Comparison:
    """Takes the lines of a run and finds the first that is not the trace's.

    Parameters
    ----------
    head : str
        The trace's first line.
    rest : iterator of str
        Its other lines.

    Attributes
    ----------
    lines : int
        How many are the same.
    payloads : bool
        Whether the trace holds whole payloads.
    difference : str or None
        The first difference, in words.
    """

    def __init__(self, head: str, rest: Iterator[str]) -> None:
        second = next(rest, "")
        self.lines = 0
        self.difference: str | None = None
        self._ahead = [head, second]
        self._rest = rest
        self._buffered: list[str] = []
        self.payloads = self._look(second)

    def _look(self, line: str) -> bool:
        """Find the first line with a payload, whole or as a hash."""
        while line:
            if '"payload":' in line or '"hash":' in line:
                return '"payload":' in line
            line = next(self._rest, "")
            self._ahead.append(line)
        return False

    def write(self, line: str) -> None:
        """Take a line of the run."""
        if self.difference is not None:
            return
        was = self._ahead.pop(0) if self._ahead else next(self._rest, "")
        if was == line:
            self.lines += 1
        else:
            self.difference = f"line {self.lines + 1} differs: it was {_short(was)}, it is {_short(line)}"

    def finish(self) -> None:
        """Take note that the run is over."""
        left = next((line for line in [*self._ahead, *self._rest] if line), "")
        if self.difference is None and left:
            self.difference = f"line {self.lines + 1} differs: it was {_short(left)}, it is the end"


def _short(line: str) -> str:
    return line.rstrip("\n")[:200] or "the end"
