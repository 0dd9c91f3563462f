"""Named groups of channels, by patterns: which rows of the table belong to one, and that two have none in common."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from becomingone.hub.mesh.table import ChannelTable

Pattern = Annotated[str, Field(pattern=r"^[a-z0-9*][a-z0-9_*-]{0,62}(/[a-z0-9*][a-z0-9_*-]{0,62})?$")]
"""A node, ``anna``, or channels of nodes, ``anna/leg``; ``*`` stands for any letters, or none, of one name."""


def _split(pattern: str) -> tuple[str, str]:
    node, _, channel = pattern.partition("/")
    return node, channel or "*"


def overlap(one: str, other: str) -> bool:
    """Tell whether there may be a channel that two patterns match."""
    return all(_meet(a, b) for a, b in zip(_split(one), _split(other), strict=True))


@lru_cache(maxsize=4096)
def _meet(a: str, b: str) -> bool:
    """Tell whether there is a name that both match: where a star meets something it takes it, or nothing more."""
    if not a or not b:
        return not a.strip("*") and not b.strip("*")
    if a[0] == "*":
        return _meet(a[1:], b) or _meet(a, b[1:])
    if b[0] == "*":
        return _meet(a, b[1:]) or _meet(a[1:], b)
    return a[0] == b[0] and _meet(a[1:], b[1:])


class Group:
    """The rows of one group in one band; rows that are added to the table are found when they are asked for.

    Parameters
    ----------
    patterns : sequence of str
        Who belongs to it; a node that nobody has heard of may yet come.
    band : int
        Number of the band in the cell's plan.
    """

    def __init__(self, patterns: Sequence[str], band: int) -> None:
        self._patterns = [_split(pattern) for pattern in patterns]
        self._band = band
        self._looked = 0
        self._rows = np.zeros(0, np.intp)

    def rows(self, table: ChannelTable) -> NDArray[np.intp]:
        """Give its rows, rising."""
        if self._looked < len(table):
            fresh = range(self._looked, len(table))
            of_band, keys = table["band"], table.keys
            more = [row for row in fresh if of_band[row] == self._band and self._has(keys[row].node, keys[row].channel)]
            self._rows = np.concatenate([self._rows, np.array(more, np.intp)])
            self._looked = len(table)
        return self._rows

    def _has(self, node: str, channel: str) -> bool:
        return any(fnmatchcase(node, one) and fnmatchcase(channel, other) for one, other in self._patterns)
