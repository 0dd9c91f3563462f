"""A motor that is not armed moves nothing, and one that is wired wrongly is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from becomingone.devices.motor import Options

from .test_motor import EVERY_S, LEFT, Rig

AHEAD = {"velocity": 1.0, "rotation": 0.0}


def test_unarmed_it_takes_commands_moves_nothing_and_says_so() -> None:
    rig = Rig(armed=False, enable_pin=24)
    rig.drive()
    assert rig.pins.changes == []
    assert rig.device.remark == "not armed: nothing moves without armed: true"


def test_armed_is_not_the_default() -> None:
    assert not Options(left=LEFT).armed


def test_the_arming_switch_stops_it_with_the_next_command() -> None:
    rig = Rig(arm_pin=5)
    rig.drive()
    assert not {17, 18} & rig.states.keys()
    assert rig.device.remark == "not armed: the arming switch is open"
    rig.pins.close_contact(5)
    rig.drive()
    assert rig.device.remark == ""
    assert rig.states[17] == 1.0
    rig.pins.open_contact(5)
    rig.clock.advance(EVERY_S)
    rig.device.apply(AHEAD)
    assert not {17, 18} & rig.states.keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"left": {"forward": 8, "backward": 18}}, "greater than or equal to 9"),
        ({"left": {"forward": 17}}, "either forward and backward, or speed and direction"),
        ({"left": {"forward": 17, "direction": 18}}, "either forward and backward"),
        ({"left": LEFT, "right": {"forward": 22, "backward": 17}}, "every pin must be another one"),
        ({"left": LEFT, "enable_pin": 17}, "every pin must be another one"),
        ({"left": LEFT, "enable_pin": 3}, "greater than or equal to 9"),
        ({"left": LEFT, "deadman_s": 0.6}, "less than or equal to 0.5"),
        ({"left": LEFT, "max_speed": 1.1}, "less than or equal to 1"),
        ({"left": LEFT, "slew_per_s": 0}, "greater than 0"),
        ({}, "left"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Options(**options)
