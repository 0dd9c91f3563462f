"""What drives a motor fails."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

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


def _cell(seed: int) -> dict[str, list[float]]:
    return dict(motor_trials.virtual(motor_trials.PER_CELL, seed=seed).rest_s)


def virtual(quick: bool) -> Outcome:
    """Cell by cell, on all processors."""
    result = Result()
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        for rest_s in pool.map(_cell, range(1, 3 if quick else 101)):
            for name, values in rest_s.items():
                result.rest_s[name] += values
    return _outcome(result, simulation=True)


def real(quick: bool) -> Outcome:
    need_mosquitto()
    return _outcome(motor_trials.real(8 if quick else 50), simulation=False)
