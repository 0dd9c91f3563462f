"""Times for samples that follow each other without a break, where the clock's own measurements of them jitter."""

from __future__ import annotations

_ADJUST_S = 1.0
_MOST = 0.05


class EvenTime:
    """Gives each stretch of samples the time at which the one before ends, and follows the measured times slowly.

    The spacing is set anew once a second, so that a second later the times are where the measured ones will be if they
    go on as in the second before. It changes by at most 5 %.

    Parameters
    ----------
    spacing_ns : float
        Nominal nanoseconds between samples.
    """

    def __init__(self, spacing_ns: float) -> None:
        self.spacing_ns = spacing_ns
        self._nominal = spacing_ns
        self._samples = max(1, round(_ADJUST_S * 1e9 / spacing_ns))
        self._next_ns: float | None = None
        self._marked_ns = 0.0
        self._since = 0

    def restart(self) -> None:
        """Take the next measured time as it is: the stream was interrupted."""
        self._next_ns = None

    def take(self, count: int, measured_ns: float) -> float:
        """Give the time of the first of the next `count` samples, which are `spacing_ns` apart.

        Parameters
        ----------
        count : int
            At least 1.
        measured_ns : float
            What the clock says of the first one.
        """
        if self._next_ns is None:
            self._next_ns, self._marked_ns, self._since = measured_ns, measured_ns, 0
            self.spacing_ns = self._nominal
        elif self._since >= self._samples:
            pace = (measured_ns - self._marked_ns) / self._since
            wanted = pace + (measured_ns - self._next_ns) / self._samples
            self.spacing_ns = min(max(wanted, (1 - _MOST) * self._nominal), (1 + _MOST) * self._nominal)
            self._marked_ns, self._since = measured_ns, 0
        start = self._next_ns
        self._next_ns += count * self.spacing_ns
        self._since += count
        return start
