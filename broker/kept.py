"""Messages that are kept until the hub itself says that it has committed them.

A broker's PUBACK is not durability: Mosquitto's defaults lost 200 of 200 queued messages at kill -9, amqtt all of 8,555
(seen). The hub therefore acknowledges per stream and boot the highest sequence number up to which it has committed
everything; whatever lies above is sent again, in order, after a reconnection and when an answer does not come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from becomingone.broker.kept_outlet import Outlet
from becomingone.broker.kept_progress import MOST_TIMEOUT_NS, Progress
from becomingone.broker.kept_store import Gone, Kept, KeptStore, StreamId
from becomingone.errors import LinkError
from becomingone.scheduling import NANOSECONDS, Scheduler, Timer

WINDOW: Final = 100
"""Messages of one stream that may be sent and not yet committed."""

TIMEOUT_S: Final = 2.0
"""Seconds without progress after which a stream's messages are sent again; doubled each time, up to a minute."""

LATE_S: Final = 1.0
"""A message that leaves so many seconds after it was made is late: for the memory, not for the live state."""

Render = Callable[[Kept, bool], bytes | None]
"""Gives the payload of a kept message; the second argument tells whether it is late. None: it can never be sent."""


class KeptSender:
    """Sends kept messages until they are committed.

    Parameters
    ----------
    link : Outlet
        The link; QoS 1.
    store : KeptStore
        Holds the messages; what it already has of earlier lives is sent too.
    scheduler : Scheduler
        Gives the turns.
    window, timeout_s, late_s
        See `WINDOW`, `TIMEOUT_S`, `LATE_S`.
    late_per_s : float or None
        Late messages sent a second, at most.
    render : callable, optional
        Gives the payload to publish, where a late message is to say so; as it was kept by default.
    content_type : str, optional
        See `Link.publish`.
    on_hole : callable, optional
        Called when what the hub may wait for is gone, before what comes after it is sent; see `oldest`.
    on_rewind : callable, optional
        Called when messages are about to be sent again because no answer has come: whoever waits for something that is
        gone is to know by then.

    Attributes
    ----------
    dropped, resent : int
        Messages that had to make room, or could never be sent, before they were committed; messages sent again.
    refused : int
        Acknowledgements of what has never been made.
    """

    def __init__(
        self,
        link: Outlet,
        store: KeptStore,
        scheduler: Scheduler,
        *,
        window: int = WINDOW,
        timeout_s: float = TIMEOUT_S,
        late_s: float = LATE_S,
        late_per_s: float | None = None,
        render: Render | None = None,
        content_type: str | None = None,
        on_hole: Callable[[], None] | None = None,
        on_rewind: Callable[[], None] | None = None,
    ) -> None:
        self.dropped = self.resent = self.refused = 0
        self._link = link
        self._store = store
        self._scheduler = scheduler
        self._window = window
        self._timeout_ns = int(timeout_s * NANOSECONDS)
        self._late_ns = int(late_s * NANOSECONDS)
        self._pause_ns = 0
        self.pace(late_per_s)
        self._render = render
        self._content_type = content_type
        self._on_hole = on_hole or (lambda: None)
        self._on_rewind = on_rewind
        self._gone: dict[StreamId, int] = {}
        self._streams: dict[StreamId, Progress] = {}
        self._highest: dict[StreamId, int] = {}
        self._late_due_ns = 0
        self._late_waits = False
        self._timer: Timer | None = None
        self._pumping = False
        self._turn = 0
        self._closed = False
        for stream in store.streams():
            self._progress(stream)
        link.on_up(self.retry)
        self._pump()

    def __len__(self) -> int:
        """Count the messages that are not committed."""
        return len(self._store)

    def keep(self, stream: str, boot: int, seq: int, topic: str, payload: bytes) -> None:
        """Keep a message, then send it as soon as its turn comes.

        Raises
        ------
        LinkError
            `seq` is not above all others of the stream.
        """
        name = stream, boot
        highest = self._highest.get(name)
        if highest is not None and seq <= highest:
            msg = f"sequence numbers of {stream} grow; {seq} comes after {highest}"
            raise LinkError(msg)
        gone = self._store.append(Kept(name, seq, topic, payload, self._scheduler.monotonic_ns()))
        for some in gone:
            self._lose(some)
        self._progress(name)
        self._highest[name] = seq
        if gone or (highest is None and seq):
            self._on_hole()
        self._pump()

    def acknowledged(self, stream: str, boot: int, seq: int) -> None:
        """Take the hub's word that everything up to and with `seq` is committed."""
        name = stream, boot
        if seq > self._highest.get(name, seq):  # of an earlier life the hub may have more than is left here
            self.refused += 1
            return
        if seq >= self._gone.get(name, seq + 1):
            del self._gone[name]
        progress = self._streams.get(name)
        if progress is None or seq <= progress.committed:
            return
        if progress.flying and seq >= progress.flying[0]:  # not what is gone: to know of that is no progress
            progress.moved_ns = self._scheduler.monotonic_ns()
            progress.timeout_ns = self._timeout_ns
        self._store.forget(name, seq)
        self._let_go(name, seq)
        if self._store.next(name, seq) is None and not progress.flying:
            del self._streams[name]
        self._pump()

    def retry(self) -> None:
        """Send everything that is not committed again, from the oldest on: the link, the hub or the store is back."""
        if self._closed:
            return
        for name in self._store.streams():
            self._progress(name)
        for name, progress in self._streams.items():
            self._rewind(name)
            progress.timeout_ns = self._timeout_ns  # what it grew to while nobody was there means nothing now
        self._pump()

    def oldest(self) -> Mapping[StreamId, int]:
        """Give the number from which on each stream may still be sent, so that the hub waits for none before.

        Also of streams that have nothing left, as long as the hub has not acknowledged what they lost.
        """
        firsts = ((name, self._store.next(name, -1)) for name in self._store.streams())
        return {name: seq + 1 for name, seq in self._gone.items()} | {
            name: first.seq for name, first in firsts if first is not None
        }

    def pace(self, late_per_s: float | None) -> None:
        """Send so many late messages a second, at most, from now on; None: as many as there are."""
        self._pause_ns = 0 if late_per_s is None else int(NANOSECONDS / late_per_s)

    def close(self) -> None:
        """Send nothing any more."""
        self._closed = True
        self._streams.clear()
        self._arrange()

    def _progress(self, name: StreamId) -> Progress:
        progress = self._streams.get(name)
        if progress is None:
            first = self._store.next(name, -1)
            before = -1 if first is None else first.seq - 1
            progress = self._streams[name] = Progress(before, before, timeout_ns=self._timeout_ns)
        return progress

    def _lose(self, gone: Gone) -> None:
        self.dropped += gone.count
        self._gone[gone.stream] = max(gone.seq, self._gone.get(gone.stream, -1))
        self._let_go(gone.stream, gone.seq)

    def _let_go(self, name: StreamId, seq: int) -> None:
        """Wait no more for what is committed, or gone."""
        progress = self._streams.get(name)
        if progress is not None:
            progress.committed = max(progress.committed, seq)
            progress.sent = max(progress.sent, seq)
            while progress.flying and progress.flying[0] <= seq:
                progress.flying.popleft()

    def _rewind(self, name: StreamId) -> None:
        progress = self._streams[name]
        self.resent += len(progress.flying)
        progress.flying.clear()
        progress.sent = progress.committed

    def _pump(self) -> None:
        """Send what may be sent; not while that is being done already."""
        if self._pumping or self._closed or not self._link.connected:
            return
        self._pumping = True
        self._late_waits = False
        names = list(self._streams)
        self._turn += 1  # another stream has the first turn each time
        try:
            for place in range(len(names)):
                name = names[(place + self._turn) % len(names)]
                if not self._send_some(name, self._streams[name]):
                    break
        finally:
            self._pumping = False
        self._arrange()

    def _send_some(self, name: StreamId, progress: Progress) -> bool:
        """Fill one stream's window; False when the link takes no more."""
        while len(progress.flying) < self._window:
            entry = self._store.next(name, progress.sent)
            if entry is None:
                return True
            now = self._scheduler.monotonic_ns()
            late = entry.kept_ns is None or now - entry.kept_ns > self._late_ns
            if late and now < self._late_due_ns:
                self._late_waits = True
                return True
            payload = entry.payload if self._render is None else self._render(entry, late)
            if payload is None or entry.seq > progress.sent + 1:
                if progress.flying:  # what comes after a hole waits until all before it is committed
                    return True
                self._skip(entry, bad=payload is None)
                continue
            settled = partial(self._settled, progress)
            progress.in_link += 1
            if not self._link.publish(entry.topic, payload, qos=1, settled=settled, content_type=self._content_type):
                progress.in_link -= 1
                return False
            if late:
                self._late_due_ns = now + self._pause_ns
            if not progress.flying:
                progress.moved_ns = now
            progress.flying.append(entry.seq)
            progress.sent = entry.seq
        return True

    def _skip(self, entry: Kept, *, bad: bool) -> None:
        """Wait no more for what is missing before a message; nor for the message itself, if it is bad."""
        if bad:
            self._store.forget(entry.stream, entry.seq)
        self._lose(Gone(entry.stream, entry.seq - (not bad), int(bad)))
        self._on_hole()

    def _settled(self, progress: Progress, _acknowledged: bool) -> None:
        """Hear that the link has room again; whether the broker has acknowledged means nothing here."""
        progress.in_link -= 1
        now = self._scheduler.monotonic_ns()
        if progress.flying and now >= progress.due_ns:  # the link was long about it, and the hub has it only now
            progress.moved_ns = now
        self._pump()

    def _arrange(self) -> None:
        """Wake up when the first stream's time is out, or late messages may be sent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [progress.due_ns for progress in self._streams.values() if progress.flying]
        if self._late_waits:
            due.append(self._late_due_ns)
        if due:
            self._timer = self._scheduler.call_at(min(due), self._look)

    def _look(self) -> None:
        self._timer = None
        rewound = False
        now = self._scheduler.monotonic_ns()
        for name, progress in self._streams.items():
            if progress.flying and now >= progress.due_ns:
                progress.timeout_ns = min(2 * progress.timeout_ns, MOST_TIMEOUT_NS)
                self._rewind(name)
                rewound = True
        if rewound and self._on_rewind is not None and self._link.connected:
            self._on_rewind()
        self._pump()
