"""Whether outputs obey: what they say, what is told of those that do not, what is shown of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub.dispatch.driven import Driven
from becomingone.hub.dispatch.outputs import Outputs
from becomingone.hub.dispatch.requests import Requests
from becomingone.scheduling import NANOSECONDS, MeshClock
from becomingone.wire.announce import OutputState, parse_announcement
from becomingone.wire.topics import Topics

MAX_SHOWN: Final = 256
"""Outputs in the figures; those that do not obey come first."""

_WRONG: Final = ("silent", "refusing")


class OutputWatch:
    """Takes ``node/<node>/output/<device>/state``.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    boot : int
        The hub's boot id.
    outputs : Outputs
        The outputs.
    requests : Requests
        Told of what outputs obey.
    ack_s : float
        Seconds without a word after which an output is silent.
    clock : MeshClock
        The hub's.
    tell : callable
        Tells an event.
    refuse : callable
        Counts and tells of messages that are refused.
    """

    def __init__(
        self,
        topics: Topics,
        boot: int,
        outputs: Outputs,
        requests: Requests,
        *,
        ack_s: float,
        clock: MeshClock,
        tell: Callable[[str, dict[str, Any]], object],
        refuse: Callable[[Message, FrameError | TopicError], None],
    ) -> None:
        self._topics = topics
        self._boot = boot
        self._outputs = outputs
        self._requests = requests
        self._ack_ns = int(ack_s * NANOSECONDS)
        self._clock = clock
        self._tell = tell
        self._refuse = refuse

    def start(self, link: Link) -> None:
        """Take what outputs say from now on."""
        link.subscribe(self._topics.output_state("+", "+"), self._take, qos=1)

    def figures(self) -> dict[str, Any]:
        """Give how outputs are, for the snapshot."""
        now_ns = self._clock.monotonic_ns()
        found = [(one, one.obedience(now_ns, self._ack_ns)) for one in self._outputs.driven()]
        ranked = sorted(found, key=lambda pair: (pair[1] not in _WRONG, pair[0].key))
        return {
            "outputs": {one.key: one.figures(now_ns, self._ack_ns) for one, _ in ranked[:MAX_SHOWN]},
            "left_out": max(0, len(ranked) - MAX_SHOWN),
            "counts": dict(Counter(state for _, state in found)),
        }

    def _take(self, message: Message) -> None:
        try:
            topic = self._topics.parse_node(message.topic)
            one = self._outputs.get(topic.node, topic.rest[0] if topic.rest else "")
            if one is None or not message.payload:
                return  # of an output that is not described (yet, or any more), or taken back
            state = parse_announcement(OutputState, message.payload)
        except (FrameError, TopicError) as error:
            self._refuse(message, error)
            return
        now_ns = self._clock.monotonic_ns()
        one.said(state, self._boot, now_ns)
        if not message.retained and one.acked_ns == now_ns:
            self._requests.obeyed(one.node, one.device, one.acked_id)

    def judge(self, one: Driven, now_ns: int) -> None:
        """Tell of an output that does not obey, and of one that does again."""
        state = one.obedience(now_ns, self._ack_ns)
        if state == one.told or (state not in _WRONG and not (state == "obeying" and one.told in _WRONG)):
            return
        before, one.told = one.told, state
        self._tell(
            "output",
            {
                "node": one.node,
                "output": one.device,
                "is": state,
                "before": before,
                "rule": one.wish.source,
                "says": "" if one.state is None else f"{one.state.doing}: {one.state.why}"[:200],
            },
        )
