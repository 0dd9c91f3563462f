"""Commands to a node as a whole: checked, obeyed once, answered.

A command is obeyed once only, over the node's lives too:

- within a life the hub's boot id and the command's number only grow;
- in an authenticated cell the seal's epoch is this life of the node;
- without keys there is no epoch. What expires later than `MAX_VALID_S` + `MAX_AHEAD_S` from now is refused, so whatever
  an earlier life obeyed at the instant a expires before a + both, and thus before this life's start + both. What does
  is refused: the argument is that of `becomingone.wire.replay.Start`. Only a rebirth is exempt, which does no harm
  twice. This takes a clock that is not set back between the two lives.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from becomingone.broker.link import Link, Message
from becomingone.errors import BecomingOneError, FrameError, TopicError
from becomingone.node.trust import Trust
from becomingone.scheduling import MICROSECONDS, MeshClock
from becomingone.wire import cbor
from becomingone.wire.command import NodeCommand, decode_node_command
from becomingone.wire.fields import UINT32, integer
from becomingone.wire.rate import Bucket
from becomingone.wire.remote import Reply
from becomingone.wire.topics import Topics
from becomingone.wire.verbs import MAX_AHEAD_S, MAX_COMMAND, MAX_VALID_S, Value, Verb, verb_of

COMMANDS_PER_S: Final = 5.0
"""Authentic commands a second that are looked at, in the long run; each is answered."""

COMMANDS_AT_ONCE: Final = 20.0

LOG_COST: Final = 5.0
"""What a reply with the log counts as: it has up to 130,000 bytes."""

_LOG = logging.getLogger(__name__)


class Answer(NamedTuple):
    """What became of a command.

    Parameters
    ----------
    done : bool
        Whether it was obeyed.
    why : str
        Why not, or what there is to add.
    log : tuple of str
        Lines of the log, oldest first.
    then : callable, optional
        Done once the reply has been handed to the link: what is said on the link afterwards, a goodbye too, comes
        after it.
    """

    done: bool
    why: str = ""
    log: tuple[str, ...] = ()
    then: Callable[[], None] | None = None


class Later:
    """An answer that takes turns: what a handler gives back, and settles when it knows; only the first counts."""

    def __init__(self) -> None:
        self._answer: Answer | None = None
        self._waiting: Callable[[Answer], None] | None = None

    def settle(self, answer: Answer) -> None:
        """Give the answer."""
        if self._answer is None:
            self._answer = answer
            if self._waiting is not None:
                self._waiting(answer)

    def when_settled(self, callback: Callable[[Answer], None]) -> None:
        """Call back with the answer, now where it is there."""
        self._waiting = callback
        if self._answer is not None:
            callback(self._answer)


Handler = Callable[[Mapping[str, Value]], Answer | Later]


class _Issue(NamedTuple):
    """Which command it is: the hub's boot id and the number, and what the topic calls it."""

    boot: int
    id: int
    verb: str


