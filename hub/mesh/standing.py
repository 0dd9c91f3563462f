"""How far each node is trusted, and why: reasons that lower it, each with its factor, until they are over."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from becomingone.hub.intake.roster import MAX_MEMBERS, Roster
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import ChannelTable

MAX_REASONS: Final = 16
"""Reasons that are kept of one node; there are fewer kinds."""

LEAST_TRUST: Final = 1e-3
"""A node keeps so much weight: one that had none would be seen by nobody who could restore it."""

Tell = Callable[[str, dict[str, Any]], object]
"""Publishes an event of a kind."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a node is trusted less.

    Parameters
    ----------
    factor : float
        Its trust is multiplied by this, 0..1.
    why : str
        In words, for people.
    until_us : int or None
        Mesh time at which it is over by itself; None: when it is cleared.
    """

    factor: float
    why: str
    until_us: int | None


class Standing:
    """Writes the column ``trust`` of the table.

    Parameters
    ----------
    table : ChannelTable
        Whose rows of a node get the product of its reasons' factors, also the rows that are made later.
    roster : Roster
        Knows the nodes' numbers.
    tell : callable
        Publishes the events ``distrusted`` and ``restored``.

    Attributes
    ----------
    refused : int
        Reasons that found no room.
    """

    def __init__(self, table: ChannelTable, roster: Roster, *, tell: Tell) -> None:
        self.refused = 0
        self._table = table
        self._roster = roster
        self._tell = tell
        self._reasons: dict[str, dict[str, Reason]] = {}
        self._rows = 0

    def lower(
        self, node: str, reason: str, factor: float, why: str, *, now_us: int, for_s: float | None = None
    ) -> None:
        """Trust a node less; for a reason that it has already, by another factor, for other words, or longer.

        Parameters
        ----------
        node : str
            Its id.
        reason : str
            A short fixed word: ``stuck``, ``clock``, ``jumps``, ``liar``, ...
        factor : float
            0..1.
        why : str
            In words, for people.
        now_us : int
            Mesh time, µs.
        for_s : float or None
            Seconds after which it is over by itself; None: only ``clear`` ends it.

        Raises
        ------
        ValueError
            When the factor is not within 0..1, or the time not above 0.
        """
        if not 0.0 <= factor <= 1.0:
            msg = f"factor of {reason!r} is {factor!r}; it must be within 0..1"
            raise ValueError(msg)
        if for_s is not None and not (math.isfinite(for_s) and for_s > 0.0):
            msg = f"for_s of {reason!r} is {for_s!r}; it must be finite and above 0, or None"
            raise ValueError(msg)
        reasons = self._reasons.get(node, {})
        before = reasons.get(reason)
        if before is None and (len(reasons) >= MAX_REASONS or (not reasons and len(self._reasons) >= MAX_MEMBERS)):
            self.refused += 1
            return
        until_us = None if for_s is None else now_us + round(for_s * 1e6)
        self._reasons.setdefault(node, {})[reason] = Reason(factor, why, until_us)
        if before is None or before.factor != factor:
            self._write(node)
            trust = self.trust(node)
            content = {"node": node, "reason": reason, "why": why, "factor": factor, "trust": trust, "for_s": for_s}
            self._tell("distrusted", content)

    def clear(self, node: str, reason: str) -> None:
        """End a reason; one that there is not is no matter."""
        reasons = self._reasons.get(node, {})
        if reasons.pop(reason, None) is None:
            return
        if not reasons:
            del self._reasons[node]
        self._write(node)
        self._tell("restored", {"node": node, "reason": reason, "trust": self.trust(node)})

    def take(self, state: MeshState) -> None:
        """End the reasons whose time is over, and give rows that are new their node's trust."""
        if not self._reasons:
            self._rows = len(self._table)
            return
        over = [
            (node, name)
            for node, reasons in self._reasons.items()
            for name, reason in reasons.items()
            if reason.until_us is not None and reason.until_us <= state.time_us
        ]
        for node, name in over:
            self.clear(node, name)
        if len(self._table) > self._rows:
            for row in range(self._rows, len(self._table)):
                node = self._table.keys[row].node
                if node in self._reasons:
                    self._table.floats("trust")[row] = self.trust(node)
            self._rows = len(self._table)

    def of(self, node: str) -> dict[str, str]:
        """Give why a node is trusted less: by reason, in words; empty where it is not."""
        return {name: reason.why for name, reason in self._reasons.get(node, {}).items()}

    def trust(self, node: str) -> float:
        """Give a node's trust, 0.001..1."""
        factors = [reason.factor for reason in self._reasons.get(node, {}).values()]
        return max(LEAST_TRUST, math.prod(factors))

    def figures(self) -> dict[str, Any]:
        """Give every node that is trusted less, for the snapshot."""
        return {
            node: {
                "trust": round(self.trust(node), 4),
                "reasons": {
                    name: {"factor": reason.factor, "why": reason.why, "until_us": reason.until_us}
                    for name, reason in sorted(reasons.items())
                },
            }
            for node, reasons in sorted(self._reasons.items())
        }

    def _write(self, node: str) -> None:
        member = self._roster.get(node)
        if member is not None:
            self._table["trust"][self._table["node"] == member.number] = self.trust(node)
