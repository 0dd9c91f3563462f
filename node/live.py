"""Live frames on their way to the link: a short queue in which the newest are worth most."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from becomingone.broker.link import Link
from becomingone.broker.presence import Presence
from becomingone.scheduling import NANOSECONDS, Scheduler, Timer

WAITING: Final = 256
"""Frames that may wait; then the oldest makes room."""

_AGAIN_NS: Final = NANOSECONDS // 50


class LiveFrames:
    """Sends frames at QoS 0.

    While the link is down they are dropped: late ones are worthless. While it is up and takes no more (a slow network),
    they wait, and the oldest makes room.

    Parameters
    ----------
    link : Link
        The link.
    presence : Presence
        Tells when this node's description has been routed: a hub could make nothing of frames before.
    scheduler : Scheduler
        Gives the turns.

    Attributes
    ----------
    sent : int
        Frames handed to the link.
    dropped : Counter of str
        Frames that were not, by reason: ``link down``, ``overflow`` (they had to make room), ``refused`` (the link
        takes others, and not this one).
    """

    def __init__(self, link: Link, presence: Presence, scheduler: Scheduler) -> None:
        self.sent = 0
        self.dropped: Counter[str] = Counter()
        self._link = link
        self._presence = presence
        self._scheduler = scheduler
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._timer: Timer | None = None
        self._was_up = False
        link.on_down(self._lost)
        presence.on_confirmed(self._confirmed)

    def __len__(self) -> int:
        """Count the frames that wait."""
        return len(self._waiting)

    def offer(self, topic: str, payload: bytes) -> None:
        """Send a frame as soon as the link takes it, after those that wait."""
        if not self._presence.confirmed:
            self.dropped["link down"] += self._was_up  # before the first connection there was nobody to miss it
        elif not self._waiting and self._send(topic, payload):
            pass
        else:
            if len(self._waiting) >= WAITING:
                self._waiting.popleft()
                self.dropped["overflow"] += 1
            self._waiting.append((topic, payload))
            self._arrange()

    def close(self) -> None:
        """Send what the link still takes, and nothing any more."""
        self._drain()
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _send(self, topic: str, payload: bytes) -> bool:
        taken = self._link.publish(topic, payload)
        self.sent += taken
        return taken

    def _confirmed(self) -> None:
        self._was_up = True

    def _lost(self, _reason: str) -> None:
        self.dropped["link down"] += len(self._waiting)
        self._waiting.clear()

    def _arrange(self) -> None:
        if self._timer is None:
            self._timer = self._scheduler.call_at(self._scheduler.monotonic_ns() + _AGAIN_NS, self._drain)

    def _drain(self) -> None:
        """Send what waits. What is not taken while a later one is will never be: it is too large for this broker."""
        self._timer = None
        stuck: deque[tuple[str, bytes]] = deque()
        while self._waiting:
            frame = self._waiting.popleft()
            if not self._send(*frame):
                stuck.append(frame)
            elif stuck:
                self.dropped["refused"] += len(stuck)
                stuck.clear()
        self._waiting = stuck
        if stuck:
            self._arrange()
