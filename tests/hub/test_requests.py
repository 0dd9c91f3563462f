"""What people ask of outputs: held, answered truthfully, outranked, refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from becomingone.hub.dispatch.driving import MOTOR_EXPIRY_US
from becomingone.hub.dispatch.requests import MAX_HELD, MOST_PACES, REQUESTS_AT_ONCE
from becomingone.wire.announce import State

from .driving import Rig, band, output, significant
from .parts import about

GREEN = {"hue": 120.0, "brightness": 0.75}


def rig(**section: Any) -> Rig:
    made = Rig({"requests": section})
    made.node()
    made.node("car", output("wheels", "motor"))
    made.tick(band())
    made.commands.clear()
    return made


def test_what_is_asked_for_is_done_at_once_held_and_answered_when_the_output_says_so() -> None:
    made = rig()
    made.ask(values=GREEN, hold_s=5, token="t1", why="the door bell")
    ((key, command),) = made.commands  # without waiting for a tick
    assert (key, command.values) == ("n/light", GREEN)
    assert made.answers() == []
    made.says()
    assert made.answers() == [("t1", "done")]
    made.tick(band(), ticks=80)
    assert made.last() == GREEN
    assert made.one().wish.source == "request"
    made.tick(band(), ticks=30)
    assert made.one().wish.source == "default"
    assert made.last() != GREEN
    assert made.told("request") == [
        {"node": "n", "device": "light", "token": "t1", "result": "done", "why": ""},
    ]


def test_it_comes_before_every_rule() -> None:
    rule = {"name": "r", "outputs": ["display"], "set": {"brightness": 1}, "priority": 1000}
    made = Rig({"rules": [rule]})
    made.node()
    made.tick(band())
    made.ask(values=GREEN)
    made.tick(band(), ticks=20)
    assert made.last() == GREEN


def test_without_an_acknowledgement_in_time_it_is_unanswered_and_goes_on() -> None:
    made = rig()
    made.ask(values=GREEN, hold_s=60, token="t1")
    made.tick(band(), ticks=59)
    assert made.answers() == []
    made.tick(band(), ticks=3)
    assert made.answers() == [("t1", "unanswered")]
    made.commands.clear()
    made.tick(band(), ticks=20)
    assert made.last() == GREEN
    made.says()
    assert made.answers() == [("t1", "unanswered")]  # one answer to each


def test_an_acknowledgement_of_an_earlier_command_is_none_of_this() -> None:
    made = rig()
    earlier = made.one().last_id
    made.ask(values=GREEN, token="t1")
    made.says(id=earlier)
    assert made.answers() == []


def test_a_newer_request_takes_the_place_of_one_that_has_no_greater_priority() -> None:
    made = rig()
    made.ask(values=GREEN, token="t1", priority=5)
    made.ask(values={"brightness": 0.1}, token="t2", priority=4)
    made.ask(values={"brightness": 0.2}, token="t3", priority=5)
    assert made.answers() == [("t2", "refused"), ("t1", "unanswered")]
    assert made.refused == {"outranked": 1}
    assert made.last() == {"hue": 120.0, "brightness": pytest.approx(0.2)}  # what nobody names stays


def test_it_can_be_taken_back() -> None:
    made = rig()
    made.ask(values=GREEN, hold_s=600, token="t1")
    made.ask(values=None, token="t2")
    assert made.answers() == [("t1", "unanswered"), ("t2", "done")]
    made.tick(band(), ticks=2)
    assert made.one().wish.source == "default"
    made.ask(values=None, token="t3")
    assert made.answers()[-1] == ("t3", "done")


def test_it_holds_no_longer_than_is_configured() -> None:
    made = rig(max_hold_s=1)
    made.ask(values=GREEN, hold_s=3600)
    made.tick(band(), ticks=25)
    assert made.one().wish.source == "default"


# -- motors ------------------------------------------------------------------------------------------------------------


def test_a_motor_is_not_moved_by_request_unless_configured() -> None:
    made = rig()
    made.ask("car/wheels", values={"velocity": 0.1}, token="t1")
    made.tick(significant(collapsed=False), ticks=3)
    assert (made.answers(), made.refused) == ([("t1", "refused")], {"not_allowed": 1})
    assert [key for key, _ in made.commands if key == "car/wheels"] == []


def test_where_it_is_it_is_told_at_every_tick_and_for_150_ms() -> None:
    made = rig(motors=True)
    made.ask("car/wheels", values={"velocity": 0.1}, hold_s=1)
    made.tick(band(), ticks=40)
    sent = [command for key, command in made.commands if key == "car/wheels"]
    assert 20 <= len(sent) <= 21
    first = sent[0]
    assert first.expires_us <= made.clock.now_us() - 2_000_000 + MOTOR_EXPIRY_US
    assert first.values == {"velocity": pytest.approx(0.1), "rotation": 0.0}


def test_stop_always_wins() -> None:
    made = rig(motors=True)
    wheels = "car/wheels"
    made.ask(wheels, values={"velocity": 1}, priority=100, hold_s=600)
    made.ask(wheels, values={"velocity": 0, "rotation": 0}, token="stop", hold_s=2)
    made.commands.clear()
    made.ask(wheels, values={"velocity": 1}, priority=100, token="go")
    made.tick(significant(), ticks=20)
    assert [key for key, _ in made.commands if key == wheels] == []
    assert made.answers() == [("stop", "done"), ("go", "refused")]
    made.tick(significant(), ticks=25)
    assert [key for key, _ in made.commands if key == wheels] != []  # the mesh moves it again


def test_a_motor_may_always_be_asked_to_stand_still_also_where_it_is_not_there() -> None:
    made = rig()
    member = made.roster.get("car")
    assert member is not None
    member.state = State.LOST
    made.ask("car/wheels", values={"velocity": 0}, token="t1")
    assert made.answers() == [("t1", "done")]
    member.state = State.READY
    made.tick(significant(), ticks=5)
    assert [key for key, _ in made.commands if key == "car/wheels"] == []


def test_quiet_hours_move_no_motor_by_request() -> None:
    made = Rig({"requests": {"motors": True}, "timezone": "UTC", "quiet_hours": "00:00-24:00"})
    made.node("car", output("wheels", "motor"))
    made.tick(significant())
    made.ask("car/wheels", values={"velocity": 1})
    made.tick(significant(), ticks=5)
    assert made.commands == []


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "request_", "reason"),
    [
        ("n/other", {"values": GREEN}, "unknown_output"),
        ("x/light", {"values": GREEN}, "unknown_output"),
        ("n/light", {"values": {"velocity": 1}}, "range"),
        ("n/light", {"values": {"brightness": 1.5}}, "range"),
        ("away/light", {"values": GREEN}, "offline"),
    ],
)
def test_what_cannot_be_done_is_refused_and_answered(key: str, request_: dict[str, Any], reason: str) -> None:
    made = rig()
    made.node("away", state=State.LOST)
    made.ask(key, **request_, token="t1")
    assert (made.answers(), made.refused, made.commands) == ([("t1", "refused")], {reason: 1}, [])


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "announcement"),
        (b"{", "announcement"),
        (b"{}", "announcement"),
        (b'{"values":{}}', "announcement"),
        (b'{"values":{"hue":"1"}}', "announcement"),
        (b'{"values":{"hue":NaN}}', "announcement"),
        (b'{"values":{"hue":1},"hold_s":0}', "announcement"),
        (b'{"values":{"hue":1},"token":"T 1"}', "announcement"),
        (b'{"values":{"hue":1},"priority":101}', "announcement"),
        (b" " * 5000, "oversize"),
    ],
)
def test_what_cannot_be_read_is_refused_and_nobody_is_answered(payload: bytes, reason: str) -> None:
    made = rig()
    made.link.say("request/n/light", payload)
    assert (made.refused, made.link.published, made.commands) == ({reason: 1}, [], [])


def test_a_stored_request_and_one_that_comes_twice_are_refused() -> None:
    made = rig()
    made.ask(values=GREEN, retained=True)
    made.ask(values=GREEN, token="t1")
    made.ask(values=GREEN, token="t1")
    assert made.refused == {"retained": 1, "replayed": 1}
    assert len(made.commands) == 1


def test_a_flood_is_refused_for_each_output_and_in_all() -> None:
    made = rig(per_minute=60)
    for number in range(30):
        made.ask(values={"hue": number})
    assert made.refused == {"too_often": 10}
    for number in range(int(REQUESTS_AT_ONCE)):
        made.ask("n/other", values={"hue": number})
    assert made.refused == {"too_often": 40, "unknown_output": int(REQUESTS_AT_ONCE) - 30}


def test_no_more_than_so_many_hold() -> None:
    made = Rig()
    for node in range(MAX_HELD // 64 + 1):
        made.node(f"n{node}", *(output(f"o{n}") for n in range(64)))
    made.tick(band())
    for node in range(MAX_HELD // 64 + 1):
        for device in range(64):
            made.scheduler.run_for(0.02)
            made.ask(f"n{node}/o{device}", values={"hue": 1}, hold_s=86_400)
    assert made.refused == {"too_often": 64}


def test_nobody_is_listened_to_where_requests_are_off() -> None:
    made = rig(enabled=False)
    made.ask(values=GREEN, token="t1")
    assert (made.answers(), made.commands) == ([], [])


def test_a_hub_that_stops_says_that_it_will_not_know() -> None:
    made = rig()
    made.ask(values=GREEN, token="t1")
    made.dispatch.close()
    assert made.answers() == [("t1", "unanswered")]


def test_what_is_held_is_shown_and_what_was_asked_is_counted() -> None:
    made = rig()
    made.ask(values=GREEN, hold_s=60, why="the door bell")
    made.ask("n/other", values=GREEN)
    figures = made.dispatch.figures()["requests"]
    assert figures == {"counts": {"refused": 1}, "held": {"n/light": {"for_s": 60.0, "why": "the door bell"}}}
    json.dumps(made.dispatch.figures(), allow_nan=False)


def test_a_stop_is_taken_whatever_the_pace_of_what_was_asked_before() -> None:
    made = rig(motors=True)
    wheels = "car/wheels"
    for turn in range(40):  # somebody at a slider; only the first 20 are taken
        made.ask(wheels, values={"velocity": 0.5 + turn / 100}, hold_s=600)
    assert made.refused["too_often"] == 20
    made.commands.clear()
    made.ask(wheels, values={"velocity": 0}, hold_s=600, token="stop")
    made.tick(significant(), ticks=20)
    assert made.answers() == [("stop", "done")]
    assert [key for key, _ in made.commands if key == wheels] == []


def test_a_stop_is_taken_where_everybody_asks_for_too_much() -> None:
    made = rig(motors=True)
    made.ask("car/wheels", values={"velocity": 0.5}, hold_s=600)
    for turn in range(int(REQUESTS_AT_ONCE) + 100):
        made.ask(values={"hue": float(turn)})
    made.commands.clear()
    made.ask("car/wheels", values={"velocity": 0, "rotation": 0}, hold_s=600, token="stop")
    made.tick(significant(), ticks=20)
    assert made.answers() == [("stop", "done")]
    assert [key for key, _ in made.commands if key == "car/wheels"] == []


def test_after_the_end_nobody_is_listened_to() -> None:
    made = rig(motors=True)
    made.dispatch.close()
    made.commands.clear()
    made.ask(values=GREEN, token="t1")
    made.ask("car/wheels", values={"velocity": 0.5}, token="t2")
    assert made.commands == []
    assert made.answers() == [("t1", "refused"), ("t2", "refused")]


def test_names_that_come_and_go_take_no_room() -> None:
    made = rig(per_minute=6000)
    member = made.roster.get("n")
    assert member is not None
    for turn in range(3):
        for number in range(200):
            member.about = about("n", outputs=(output(f"o{turn}-{number}"),))
            made.ask(f"n/o{turn}-{number}", values=None)
            made.scheduler.run_for(0.05)
    assert len(made.dispatch.requests._paces) <= MOST_PACES
