"""Realign requests on their way: a bounded number a second, of each oscillator the newest, none too late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from becomingone.kairos.bands import Band
from becomingone.kairos.transducers.synchronise import Synchronisation
from becomingone.kairos.transducers.transducer import Reading
from becomingone.wire.rate import Bucket

Realign = Callable[[str, str, float, float, int, float], bool]
"""Sends (node, band, phase, omega, time_us, valid_s); False where the node cannot be spoken to."""


Aim = Callable[[str], Reading | None]
"""Gives what a band's Master says now."""


class Sent(NamedTuple):
    """A request that was sent.

    Parameters
    ----------
    node, band : str
        Whose oscillator, of which band.
    phase, omega : float
        The target, −π..π rad, and its rate, rad/s.
    found : Synchronisation
        Why.
    """

    node: str
    band: str
    phase: float
    omega: float
    found: Synchronisation


class Requests:
    """The queue.

    Parameters
    ----------
    realign : callable
        Sends a request.
    per_s : float
        Requests a second, at most; as many may go at once.
    bands : iterable of Band
        The cell's plan.

    Attributes
    ----------
    counts : Counter of str
        ``sent``; ``absent``: the node could not be spoken to; ``expired``: there were too many, and it came to nothing;
        ``unsuitable``: the Master has no phase any more, or does not turn as its band does, which no node would follow.
    """

    def __init__(self, realign: Realign, per_s: float, bands: Iterable[Band]) -> None:
        self.counts: Counter[str] = Counter()
        self._realign = realign
        self._most_omega = {band.name: 2.0 * band.omega for band in bands}
        self._pace = Bucket(per_s, max(1.0, per_s))
        # By oscillator, whose number has an end: when it was asked for, mesh time in µs, and why.
        self._waiting: dict[tuple[str, str], tuple[int, Synchronisation]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, node: str, band: str, found: Synchronisation, time_us: int) -> None:
        """Take a request, in the place of one for the same oscillator that still waits."""
        if found.realignment is not None:
            self._waiting[node, band] = time_us, found

    def withdraw(self, node: str, band: str) -> None:
        """Forget a request: the two agree again."""
        self._waiting.pop((node, band), None)

    def send(self, now_us: int, aim: Aim) -> list[Sent]:
        """Send what may be sent now, the oldest first, towards where the Masters are now.

        Parameters
        ----------
        now_us : int
            Mesh time, µs.
        aim : callable
            Gives a band's Master.
        """
        sent: list[Sent] = []
        while self._waiting:
            key, (asked_us, found) = next(iter(self._waiting.items()))
            node, band = key
            asked = found.realignment
            left_s = 0.0 if asked is None else asked.expires_s - (now_us - asked_us) / 1e6
            if left_s <= 0.0:
                del self._waiting[key]
                self.counts["expired"] += 1
                continue
            if not self._pace.take(now_us * 1_000):
                break
            del self._waiting[key]
            target = aim(band)
            if target is None or target.phase is None or not 0.0 <= target.omega <= self._most_omega[band]:
                self.counts["unsuitable"] += 1
            elif self._realign(node, band, target.phase, target.omega, now_us, left_s):
                self.counts["sent"] += 1
                sent.append(Sent(node, band, target.phase, target.omega, found))
            else:
                self.counts["absent"] += 1
        return sent
