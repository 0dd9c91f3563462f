"""What a link counts and logs of what goes wrong: everything counted, each reason told once while it lasts."""

from __future__ import annotations

import logging

from becomingone.broker.link import Metrics

_LOG = logging.getLogger("becomingone.broker")


class Complaints:
    """Counts failures in a link's metrics and logs each reason once, for a broker may be away for days.

    Parameters
    ----------
    metrics : Metrics
        Whose `failures` are counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._told: set[str] = set()
        self._failing = False

    def failed(self, reason: str, line: str) -> None:
        """Take note that there is no connection, or no more."""
        if self._told_first(reason, f"{line}; trying again"):
            self._failing = True

    def refused(self, reason: str, line: str) -> None:
        """Take note of a message that cannot be sent, or was refused."""
        self._told_first(reason, line)

    def connected(self) -> None:
        """Tell that there is a connection again, where it was told that there was none."""
        if self._failing:
            self._failing = False
            _LOG.warning("broker: connected")

    def held(self) -> None:
        """Take note that the connection has held for a while: what goes wrong from now on is news."""
        self._told.clear()

    def _told_first(self, reason: str, line: str) -> bool:
        self._metrics.failures[reason] += 1
        if reason in self._told:
            return False
        self._told.add(reason)
        _LOG.warning("broker: %s", line)
        return True
