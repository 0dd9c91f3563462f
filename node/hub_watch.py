"""What the hub says of itself, ``hub/state``: whether it is there.

It is plain text that whoever may write there can forge, so nothing is trusted to it but this: that a hub is gone makes
motors rest and lights follow the node's own rhythm, and a fresh command ends both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError
from becomingone.scheduling import NANOSECONDS, Clock
from becomingone.wire.announce import State, parse_state
from becomingone.wire.audit import Audit
from becomingone.wire.topics import Topics

GONE: Final = frozenset({State.LOST, State.DISCONNECTED})
"""States in which no hub is at work."""


FRESH_NS: Final = 30 * NANOSECONDS
"""Kept frames wait for so long for mesh time of a hub that is there, so that they go with the right one."""


class HubWatch:
    """Watches the hub's state.

    Parameters
    ----------
    link, topics : Link, Topics
        Where it is told.
    clock : Clock
        Times the refusals.
    audit : Audit
        Tells of them.
    on_gone : callable
        Called with a line that says why, whenever the hub is said to be gone.
    on_ready : callable
        Called whenever it has become ready.

    Attributes
    ----------
    state : State or None
        The last that was said; None before anything was.
    ready_ns : int
        When it became ready, on the monotonic clock; 0 before it ever was.
    refused : Counter of str
        Messages that are no state, by reason.
    """

    def __init__(
        self,
        *,
        link: Link,
        topics: Topics,
        clock: Clock,
        audit: Audit,
        on_gone: Callable[[str], None],
        on_ready: Callable[[], None],
    ) -> None:
        self.state: State | None = None
        self.ready_ns = 0
        self.refused: Counter[str] = Counter()
        self._link = link
        self._topics = topics
        self._clock = clock
        self._audit = audit
        self._on_gone = on_gone
        self._on_ready = on_ready

    def start(self) -> None:
        """Listen."""
        self._link.subscribe(self._topics.hub_state, self._take, qos=1)

    @property
    def fresh(self) -> bool:
        """Whether the hub has just become ready, and will soon have told the time if it can."""
        return self.state is State.READY and self._clock.monotonic_ns() - self.ready_ns < FRESH_NS

    def _take(self, message: Message) -> None:
        try:
            state = parse_state(message.payload)
        except FrameError as error:
            self.refused[error.reason] += 1
            self._audit.note("hub", message.topic, error, self._clock.monotonic_ns())
            return
        before, self.state = self.state, state
        if state in GONE:
            self._on_gone(f"the hub is {state}")
        elif state is State.READY and before is not State.READY:
            self.ready_ns = self._clock.monotonic_ns()
            self._on_ready()
