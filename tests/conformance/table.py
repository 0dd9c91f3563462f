"""The results as a table: for people, for programs, and for the manual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .behaviour import Behaviour, Outcome, Verdict
from .differences import DIFFERENCES, LACKS, asks, expected, known
from .fabric import CAPABILITIES

Results = Mapping[str, Mapping[str, Outcome]]
"""By broker and behaviour; a behaviour that was not asked for is missing."""

HEADINGS = {
    "embedded": "embedded",
    "simulated": "simulated, 3.1.1",
    "simulated 5": "simulated, 5",
    "mosquitto": "Mosquitto, 3.1.1",
    "mosquitto 5": "Mosquitto, 5",
    "mosquitto TLS": "Mosquitto, 5, TLS",
    "mosquitto WebSocket": "Mosquitto, 5, WebSocket",
}
"""What the manual calls the brokers that we know."""

_SHORT = {Verdict.YES: "yes", Verdict.NO: "no", Verdict.NOT_APPLICABLE: "–"}


def of_ours(brokers: Sequence[str], behaviours: Sequence[Behaviour]) -> Results:
    """Give what is known of brokers of ours, without asking them."""
    asked = {broker: [behaviour for behaviour in behaviours if asks(broker, behaviour)] for broker in brokers}
    return {broker: {one.says: expected(broker, one) for one in asked[broker]} for broker in brokers}


def is_new(broker: str, behaviour: Behaviour, outcome: Outcome) -> bool:
    """Tell whether an outcome is not what is known of a broker of ours."""
    return broker in DIFFERENCES and outcome != expected(broker, behaviour)


def missing(broker: str, behaviours: Sequence[Behaviour], results: Results) -> list[str]:
    """Give what something of ours depends on and a broker does not do."""
    outcomes = results[broker]
    return [
        behaviour.says
        for behaviour in behaviours
        if not behaviour.minor and behaviour.says in outcomes and outcomes[behaviour.says].verdict is Verdict.NO
    ]


def as_json(behaviours: Sequence[Behaviour], results: Results) -> dict[str, Any]:
    """Give everything, ready for JSON."""
    return {
        "brokers": {
            broker: {
                "missing": missing(broker, behaviours, results),
                "behaviours": [
                    {
                        "behaviour": behaviour.says,
                        "clause": behaviour.clause,
                        "verdict": outcome.verdict.value,
                        "reason": outcome.reason,
                        "needed": not behaviour.minor,
                        "new": is_new(broker, behaviour, outcome),
                    }
                    for behaviour in behaviours
                    if (outcome := outcomes.get(behaviour.says)) is not None
                ],
            }
            for broker, outcomes in results.items()
        }
    }


def as_text(behaviours: Sequence[Behaviour], results: Results) -> list[str]:
    """Give a table for people, and a note for everything that is not a plain yes."""
    notes: dict[str, int] = {}
    lines = [["", *results]]
    for behaviour in behaviours:
        cells = []
        for broker, outcomes in results.items():
            outcome = outcomes.get(behaviour.says)
            cell = "" if outcome is None else _SHORT[outcome.verdict]
            if outcome is not None and (outcome.reason or is_new(broker, behaviour, outcome)):
                cell += f" {notes.setdefault(_note(broker, behaviour, outcome), len(notes) + 1)}"
            cells.append(cell)
        if any(cells):
            lines.append([behaviour.says, *cells])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return [*table, "", *(f"{number:2} {note}" for note, number in notes.items())]


def as_markdown(behaviours: Sequence[Behaviour]) -> list[str]:
    """Give the manual's tables: what the brokers do that we know, and how they differ."""
    results = of_ours(list(HEADINGS), behaviours)
    lines = [_row("behaviour", "clause", *HEADINGS.values()), _row(*["---"] * (2 + len(HEADINGS)))]
    for behaviour in behaviours:
        outcomes = [results[broker].get(behaviour.says) for broker in HEADINGS]
        cells = ["" if outcome is None else _SHORT[outcome.verdict] for outcome in outcomes]
        lines.append(_row(behaviour.says + "*" * behaviour.minor, behaviour.clause, *cells))
    lines += ["", "What they do instead:", ""]
    lines += [_row("broker", "behaviour", "instead", "why we live with it"), _row(*["---"] * 4)]
    for broker, differences in DIFFERENCES.items():
        lines += [_row(HEADINGS[broker], one.behaviour, one.instead, one.because) for one in differences]
    lines += ["", "What some have not got, so that it cannot be asked there:", ""]
    lines += [_row("broker", "missing", "why"), _row(*["---"] * 3)]
    for broker, lacks in LACKS.items():
        lines += [_row(HEADINGS[broker], CAPABILITIES[lack], why) for lack, why in lacks.items()]
    return lines


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _note(broker: str, behaviour: Behaviour, outcome: Outcome) -> str:
    difference = known(broker, behaviour)
    note = f"{broker}: {outcome.reason or 'it does'}"
    if is_new(broker, behaviour, outcome):
        was = expected(broker, behaviour)
        return f"{note} -- NEW: what is known is {was.verdict.value}{was.reason and ', ' + was.reason}"
    return f"{note}; {difference.because}" if difference else note
