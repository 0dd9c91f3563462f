"""Feeds the supervisor's watchdog, from the work loop itself, while every part of the work is alive."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from becomingone.broker.link import Link
from becomingone.node.notify import Notifier
from becomingone.scheduling import NANOSECONDS, Repeating, Scheduler

_LOG = logging.getLogger(__name__)

Check = Callable[[], str | None]
"""Says what is wrong with a part; None while it is alive."""

IDLE_LINK_S: Final = 300.0
"""Seconds without a connection and without an attempt at one, after which a link is no longer at work."""


class Watchdog:
    """Tells the supervisor that the work goes on, at twice the pace that it asks for.

    Whatever stops the scheduler's turns stops this too. So does a check that finds something: then the supervisor is
    left to strike, and the log and the status say why before it does. A check that raises counts as one that finds
    something.

    Parameters
    ----------
    scheduler : Scheduler
        Gives the turns; the one that the work is done in.
    notifier : Notifier
        Tells the supervisor.
    interval_ns : int
        Within which the supervisor wants to hear, ns, at least 2.
    checks : sequence of callable
        One for each part of the work.
    starved : callable, optional
        Called with the reason when it is no longer fed.

    Attributes
    ----------
    starving : str or None
        Why it is not fed just now.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        notifier: Notifier,
        interval_ns: int,
        checks: Sequence[Check],
        *,
        starved: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self.starving: str | None = None
        self._notifier = notifier
        self._interval_ns = interval_ns
        self._checks = tuple(checks)
        self._starved = starved
        notifier.alive()
        self._turns = Repeating(scheduler, max(1, interval_ns // 2), self._turn)

    def close(self) -> None:
        """Feed it no more."""
        self._turns.cancel()

    def _turn(self) -> None:
        wrong = next((why for check in self._checks if (why := _ask(check)) is not None), None)
        if wrong is None:
            self._notifier.alive()
            if self.starving is not None:
                _LOG.warning("the watchdog is fed again")
                self._notifier.status("at work again")
        elif self.starving is None:
            left_s = self._interval_ns / (2 * NANOSECONDS)
            _LOG.error("the watchdog is no longer fed: %s; it strikes in about %.1f s unless that ends", wrong, left_s)
            self._notifier.status(f"hung, and about to be restarted: {wrong}")
            self._starved(wrong)
        self.starving = wrong


class LinkCheck:
    """Finds a link that is down and does not even try.

    Parameters
    ----------
    link : Link
        The link.
    scheduler : Scheduler
        Tells the time.
    idle_s : float
        Seconds without a connection and without an attempt; more than the longest wait between two attempts.
    """

    def __init__(self, link: Link, scheduler: Scheduler, idle_s: float = IDLE_LINK_S) -> None:
        self._link = link
        self._scheduler = scheduler
        self._idle_ns = int(idle_s * NANOSECONDS)
        self._attempts = -1
        self._since_ns = 0

    def __call__(self) -> str | None:
        """See `Check`."""
        now, attempts = self._scheduler.monotonic_ns(), self._link.metrics.attempts
        if self._link.connected or attempts != self._attempts:
            self._attempts, self._since_ns = attempts, now
        elif now - self._since_ns > self._idle_ns:
            return f"no attempt to reach the broker for {(now - self._since_ns) / NANOSECONDS:.0f} s"
        return None


def _ask(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - one that cannot tell must not pass for one that found nothing
        _LOG.exception("a check of the watchdog failed")
        return f"a check failed: {type(error).__name__}: {error}"
