"""Telling of refusals at a bounded rate: the first of a kind at once, then how many there were, once a minute.

Who floods a receiver must not be able to flood its log too, nor to push what it says about others out of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from becomingone.errors import FrameError

PERIOD_NS: Final = 60_000_000_000
"""Of one source and reason is told at most once in so many nanoseconds."""

MAX_SOURCES: Final = 64
"""Sources that are told apart at a time; the rest are `OTHERS`."""

OTHERS: Final = "(others)"
"""No node has this name."""

MAX_TEXT: Final = 200
"""Characters of a topic and of a detail that are repeated: they may be a stranger's text."""

FORGERY: Final = frozenset({"forged", "unsealed"})
"""Reasons that no honest member of a cell gives, however bad its network is."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is to be told of one source and reason.

    Parameters
    ----------
    source : str
        The node that the topics name, or `OTHERS`; who published is known to the broker only.
    reason : str
        The word under which the refusals are counted.
    count : int
        Refusals since the last report.
    topic, detail : str
        Of the latest, and what was found in it; what is not printable is escaped.
    """

    source: str
    reason: str
    count: int
    topic: str
    detail: str

    def __str__(self) -> str:
        how_many = "a message" if self.count == 1 else f"{self.count} messages"
        return f"{self.source}: {how_many} refused as {self.reason}, the last on {self.topic}: {self.detail}"


def log_to(logger: logging.Logger) -> Callable[[Report], None]:
    """Make what tells of refusals in a log: a forgery as a warning, the rest as information."""
    return lambda report: logger.log(logging.WARNING if report.reason in FORGERY else logging.INFO, "%s", report)


@dataclass(slots=True)
class _Kind:
    count: int
    told_ns: int
    topic: str
    detail: str


class Audit:
    """Decides when something is told.

    Parameters
    ----------
    tell : callable
        Gets each `Report`.
    """

    def __init__(self, tell: Callable[[Report], None]) -> None:
        self._tell = tell
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._sources: set[str] = set()

    def note(self, source: str, topic: str, error: FrameError, now_ns: int) -> None:
        """Take note of a refusal; the first of its source and reason is told at once.

        Parameters
        ----------
        source, topic, error : str, str, FrameError
            Whose topic it was, the whole topic, and why it was refused.
        now_ns : int
            Now, on a monotonic clock.
        """
        if source not in self._sources and len(self._sources) >= MAX_SOURCES:
            source = OTHERS
        elif source != OTHERS:
            self._sources.add(source)
        kind = self._kinds.get((source, error.reason))
        if kind is None:
            kind = self._kinds[source, error.reason] = _Kind(0, now_ns - PERIOD_NS, "", "")
        kind.count += 1
        kind.topic, kind.detail = topic, error.detail
        self._tell_if_due(source, error.reason, kind, now_ns)

    def flush(self, now_ns: int) -> None:
        """Tell what has been waiting for a minute, and forget what has not come again: to be called now and then."""
        for (source, reason), kind in list(self._kinds.items()):
            if kind.count:
                self._tell_if_due(source, reason, kind, now_ns)
            elif now_ns - kind.told_ns >= PERIOD_NS:
                del self._kinds[source, reason]
        self._sources = {source for source, _ in self._kinds} - {OTHERS}

    def _tell_if_due(self, source: str, reason: str, kind: _Kind, now_ns: int) -> None:
        if now_ns - kind.told_ns >= PERIOD_NS:
            count, kind.count, kind.told_ns = kind.count, 0, now_ns
            self._tell(Report(source, reason, count, _printable(kind.topic), _printable(kind.detail)))


def _printable(text: str) -> str:
    """Keep a stranger's text on its own line."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text[:MAX_TEXT])
