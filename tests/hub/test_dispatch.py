"""From the mesh's state to commands: who gets one, what it says, and how often."""

from __future__ import annotations

from typing import Any

import pytest

from becomingone.hub.dispatch.driving import MOTOR_EXPIRY_US
from becomingone.hub.dispatch.output_watch import MAX_SHOWN
from becomingone.hub.dispatch.outputs import MAX_OUTPUTS
from becomingone.hub.mesh.state import BandState
from becomingone.hub.mesh.table import RowKey
from becomingone.wire.announce import State

from .driving import Rig, band, output, significant
from .parts import about


@pytest.mark.parametrize(
    ("mean_field", "hue"),
    [(1 + 0j, 360.0), (-1 + 0j, 0.0), (0j, 180.0), (1j, 180.0), (0.5 + 0j, 270.0), (0.6 - 0.8j, 288.0)],
)
def test_hue_is_the_phase_and_brightness_the_coherence(mean_field: complex, hue: float) -> None:
    rig = Rig()
    rig.node()
    ((key, command),) = rig.tick(band(mean_field, 0.75))
    assert key == "n/light"
    assert command.values == {"hue": pytest.approx(hue, rel=1e-6), "brightness": 0.75}
    assert (command.boot, command.expires_us) == (3, rig.clock.now_us() + 1_000_000)


@pytest.mark.parametrize("mean_field", [1.0000000000000002 + 0j, -1.0000000000000002 + 0j])
def test_rounding_at_the_ends_leaves_no_range(mean_field: complex) -> None:
    rig = Rig()
    rig.node()
    assert len(rig.tick(band(mean_field, 1.0))) == 1  # the node's own decoder has taken it


@pytest.mark.parametrize("state", [None, State.INIT, State.SLEEPING, State.DISCONNECTED, State.LOST])
def test_only_nodes_that_are_ready_are_driven(state: State | None) -> None:
    rig = Rig()
    rig.node(state=state)
    assert rig.tick(band()) == []
    assert rig.dispatch.figures()["outputs"]["n/light"]["is"] == "offline"


def test_a_node_that_has_not_described_itself_is_not_driven() -> None:
    rig = Rig()
    rig.node().about = None
    assert rig.tick(band()) == []


def test_an_output_that_is_described_no_more_is_driven_no_more() -> None:
    rig = Rig()
    member = rig.node("n", output(), output("lamp"))
    assert len(rig.tick(band())) == 2
    member.about = about("n", outputs=(output("lamp"),))
    assert [key for key, _ in rig.tick(band(0.1 + 0j))] == ["n/lamp"]


def test_an_undefined_phase_moves_nothing() -> None:
    rig = Rig()
    rig.node()
    assert rig.tick(band(valid=False)) == []
    assert rig.dispatch.sent == 0


def test_a_speaker_sounds_the_phase_as_loud_as_the_coherence() -> None:
    rig = Rig()
    rig.node("n", output("horn", "speaker"))
    ((key, command),) = rig.tick(band(-0.5 + 0.2j, 0.6))
    assert key == "n/horn"
    assert command.values == {"frequency": pytest.approx(550.0), "volume": pytest.approx(0.6)}


def test_a_slow_band_is_carried_on_to_the_tick() -> None:
    rig = Rig()
    rig.node()
    slow = band(1 + 0j, omega=3.141592653589793, time_us=rig.clock.now_us() - 950_000)
    rig.tick(slow)  # one second later, half a turn on
    assert rig.last()["hue"] == pytest.approx(0.0, abs=1e-3)


def test_the_dominant_band_is_followed_or_the_configured_one() -> None:
    bands = (band(1j, 0.5), BandState(name="motion", valid=True, weight=2.0, coherence=0.9, mean_field=-1 + 0j))
    for name, hue in ((None, 0.0), ("motion", 0.0), ("stride", 180.0)):
        rig = Rig({"band": name})
        rig.node()
        rig.tick(*bands)
        assert rig.last()["hue"] == pytest.approx(hue)
    rig = Rig()
    rig.node()
    assert rig.tick() == []


def test_without_defaults_what_no_rule_names_is_left_alone() -> None:
    rig = Rig({"defaults": False})
    rig.node()
    assert rig.tick(band()) == []
    assert "defaults is false" in rig.dispatch.figures()["outputs"]["n/light"]["why"]


def test_ids_grow_over_all_outputs_and_turns() -> None:
    rig = Rig()
    rig.node("a", output("x"), output("y"))
    rig.node("b")
    for turn in range(3):
        rig.tick(band(turn / 4 + 0j))
    assert [command.id for _, command in rig.commands] == list(range(9))
    assert rig.dispatch.sent == 9


