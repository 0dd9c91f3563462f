"""One tick of the hub: who has fallen silent, the mesh evaluated, and handed to everybody who thinks or acts on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from becomingone.broker.link import Link
from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.evaluator import MeshEvaluator
from becomingone.hub.mesh.rest import Rest
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.sync import SyncPublisher
from becomingone.scheduling import MeshClock
from becomingone.wire.announce import State
from becomingone.wire.topics import Topics

SILENCE_NS: Final = 100_000_000
"""ns between looks for nodes that have been silent for too long."""


class Beat:
    """What a tick does.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    link : Link
        Tells of nodes that are silent, and has to be up for that and for sync frames.
    clock : MeshClock
        The hub's.
    roster : Roster
        Who may be silent.
    evaluator : MeshEvaluator
        Evaluates the mesh.
    rest : Rest
        Knows which ticks may be left out.
    sync : SyncPublisher or None
        Tells the nodes of the mesh's field.
    takers : sequence of callable
        Given each state, in this order.

    Attributes
    ----------
    latest : MeshState
        The newest.
    """

    def __init__(
        self,
        topics: Topics,
        link: Link,
        clock: MeshClock,
        *,
        roster: Roster,
        evaluator: MeshEvaluator,
        rest: Rest,
        sync: SyncPublisher | None,
        takers: Sequence[Callable[[MeshState], None]],
    ) -> None:
        self.latest = MeshState(clock.now_us(), ())
        self._topics = topics
        self._link = link
        self._clock = clock
        self._roster = roster
        self._evaluator = evaluator
        self._rest = rest
        self._sync = sync
        self._takers = takers
        self._heard_out_ns = 0

    def tick(self) -> None:
        """Do it."""
        now_ns = self._clock.monotonic_ns()
        now_us = self._clock.mesh_us(now_ns)
        if now_ns - self._heard_out_ns >= SILENCE_NS:
            self._heard_out_ns = now_ns
            self._give_up(now_ns)
        if not self._rest.may(now_us, self.latest.time_us):
            self._evaluate(now_us)

    def _give_up(self, now_ns: int) -> None:
        for member in self._roster.silent(now_ns) if self._link.connected else ():
            # The broker sends it back to us, and only then does the roster change: one truth for all who listen.
            if self._link.publish(self._topics.state(member.id), State.LOST.encode(), qos=1, retain=True):
                self._roster.give_up(member, now_ns)

    def _evaluate(self, now_us: int) -> None:
        self.latest = state = self._evaluator.evaluate(now_us)
        if self._sync is not None and self._link.connected:
            self._sync.take(state, len(self._roster.members))
        for take in self._takers:
            take(state)
