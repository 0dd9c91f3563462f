"""What authentic messages are accepted once only: newest lives, order within a stream, and the receiver's own start.

A MAC says who made a message and for where; that it has not been obeyed before is for the receiver to know. Three
rules do it, each a class here:

`Lives`
    Per sender the highest boot id that an authentic message has shown. What an earlier life sent is refused. It
    outlives the receiver on a disk.
`Order`
    Per stream the highest sequence number of the boot that was accepted last. What is not newer is refused.
`Start`
    The receiver forgets every `Order` when it starts anew. So that nothing is accepted a second time then, it refuses
    what was sampled before its own start plus what a sender may be ahead.

Why `Start` suffices: a frame that an earlier life of the receiver accepted at the instant a, by the receiver's own
clock, had a last sample at most ``max_ahead_s`` after a (later ones are refused as ``future``). That life ended before
this one began at s, so a < s, and the sample lies before s + ``max_ahead_s``: it is refused. This takes a clock that is
not set back between the two lives. Historical frames are exempt from `Order` and `Start`: they are old by nature, and
who stores them drops what it has by boot id and sequence number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from becomingone.errors import FrameError


class Lives:
    """The newest life of every sender.

    Parameters
    ----------
    known : mapping of str to int
        The highest boot id by sender, as an earlier life of the receiver knew it.
    """

    def __init__(self, known: Mapping[str, int] | None = None) -> None:
        self._newest = dict(known or {})

    def newest(self, sender: str) -> int | None:
        """Give the highest boot id that the sender has proved; None where it has proved nothing yet."""
        return self._newest.get(sender)

    def saw(self, sender: str, boot: int) -> bool:
        """Take note of an authentic message of a life; True where it is a new one.

        Raises
        ------
        FrameError
            ``wrong_epoch``: the sender has proved a later life.
        """
        newest = self._newest.get(sender, -1)
        if boot < newest:
            raise FrameError("wrong_epoch", f"of life {boot} of {sender}, which is in its life {newest} now")
        self._newest[sender] = boot
        return boot > newest

    def known(self) -> dict[str, int]:
        """Give all of it, to be kept."""
        return dict(self._newest)


@dataclass(slots=True)
class Order:
    """The last accepted message of a stream.

    Parameters
    ----------
    boot, seq : int
        Boot id and sequence number; −1 before the first.
    """

    boot: int = -1
    seq: int = -1

    def check(self, boot: int, seq: int) -> None:
        """Refuse what is not newer; another boot begins anew, whether it may is for `Lives` to say.

        Raises
        ------
        FrameError
            ``replayed``.
        """
        if boot == self.boot and seq <= self.seq:
            raise FrameError("replayed", f"number {seq} is not newer than the last, {self.seq}")

    def take(self, boot: int, seq: int) -> int:
        """Take note of an accepted message and give how many are missing between it and the last of the same boot."""
        missing = seq - self.seq - 1 if boot == self.boot else 0
        self.boot, self.seq = boot, seq
        return missing


class Start(NamedTuple):
    """When the receiver began to know what it has accepted.

    Parameters
    ----------
    time_us : int
        Its start, mesh time in µs since the Unix epoch.
    max_ahead_s : float
        How far ahead of its clock the receiver accepts samples, s.
    """

    time_us: int
    max_ahead_s: float

    def check(self, last_time_us: float) -> None:
        """Refuse what an earlier life of the receiver may have accepted already.

        Raises
        ------
        FrameError
            ``before_start``.
        """
        if last_time_us <= self.time_us + self.max_ahead_s * 1e6:
            raise FrameError("before_start", "sampled before this receiver could tell whether it comes a second time")