def test_a_node_with_endless_outputs_is_not_driven_endlessly() -> None:
    rig = Rig()
    rig.node("n", *(output(f"o{n}") for n in range(1000)))
    assert len(rig.tick(band())) == MAX_OUTPUTS


# -- motors ------------------------------------------------------------------------------------------------------------


def test_a_motor_follows_the_field_of_a_significant_band_at_every_tick() -> None:
    rig = Rig()
    rig.node("n", output("wheels", "motor"))
    ((key, command),) = rig.tick(significant())
    assert key == "n/wheels"
    assert command.values == {"velocity": pytest.approx(0.6), "rotation": -0.5}
    assert command.expires_us == rig.clock.now_us() + MOTOR_EXPIRY_US == rig.clock.now_us() + 150_000
    assert len(rig.tick(significant(), ticks=40)) == 40  # unchanged, and told 20 times a second all the same


def test_a_motors_command_holds_no_longer_than_is_configured() -> None:
    rig = Rig({"expiry_s": 0.1})
    rig.node("n", output("wheels", "motor"))
    ((_, command),) = rig.tick(significant())
    assert command.expires_us == rig.clock.now_us() + 100_000


@pytest.mark.parametrize(
    "state",
    [
        significant(collapsed=False),
        significant(decidable=False),
        significant(valid=False),
        significant(0j),
        band(),
    ],
    ids=["no longer significant", "not decidable", "no phase", "no mean field", "never significant"],
)
@pytest.mark.parametrize(
    "rules", [[], [{"name": "go", "outputs": ["motor"], "set": {"velocity": "1"}}]], ids=["default", "rule"]
)
def test_nothing_else_moves_a_motor_whatever_a_rule_says(state: BandState, rules: list[dict[str, Any]]) -> None:
    rig = Rig({"rules": rules})
    rig.node("n", output("wheels", "motor"), output())
    assert [key for key, _ in rig.tick(state)] == ["n/light"] * state.valid


def test_a_motor_needs_every_band_that_decides_what_it_does() -> None:
    rule = {"name": "go", "outputs": ["motor"], "band": "stride", "set": {"velocity": "bands.motion.coherence"}}
    rig = Rig({"rules": [rule]})
    rig.node("n", output("wheels", "motor"))
    assert rig.tick(significant(), band(name="motion")) == []
    assert rig.tick(significant(), significant(name="motion")) != []
    assert rig.dispatch.suppressed == {"undecided": 1}


def test_quiet_hours_move_no_motor_at_once() -> None:
    rig = Rig({"timezone": "UTC", "quiet_hours": "22:13-22:14"})  # it begins at 22:13:20
    rig.node("n", output("wheels", "motor"), output())
    assert [key for key, _ in rig.tick(significant())] == ["n/light"]
    rig.scheduler.run_for(39.8)
    assert [key for key, _ in rig.tick(significant())] == ["n/light"]
    assert "n/wheels" in [key for key, _ in rig.tick(significant(), ticks=2)]
    assert rig.dispatch.suppressed["quiet"] == 3


# -- how often ---------------------------------------------------------------------------------------------------------


def test_what_has_not_changed_is_repeated_at_the_keep_alive_alone() -> None:
    rig = Rig({"keep_alive_s": 0.5})
    rig.node()
    sent = len(rig.tick(band(), ticks=200))  # 10 s
    assert 20 <= sent <= 27
    assert rig.dispatch.suppressed == {"unchanged": 200 - sent}


def test_a_change_within_the_dead_band_waits_for_it() -> None:
    rig = Rig()
    rig.node()
    rig.tick(band(0.5 + 0j))
    assert rig.tick(band(0.509 + 0j)) == []  # 0.45 % of the range of the hue
    assert len(rig.tick(band(0.512 + 0j))) == 1
    assert rig.tick(band(0.512 + 0j, 0.504)) == []
    assert len(rig.tick(band(0.512 + 0j, 0.506))) == 1


def test_the_hue_is_a_circle() -> None:
    rig = Rig({"rules": [{"name": "r", "outputs": ["display"], "set": {"hue": "360 * order"}}]})
    rig.node()
    rig.tick(band(order=0.999))
    assert rig.tick(band(order=0.001)) == []
    assert len(rig.tick(band(order=0.01))) == 1


def test_an_output_is_told_no_more_often_than_its_rate() -> None:
    rig = Rig({"rate_hz": 4})
    rig.node()
    for turn in range(200):  # 10 s
        rig.tick(band((turn % 20) / 20 + 0j))
    assert 39 <= len(rig.commands) <= 41
    assert rig.dispatch.suppressed["rate"] > 100


