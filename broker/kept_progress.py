"""How far one stream of kept messages has come."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from becomingone.scheduling import NANOSECONDS

MOST_TIMEOUT_NS: Final = 60 * NANOSECONDS
"""The longest time without an answer after which messages are sent again."""


@dataclass(slots=True)
class Progress:
    """How far one stream has come: all up to `committed` is done with, all up to `sent` is under way."""

    committed: int
    sent: int
    flying: deque[int] = field(default_factory=deque[int])
    moved_ns: int = 0
    timeout_ns: int = 0
    in_link: int = 0
    """Messages that the link has and no broker has acknowledged: it sends them again by itself."""

    @property
    def due_ns(self) -> int:
        """When messages are sent again if nobody has answered; while the link still tries, after the longest time."""
        return self.moved_ns + (MOST_TIMEOUT_NS if self.in_link else self.timeout_ns)
