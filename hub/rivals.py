"""A hub at work keeps its place: of two that met after all, the one that started later ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub.claim import HubAbout
from becomingone.hub.intake.trust import Trust
from becomingone.scheduling import NANOSECONDS, MeshClock, Scheduler, Timer
from becomingone.wire.announce import parse_announcement
from becomingone.wire.topics import Topics

_LOG = logging.getLogger(__name__)

_SAY_AGAIN_NS = NANOSECONDS

FRESH_US: Final = 30_000_000
"""In a cell with keys, a hub counts as one that is there for so many µs after it said so: a seal does not tell when."""


class Rivals:
    """Says who this hub is, retained, and hears who else says so.

    Parameters
    ----------
    about : HubAbout
        This hub.
    topics : Topics
        The cell's topics.
    link : Link
        Brings what others say.
    scheduler : Scheduler
        Its clock paces the answer.
    clock : MeshClock
        The hub's.
    trust : Trust
        In a cell with keys, tells whether it is a hub of this cell that says so.
    tell : callable
        Publishes an event of a kind.
    give_way : callable
        Ends this hub, with a line for a person.
    refuse : callable
        Counts what is no hub's description.
    """

    def __init__(
        self,
        about: HubAbout,
        *,
        topics: Topics,
        link: Link,
        scheduler: Scheduler,
        clock: MeshClock,
        trust: Trust,
        tell: Callable[[str, dict[str, Any]], object],
        give_way: Callable[[str], None],
        refuse: Callable[[Message, FrameError | TopicError], None],
    ) -> None:
        self._about = about
        self._topics = topics
        self._link = link
        self._scheduler = scheduler
        self._clock = clock
        self._trust = trust
        self._tell = tell
        self._give_way = give_way
        self._refuse = refuse
        self._said_ns = 0
        self._again: Timer | None = None
        self.met = 0

    def start(self) -> None:
        """Say it on every connection; listen."""
        self._link.subscribe(self._topics.hub_about, self._take, qos=1)
        self._link.on_up(self._say)

    def _say(self) -> None:
        self._said_ns = self._scheduler.monotonic_ns()
        topic, said = self._topics.hub_about, self._about.model_copy(update={"said_us": self._clock.now_us()})
        payload = self._trust.seal_hub(topic, said.model_dump_json().encode(), said.boot)
        self._link.publish(topic, payload, qos=1, retain=True)

    def _answer(self, other: HubAbout) -> None:
        self._again = None
        self._tell("second_hub", {"host": other.host, "pid": other.pid, "instance": other.instance})
        self._say()

    def _take(self, message: Message) -> None:
        mine = self._about
        try:
            other = parse_announcement(HubAbout, message.payload)
            if message.retained or other.model_copy(update={"said_us": mine.said_us}) == mine:
                return  # retained: of one before us, which the claim has asked about
            self._trust.open_hub(message.topic, message.payload, other.boot)
            self._check_fresh(other)
        except FrameError as error:
            self._refuse(message, error)
            return
        self.met += 1
        _LOG.error("cell %s has a second hub, %s", self._topics.base, other.where)
        if (other.started_us, other.where) < (mine.started_us, mine.where):
            self._give_way(f"cell {self._topics.base} has an older hub, {other.where}: this one ends")
        elif self._again is None:
            due_ns = max(self._scheduler.monotonic_ns(), self._said_ns + _SAY_AGAIN_NS)
            self._again = self._scheduler.call_at(due_ns, lambda: self._answer(other))

    def _check_fresh(self, other: HubAbout) -> None:
        """Refuse what a hub may have said long ago: whoever has recorded it must not end this one with it."""
        if self._trust.authenticated and abs(self._clock.now_us() - other.said_us) >= FRESH_US:
            raise FrameError("late", f"{other.where} said so at {other.said_us} µs, {FRESH_US / 1e6:g} s ago or more")
        if self._trust.authenticated and other.said_us < self._about.started_us:
            raise FrameError("before_start", f"{other.where} said so before this hub began")
