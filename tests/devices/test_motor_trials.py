"""A motor rests within 200 ms whatever fails: a sample of the campaign in `motor_trials`."""

from __future__ import annotations

import pytest

from becomingone.sim.pins import PinChange

from . import motor_trials
from .motor_result import LIMIT_S, ROS_DEFAULT_S, rest_after
from .motor_trials import FAILURES, virtual


def test_it_rests_in_virtual_time() -> None:
    result = virtual(len(FAILURES), seed=5)
    assert set(result.rest_s) == set(FAILURES)
    assert result.maximum_s <= LIMIT_S, result.report()
    assert result.report()["trials"] == len(FAILURES)


def test_a_motor_that_goes_on_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measurement itself: with a deadline of half a second and commands that hold for one, it misses its limit."""
    monkeypatch.setattr("becomingone.hub.dispatch.driving.MOTOR_EXPIRY_US", 1_000_000)
    monkeypatch.setattr("becomingone.node.outputs.MOTOR_STALE_S", 1.0)
    monkeypatch.setattr(motor_trials, "OPTIONS", {**motor_trials.OPTIONS, "deadman_s": 0.5})
    monkeypatch.setattr(motor_trials, "FAILURES", {"hub stopped": FAILURES["hub stopped"]})
    assert 0.4 < virtual(1, seed=4).maximum_s <= 0.5


def test_the_time_to_rest_is_that_of_the_last_pin() -> None:
    changes = [PinChange(5, 17, 1.0), PinChange(6, 22, 1.0), PinChange(12, 17, 0.0), PinChange(15, 22, 0.0)]
    assert rest_after(changes, 10) == 5e-9
    assert rest_after(changes, 20) == 0.0
    assert rest_after(changes[:3], 10) == float("inf")
    again = [*changes, PinChange(18, 18, 0.5), PinChange(19, 18, 0.0), PinChange(30, 24, 1.0)]
    assert rest_after(again, 10) == 9e-9  # the enable line is no motor


@pytest.mark.mosquitto
@pytest.mark.slow
def test_it_rests_on_this_machine() -> None:
    """Real processes and a stand-in for the hub; the limit is the driver's, and what a busy machine adds to it."""
    from .motor_real import FAILURES as REAL  # noqa: PLC0415 - virtual time needs no Mosquitto
    from .motor_real import run  # noqa: PLC0415

    rest_s = dict(run(len(REAL), hub=False))
    assert set(rest_s) == set(REAL)
    assert max(rest_s.values()) < ROS_DEFAULT_S, rest_s