def test_many_outputs_share_what_the_hub_may_send() -> None:
    rig = Rig({"total_hz": 40, "keep_alive_s": 30, "expiry_s": 60})
    for number in range(20):
        rig.node(f"n{number}")
    rig.tick(band())
    begun = len(rig.commands)
    for turn in range(200):  # 10 s: 200 turns of 20 outputs
        rig.tick(band((turn % 20) / 20 + 0j))
    assert 400 <= len(rig.commands) - begun <= 411
    each = [rig.one(f"n{number}/light").sent for number in range(20)]
    assert max(each) - min(each) <= 2  # shared out evenly


def test_what_cannot_be_sent_is_counted_and_tried_again() -> None:
    rig = Rig()
    rig.node()
    rig.connected = False
    rig.tick(band(), ticks=3)
    assert rig.dispatch.suppressed == {"link": 3}
    rig.connected = True
    assert len(rig.tick(band())) == 1


def test_a_node_that_cannot_be_spoken_to_is_sent_nothing() -> None:
    rig = Rig(seal=lambda _node, _topic, _payload: None)
    rig.node()
    assert rig.tick(band()) == []
    assert rig.dispatch.suppressed == {"unsealed": 1}


# -- between ticks -----------------------------------------------------------------------------------------------------


def moving(section: dict[str, Any] | None = None, **more: Any) -> Rig:
    rig = Rig(section, **more)
    rig.node()
    for name, number in (("stride", 0), ("motion", 1)):
        rig.table.row(RowKey("n", name, "tone"), node=0, band=number, max_age_s=1.0, capability=1.0)
    rig.glance = {0: band(-0.5 + 0j), 1: band(name="motion")}
    rig.tick(band(1 + 0j), band(0.1 + 0j, 0.1, name="motion"))
    rig.commands.clear()
    return rig


def test_a_frame_that_moves_an_output_has_it_told_at_once_and_once() -> None:
    rig = moving()
    rig.dispatch.moved([0])
    rig.dispatch.moved([0, 1])
    assert rig.commands == []  # not within the handler
    rig.scheduler.run_for(0.0)
    assert len(rig.glances) == 1
    assert rig.last()["hue"] == pytest.approx(90.0)
    (command,) = rig.commands
    assert command[1].expires_us == rig.clock.now_us() + 1_000_000


def test_a_frame_of_a_band_that_no_output_follows_costs_no_evaluation() -> None:
    rig = moving()
    rig.dispatch.moved([1])
    rig.scheduler.run_for(0.01)
    assert (rig.glances, rig.commands) == ([], [])


def test_a_frame_that_moves_next_to_nothing_has_nobody_told() -> None:
    rig = moving()
    rig.glance[0] = band(0.9999 + 0j)
    rig.dispatch.moved([0])
    rig.scheduler.run_for(0.01)
    assert (len(rig.glances), rig.commands) == (1, [])


def test_a_motor_keeps_its_own_pace() -> None:
    rig = Rig()
    rig.node("n", output("wheels", "motor"))
    rig.table.row(RowKey("n", "stride", "tone"), node=0, band=0, max_age_s=1.0, capability=1.0)
    rig.glance = {0: significant(-1 + 0j)}
    rig.tick(significant())
    rig.dispatch.moved([0])
    rig.scheduler.run_for(0.01)
    assert (rig.glances, len(rig.commands)) == ([], 1)


def test_frames_set_off_no_storm() -> None:
    rig = moving({"frames_hz": 50})
    for turn in range(1000):  # 1 s
        rig.glance[0] = band((turn % 7) / 7 + 0j)
        rig.dispatch.moved([0])
        rig.scheduler.run_for(0.001)
    assert 40 <= len(rig.commands) <= 101  # 50 at once and 50 a second, as far as the output's own rate allows
    assert len(rig.glances) <= 101
    assert rig.dispatch.suppressed["frames"] >= 899


@pytest.mark.parametrize("more", [{"section": {"frames_hz": 0}}, {"table": None}, {"glance": None}], ids=str)
def test_outputs_may_be_driven_in_step_alone(more: dict[str, Any]) -> None:
    rig = moving(**more)
    rig.dispatch.moved([0])
    rig.scheduler.run_for(0.01)
    assert rig.commands == []


def test_a_closed_dispatch_commands_nothing_more() -> None:
    rig = moving()
    rig.dispatch.moved([0])
    rig.dispatch.close()
    rig.dispatch.moved([0])
    rig.scheduler.run_for(1.0)
    assert rig.commands == []


# -- whether they obey -------------------------------------------------------------------------------------------------


