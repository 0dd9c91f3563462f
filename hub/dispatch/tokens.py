"""Which requests have been taken: one that the network delivers twice is the same request."""

from __future__ import annotations

from typing import Final

from becomingone.errors import FrameError
from becomingone.scheduling import NANOSECONDS

REMEMBERED_NS: Final = 60 * NANOSECONDS
"""A token is remembered for so many nanoseconds."""

MAX_TOKENS: Final = 2048
"""So many are remembered at a time; more requests than in `REMEMBERED_NS` come at the hub's own limit are refused."""


class Tokens:
    """The tokens of the last minute, by node."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, node: str, token: str, now_ns: int) -> None:
        """Take note of a token, at an instant of the monotonic clock.

        Raises
        ------
        FrameError
            ``replayed``, or ``too_often`` where no more can be remembered.
        """
        while self._taken and now_ns - next(iter(self._taken.values())) >= REMEMBERED_NS:
            del self._taken[next(iter(self._taken))]
        if (node, token) in self._taken:
            raise FrameError("replayed", f"a request with the token {token} has been taken already: choose another")
        if len(self._taken) >= MAX_TOKENS:
            raise FrameError("too_often", f"more than {MAX_TOKENS} requests a minute")
        self._taken[node, token] = now_ns
