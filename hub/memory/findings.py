"""What verifying a memory has found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from becomingone.hub.memory.scan import Damage

MOST_TOLD: Final = 1_000
"""Damages that are told one by one; the rest is counted."""


@dataclass(slots=True)
class Findings:
    """What verifying has found.

    Parameters
    ----------
    path : str
        The database.
    records : dict of str to int
        Records that are there and right, by kind.
    gone : dict of str to int
        Records that were given up, by kind, as the newest checkpoint confirms.
    unsealed : int
        Records since the newest checkpoint: nothing says how many there were.
    checkpoints, signed : int
        Checkpoints, and those whose signature is right.
    keys : list of str
        The public keys by which they are signed, hex.
    head : str
        Number and hash of the newest checkpoint, ``12:ab34…``: keep it, and `expect` it the next time.
    head_us : int
        When that was.
    damage : list of Damage
        What is wrong; at most `MOST_TOLD`.
    damaged : int
        How much is wrong in all.
    seconds : float
        How long it took.
    """

    path: str
    records: dict[str, int] = field(default_factory=dict[str, int])
    gone: dict[str, int] = field(default_factory=dict[str, int])
    unsealed: int = 0
    checkpoints: int = 0
    signed: int = 0
    keys: list[str] = field(default_factory=list[str])
    head: str = ""
    head_us: int = 0
    damage: list[Damage] = field(default_factory=list[Damage])
    damaged: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written."""
        return not self.damaged

    def add(self, damage: Damage) -> None:
        """Take note; neighbours of the same fault become one."""
        self.damaged += 1
        last = self.damage[-1] if self.damage else None
        if last is not None and damage.first and last[0::3] == damage[0::3] and damage.first == last.last + 1:
            self.damage[-1] = last._replace(last=damage.last)
        elif len(self.damage) < MOST_TOLD:
            self.damage.append(damage)

    def as_json(self) -> dict[str, Any]:
        """Give it for a program."""
        return {
            "path": self.path,
            "ok": self.ok,
            "records": self.records,
            "gone": self.gone,
            "unsealed": self.unsealed,
            "checkpoints": self.checkpoints,
            "signed": self.signed,
            "keys": self.keys,
            "head": self.head,
            "head_us": self.head_us,
            "damage": [damage._asdict() for damage in self.damage],
            "damaged": self.damaged,
            "seconds": round(self.seconds, 3),
        }
