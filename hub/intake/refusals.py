"""What is refused, told: one line in the log a source and reason, and an event where a source is being forged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from becomingone.errors import FrameError, TopicError
from becomingone.wire.audit import FORGERY, OTHERS, Audit, Report, log_to
from becomingone.wire.topics import Topics

_LOG = log_to(logging.getLogger(__name__))


class RefusalLog:
    """Tells of refusals at the rate of `Audit`; who refuses has counted them.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    distrust : callable
        Gets the content of an event whenever messages in a node's name that no honest member sends are reported.
    """

    def __init__(self, topics: Topics, distrust: Callable[[dict[str, Any]], object]) -> None:
        self._topics = topics
        self._distrust = distrust
        self._audit = Audit(self._tell)

    def note(self, topic: str, error: FrameError, now_ns: int) -> None:
        """Take note of a refusal at an instant of the monotonic clock."""
        self._audit.note(self._source(topic), topic, error, now_ns)

    def flush(self, now_ns: int) -> None:
        """Tell what has been waiting; to be called every second or so."""
        self._audit.flush(now_ns)

    def _source(self, topic: str) -> str:
        """Give the node that a topic speaks for; `OTHERS` where it speaks for none."""
        try:
            return self._topics.parse_node(topic).node
        except TopicError:
            pass
        try:
            return self._topics.parse_cell(topic).names[0]
        except (TopicError, IndexError):
            return OTHERS

    def _tell(self, report: Report) -> None:
        _LOG(report)
        if report.reason in FORGERY:
            node = None if report.source == OTHERS else report.source
            content = {"node": node, "reason": report.reason, "messages": report.count, "last_topic": report.topic}
            self._distrust(content)
