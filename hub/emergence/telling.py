"""An event's figures as people read them; what is not there, or not a number, is a dash."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

NONE: Final = "–"
_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0
_LONGEST: Final = 400
_LATEST_US: Final = 253_402_300_799_000_000


class Figures:
    """Reads an event that may hold anything: it may have come from a stranger.

    Parameters
    ----------
    event : mapping
        The event, or a part of one.
    """

    def __init__(self, event: Mapping[str, Any]) -> None:
        self._event = event

    def value(self, name: str) -> float | None:
        """Give a finite number, or None."""
        found = self._event.get(name)
        if isinstance(found, bool) or not isinstance(found, int | float):
            return None
        return float(found) if abs(found) < 1e300 and math.isfinite(found) else None

    def number(self, name: str, digits: int = 2) -> str:
        """Give a number, rounded."""
        found = self.value(name)
        return NONE if found is None else f"{found:.{digits}f}"

    def count(self, name: str) -> str:
        """Give a whole number."""
        found = self.value(name)
        return NONE if found is None else f"{round(found)}"

    def p(self, name: str) -> str:
        """Give a probability."""
        return probability(self.value(name))

    def span(self, name: str) -> str:
        """Give a time in words."""
        return span(self.value(name))

    def text(self, name: str) -> str:
        """Give a text in one line."""
        found = self._event.get(name)
        return plain(found) if isinstance(found, str) and found else NONE

    def texts(self, name: str) -> list[str]:
        """Give a list of texts."""
        found = self._event.get(name)
        if not isinstance(found, Sequence) or isinstance(found, str | bytes):
            return []
        return [plain(item) for item in cast("Sequence[object]", found) if isinstance(item, str)]

    def part(self, name: str) -> Figures:
        """Give a part of the event; an empty one where there is none."""
        return Figures(_mapping(self._event.get(name)))

    def parts(self, name: str) -> list[tuple[str, Figures]]:
        """Give the parts of a part, by name."""
        found = _mapping(self._event.get(name))
        return [(plain(str(key)), Figures(_mapping(part))) for key, part in found.items() if _mapping(part)]

    def listed(self, name: str) -> list[Figures]:
        """Give the parts of a list of parts."""
        found = self._event.get(name)
        if not isinstance(found, Sequence) or isinstance(found, str | bytes):
            return []
        return [Figures(_mapping(part)) for part in cast("Sequence[object]", found) if _mapping(part)]

    def has(self, name: str) -> bool:
        """Tell whether there is such a thing, and something in it."""
        return bool(self._event.get(name))

    def items(self) -> list[tuple[str, str]]:
        """Give everything, in one line each."""
        return [(plain(str(name)), plain(str(value))) for name, value in self._event.items()]

    def when(self) -> str:
        """Give when it happened."""
        found = self.value("time_us")
        if found is None or not 0 <= found <= _LATEST_US:
            return "at an unknown time"
        moment = datetime.datetime.fromtimestamp(found / 1e6, datetime.UTC)
        return f"on {moment:%Y-%m-%d} at {moment:%H:%M:%S} UTC"


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def probability(value: float | None) -> str:
    """Give a probability, and how rare that is."""
    if value is None:
        return NONE
    if value <= 0.0:
        return "below 1e-300"
    return f"{value:.2g}" + (f" (1 in {1 / value:,.0f})" if 1e-9 < value < 0.2 else "")


def span(value: float | None) -> str:
    """Give seconds in the unit that suits."""
    if value is None:
        return NONE
    for unit, name in ((_DAY, "days"), (_HOUR, "hours"), (_MINUTE, "minutes")):
        if abs(value) >= 2.0 * unit:
            return f"{value / unit:.3g} {name}"
    return f"{value:.3g} s"


def plain(text: str) -> str:
    """Make a text that came from elsewhere harmless to a terminal: one line, no control characters, not too long."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table; the first column to the left, the others to the right."""
    lines = [list(heads), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    laid = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    ]
    return "\n".join([laid[0].rstrip(), "-" * len(laid[0]), *[line.rstrip() for line in laid[1:]]])
