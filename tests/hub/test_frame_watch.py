"""What a live frame sets off between two ticks: whose outputs, when, and at what cost."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import pytest

from becomingone.hub.dispatch.driven import Driven
from becomingone.hub.dispatch.frame_watch import CHEAP_NS, MOST_REST_NS, REST, FrameWatch
from becomingone.hub.mesh.state import BandState
from becomingone.hub.mesh.table import ChannelTable, RowKey
from becomingone.hub.rules.node_fields import NodeRows
from becomingone.hub.rules.view import Looks
from becomingone.scheduling import MeshClock
from becomingone.sim.clock import VirtualScheduler

from .driving import Rig, band, output
from .parts import NOW_US


def rig(*rules: dict[str, Any], **section: Any) -> Rig:
    """Two nodes with a lamp and a channel each, whose field has been weighed."""
    made = Rig({"rules": list(rules), **section})
    for name in ("a", "b"):
        member = made.node(name)
        row = made.table.row(RowKey(name, "stride", "tone"), node=member.number, band=0, max_age_s=1.0, capability=1.0)
        for column, value in {"weight": 1.0, "coherence": 0.5, "phasor": 1.0}.items():
            made.table[column][row] = value
    made.glance = {0: band(-0.5 + 0j)}
    made.tick(band(1 + 0j))
    made.commands.clear()
    return made


def rule(name: str, outputs: str, **values: str) -> dict[str, Any]:
    return {"name": name, "outputs": [outputs], "set": values}


def test_what_looks_at_a_node_alone_is_moved_by_its_frames_alone_and_no_band_is_looked_at() -> None:
    made = rig(rule("r", "a/light", brightness="node('b').coherence"), defaults=False)
    made.table["coherence"][:] = 0.9
    made.dispatch.moved([0])
    made.scheduler.run_for(0.001)
    assert made.commands == []
    made.dispatch.moved([1])
    made.scheduler.run_for(0.001)
    assert made.last("a/light")["brightness"] == pytest.approx(0.9)
    assert made.glances == []


def test_an_output_s_own_node_moves_it() -> None:
    made = rig(rule("r", "*/light", brightness="own.coherence"))
    made.table["coherence"][:] = (0.7, 0.9)
    made.dispatch.moved([1])
    made.scheduler.run_for(0.001)
    assert [key for key, _ in made.commands] == ["b/light"]
    assert made.last("b/light")["brightness"] == pytest.approx(0.9)


def test_what_looks_at_its_band_as_well_is_moved_by_all_frames() -> None:
    made = rig(rule("r", "a/light", brightness="node('b').coherence * strength"))
    made.glance = {0: band(0.2 + 0j)}
    made.dispatch.moved([0])
    made.scheduler.run_for(0.001)
    assert made.last("a/light")["brightness"] == pytest.approx(0.1)
    assert len(made.glances) == 1


def test_what_no_frame_can_change_is_not_looked_at() -> None:
    made = rig(
        rule("r", "a/light", brightness="1 if collapsed else 0"),
        rule("s", "b/light", brightness="hour / 24"),
        timezone="UTC",
    )
    made.dispatch.moved([0, 1])
    made.scheduler.run_for(0.01)
    assert (made.commands, made.glances) == ([], [])


def test_the_newest_value_does_not_wait_for_the_tick_when_frames_are_many() -> None:
    made = rig(frames_hz=100, dead_band=0.0)
    for turn in range(1000):
        made.glance[0] = band(0.5 + 0j, turn / 1000)
        made.dispatch.moved([turn % 2])
        made.scheduler.run_for(0.0002)
    made.scheduler.run_for(0.03)  # no tick
    assert made.last("a/light")["brightness"] == pytest.approx(0.999)
    assert len(made.glances) <= 50 + 30
    assert made.dispatch.suppressed["frames"] > 0


def test_a_band_is_not_forgotten_when_another_moves() -> None:
    made = Rig(
        {
            "rules": [
                {
                    "name": "r",
                    "outputs": ["display"],
                    "set": {"hue": "deg(rad(360)) * bands.stride.strength", "brightness": "bands.motion.strength"},
                }
            ]
        }
    )
    made.node("n", output())
    for name, number in (("stride", 0), ("motion", 1)):
        made.table.row(RowKey("n", name, "tone"), node=0, band=number, max_age_s=1.0, capability=1.0)
    made.tick(band(0.1 + 0j), band(0.1 + 0j, name="motion"))
    made.glance = {0: band(0.5 + 0j), 1: band(0.1 + 0j, name="motion")}
    made.dispatch.moved([0])
    made.scheduler.run_for(0.01)
    made.glance[1] = band(0.7 + 0j, name="motion")
    made.dispatch.moved([1])
    made.scheduler.run_for(0.01)
    assert made.last("n/light") == {"hue": pytest.approx(180.0), "brightness": pytest.approx(0.7)}


def test_what_a_frame_sets_off_need_not_be_acknowledged_and_what_a_tick_does_must_be() -> None:
    once: list[str] = []

    def send_once(topic: str, _payload: bytes) -> bool:
        once.append(topic)
        return True

    made = Rig({}, send_once=send_once)
    made.node("n")
    made.table.row(RowKey("n", "stride", "tone"), node=0, band=0, max_age_s=1.0, capability=1.0)
    made.tick(band(1 + 0j))
    assert (len(made.commands), once) == (1, [])
    made.glance = {0: band(-0.5 + 0j)}
    made.dispatch.moved([0])
    made.scheduler.run_for(0.001)
    assert (len(made.commands), len(once)) == (1, 1)


class SlowScheduler(VirtualScheduler):
    """A scheduler in whose turns time passes."""

    passed_ns = 0

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self.passed_ns


@pytest.mark.parametrize(("took_ns", "rest_ns"), [(CHEAP_NS, 0), (CHEAP_NS + 1_000_000, REST * 1_000_000)])
def test_after_a_long_look_the_others_have_their_turn(took_ns: int, rest_ns: int) -> None:
    scheduler = SlowScheduler(NOW_US)
    table = ChannelTable()
    table.row(RowKey("n", "stride", "tone"), node=0, band=0, max_age_s=1.0, capability=1.0)
    turns: list[int] = []

    def drive(_outputs: object, _looks: Looks, _now_us: int, now_ns: int) -> None:
        turns.append(now_ns)
        scheduler.passed_ns += took_ns

    def glance(_band: int, _now_us: int) -> BandState:
        raise AssertionError

    watch = FrameWatch(
        NodeRows(table),
        glance,
        200.0,
        clock=MeshClock(scheduler),
        scheduler=scheduler,
        drive=drive,
        suppressed=Counter(),
    )
    watch.begin(["stride"])
    watch.watch(cast("Driven", object()), [0], ())
    for _ in range(2):
        watch.moved([0])
        scheduler.run_for(2 * (took_ns + MOST_REST_NS) / 1e9)
    assert len(turns) == 2
    watch.moved([0])
    watch.close()
    scheduler.run_for(1.0)
    assert len(turns) == 2
    assert turns[1] - turns[0] >= took_ns + rest_ns
