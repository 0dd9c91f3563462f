"""What operators ask of nodes as a whole: checked, sent on as the hub's own command, and answered with the outcome.

Nothing is reported as done that the node has not said it has done: who is not there is refused at once, and who is
there and does not answer in time is ``unanswered``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub.config import OperateSection
from becomingone.hub.dispatch.commands import NodeCommands
from becomingone.hub.dispatch.tokens import Tokens
from becomingone.hub.intake.roster import Roster
from becomingone.hub.intake.trust import Trust
from becomingone.scheduling import MICROSECONDS, NANOSECONDS, MeshClock, Scheduler, Timer
from becomingone.wire.announce import State, parse_announcement
from becomingone.wire.operate import MAX_OPERATION, Operation, Outcome, parse_operation
from becomingone.wire.rate import Bucket
from becomingone.wire.remote import Reply
from becomingone.wire.topics import Topics
from becomingone.wire.verbs import FORGET, MAX_AHEAD_S, MAX_VALID_S, OPERATORS, Value, Verb, read_arguments, verb_of

REQUESTS_PER_S: Final = 20.0
"""Requests a second that are looked at, from everybody together; further ones are counted and not answered."""

REQUESTS_AT_ONCE: Final = 100.0

NODE_AT_ONCE: Final = 10.0
"""Requests for one node that may come at once."""

MAX_PENDING: Final = 256
"""Commands that wait for their replies."""

GRACE_S: Final = MAX_AHEAD_S + 1.0
"""Seconds after a command's expiry for which its reply is waited for: the node's clock may be behind, and replies
travel."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that will be answered."""

    node: str
    verb: str
    token: str | None


@dataclass(frozen=True, slots=True)
class _Pending:
    asked: _Asked
    timer: Timer


def _cannot_forget(_node: str) -> None:
    raise FrameError("not_allowed", "this hub forgets nobody")


