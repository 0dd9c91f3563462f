"""Learning mesh time from the hub: bursts of pings, and what their pongs say of this node's clock."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal

from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError
from becomingone.node.trust import Trust
from becomingone.scheduling import NANOSECONDS, MeshClock, Scheduler, Timer
from becomingone.wire.clock import ClockPing, ClockPong, decode_pong, encode_ping
from becomingone.wire.clocksync.fit import ClockFit
from becomingone.wire.clocksync.probe import Probe
from becomingone.wire.topics import Topics

BURST: Final = 8
"""Probes of a burst."""

LEAST_PROBES: Final = 3
"""A burst with fewer answers says too little of the network, and is made again."""

TIMEOUT_NS: Final = NANOSECONDS
"""A pong that has not come by then is lost."""

MOST_LOST: Final = 2
"""A burst ends when so many pongs in a row are lost: the hub is not there."""

FIRST_GAP_S: Final = 0.01
"""Seconds between an answer and the next probe in the first burst,"""

GAP_S: Final = 0.04
"""and in later ones; each ± half, so that bursts of several nodes do not march in step."""

FIRST_S: Final = 0.5
"""Seconds until the second burst, in a cell of up to `PACED_NODES`; each further pause is twice as long, up to"""

SLOW_S: Final = 8.0
"""this, or what keeps all nodes together below `PROBES_PER_S`; each ± a quarter. What is slow needs no more:"""

PERIODS: Final = 16.0
"""the pause may be so many periods of the node's fastest band,"""

SLOWEST_S: Final = 128.0
"""and at most this: an oscillator that becomes 0.4 ppm faster in the sun is 51 µs off by then."""

LOST_S: Final = 1.0
"""Seconds until the next attempt after one in vain; twice as long after each further one, up to the slow pace."""

START_S: Final = 0.1
"""The first burst begins within so many seconds of the link being up, in a cell of up to `PACED_NODES`."""

PACED_NODES: Final = 100
"""A cell of more nodes starts the more slowly."""

PROBES_PER_S: Final = 250.0
"""What all nodes of a cell together send the hub in the long run."""

_LOG = logging.getLogger(__name__)