def obedience(rig: Rig) -> str:
    found: str = rig.dispatch.figures()["outputs"]["n/light"]["is"]
    return found


def test_an_output_that_says_that_it_obeys_obeys() -> None:
    rig = Rig()
    rig.node()
    rig.tick(band())
    assert obedience(rig) == "waiting"
    rig.says()
    assert obedience(rig) == "obeying"
    rig.tick(band(), ticks=10)
    assert rig.dispatch.figures()["outputs"]["n/light"]["ack_age_s"] == 0.5
    assert rig.events == []


@pytest.mark.parametrize(
    "said",
    [{"id": 999}, {"hub_boot": 2}, {"hub_boot": None, "id": None}],
    ids=["a command that was never sent", "another hub's", "something else"],
)
def test_what_is_no_acknowledgement_is_none(said: dict[str, Any]) -> None:
    rig = Rig()
    rig.node()
    rig.tick(band())
    rig.says(**said)
    assert obedience(rig) == "waiting"


def test_an_older_node_says_that_it_obeys_without_a_number() -> None:
    rig = Rig()
    rig.node()
    rig.tick(band())
    rig.link.say("node/n/output/light/state", b'{"doing":"command","why":"","values":{}}')
    assert obedience(rig) == "obeying"


def test_an_output_that_obeys_is_not_called_silent_where_commands_come_seldom() -> None:
    rig = Rig({"keep_alive_s": 10.0, "expiry_s": 30.0})
    rig.node("n", output())
    for _ in range(6):
        rig.tick(significant(), ticks=100)
        rig.says()
    assert rig.told("output") == []


def test_an_output_that_stays_silent_is_told_of_once_and_so_is_its_return() -> None:
    rig = Rig({"ack_s": 3})
    rig.node()
    rig.tick(band(), ticks=55)
    assert rig.told("output") == []
    rig.tick(band(), ticks=100)
    (event,) = rig.told("output")
    assert (event["node"], event["output"], event["is"], event["rule"]) == ("n", "light", "silent", "default")
    assert len(rig.commands) >= 14  # it is told all the while
    rig.says()
    rig.tick(band(), ticks=10)
    assert [event["is"] for event in rig.told("output")] == ["silent", "obeying"]


def test_an_output_that_does_something_else_refuses() -> None:
    rig = Rig({"ack_s": 3})
    rig.node()
    rig.tick(band(), ticks=3)
    rig.says(doing="rest", why="the device failed: no lamp")
    rig.tick(band(), ticks=70)
    (event,) = rig.told("output")
    assert (event["is"], event["says"]) == ("refusing", "rest: the device failed: no lamp")


def test_an_output_that_is_commanded_nothing_is_idle_and_its_node_may_go() -> None:
    rig = Rig()
    member = rig.node()
    rig.tick(band(), ticks=3)
    rig.tick(band(valid=False), ticks=200)
    assert obedience(rig) == "idle"
    member.state = State.LOST
    rig.tick(band(), ticks=200)
    assert obedience(rig) == "offline"
    assert rig.events == []


@pytest.mark.parametrize("payload", [b"{", b'{"doing":"dance","why":"","values":{}}', b"\xff", b"[" * 20_000])
def test_a_state_that_cannot_be_read_is_refused_and_changes_nothing(payload: bytes) -> None:
    rig = Rig()
    rig.node()
    rig.tick(band())
    rig.link.say("node/n/output/light/state", payload)
    assert rig.refused == {"announcement": 1}
    assert obedience(rig) == "waiting"


def test_states_of_outputs_that_nobody_has_described_are_nobodys() -> None:
    rig = Rig()
    rig.node()
    for topic in ("node/n/output/other/state", "node/x/output/light/state"):
        rig.link.say(topic, b'{"doing":"command","why":"","values":{}}')
    rig.link.say("node/n/output/light/state", b"")  # taken back
    assert rig.refused == {}


def test_the_figures_show_those_that_do_not_obey_first_and_say_how_many_are_left_out() -> None:
    rig = Rig()
    for number in range(MAX_SHOWN + 10):
        rig.node(f"n{number:03d}")
    for _ in range(80):
        rig.tick(band())
        for number in range(MAX_SHOWN + 9):
            rig.says(f"n{number:03d}/light")
    figures = rig.dispatch.figures()
    assert next(iter(figures["outputs"])) == f"n{MAX_SHOWN + 9}/light"
    assert (len(figures["outputs"]), figures["left_out"]) == (MAX_SHOWN, 10)
    assert figures["counts"] == {"obeying": MAX_SHOWN + 9, "silent": 1}
