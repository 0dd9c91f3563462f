"""What the hub says that this node's configuration should be: shown beside what it is, and never obeyed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError
from becomingone.node.trust import Trust
from becomingone.scheduling import MeshClock
from becomingone.wire.announce import parse_announcement
from becomingone.wire.remote import Desired
from becomingone.wire.topics import Topics


class DesiredConfig:
    """Hears ``node/<node>/desired``.

    Parameters
    ----------
    node : str
        This node's id.
    link : Link
        The link to the broker.
    topics : Topics
        The cell's topics.
    trust : Trust
        Tells whether it is the hub's.
    clock : MeshClock
        The node's clock, for the log of refusals.
    changed : callable
        Called when `sha256` is another.

    Attributes
    ----------
    sha256 : str
        Digest of the effective configuration that this node should have; empty where nobody has said.
    refused : Counter of str
        What was refused, by reason.
    """

    def __init__(
        self,
        node: str,
        *,
        link: Link,
        topics: Topics,
        trust: Trust,
        clock: MeshClock,
        changed: Callable[[], None],
    ) -> None:
        self.sha256 = ""
        self.refused: Counter[str] = Counter()
        self._topic = topics.desired(node)
        self._link = link
        self._trust = trust
        self._clock = clock
        self._changed = changed
        self._newest = (-1, -1)

    def start(self) -> None:
        """Subscribe."""
        self._link.subscribe(self._topic, self._take, qos=1)

    def _take(self, message: Message) -> None:
        try:
            desired = self._open(message)
        except FrameError as error:
            if message.retained and error.reason == "wrong_epoch":
                return  # the broker's copy from an earlier life of this node; the hub says it anew to this one
            self.refused[error.reason] += 1
            self._trust.audit.note("desired", message.topic, error, self._clock.monotonic_ns())
        else:
            if desired.config_sha256 != self.sha256:
                self.sha256 = desired.config_sha256
                self._changed()

    def _open(self, message: Message) -> Desired:
        desired = parse_announcement(Desired, message.payload)
        self._trust.open_json(message.topic, message.payload, desired.boot)
        order = (desired.hub_boot, desired.id)
        if order < self._newest:  # the very same comes again after every reconnection
            raise FrameError("replayed", "the hub has said something newer already")
        self._newest = order
        return desired
