"""What a benchmark says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison.

    Parameters
    ----------
    bench : str
        What was measured.
    unit : str
        Of ``baseline`` and ``ours``; empty for pure numbers.
    baseline : float or None
        The best known way, or theory, in the same run; None where there is only an absolute bound.
    ours : float
    ratio : float or None
        Ours over the baseline, of the median round where several were run.
    target : str
        The bound, in words; "reported" when there is none.
    ok : bool
        Whether it is met.
    more : mapping of str to float
        Further figures.
    """

    bench: str
    unit: str
    baseline: float | None
    ours: float
    ratio: float | None
    target: str
    ok: bool
    more: Mapping[str, float] = field(default_factory=dict[str, float])

    def as_json(self) -> dict[str, Any]:
        """Return the row ready for JSON; what is not a number is null."""
        return {
            "bench": self.bench,
            "unit": self.unit,
            "baseline": _number(self.baseline),
            "ours": _number(self.ours),
            "ratio": _number(self.ratio),
            "target": self.target,
            "ok": self.ok,
            "more": {name: _number(value) for name, value in self.more.items()},
        }


@dataclass(frozen=True, slots=True)
class Report:
    """A benchmark's rows, the first of which stands for the whole; the first that missed its target, if one did.

    Parameters
    ----------
    bench : str
    rows : sequence of Row
        At least one.
    """

    bench: str
    rows: Sequence[Row]

    @property
    def ok(self) -> bool:
        """Whether every target was met."""
        return all(row.ok for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Return bench, baseline, ours, ratio, target, ok and details (the rows), ready for JSON."""
        rows = [row.as_json() for row in self.rows]
        first = next((row for row in rows if not row["ok"]), rows[0])
        keys = ("baseline", "ours", "ratio", "target")
        return {"bench": self.bench, **{key: first[key] for key in keys}, "ok": self.ok, "details": rows}

    def lines(self) -> list[str]:
        """Return a table for people."""
        cells = [("", "baseline", "ours", "unit", "ratio", "target", "")]
        cells += [
            (
                row.bench,
                _short(row.baseline),
                _short(row.ours),
                row.unit,
                _short(row.ratio),
                row.target,
                "ok" if row.ok else "MISSED",
            )
            for row in self.rows
        ]
        widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
        ]
        further = [
            f"{row.bench}: " + ", ".join(f"{name} {value:.4g}" for name, value in row.more.items())
            for row in self.rows
            if row.more
        ]
        return [*table, *further]


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
