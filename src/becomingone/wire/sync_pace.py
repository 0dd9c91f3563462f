"""How often a band's field is sent to all nodes, and for how long a node may follow the last one."""

from __future__ import annotations

from typing import Final

PER_PERIOD: Final = 8.0
"""Sync frames in a period of the band, at least; as far as the hub's ticks go."""

LONGEST_S: Final = 2.0
"""Seconds between the sync frames of a slow band, at most: so a node soon has one, and soon misses them."""

_SHORTEST_AGE_S: Final = 0.5
_INTERVALS: Final = 3.0


def interval_s(frequency_hz: float, tick_hz: float) -> float:
    """Give the time between a band's sync frames, s: an eighth of a period, at least a tick and at most 2 s."""
    return max(1.0 / tick_hz, min(1.0 / (PER_PERIOD * frequency_hz), LONGEST_S))


def max_age_s(frequency_hz: float) -> float:
    """Give the age at which a field is too old to be followed, s: three of its intervals, and at least 0.5 s."""
    return max(_SHORTEST_AGE_S, _INTERVALS * min(1.0 / (PER_PERIOD * frequency_hz), LONGEST_S))
