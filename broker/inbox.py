"""Messages that wait for their handlers: in order, in turns that leave others theirs, and bounded.

What came singly (acknowledged at QoS 1, commands, descriptions) is never dropped: the broker is made to wait. What came
by the batch is live and worthless late: when handlers cannot keep up, the oldest goes, and is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from becomingone.broker.link import BulkHandler, Message, Metrics
from becomingone.scheduling import NANOSECONDS, Scheduler

INBOX: Final = 10_000
"""Messages that may wait for their handlers before the broker is made to wait, or, in batches, the oldest is shed."""

BATCH: Final = 256
"""Messages of one batch at most: about two milliseconds of a handler's time."""

_TURN_NS: Final = NANOSECONDS // 100
"""Handlers are given messages for so long, 10 ms, before others have a turn: a flood must not stop the ticks."""


class Batch(NamedTuple):
    """Messages that were read at once: of QoS 0, not retained, all for one handler.

    Parameters
    ----------
    messages : list of (str, bytes)
        Topic and payload of each, in the order in which they came.
    size : int
        Bytes of their topics and payloads.
    handler : callable
        Takes them.
    """

    messages: list[tuple[str, bytes]]
    size: int
    handler: BulkHandler


class Inbox:
    """What has come and has not been handled yet.

    Parameters
    ----------
    scheduler : Scheduler
        Gives the turns.
    metrics : Metrics
        Counts what is delivered and shed, and long turns.
    route : callable
        Gives a message to its handlers.
    pause, resume : callable
        Take no more messages from the broker, and take them again.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        metrics: Metrics,
        *,
        route: Callable[[Message], None],
        pause: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:
        self.holding = True
        """Whether everything waits: until the link is up."""
        self._scheduler = scheduler
        self._metrics = metrics
        self._route = route
        self._pause = pause
        self._resume = resume
        self._items: deque[Message | Batch] = deque()
        self._batches: deque[Batch] = deque()
        self._batched = 0
        self._delivering = False

    def __len__(self) -> int:
        return len(self._items) - len(self._batches) + self._batched

    def put(self, message: Message) -> None:
        """Take a message, for a turn of its own."""
        self._items.append(message)
        self.deliver_soon()
        if len(self._items) >= INBOX and not self.holding:
            self._pause()

    def put_batch(self, batch: Batch) -> None:
        """Take a batch; the oldest that wait make room for it."""
        self._items.append(batch)
        self._batches.append(batch)
        self._batched += len(batch.messages)
        while self._batched > INBOX:
            oldest = self._batches[0].messages
            excess = min(len(oldest), self._batched - INBOX)
            del oldest[:excess]
            self._batched -= excess
            self._metrics.shed += excess
            if not oldest:
                self._items.remove(self._batches.popleft())  # near the front: all before it came singly
        self.deliver_soon()

    def clear(self) -> None:
        """Deliver nothing any more."""
        self.holding = True
        self._items.clear()
        self._batches.clear()
        self._batched = 0

    def deliver_soon(self) -> None:
        """Give what waits to its handlers in a turn of its own, unless everything is held."""
        if self._items and not self.holding and not self._delivering:
            self._delivering = True
            self._scheduler.post(self._deliver)

    def _deliver(self) -> None:
        """Give messages to their handlers, in order, for one turn; also after one of them has failed."""
        begun = now = self._scheduler.monotonic_ns()
        try:
            while self._items and not self.holding and now - begun < _TURN_NS:
                try:
                    item = self._items.popleft()
                    if isinstance(item, Message):
                        self._route(item)
                    else:
                        self._handle(item)
                finally:
                    now = self._scheduler.monotonic_ns()
        finally:
            self._delivering = False
            self._metrics.long_turns += now - begun > 2 * _TURN_NS
            self.deliver_soon()
            if len(self._items) <= INBOX // 2:
                self._resume()

    def _handle(self, batch: Batch) -> None:
        self._batches.popleft()
        self._batched -= len(batch.messages)
        self._metrics.received += len(batch.messages)
        self._metrics.bytes_received += batch.size
        batch.handler(batch.messages)
