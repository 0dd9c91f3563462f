"""The log of attempts: each with address and reason, and never so many lines that they are an attack of their own."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from becomingone.provisioning.join.rate import network_of

EVERY_S: Final = 60.0
"""Seconds after which the same from the same address is told again, with how often it was meanwhile."""

KEPT: Final = 256
"""So much is told apart; beyond it, what was told longest ago is told as if it were new."""

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Told:
    at: float
    since: int = 0


class Attempts:
    """Logs what machines have tried.

    Parameters
    ----------
    monotonic : callable
        Seconds on a clock that only moves forwards.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._told: OrderedDict[tuple[str, str], _Told] = OrderedDict()

    def note(self, address: str, node: str, what: str, level: int = logging.WARNING) -> None:
        """Log an attempt, unless the same was logged a moment ago.

        Parameters
        ----------
        address : str
            From where.
        node : str
            For whom; ``?`` where that is not known.
        what : str
            What became of it and why, without any of what came.
        level : int
            Of the line.
        """
        now = self._monotonic()
        name = (network_of(address), what)
        told = self._told.get(name)
        if told is not None and now - told.at < EVERY_S:
            told.since += 1
            return
        more = f" ({told.since} more since the last line)" if told is not None and told.since else ""
        _LOG.log(level, "%s %s %s%s", address, node, what, more)
        self._told[name] = _Told(now)
        self._told.move_to_end(name)
        while len(self._told) > KEPT:
            self._told.popitem(last=False)
