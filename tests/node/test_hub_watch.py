"""What the hub says of itself, and what a node makes of it."""

from __future__ import annotations

from typing import Any

from becomingone.node.hub_watch import HubWatch
from becomingone.node.trust import Trust
from becomingone.scheduling import MeshClock
from becomingone.sim.bench import Bench
from becomingone.wire.announce import State
from becomingone.wire.topics import Topics

TOPICS = Topics("becomingone", "home")


class Rig:
    def __init__(self) -> None:
        self.bench = Bench(1)
        self.heard: list[str] = []
        link = self.bench.client("n")
        link.start()
        self.watch = HubWatch(
            link=link,
            topics=TOPICS,
            clock=MeshClock(self.bench.scheduler),
            audit=Trust(None, 1).audit,
            on_gone=self.heard.append,
            on_ready=lambda: self.heard.append("ready"),
        )
        self.hub = self.bench.client("hub")
        self.hub.start()

    def say(self, payload: Any) -> None:
        self.hub.publish(
            TOPICS.hub_state, payload if isinstance(payload, bytes) else str(payload).encode(), retain=True
        )
        self.bench.run_for(0.1)


def test_it_hears_of_a_hub_that_goes_and_comes() -> None:
    rig = Rig()
    rig.watch.start()
    rig.bench.run_for(0.1)
    for state in (State.INIT, State.READY, State.READY, State.LOST, State.READY, State.DISCONNECTED):
        rig.say(state)
    assert rig.heard == ["ready", "the hub is lost", "ready", "the hub is disconnected"]
    assert rig.watch.state is State.DISCONNECTED


def test_it_hears_of_a_hub_that_has_gone_before() -> None:
    rig = Rig()
    rig.bench.run_for(0.1)
    rig.say(State.LOST)
    rig.watch.start()
    rig.bench.run_for(0.1)
    assert rig.heard == ["the hub is lost"]


def test_what_is_no_state_is_refused() -> None:
    rig = Rig()
    rig.watch.start()
    rig.bench.run_for(0.1)
    for payload in (b"", b"\xff", b"READY", b"ready" * 1000):
        rig.say(payload)
    assert rig.heard == []
    assert rig.watch.refused == {"state": 4}
