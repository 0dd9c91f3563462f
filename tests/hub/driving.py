"""A dispatch in virtual time, with nodes that do not exist and an output that does what it is told, or not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

from becomingone.broker.link import Handler, Link, Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub.dispatch.dispatch import Dispatch
from becomingone.hub.dispatch.driven import Driven
from becomingone.hub.intake.roster import Member, Roster
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.rules.section import DispatchSection
from becomingone.scheduling import MeshClock
from becomingone.sim.clock import VirtualScheduler
from becomingone.wire.announce import OutputState, State
from becomingone.wire.command import OutputCommand, decode_command
from becomingone.wire.topics import matches

from .parts import NOW_US, TOPICS, about

BASE = f"{TOPICS.base}/"
TICK_S = 0.05


def output(name: str = "light", role: str = "display") -> dict[str, str]:
    return {"name": name, "kind": "terminal", "role": role}


def band(mean_field: complex = 0.5 + 0j, coherence: float = 0.5, **fields: Any) -> BandState:
    given: dict[str, Any] = {"name": "stride", "valid": True, "weight": 1.0, "time_us": NOW_US, **fields}
    return BandState(coherence=coherence, mean_field=mean_field, **given)


def significant(mean_field: complex = 0.6 - 0.5j, **fields: Any) -> BandState:
    return band(mean_field, 0.8, **{"collapsed": True, "decidable": True, **fields})


class FakeLink:
    """Takes subscriptions and publications, and hands over what the test says."""

    def __init__(self) -> None:
        self.handlers: list[tuple[str, Handler]] = []
        self.published: list[tuple[str, dict[str, Any]]] = []

    def subscribe(self, topic_filter: str, handler: Handler, **_more: object) -> None:
        self.handlers.append((topic_filter, handler))

    def publish(self, topic: str, payload: bytes, **_more: object) -> bool:
        self.published.append((topic.removeprefix(BASE), json.loads(payload)))
        return True

    def say(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        for topic_filter, handler in self.handlers:
            if matches(topic_filter, BASE + topic):
                handler(Message(BASE + topic, payload, retained))


class Rig:
    """A dispatch and all around it."""

    def __init__(self, section: Mapping[str, Any] | None = None, **more: Any) -> None:
        self.scheduler = VirtualScheduler(NOW_US)
        self.clock = MeshClock(self.scheduler)
        self.roster = Roster()
        self.table = ChannelTable()
        self.link = FakeLink()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.refused: Counter[str] = Counter()
        self.commands: list[tuple[str, OutputCommand]] = []
        self.emerged: frozenset[str] = frozenset()
        self.pairs: dict[str, dict[str, dict[str, Any]]] = {}
        self.glances: list[int] = []
        self.glance: dict[int, BandState] = {}
        self.connected = True
        self.dispatch = Dispatch(
            DispatchSection.model_validate(dict(section or {})),
            TOPICS,
            3,
            **{
                "seal": lambda _node, _topic, payload: payload,
                "send": self._send,
                "roster": self.roster,
                "clock": self.clock,
                "scheduler": self.scheduler,
                "tell": lambda kind, content: self.events.append((kind, content)),
                "refuse": self._refuse,
                "table": self.table,
                "emerged": lambda: self.emerged,
                "pairs": lambda: self.pairs,
                "glance": self._glance,
                **more,
            },
        )
        self.dispatch.start(cast("Link", self.link))
        self.dispatch.listen(cast("Link", self.link))

    def node(self, name: str = "n", *outputs: dict[str, str], state: State | None = State.READY) -> Member:
        member = self.roster.enrol(name, self.scheduler.monotonic_ns())
        member.state, member.about = state, about(name, outputs=outputs or (output(),))
        return member

    def tick(self, *bands: BandState, ticks: int = 1) -> list[tuple[str, OutputCommand]]:
        """Let ticks pass; give the commands that were sent meanwhile."""
        before = len(self.commands)
        for _ in range(ticks):
            self.scheduler.run_for(TICK_S)
            self.dispatch.take(MeshState(self.clock.now_us(), bands))
        return self.commands[before:]

    def last(self, key: str = "n/light") -> Mapping[str, float]:
        """What an output was told last."""
        return next(command.values for topic, command in reversed(self.commands) if topic == key)

    def one(self, key: str = "n/light") -> Driven:
        found = self.dispatch.outputs.get(*key.split("/"))
        assert found is not None
        return found

    def says(self, key: str = "n/light", doing: str = "command", **fields: Any) -> None:
        """Have an output say what it does; unless told otherwise that it obeys its last command."""
        node, device = key.split("/")
        ids = {"hub_boot": 3, "id": self.one(key).last_id} if doing == "command" else {}
        state = OutputState.model_validate({"doing": doing, "why": "", "values": {}, **ids, **fields})
        self.link.say(f"node/{node}/output/{device}/state", state.model_dump_json().encode())

    def ask(self, key: str = "n/light", *, retained: bool = False, **request: Any) -> None:
        self.link.say(f"request/{key}", json.dumps(request).encode(), retained=retained)

    def answers(self) -> list[tuple[str, str]]:
        """Token and result of each answer."""
        return [(topic.rsplit("/", 1)[1], said["result"]) for topic, said in self.link.published]

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [content for name, content in self.events if name == kind]

    def _send(self, topic: str, payload: bytes) -> bool:
        if not self.connected:
            return False
        node, device = topic.removeprefix(f"{BASE}node/").removesuffix("/set").split("/output/")
        self.commands.append((f"{node}/{device}", decode_command(payload, self.one(f"{node}/{device}").role)))
        return True

    def _glance(self, number: int, now_us: int) -> BandState:
        self.glances.append(now_us)
        return self.glance[number]

    def _refuse(self, _message: Message, error: FrameError | TopicError) -> None:
        self.refused[error.reason if isinstance(error, FrameError) else "topic"] += 1
