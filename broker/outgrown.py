"""Notices when the embedded broker has more to do than it can, and says so with the figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from becomingone.scheduling import NANOSECONDS, Scheduler, Timer

MESSAGES_PER_S: Final = 1_000.0
"""Messages a second from its clients. amqtt 0.12 carries 4,300 on one core of a desktop, a quarter second late; a small
computer is several times slower."""

LAG_S: Final = 0.1
"""Seconds by which the event loop that it lives in is late."""

LASTING: Final = 5
"""Seconds one after the other for which either must hold."""

WAITING: Final = 10_000
"""Messages that it holds for clients who do not take them; it would hold any number."""

SILENCE_NS: Final = 3600 * NANOSECONDS
"""It is said at most once an hour."""

_PROBES: Final = 10


@dataclass(frozen=True, slots=True)
class Load:
    """What a broker has done and has yet to do.

    Parameters
    ----------
    messages : int
        Messages taken from clients since the start.
    waiting : int
        Messages that are held for clients now.
    """

    messages: int
    waiting: int


class OutgrownWatch:
    """Watches a broker in the event loop that both live in.

    Parameters
    ----------
    load : callable
        Gives the broker's `Load`.
    scheduler : Scheduler
        On that loop: how late its turns come is the loop's lag.
    tell : callable
        Called with the line that names the figure.
    """

    def __init__(self, load: Callable[[], Load], scheduler: Scheduler, tell: Callable[[str], None]) -> None:
        self._load = load
        self._scheduler = scheduler
        self._tell = tell
        self._told_ns: int | None = None
        self._busy = 0
        self._late = 0
        self._worst_ns = 0
        self._probe = 0
        self._messages = load().messages
        self._since_ns = scheduler.monotonic_ns()
        self._timer: Timer = self._arrange()

    def cancel(self) -> None:
        """Watch no more."""
        self._timer.cancel()

    def _arrange(self) -> Timer:
        self._due_ns = self._scheduler.monotonic_ns() + NANOSECONDS // _PROBES
        return self._scheduler.call_at(self._due_ns, self._turn)

    def _turn(self) -> None:
        self._worst_ns = max(self._worst_ns, self._scheduler.monotonic_ns() - self._due_ns)
        self._probe += 1
        if self._probe >= _PROBES:
            self._judge()
        self._timer = self._arrange()

    def _judge(self) -> None:
        """Look at the last second, or at what became of it."""
        now_ns, load = self._scheduler.monotonic_ns(), self._load()
        rate = (load.messages - self._messages) * NANOSECONDS / max(1, now_ns - self._since_ns)
        lag_s = self._worst_ns / NANOSECONDS
        self._busy = self._busy + 1 if rate > MESSAGES_PER_S else 0
        self._late = self._late + 1 if lag_s > LAG_S else 0
        self._probe, self._worst_ns, self._messages, self._since_ns = 0, 0, load.messages, now_ns
        if self._told_ns is not None and now_ns - self._told_ns < SILENCE_NS:
            return
        figure = None
        if load.waiting > WAITING:
            figure = f"it holds {load.waiting:,} messages for clients that do not take them"
        elif self._busy >= LASTING:
            figure = f"{rate:,.0f} messages a second for {self._busy} s, above {MESSAGES_PER_S:,.0f}"
        elif self._late >= LASTING:
            figure = (
                f"the program that it lives in is {1e3 * lag_s:,.0f} ms late for {self._late} s, above {1e3 * LAG_S:g}"
            )
        if figure is not None:
            self._told_ns = now_ns
            self._tell(f"the embedded broker is outgrown: {figure}; use Mosquitto (sudo apt install mosquitto)")
