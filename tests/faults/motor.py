"""What drives a motor fails."""

from __future__ import annotations

from tests.devices import motor_trials
from tests.devices.motor_result import LIMIT_S, Result

from .means import need_mosquitto
from .outcome import Outcome, at_most, told


def _outcome(result: Result, *, simulation: bool) -> Outcome:
    said = result.report()
    return Outcome(
        said["trials"],
        [
            told("to rest, p50", said["p50_s"], "s"),
            told("to rest, p99", said["p99_s"], "s"),
            at_most("to rest, max", result.maximum_s, LIMIT_S, "s"),
        ],
        simulation,
    )


def virtual(quick: bool) -> Outcome:
    return _outcome(motor_trials.virtual(200 if quick else 10_000), simulation=True)


def real(quick: bool) -> Outcome:
    need_mosquitto()
    return _outcome(motor_trials.real(8 if quick else 50), simulation=False)
