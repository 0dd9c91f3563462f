"""From the mesh's state to commands for outputs: by request, by rule, by the documents' mappings, in this order.

A command is repeated for as long as it holds, so that one that is lost is made up for by the next; there is no other
retry. When nothing is commanded any more, outputs leave the hub by themselves, and motors rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub.dispatch.chooser import Chooser
from becomingone.hub.dispatch.driven import Driven
from becomingone.hub.dispatch.driving import Driving
from becomingone.hub.dispatch.frame_watch import FrameWatch, Glance
from becomingone.hub.dispatch.held import Known
from becomingone.hub.dispatch.output_watch import OutputWatch
from becomingone.hub.dispatch.outputs import Outputs
from becomingone.hub.dispatch.requests import Requests
from becomingone.hub.dispatch.sender import Seal, Sender
from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.rules.node_fields import NodeRows
from becomingone.hub.rules.quiet import zone
from becomingone.hub.rules.rule import Rule
from becomingone.hub.rules.section import DispatchSection
from becomingone.hub.rules.view import NO_PAIRS, Looks, Pairs, Sources, View
from becomingone.scheduling import NANOSECONDS, MeshClock, Scheduler
from becomingone.wire.announce import State
from becomingone.wire.topics import Topics

MOST_JUDGED: Final = 200
"""Outputs that are looked at one by one in a tick; of more than that, a part in each."""


class Dispatch:
    """Makes the commands of one hub's life.

    Parameters
    ----------
    section : DispatchSection
        How outputs are driven; its `rules_file` has been read (`becomingone.hub.rules.load.with_file`).
    topics : Topics
        The cell's topics.
    boot : int
        The hub's boot id.
    seal : callable
        Seals each command.
    send : callable
        Sends a topic and payload; False where it could not.
    roster : Roster
        The nodes and their outputs.
    clock, scheduler : MeshClock, Scheduler
        The hub's.
    tell, refuse : callable
        Tell an event, and count and tell of messages that are refused.
    table : ChannelTable, optional
        For figures of single nodes.
    emerged : callable
        Gives the names of the bands that have emerged.
    pairs : callable
        Gives the figures of the pairs of groups, by pair and band.
    glance : callable, optional
        Looks at one band between ticks; without it, or without a table, no frame sets off a command.
    send_once : callable, optional
        Sends, as `send`, what a frame has set off: the next frame or the repetition makes up for one that is lost, so
        that it need not be acknowledged. By default `send`.
    """

    def __init__(
        self,
        section: DispatchSection,
        topics: Topics,
        boot: int,
        *,
        seal: Seal,
        send: Callable[[str, bytes], bool],
        roster: Roster,
        clock: MeshClock,
        scheduler: Scheduler,
        tell: Callable[[str, dict[str, Any]], object],
        refuse: Callable[[Message, FrameError | TopicError], None] = lambda _message, _error: None,
        table: ChannelTable | None = None,
        emerged: Callable[[], frozenset[str]] = frozenset,
        pairs: Callable[[], Pairs] = lambda: NO_PAIRS,
        glance: Glance | None = None,
        send_once: Callable[[str, bytes], bool] | None = None,
    ) -> None:
        self.rules: Sequence[Rule] = tuple(Rule(rule, section.quiet_hours) for rule in section.rules)
        self.outputs = Outputs(
            topics,
            self.rules,
            roster,
            rate_hz=section.rate_hz,
            keep_alive_ns=int(section.keep_alive_s * NANOSECONDS),
        )
        self.requests = Requests(
            topics,
            section.requests,
            ack_s=section.ack_s,
            clock=clock,
            output=self._known,
            tell=tell,
            refuse=refuse,
            changed=self._asked,
        )
        self._watch = OutputWatch(
            topics,
            boot,
            self.outputs,
            self.requests,
            ack_s=max(section.ack_s, 2.0 * section.keep_alive_s),
            clock=clock,
            tell=tell,
            refuse=refuse,
        )
        self._sender = Sender(boot, seal=seal, send_on=send, send_once=send_once or send)
        self._chooser = Chooser(section, self.requests, suppress=self._sender.suppress)
        self._driving = Driving(
            section, requests=self.requests, chooser=self._chooser, sender=self._sender, clock=clock
        )
        local = zone(section.timezone) if section.timezone is not None else None
        rows = NodeRows(table) if table is not None else None
        self._sources = Sources(roster, rows, local, emerged, pairs)
        self._section = section
        self._roster = roster
        self._clock = clock
        self._scheduler = scheduler
        self._tell = tell
        self._frames = FrameWatch(
            rows,
            glance,
            section.frames_hz,
            clock=clock,
            scheduler=scheduler,
            drive=self._drive_moved,
            suppressed=self._sender.suppressed,
        )
        self.moved = self._frames.moved
        self._state = MeshState(0, ())
        self._tick = 0
        self._heard = False

    @property
    def sent(self) -> int:
        """Commands since the start."""
        return self._sender.sent

    @property
    def suppressed(self) -> Counter[str]:
        """Commands that were not sent, by reason; see `Sender`."""
        return self._sender.suppressed

    @property
    def busy(self) -> bool:
        """Whether every tick counts: a motor is driven, or an event is waiting for the rules."""
        return self._heard or any(one.moves for one in self.outputs.driven())

    def start(self, link: Link) -> None:
        """Take requests from now on."""
        self.requests.start(link)

    def listen(self, link: Link) -> None:
        """Take what outputs say of themselves from now on: to be called once what nodes have is known."""
        self._watch.start(link)

    def close(self) -> None:
        """Command nothing any more, and tell whoever waits."""
        self._frames.close()
        self.requests.close()

    # -- what comes in ---------------------------------------------------------------------------------------------

    def take(self, state: MeshState) -> None:
        """Take the mesh as of a tick, and drive every output."""
        now_ns = self._clock.monotonic_ns()
        self._state = state
        self._heard = False
        self.requests.look(now_ns)
        driven = self.outputs.driven()
        view = self._view(state, now_ns)
        self._frames.begin([band.name for band in state.bands])
        numbers = {band.name: number for number, band in enumerate(state.bands)}
        self._tick += 1
        turns = 1 + len(driven) // MOST_JUDGED
        first = self._tick % max(1, len(driven))
        for one in driven[first:] + driven[:first]:  # each time another one is the first: a lack is shared out
            if not one.alike and not one.moves and (one.number + self._tick) % turns:
                continue  # so many that each differs: they take turns
            self._driving.drive(one, view)
            if not (one.number + self._tick) % turns:
                self._watch.judge(one, now_ns)
            if self._frames.active and not one.moves and one.wish.values is not None:
                self._follow(one, view, numbers)
        self._announce(now_ns)

    def _follow(self, one: Driven, view: View, numbers: Mapping[str, int]) -> None:
        """Have an output driven by the frames that can move it."""
        found = self._roster.get
        nodes = [
            (numbers[band], member.number)
            for band, node in self._chooser.heeds(one, view)
            if band in numbers and (member := found(node)) is not None
        ]
        self._frames.watch(one, [numbers[name] for name in self._chooser.follows(one, view) & numbers.keys()], nodes)

    def heard(self, kind: str, content: dict[str, Any]) -> None:
        """Take note of an event of the hub; rules that wait for it fire with the next tick."""
        now_ns = self._clock.monotonic_ns()
        for rule in self.rules:
            rule.hear(kind, content, now_ns)
        self._heard = self._heard or bool(self.rules)

    def figures(self) -> dict[str, Any]:
        """Give what is commanded and why, for the snapshot."""
        return {
            "sent": self._sender.sent,
            "suppressed": dict(self._sender.suppressed),
            "rules": {
                rule.section.name: {**rule.figures(), "outputs": self.outputs.of_rule(rule)} for rule in self.rules
            },
            "requests": self.requests.figures(self._clock.monotonic_ns()),
            **self._watch.figures(),
        }

    def _view(self, state: MeshState, now_ns: int) -> View:
        return View(self._sources, state, time_us=state.time_us, now_ns=now_ns, follow=self._section.band)

    def _drive_moved(self, outputs: Sequence[Driven], looks: Looks, now_us: int, now_ns: int) -> None:
        view = View(self._sources, self._state, time_us=now_us, now_ns=now_ns, follow=self._section.band, looks=looks)
        self._driving.drive_moved(outputs, view, self._frames.budget.take)

    # -- what is told -----------------------------------------------------------------------------------------------

    def _announce(self, now_ns: int) -> None:
        """Tell of rules that have begun or ceased to fire, each at most once a second."""
        for rule in self.rules:
            if rule.changed and rule.may_tell(now_ns):
                rule.changed = False
                self._tell("rule", {"rule": rule.section.name, "on": rule.on, "why": rule.why})

    def _known(self, node: str, device: str) -> Known | None:
        one = self.outputs.get(node, device)
        if one is None:
            return None
        state = one.member.state
        away = None if state is State.READY else FrameError("offline", f"{node} is {state or 'not there'}")
        return Known(one.role, away)

    def _asked(self, node: str, device: str) -> None:
        """Do what has just been asked for, without waiting for a tick."""
        one = self.outputs.get(node, device)
        if one is not None and self._state.time_us:
            self._driving.drive(one, self._view(self._state, self._clock.monotonic_ns()))
