"""A member's own liveness on the broker: what it says of itself stays true, and its goodbye arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from becomingone.broker.link import Link, Message
from becomingone.scheduling import NANOSECONDS, Scheduler, Timer
from becomingone.wire.announce import State

CORRECTION_NS: Final = NANOSECONDS
"""Others' words are corrected at most this often: two members of one id must not shout each other down."""

GOODBYE_NS: Final = NANOSECONDS // 2
"""How long the goodbye waits to come back from the broker."""


class Presence:
    """Keeps a retained state topic: publishes it on every connection, corrects it, takes leave with it.

    Parameters
    ----------
    link : Link
        Not started yet; its will says `State.LOST` on `topic`.
    topic : str
        The state topic.
    scheduler : Scheduler
        Gives the turns.

    Attributes
    ----------
    state : State
        What it says.
    confirmed : bool
        Whether the broker has sent it back on the present connection.
    """

    def __init__(self, link: Link, topic: str, scheduler: Scheduler) -> None:
        self.state = State.INIT
        self.confirmed = False
        self._on_confirmed: list[Callable[[], None]] = []
        self._link = link
        self._topic = topic
        self._scheduler = scheduler
        self._corrected_ns: int | None = None
        self._correction: Timer | None = None
        self._deadline: Timer | None = None
        self._leaving: Callable[[], None] | None = None
        link.subscribe(topic, self._heard, qos=1)
        link.on_down(self._lost)

    def start(self) -> None:
        """Publish the state on every connection from now on, after whatever else was arranged to be published first.

        Once the state has come back from the broker (`confirmed`), so has been routed what went before it.
        """
        self._link.on_up(self._publish)

    def on_confirmed(self, callback: Callable[[], None]) -> None:
        """Call back on every connection, once the state has come back from the broker."""
        self._on_confirmed.append(callback)

    def become(self, state: State) -> None:
        """Be in a state, and say so."""
        self.state = state
        self._publish()

    def leave(self, done: Callable[[], None], state: State = State.DISCONNECTED) -> None:
        """Publish the state that stays, wait until it comes back from the broker, close the link, call back.

        An acknowledgement is not enough: amqtt drops what it has acknowledged and not yet routed when its publisher
        says goodbye (seen with Python 3.13). What has come back has been routed, and all that was published before.
        """
        self.become(state)
        if self._correction is not None:
            self._correction.cancel()
        self._leaving = done
        if self._link.connected:
            self._deadline = self._scheduler.call_at(self._scheduler.monotonic_ns() + GOODBYE_NS, self._close)
        else:
            self._close()

    def _close(self) -> None:
        done, self._leaving = self._leaving, None
        if self._deadline is not None:
            self._deadline.cancel()
        if done is not None:
            self._link.close(done)

    def _heard(self, message: Message) -> None:
        """Correct what others say: a late will, or a hub that gave this member up too early."""
        if message.payload == self.state.encode():
            if not self.confirmed and not message.retained:
                self.confirmed = True
                for callback in self._on_confirmed:
                    callback()
            if self._leaving is not None:
                self._close()
        else:
            self._correct_soon()

    def _correct_soon(self) -> None:
        if self._leaving is None and self._correction is None:
            now = self._scheduler.monotonic_ns()
            due = now if self._corrected_ns is None else max(now, self._corrected_ns + CORRECTION_NS)
            self._correction = self._scheduler.call_at(due, self._correct)

    def _lost(self, _reason: str) -> None:
        self.confirmed = False

    def _correct(self) -> None:
        self._correction = None
        self._corrected_ns = self._scheduler.monotonic_ns()
        self._publish()

    def _publish(self) -> None:
        taken = self._link.publish(self._topic, self.state.encode(), qos=1, retain=True)
        if not taken and self._link.connected:  # its queue is full; once a connection breaks, the next one begins anew
            self._corrected_ns = self._scheduler.monotonic_ns()
            self._correct_soon()
