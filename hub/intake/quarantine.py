"""A node that sends what is wrong, again and again, is left out for a while: it costs the others no time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from becomingone.config.sections import Positive, Section
from becomingone.hub.mesh.standing import Standing
from becomingone.scheduling import NANOSECONDS
from becomingone.wire.rate import Bucket

REASON: Final = "quarantine"

BLAMELESS: Final = frozenset(
    {
        "boot", "wrong_epoch", "before_start", "no_about", "too_many_nodes",  # somebody has restarted
        "unsealed", "forged", "replayed", "retained", "topic",  # nobody knows whose they are
        "historical", "late", "future", "unknown_channel", "unknown_band", "band_mismatch",  # shown as what they are
        "quarantined",
    }
)  # fmt: skip
"""Refusals that do not speak against the node in whose name the message came."""


class QuarantineSection(Section):
    """When a node that misbehaves is left out."""

    per_s: Annotated[Positive, Field(le=1000, description="wrong messages a second of one node that are borne")] = 2.0
    burst: Annotated[int, Field(ge=1, le=10_000, description="wrong messages at once that are borne")] = 50
    first_s: Annotated[
        Positive, Field(le=3600, description="seconds of the first quarantine; each next one is twice as long")
    ] = 30.0
    longest_s: Annotated[Positive, Field(le=86_400, description="seconds of the longest quarantine")] = 3600.0


@dataclass(slots=True)
class _Record:
    bucket: Bucket
    until_ns: int = 0
    next_s: float = 0.0
    times: int = 0


class Quarantine:
    """Counts what is wrong, by node; at most as many nodes as there are members.

    Parameters
    ----------
    section : QuarantineSection
        The limits.
    standing : Standing
        Takes the node's weight away, and tells.

    Attributes
    ----------
    began : callable
        Called with the node's id when its quarantine begins.
    """

    def __init__(self, section: QuarantineSection, standing: Standing) -> None:
        self._section = section
        self._standing = standing
        self.began: Callable[[str], None] = lambda _node: None
        self._records: dict[str, _Record] = {}

    def note(self, node: str, reason: str, *, now_ns: int, now_us: int) -> None:
        """Take note that a member's message was refused."""
        if reason in BLAMELESS:
            return
        record = self._records.get(node)
        if record is None:
            record = _Record(Bucket(self._section.per_s, self._section.burst))
            self._records[node] = record
        if record.bucket.take(now_ns) or record.until_ns > now_ns:
            return
        section = self._section
        quiet_s = (now_ns - record.until_ns) / NANOSECONDS
        fresh = record.times == 0 or quiet_s > 10.0 * record.next_s
        seconds = section.first_s if fresh else record.next_s
        record.times += 1
        record.next_s = min(2.0 * seconds, section.longest_s)
        record.until_ns = now_ns + int(seconds * NANOSECONDS)
        why = f"more than {section.per_s:g} wrong messages a second, last: {reason}; left out for {seconds:g} s"
        self._standing.lower(node, REASON, 0.0, why, now_us=now_us, for_s=seconds)
        self.began(node)

    def holds(self, node: str, now_ns: int) -> bool:
        """Tell whether a node is left out now."""
        record = self._records.get(node)
        return record is not None and record.until_ns > now_ns

    def figures(self, now_ns: int) -> dict[str, int]:
        """Give how often each node that ever was has been left out, and how many are now."""
        times = {node: record.times for node, record in self._records.items() if record.times}
        return {"now": sum(self.holds(node, now_ns) for node in times), "ever": len(times)}
