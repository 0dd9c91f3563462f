"""Limiting how often something happens, by a token bucket."""

from __future__ import annotations


class Bucket:
    """A token bucket (RFC 2697, without its excess burst).

    Parameters
    ----------
    per_s : float
        Tokens that come back a second, above 0.
    burst : float
        Tokens that it holds, and begins with; at least 1.
    """

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._held = burst
        self._at_ns: int | None = None

    def take(self, now_ns: int, cost: float = 1.0) -> bool:
        """Take tokens, at an instant of the monotonic clock; False, and nothing is taken, where there are too few."""
        if self._at_ns is not None:
            self._held = min(self._burst, self._held + self._per_s * (now_ns - self._at_ns) / 1e9)
        self._at_ns = now_ns
        if self._held < cost:
            return False
        self._held -= cost
        return True
