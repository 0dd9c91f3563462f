"""Live frames: the newest are worth most, late ones nothing, and every drop is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from becomingone.broker.link import Link
from becomingone.broker.presence import Presence
from becomingone.node.live import WAITING, LiveFrames
from becomingone.sim.clock import VirtualScheduler


class SlowLink:
    """A link that takes `room` messages and then none, and never one of more than `largest` bytes."""

    def __init__(self) -> None:
        self.room = 1 << 30
        self.largest = 1 << 20
        self.taken: list[bytes] = []
        self.lose: Callable[[str], None] = lambda _reason: None

    def on_down(self, callback: Callable[[str], None]) -> None:
        self.lose = callback

    def publish(self, topic: str, payload: bytes) -> bool:
        assert topic == "t"
        if not self.room or len(payload) > self.largest:
            return False
        self.room -= 1
        self.taken.append(payload)
        return True


class Confirmed:
    """A presence that says what the test wants."""

    def __init__(self) -> None:
        self.confirmed = False
        self.callbacks: list[Callable[[], None]] = []

    def on_confirmed(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def confirm(self) -> None:
        self.confirmed = True
        for callback in self.callbacks:
            callback()


class Rig:
    def __init__(self, *, up: bool = True) -> None:
        self.link, self.presence, self.scheduler = SlowLink(), Confirmed(), VirtualScheduler()
        self.live = LiveFrames(cast("Link", self.link), cast("Presence", self.presence), self.scheduler)
        if up:
            self.presence.confirm()

    def offer(self, *numbers: int) -> None:
        for number in numbers:
            self.live.offer("t", number.to_bytes(2, "big"))

    @property
    def taken(self) -> list[int]:
        return [int.from_bytes(payload, "big") for payload in self.link.taken]


def test_frames_go_out_as_they_come() -> None:
    rig = Rig()
    rig.offer(1, 2, 3)
    assert (rig.taken, rig.live.sent, len(rig.live), dict(rig.live.dropped)) == ([1, 2, 3], 3, 0, {})


def test_before_the_first_connection_nobody_misses_a_frame() -> None:
    rig = Rig(up=False)
    rig.offer(1, 2)
    assert (rig.taken, rig.live.dropped.total()) == ([], 0)
    rig.presence.confirm()
    rig.presence.confirmed = False
    rig.offer(3)
    assert (rig.taken, dict(rig.live.dropped)) == ([], {"link down": 1})


def test_what_a_slow_link_does_not_take_waits_in_order() -> None:
    rig = Rig()
    rig.link.room = 1
    rig.offer(1, 2, 3)
    assert (rig.taken, len(rig.live)) == ([1], 2)
    rig.link.room = 1
    rig.offer(4)  # not before those that wait
    assert rig.taken == [1]
    rig.scheduler.run_for(0.02)
    assert (rig.taken, len(rig.live)) == ([1, 2], 2)
    rig.link.room = 10
    rig.scheduler.run_for(0.02)
    assert (rig.taken, len(rig.live), rig.live.dropped.total()) == ([1, 2, 3, 4], 0, 0)
    rig.scheduler.run_for(1.0)
    assert rig.live.sent == 4


def test_when_too_many_wait_the_oldest_makes_room() -> None:
    rig = Rig()
    rig.link.room = 0
    rig.offer(*range(WAITING + 5))
    assert (len(rig.live), dict(rig.live.dropped)) == (WAITING, {"overflow": 5})
    rig.link.room = 1 << 30
    rig.scheduler.run_for(0.02)
    assert rig.taken == list(range(5, WAITING + 5))


def test_what_the_link_will_never_take_holds_up_nobody() -> None:
    rig = Rig()
    rig.link.largest = 10
    rig.live.offer("t", bytes(11))
    rig.offer(1, 2)
    rig.scheduler.run_for(0.02)
    assert (rig.taken, len(rig.live), dict(rig.live.dropped)) == ([1, 2], 0, {"refused": 1})


def test_when_the_link_breaks_what_waits_is_worthless() -> None:
    rig = Rig()
    rig.link.room = 0
    rig.offer(1, 2)
    rig.presence.confirmed = False
    rig.link.lose("gone")
    rig.link.room = 10
    rig.presence.confirm()
    rig.offer(3)
    rig.scheduler.run_for(1.0)
    assert (rig.taken, dict(rig.live.dropped)) == ([3], {"link down": 2})


def test_at_the_end_what_the_link_takes_is_sent_and_no_more() -> None:
    rig = Rig()
    rig.link.room = 0
    rig.offer(1, 2)
    rig.link.room = 1
    rig.live.close()
    assert rig.taken == [1]
    rig.link.room = 5
    rig.scheduler.run_for(1.0)
    assert rig.taken == [1]