class TimeSync:
    """Keeps a `MeshClock` on the hub's mesh time.

    One probe is under way at a time. What comes back is taken only when it answers that one; everything else is
    refused and counted.

    Parameters
    ----------
    node : str
        This node's id.
    link : Link
        To the broker.
    topics : Topics
        The cell's.
    trust : Trust
        Seals the pings, and opens the pongs.
    clock : MeshClock
        What is steered.
    scheduler : Scheduler
        Gives the turns.
    boot : int
        The node's boot id.
    rng : random.Random
        Spreads the probes.
    on_first : callable
        Called once mesh time is the hub's.
    period_s : float
        Shortest period of the bands that this node takes part in, s; 0 where that may become any.

    Attributes
    ----------
    refused : Counter of str
        Pongs that were refused, by reason.
    lost : int
        Pings without a pong in time.
    bursts : int
        Bursts that mesh time was measured with.
    """

    def __init__(
        self,
        node: str,
        *,
        link: Link,
        topics: Topics,
        trust: Trust,
        clock: MeshClock,
        scheduler: Scheduler,
        boot: int,
        rng: random.Random,
        on_first: Callable[[], None] = lambda: None,
        period_s: float = 0.0,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self.lost = 0
        self.bursts = 0
        self._link = link
        self._ping_topic = topics.clock_ping(node)
        self._pong_topic = topics.clock_pong(node)
        self._trust = trust
        self._clock = clock
        self._scheduler = scheduler
        self._boot = boot
        self._rng = rng
        self._on_first = on_first
        self._patient_s = min(max(SLOW_S, PERIODS * period_s), SLOWEST_S)
        self._fit = ClockFit()
        self._nodes = PACED_NODES
        self._seq = 0
        self._asked: ClockPing | None = None
        self._sent_ns = 0
        self._probes: list[Probe] = []
        self._said: ClockPong | None = None
        self._tried = 0
        self._silent = 0
        self._failures = 0
        self._row = 0
        self._timer: Timer | None = None
        self._closed = False

    def start(self) -> None:
        """Subscribe, and begin as soon as the link is up."""
        self._link.subscribe(self._pong_topic, self._pong)
        self._link.on_up(self._up)
        self._link.on_down(lambda _reason: self._pause())
        if self._link.connected:
            self._up()

    def close(self) -> None:
        """Ask no more, and take nothing any more."""
        self._closed = True
        self._pause()

    @property
    def source(self) -> Literal["system", "hub"]:
        """What mesh time comes from."""
        return "hub" if self._clock.steered else "system"

    @property
    def offset_s(self) -> float:
        """What mesh time is ahead of this machine's system clock, s."""
        return (self._clock.now_us() - self._scheduler.time_us()) / 1e6

    def set_cell_size(self, nodes: int) -> None:
        """Pace the probes for a cell of so many nodes, at least 1; 100 until this is called."""
        self._nodes = max(1, nodes)

    # -- the pace --------------------------------------------------------------------------------------------------

    @property
    def _crowd(self) -> float:
        return max(1.0, self._nodes / PACED_NODES)

    @property
    def _slow_s(self) -> float:
        return max(self._patient_s, self._nodes * BURST / PROBES_PER_S)

    def _up(self) -> None:
        """Begin at once where mesh time is not known; else at some time within the usual pause."""
        if not self._closed:
            self._failures = 0
            self._later(
                self._rng.random() * (self._slow_s if self._clock.steered else START_S * self._crowd), self._begin
            )

    def _pause(self) -> None:
        self._asked = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _later(self, seconds: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._scheduler.call_at(self._scheduler.monotonic_ns() + round(seconds * NANOSECONDS), then)

    def _next_burst(self, pause_s: float) -> None:
        self._later(min(pause_s, self._slow_s) * (0.75 + 0.5 * self._rng.random()), self._begin)

    # -- a burst ---------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._probes.clear()
        self._tried = self._silent = 0
        self._ask()

    def _ask(self) -> None:
        """Send one probe; it counts as sent when it is handed over, not when its number was chosen."""
        self._tried += 1
        ping = ClockPing(boot=self._boot, seq=self._seq, t1_ns=self._clock.monotonic_ns())
        self._seq += 1
        payload = self._trust.seal(self._ping_topic, encode_ping(ping))
        self._asked, self._sent_ns = ping, self._clock.monotonic_ns()
        if self._link.publish(self._ping_topic, payload):
            self._later(TIMEOUT_NS / NANOSECONDS, self._unanswered)
        elif self._link.connected:  # its queue is full
            self._unanswered()
        else:
            self._pause()  # it says so when it is up again

    def _unanswered(self) -> None:
        self._asked = None
        self.lost += 1
        self._silent += 1
        self._go_on()

    def _pong(self, message: Message) -> None:
        """Take an answer, or refuse and count it."""
        received_ns = message.arrived_ns or self._clock.monotonic_ns()
        if self._closed:
            return
        try:
            pong = decode_pong(self._trust.open(message.topic, message.payload))
            probe = self._answer(pong, received_ns)
        except FrameError as error:
            self.refused[error.reason] += 1
            self._trust.audit.note("clock", message.topic, error, self._clock.monotonic_ns())
            return
        self._asked = None
        self._silent = 0
        if self._said is not None and pong.hub_boot != self._said.hub_boot:
            self._probes.clear()  # what another life of the hub has said in this burst
        self._said = pong
        self._probes.append(probe)
        self._go_on()

    def _answer(self, pong: ClockPong, received_ns: int) -> Probe:
        """Give the probe that a pong completes.

        Raises
        ------
        FrameError
            ``unasked``: it answers no ping that is under way. ``impossible``: its times cannot be.
        """
        asked = self._asked
        if asked is None or (pong.boot, pong.seq, pong.t1_ns) != (asked.boot, asked.seq, asked.t1_ns):
            raise FrameError("unasked", f"an answer to ping {pong.seq} of boot {pong.boot}, which is not under way")
        return Probe(self._sent_ns, received_ns, pong.t2_ns, pong.t3_ns)

    def _go_on(self) -> None:
        if self._tried < BURST and self._silent < MOST_LOST:
            gap_s = GAP_S if self._clock.steered else FIRST_GAP_S
            self._later(gap_s * (0.5 + self._rng.random()), self._ask)
        elif len(self._probes) < LEAST_PROBES or self._said is None:
            self._failures += 1
            self._next_burst(LOST_S * 2.0 ** min(self._failures - 1, 16))
        else:
            self._finish(self._said)

    def _finish(self, said: ClockPong) -> None:
        self._failures = 0
        self.bursts += 1
        estimate = self._fit.take(self._probes, hub_boot=said.hub_boot, hub_sigma_s=said.sigma_s)
        first = not self._clock.steered
        stepped_ns = self._clock.steer(estimate, may_step=estimate.anew)
        if first:
            _LOG.info("mesh time comes from the hub now, %+.6f s from this machine's", stepped_ns / NANOSECONDS)
        elif stepped_ns:
            _LOG.warning(
                "mesh time has been stepped by %+.6f s: the hub's has, or it is another hub", stepped_ns / NANOSECONDS
            )
        if first:
            self._on_first()
        self._row = 1 if estimate.anew else min(self._row + 1, 16)
        self._next_burst(FIRST_S * self._crowd * 2.0 ** (self._row - 1))
