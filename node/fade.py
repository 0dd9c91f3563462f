"""A fade from the values that were shown to those of another source, so that a handover is no jump."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FADE_S: Final = 1.0
"""Seconds that it takes: at 20 turns a second each goes a twentieth of the way."""


class Fade:
    """Mixes values, linearly in time; under way from `begin` until `FADE_S` have passed, or `end`."""

    def __init__(self) -> None:
        self._before: Mapping[str, float] = {}
        self._began_ns = 0

    @property
    def under_way(self) -> bool:
        """Whether there is anything left of what was shown before."""
        return bool(self._before)

    def begin(self, values: Mapping[str, float], now_ns: int) -> None:
        """Leave these values; without any, as after a rest, there is nothing to fade from."""
        self._before = dict(values)
        self._began_ns = now_ns

    def end(self) -> None:
        """Be at the new values."""
        self._before = {}

    def mix(self, values: Mapping[str, float], now_ns: int) -> dict[str, float]:
        """Give what is to be shown on the way to these values."""
        share = (now_ns - self._began_ns) / (FADE_S * 1e9)
        if share >= 1.0:
            self.end()
        before = self._before
        return {
            name: before[name] + (value - before[name]) * share if name in before else value
            for name, value in values.items()
        }
