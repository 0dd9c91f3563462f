"""The outcomes as a table: for people, and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .outcome import Case, Figure, Outcome

Said = Outcome | str
"""What came of a case; or why it was not run, or broke off."""

_HEADS = ("fault", "times", "figure", "", "bound", "ok")


def as_text(cases: Mapping[Case, Said]) -> list[str]:
    """Give a line for each figure, and one for each case that was not run."""
    rows = [_HEADS]
    for case, said in cases.items():
        if isinstance(said, str):
            rows.append((case.fault, "", said, "", "", ""))
            continue
        fault = f"{case.fault} (simulation)" if said.simulation else case.fault
        for number, figure in enumerate(said.figures):
            bound = f"{figure.relation} {_number(figure.bound)}" if figure.relation else ""
            verdict = ("yes" if figure.ok else "NO") if figure.relation else ""
            first = (fault, str(said.times)) if number == 0 else ("", "")
            value = f"{_number(figure.value)} {figure.unit}".rstrip()
            rows.append((*first, figure.name, value, bound, verdict))
    columns = range(len(_HEADS))
    widths = [max(len(row[column]) for row in rows if column < 2 or row[5] or row[3]) for column in columns]
    return ["  ".join(row[column].ljust(widths[column]) for column in columns).rstrip() for row in rows]


def as_json(cases: Mapping[Case, Said]) -> dict[str, Any]:
    """Give everything, ready for JSON; a number that is none is null."""
    return {"faults": [_case(case, said) for case, said in cases.items()]}


def _case(case: Case, said: Said) -> dict[str, Any]:
    if isinstance(said, str):
        return {"name": case.name, "fault": case.fault, "ok": None, "said": said}
    return {
        "name": case.name,
        "fault": case.fault,
        "simulation": said.simulation,
        "times": said.times,
        "ok": said.ok,
        "figures": [_figure(figure) for figure in said.figures],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    value = figure.value if figure.value - figure.value == 0 else None
    bounded = {"relation": figure.relation, "bound": figure.bound, "ok": figure.ok} if figure.relation else {}
    return {"name": figure.name, "value": value, "unit": figure.unit, **bounded}


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
