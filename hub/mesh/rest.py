"""Which ticks may be left out: nothing is due at them, because all bands that are heard are slow."""

from __future__ import annotations

from typing import Final

from becomingone.hub.dispatch.dispatch import Dispatch
from becomingone.hub.mesh.evaluator import MeshEvaluator

LONGEST_S: Final = 1.0
"""Seconds after a tick at which the next one is made in any case."""


class Rest:
    """Decides before each tick.

    Parameters
    ----------
    evaluator : MeshEvaluator
        Knows which bands are due.
    dispatch : Dispatch
        Knows whether anything moves.
    keep_alive_s : float
        After so many seconds a command is sent again; half of that is the longest rest.
    always : bool
        Make every tick: somebody else counts them, a parent cell for instance.
    """

    def __init__(self, evaluator: MeshEvaluator, dispatch: Dispatch, *, keep_alive_s: float, always: bool) -> None:
        self._evaluator = evaluator
        self._dispatch = dispatch
        self._always = always
        self._longest_us = round(1e6 * min(LONGEST_S, 0.5 * keep_alive_s))
        self.rested = 0

    def may(self, now_us: int, latest_us: int) -> bool:
        """Tell whether the tick at `now_us` may be left out, the latest having been at `latest_us`; mesh time, µs."""
        rests = (
            not self._always
            and 0 <= now_us - latest_us < self._longest_us
            and self._evaluator.rests(now_us)
            and not self._dispatch.busy
        )
        self.rested += rests
        return rests