class Operations:
    """Takes the commands to one node as a whole.

    Parameters
    ----------
    node : str
        The node's id.
    link : Link
        Brings them, and takes the replies.
    topics : Topics
        The cell's topics.
    trust : Trust
        Tells whether they are the hub's, and seals the replies.
    clock : MeshClock
        Decides whether a command has expired.
    boot : int
        The node's boot id.
    verbs : mapping of Verb to callable
        Who obeys each, given the checked arguments; a `BecomingOneError` of theirs is a refusal. What is not in it the
        node refuses as ``unknown_verb``.

    Attributes
    ----------
    refused : Counter of str
        Commands that were refused, by reason; ``declined``: by who should have obeyed, ``failed``: by a bug there.
    """

    def __init__(
        self,
        node: str,
        *,
        link: Link,
        topics: Topics,
        trust: Trust,
        clock: MeshClock,
        boot: int,
        verbs: Mapping[Verb, Handler],
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._node = node
        self._link = link
        self._topics = topics
        self._trust = trust
        self._clock = clock
        self._boot = boot
        self._verbs = verbs
        self._started_ns = clock.monotonic_ns()
        self._newest = (-1, -1)
        self._pace = Bucket(COMMANDS_PER_S, COMMANDS_AT_ONCE)

    def start(self) -> None:
        """Take commands from now on."""
        self._link.subscribe(self._topics.command(self._node, "+"), self._take, qos=1)

    def _take(self, message: Message) -> None:
        try:
            name = self._called(message)
            payload = self._trust.open(message.topic, message.payload)
            issue = self._newly_issued(payload, name)
        except FrameError as error:  # no answer: who sent it is not the hub, or has been answered
            self._refuse(message, error)
            return
        try:
            verb = verb_of(name)
            command = decode_node_command(payload, verb)
            self._check_time(command, verb)
            handler = self._handler(verb)
        except FrameError as error:
            self._refuse(message, error)
            self._reply(issue, Answer(done=False, why=str(error)))
            return
        _LOG.info("obeying %s, command %d of the hub's life %d", verb, issue.id, issue.boot)
        self._obey(handler, command, issue)

    # -- what is refused -------------------------------------------------------------------------------------------

    def _called(self, message: Message) -> str:
        """Check what can be seen from outside, and give the name of the verb."""
        if message.retained:
            raise FrameError("retained", "a command is never retained: somebody has stored this one")
        if len(message.payload) > MAX_COMMAND:
            raise FrameError("oversize", f"{len(message.payload)} bytes, a command has at most {MAX_COMMAND}")
        try:
            topic = self._topics.parse_node(message.topic)
        except TopicError as error:
            raise FrameError("topic", str(error)) from error
        if topic.node != self._node or topic.kind != "cmd" or len(topic.rest) != 1:
            raise FrameError("topic", f"{message.topic} is not a command to {self._node}")
        return topic.rest[0]

    def _newly_issued(self, payload: bytes, name: str) -> _Issue:
        """Let each number through once, whatever becomes of it then, and not too many in a short time."""
        fields = cbor.decode(payload)
        issue = _Issue(integer(fields, 1, "boot", most=UINT32), integer(fields, 2, "id"), name)
        if (issue.boot, issue.id) <= self._newest:
            raise FrameError("replayed", f"command {issue.id} of the hub's life {issue.boot}, or a newer one, was here")
        self._newest = (issue.boot, issue.id)
        cost = LOG_COST if name == Verb.LOG else 1.0
        if not self._pace.take(self._clock.monotonic_ns(), cost):
            raise FrameError("too_often", f"more than {COMMANDS_PER_S:g} commands a second")
        return issue

    def _check_time(self, command: NodeCommand, verb: Verb) -> None:
        now_us = self._clock.now_us()
        holds_s = MAX_VALID_S + MAX_AHEAD_S
        if command.expires_us < now_us:
            late_s = (now_us - command.expires_us) / MICROSECONDS
            raise FrameError("expired", f"its time passed {late_s:.3f} s ago by this node's clock")
        if self._trust.authenticated or verb is Verb.REBIRTH:
            return
        if command.expires_us > now_us + holds_s * MICROSECONDS:
            ahead_s = (command.expires_us - now_us) / MICROSECONDS
            raise FrameError("future", f"it would hold for {ahead_s:.3f} s by this node's clock, at most {holds_s:g}")
        if command.expires_us <= self._clock.mesh_us(self._started_ns) + holds_s * MICROSECONDS:
            raise FrameError("before_start", "it may have been obeyed by an earlier life of this node: ask again")

    def _handler(self, verb: Verb) -> Handler:
        try:
            return self._verbs[verb]
        except KeyError:
            raise FrameError("unknown_verb", f"this node does not take {verb}") from None

    def _refuse(self, message: Message, error: FrameError) -> None:
        self.refused[error.reason] += 1
        self._trust.audit.note("command", message.topic, error, self._clock.monotonic_ns())

    # -- what is obeyed --------------------------------------------------------------------------------------------

    def _obey(self, handler: Handler, command: NodeCommand, issue: _Issue) -> None:
        try:
            answer = handler(command.arguments)
        except BecomingOneError as error:
            answer = Answer(done=False, why=str(error))
        except Exception as error:  # noqa: BLE001 - it must not leave the operator without an answer
            self.refused["failed"] += 1
            _LOG.exception("%s failed", issue.verb)
            self._reply(issue, Answer(done=False, why=f"failed: {type(error).__name__}: {error}"))
            return
        if isinstance(answer, Later):
            answer.when_settled(lambda settled: self._conclude(issue, settled))
        else:
            self._conclude(issue, answer)

    def _conclude(self, issue: _Issue, answer: Answer) -> None:
        if not answer.done:
            self.refused["declined"] += 1
            _LOG.info("%s declined: %s", issue.verb, answer.why)
        self._reply(issue, answer)
        if answer.then is not None:
            answer.then()

    def _reply(self, issue: _Issue, answer: Answer) -> None:
        reply = Reply(
            boot=self._boot,
            hub_boot=issue.boot,
            id=issue.id,
            verb=issue.verb,
            result="done" if answer.done else "refused",
            why=answer.why,
            log=answer.log,
        )
        topic = self._topics.reply(self._node, issue.id)
        self._link.publish(topic, self._trust.seal_json(topic, reply.model_dump_json().encode()), qos=1)
