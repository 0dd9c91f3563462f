"""What people and home automation ask of outputs: checked, held for a while as the hub's own wish, and answered.

Nothing is answered as done that the output has not said it does.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Literal

from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub.dispatch.held import Held, Known
from becomingone.hub.dispatch.tokens import Tokens
from becomingone.hub.rules.section import RequestsSection
from becomingone.scheduling import NANOSECONDS, MeshClock
from becomingone.wire.announce import parse_announcement
from becomingone.wire.command import read_values
from becomingone.wire.mapping import MOTOR
from becomingone.wire.rate import Bucket
from becomingone.wire.remote import Answer, Request
from becomingone.wire.topics import Topics

MAX_REQUEST: Final = 4096
"""Bytes of a request."""

REQUESTS_PER_S: Final = 50.0
"""Requests a second that are looked at, from everybody together."""

REQUESTS_AT_ONCE: Final = 200.0

STOPS_PER_S: Final = 500.0
"""Requests a second beyond that which are still read: one that has a motor stand still is never too often."""

OUTPUT_AT_ONCE: Final = 20.0
"""Requests for one output that may come at once."""

MAX_HELD: Final = 1024
"""Requests that hold at a time."""

MOST_PACES: Final = 512
"""Outputs whose pace is kept before those that there are no more are looked for."""

Result = Literal["done", "refused", "unanswered"]

_LOG = logging.getLogger(__name__)


class Requests:
    """Takes ``request/<node>/<device>``.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    section : RequestsSection
        What may be asked for.
    ack_s : float
        Seconds that an output has to say that it obeys.
    clock : MeshClock
        The hub's.
    output : callable
        Tells of an output by node and device; None where there is none.
    tell : callable
        Tells an event.
    refuse : callable
        Counts and tells of what is refused.
    changed : callable
        Called with an output whenever what holds for it has changed.
    """

    def __init__(
        self,
        topics: Topics,
        section: RequestsSection,
        *,
        ack_s: float,
        clock: MeshClock,
        output: Callable[[str, str], Known | None],
        tell: Callable[[str, dict[str, Any]], object],
        refuse: Callable[[Message, FrameError | TopicError], None],
        changed: Callable[[str, str], None],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._topics = topics
        self._section = section
        self._ack_ns = int(ack_s * NANOSECONDS)
        self._clock = clock
        self._output = output
        self._tell = tell
        self._refuse = refuse
        self._changed = changed
        self._link: Link | None = None
        self._held: dict[tuple[str, str], Held] = {}
        self._tokens = Tokens()
        self._pace = Bucket(REQUESTS_PER_S, REQUESTS_AT_ONCE)
        self._stops = Bucket(STOPS_PER_S, STOPS_PER_S)
        self._paces: dict[tuple[str, str], Bucket] = {}
        self._most_paces = MOST_PACES
        self._closed = False

    def start(self, link: Link) -> None:
        """Take requests from now on, where any are allowed."""
        self._link = link
        if self._section.enabled:
            link.subscribe(self._topics.request("+", "+"), self._take, qos=1)

    def of(self, node: str, device: str, now_ns: int) -> Held | None:
        """Give what holds for an output; None where nothing does."""
        held = self._held.get((node, device)) if self._held else None
        return held if held is not None and now_ns < held.until_ns else None

    def look(self, now_ns: int) -> None:
        """End what has held for long enough, and answer whom nobody else has answered in time."""
        for place, held in list(self._held.items()):
            if not held.answered and now_ns >= min(held.answer_ns, held.until_ns):
                self._conclude(held, "unanswered", "the output has not said in time that it obeys")
            if now_ns >= held.until_ns:
                del self._held[place]
                self._changed(*place)

    def obeyed(self, node: str, device: str, command: int) -> None:
        """Take note that an output obeys a command; a request that it says is done."""
        held = self._held.get((node, device))
        if held is not None and not held.answered and held.command is not None and command >= held.command:
            self._conclude(held, "done", "")

    def close(self) -> None:
        """Tell everybody who waits that this hub will not know, and listen no more."""
        self._closed = True
        for held in self._held.values():
            if not held.answered:
                self._conclude(held, "unanswered", "the hub stops before the output has said that it obeys")
        self._held.clear()

    def figures(self, now_ns: int) -> dict[str, Any]:
        """Give what holds, for the snapshot."""
        return {
            "counts": dict(self.counts),
            "held": {
                "/".join(place): {"for_s": round((held.until_ns - now_ns) / 1e9, 1), "why": held.why}
                for place, held in list(self._held.items())[:64]
            },
        }

    # -- what comes in ---------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        try:
            node, device, request = self._read(message)
        except (FrameError, TopicError) as error:  # nobody to answer, or not once more
            self.counts["refused"] += 1
            self._refuse(message, error)
            return
        try:
            if self._closed:
                raise FrameError("offline", "this hub stops")
            self._hold(node, device, request)
        except FrameError as error:
            self._refuse(message, error)
            self._answer(node, device, request.token, "refused", f"{error}")

    def _read(self, message: Message) -> tuple[str, str, Request]:
        now_ns = self._clock.monotonic_ns()
        hurried = not self._pace.take(now_ns)
        if hurried and not self._stops.take(now_ns):
            raise FrameError("too_often", f"more than {REQUESTS_PER_S + STOPS_PER_S:g} requests a second")
        if message.retained:
            raise FrameError("retained", "a request is never retained: somebody has stored this one")
        if len(message.payload) > MAX_REQUEST:
            raise FrameError("oversize", f"{len(message.payload)} bytes, a request has at most {MAX_REQUEST}")
        node, device = self._topics.parse_cell(message.topic).names
        request = parse_announcement(Request, message.payload)
        if self._stands_still(self._output(node, device), request):
            return node, device, request  # twice is as good as once, and nothing may be in its way
        if hurried:
            raise FrameError("too_often", f"more than {REQUESTS_PER_S:g} requests a second")
        if request.token is not None:
            self._tokens.take(node, request.token, now_ns)
        return node, device, request

    def _stands_still(self, known: Known | None, request: Request) -> bool:
        """Tell whether a request has a motor stand still."""
        return (
            known is not None
            and known.role == MOTOR
            and request.values is not None
            and not any(request.values.values())
        )

    def _pace_of(self, place: tuple[str, str]) -> Bucket:
        """Give an output's pace; those of outputs that are described no more are forgotten when there are many."""
        pace = self._paces.get(place)
        if pace is None:
            if len(self._paces) >= self._most_paces:
                self._paces = {one: kept for one, kept in self._paces.items() if self._output(*one) is not None}
                self._most_paces = max(MOST_PACES, 2 * len(self._paces))
            pace = self._paces[place] = Bucket(self._section.per_minute / 60.0, OUTPUT_AT_ONCE)
        return pace

    def _hold(self, node: str, device: str, request: Request) -> None:
        known = self._output(node, device)
        if known is None:
            raise FrameError("unknown_output", f"no node {node} with an output {device} has been heard of")
        now_ns = self._clock.monotonic_ns()
        place = (node, device)
        stop = self._stands_still(known, request)
        if not stop and not self._pace_of(place).take(now_ns):
            raise FrameError("too_often", f"more than {self._section.per_minute:g} requests a minute for {device}")
        if request.values is None:
            self._release(place, request)
            return
        values = read_values(dict(request.values), known.role)
        if known.role == MOTOR and not stop and not self._section.motors:
            raise FrameError("not_allowed", "dispatch.requests.motors is false: a motor may only be asked to stop")
        if known.absence is not None and not stop:
            raise known.absence
        before = self.of(node, device, now_ns)
        if before is not None and not stop and (before.stop or before.priority > request.priority):
            what = "stand still" if before.stop else f"something else with priority {before.priority}"
            raise FrameError("outranked", f"{device} has been asked to do {what}; take that back first")
        if place not in self._held and len(self._held) >= MAX_HELD:
            raise FrameError("too_often", f"{MAX_HELD} requests hold already")
        replaced = self._held.get(place)
        if replaced is not None and not replaced.answered:
            self._conclude(replaced, "unanswered", "a newer request has taken its place")
        held = Held(
            node,
            device,
            values,
            stop,
            request.priority,
            now_ns + int(min(request.hold_s, self._section.max_hold_s) * NANOSECONDS),
            request.token,
            request.why,
            now_ns + self._ack_ns,
        )
        self._held[place] = held
        _LOG.info("%s/%s: %s, as somebody asks: %r", node, device, "stop" if stop else values, request.why)
        if stop:
            self._conclude(held, "done", "the hub commands nothing: a motor without commands rests within 0.15 s")
        self._changed(node, device)

    def _release(self, place: tuple[str, str], request: Request) -> None:
        held = self._held.pop(place, None)
        if held is not None and not held.answered:
            self._conclude(held, "unanswered", "it was taken back")
        why = "nothing was held" if held is None else "the hub's rules decide again"
        self._answer(*place, request.token, "done", why)
        self._changed(*place)

    # -- what goes out ---------------------------------------------------------------------------------------------

    def _conclude(self, held: Held, result: Result, why: str) -> None:
        held.answered = True
        self._answer(held.node, held.device, held.token, result, why)

    def _answer(self, node: str, device: str, token: str | None, result: Result, why: str) -> None:
        self.counts[result] += 1
        answer = Answer(node=node, device=device, token=token, time_us=self._clock.now_us(), result=result, why=why)
        if token is not None and self._link is not None:
            self._link.publish(self._topics.answer(node, token), answer.model_dump_json().encode(), qos=1)
        self._tell("request", answer.model_dump(exclude={"time_us"}))