class Operations:
    """Remote operation, as one hub does it.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    link : Link
        Brings requests and replies, takes answers.
    commands : NodeCommands
        Sends the commands.
    roster : Roster
        Who is there.
    trust : Trust
        Tells whose replies they are.
    rules : OperateSection
        What operators may ask for.
    clock, scheduler : MeshClock, Scheduler
        The hub's.
    refuse : callable
        Counts and tells of what is refused.
    event : callable
        Gets the content of an event for every request that was answered.
    forget : callable, optional
        Forgets a node, given its id, or raises a `FrameError`.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        link: Link,
        commands: NodeCommands,
        roster: Roster,
        trust: Trust,
        rules: OperateSection,
        clock: MeshClock,
        scheduler: Scheduler,
        refuse: Callable[[Message, FrameError | TopicError], None],
        event: Callable[[dict[str, Any]], object],
        forget: Callable[[str], None] = _cannot_forget,
    ) -> None:
        self._topics = topics
        self._link = link
        self._commands = commands
        self._roster = roster
        self._trust = trust
        self._rules = rules
        self._clock = clock
        self._scheduler = scheduler
        self._refuse = refuse
        self._event = event
        self._forget = forget
        self._pending: dict[int, _Pending] = {}
        self._tokens = Tokens()
        self._pace = Bucket(REQUESTS_PER_S, REQUESTS_AT_ONCE)
        self._paces: dict[str, Bucket] = {}  # of members alone, whose number has an end

    def start(self) -> None:
        """Take requests and replies from now on."""
        self._link.subscribe(self._topics.operate("+", "+"), self._take_request, qos=1)
        self._link.subscribe(self._topics.node("+", "reply", "+"), self._take_reply, qos=1)

    def stop(self) -> None:
        """Tell everybody who waits that this hub will not know."""
        for number in list(self._pending):
            self._conclude(number, "unanswered", "the hub stops before the node has answered")

    def realign(
        self, node: str, band: str, *, phase: float, omega: float, time_us: int, valid_s: float = MAX_VALID_S
    ) -> bool:
        """Have a node bring its control oscillator of a band to a target.

        Parameters
        ----------
        node, band : str
            Which oscillator.
        phase : float
            The target's phase, −π..π rad, at `time_us`.
        omega : float
            The rate at which it goes on, rad/s.
        time_us : int
            Mesh time, µs.
        valid_s : float
            Seconds after which the command is void, 0..`MAX_VALID_S`.

        Returns
        -------
        bool
            Whether it was sent: the node is there and can be spoken to. Its reply, if it declines, stands in the log.

        Raises
        ------
        FrameError
            A figure is out of its range.
        """
        arguments: dict[str, Value] = {"band": band, "phase": phase, "omega": omega, "time_us": time_us}
        read_arguments(Verb.REALIGN, arguments)
        expires_us = self._clock.now_us() + int(min(valid_s, MAX_VALID_S) * MICROSECONDS)
        if self._absence(node) is not None:
            return False
        return self._commands.send(node, Verb.REALIGN, arguments, expires_us=expires_us) is not None

    # -- requests --------------------------------------------------------------------------------------------------

    def _take_request(self, message: Message) -> None:
        try:
            asked, operation = self._read(message)
        except (FrameError, TopicError) as error:  # nobody to answer, or not once more
            self._refuse(message, error)
            return
        try:
            self._send(asked, operation)
        except FrameError as error:
            self._refuse(message, error)
            self._answer(asked, "refused", str(error))

    def _read(self, message: Message) -> tuple[_Asked, Operation]:
        now_ns = self._clock.monotonic_ns()
        if not self._pace.take(now_ns):
            raise FrameError("too_often", f"more than {REQUESTS_PER_S:g} requests a second")
        if message.retained:
            raise FrameError("retained", "a request is never retained: somebody has stored this one")
        if len(message.payload) > MAX_OPERATION:
            raise FrameError("oversize", f"{len(message.payload)} bytes, a request has at most {MAX_OPERATION}")
        node, verb = self._topics.parse_cell(message.topic).names
        operation = parse_operation(message.payload)
        if operation.token is not None:
            self._tokens.take(node, operation.token, now_ns)
        return _Asked(node, verb, operation.token), operation

    def _send(self, asked: _Asked, operation: Operation) -> None:
        if asked.verb != FORGET:
            verb_of(asked.verb)
        if asked.verb not in self._rules.verbs:
            raise FrameError("not_allowed", f"operators may ask for {', '.join(self._rules.verbs) or 'nothing'}")
        if asked.verb == FORGET:
            self._forget(asked.node)
            _LOG.info("node %s: forgotten, as an operator asks: %r", asked.node, operation.why)
            self._answer(asked, "done", "what the broker had stored of it is gone")
            return
        verb = verb_of(asked.verb)
        arguments = read_arguments(verb, operation.arguments)
        absence = self._absence(asked.node)
        if absence is not None:
            raise absence
        now_ns = self._clock.monotonic_ns()
        pace = self._paces.setdefault(asked.node, Bucket(self._rules.per_minute / 60.0, NODE_AT_ONCE))
        if not pace.take(now_ns):
            raise FrameError("too_often", f"more than {self._rules.per_minute:g} requests a minute for {asked.node}")
        if len(self._pending) >= MAX_PENDING:
            raise FrameError("too_often", f"{MAX_PENDING} commands are waiting for their replies")
        expires_us = self._clock.mesh_us(now_ns) + int(operation.timeout_s * MICROSECONDS)
        number = self._commands.send(asked.node, verb, arguments, expires_us=expires_us)
        if number is None:
            raise FrameError("offline", f"the command to {asked.node} could not be sent")
        _LOG.info("node %s: %s, as an operator asks: %r", asked.node, verb, operation.why)
        due_ns = now_ns + int((operation.timeout_s + GRACE_S) * NANOSECONDS)
        self._pending[number] = _Pending(asked, self._scheduler.call_at(due_ns, lambda: self._give_up(number)))

    def _absence(self, node: str) -> FrameError | None:
        """Tell why a node cannot be commanded; None where it is there."""
        member = self._roster.get(node)
        if member is None:
            return FrameError("unknown_node", f"no node {node} has been heard of")
        if member.state not in (State.INIT, State.READY):
            return FrameError("offline", f"{node} is {member.state or 'not there'}")
        return None

    # -- replies ---------------------------------------------------------------------------------------------------

    def _take_reply(self, message: Message) -> None:
        try:
            self._match(message)
        except (FrameError, TopicError) as error:
            self._refuse(message, error)

    def _match(self, message: Message) -> None:
        if message.retained:
            raise FrameError("retained", "a reply is never retained: somebody has stored this one")
        topic = self._topics.parse_node(message.topic)
        reply = parse_announcement(Reply, message.payload)
        self._trust.open_json(topic.node, message.topic, message.payload, reply.boot)
        if reply.verb not in OPERATORS:  # the hub's own: nobody waits
            if reply.result == "refused":
                _LOG.info("node %s refused %s: %s", topic.node, reply.verb, reply.why)
            return
        pending = self._pending.get(reply.id)
        if (
            pending is None
            or (topic.node, topic.rest) != (pending.asked.node, (str(reply.id),))
            or (reply.hub_boot, reply.verb) != (self._commands.boot, pending.asked.verb)
        ):
            raise FrameError("unknown_reply", f"nobody waits for what became of {reply.verb} in {topic.node}")
        self._conclude(reply.id, reply.result, reply.why, reply.log)

    def _give_up(self, number: int) -> None:
        self._conclude(number, "unanswered", "no answer in time; if it has not been obeyed by now, it will not be")

    def _conclude(
        self, number: int, result: Literal["done", "refused", "unanswered"], why: str, log: tuple[str, ...] = ()
    ) -> None:
        pending = self._pending.pop(number)
        pending.timer.cancel()
        self._answer(pending.asked, result, why, log)

    def _answer(
        self, asked: _Asked, result: Literal["done", "refused", "unanswered"], why: str, log: tuple[str, ...] = ()
    ) -> None:
        outcome = Outcome(
            node=asked.node,
            verb=asked.verb,
            token=asked.token,
            time_us=self._clock.now_us(),
            result=result,
            why=why,
            log=log,
        )
        if asked.token is not None:
            topic = self._topics.answer(asked.node, asked.token)
            self._link.publish(topic, outcome.model_dump_json().encode(), qos=1)
        self._event(outcome.model_dump(include={"node", "verb", "token", "result", "why"}))
