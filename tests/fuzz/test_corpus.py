"""What fuzzing has found, and what it does not reach, once more: without a fuzzer, in every run of the tests."""

import inspect
import re
from functools import partial
from importlib import import_module
from mmap import mmap
from pathlib import Path
from random import Random

import psutil
import pytest

import becomingone.wire
from becomingone.errors import FrameError, TopicError
from becomingone.wire import announce

from . import corpus, worst
from .limits import BASE_BYTES, TooCostlyError, check_cost, check_traced, resident_bytes
from .mutate import mutate_cbor, mutate_json
from .targets import TAKEN, Target, all_targets, outcome

TARGETS = all_targets()
WORST = {"cbor": worst.cbor_inputs, "json": worst.json_inputs, "text": worst.text_inputs}
CHANGED = 15
"""Changes of each seed; a fuzzer makes the millions."""

CHANGES = {"cbor": mutate_cbor, "json": mutate_json}


def warm(target: Target) -> None:
    """What is imported, compiled or cached once is not an input's."""
    for seed in target.seeds():
        target(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_what_fuzzing_kept_holds_every_promise(name: str) -> None:
    target = TARGETS[name]
    warm(target)
    inputs = corpus.load(name)
    assert inputs, "scripts/fuzz --keep writes them"
    outcomes = set()
    for data in [*inputs, *target.seeds()]:
        outcomes.add(check_cost(target, data))
        check_traced(target, data)
    assert TAKEN in outcomes
    assert len(outcomes) >= 2


@pytest.mark.parametrize("name", TARGETS)
def test_the_dearest_inputs_cost_no_more_than_they_may(name: str) -> None:
    target = TARGETS[name]
    warm(target)
    for label, data in WORST[target.kind]().items():
        try:
            for call in target.reads.values():
                check_cost(partial(outcome, call), data)
            check_traced(target, data)
            target(data)
        except TooCostlyError as error:
            raise AssertionError(f"{label}: {error}") from error


@pytest.mark.parametrize("name", TARGETS)
def test_some_changes_of_each_seed_hold_every_promise(name: str) -> None:
    target = TARGETS[name]
    change = CHANGES.get(target.kind)
    rng = Random(7)
    outcomes = set()
    for seed in target.seeds():
        for _ in range(CHANGED if change is not None else 0):
            try:
                data = change(seed, rng)
            except ValueError:  # a seed that is no item
                break
            outcomes.add(check_cost(target, data))
    assert change is None or len(outcomes) >= 2


READER = re.compile("decode|parse|open|claimed|check_filter|matches")


def readers() -> set[str]:
    """Every function of `becomingone.wire` that takes what somebody else has sent."""
    found = set()
    for file in Path(becomingone.wire.__file__).parent.glob("*.py"):
        module = import_module(f"becomingone.wire.{file.stem}")
        for name, value in inspect.getmembers(module, inspect.isfunction):
            if value.__module__ == module.__name__ and READER.match(name):
                found.add(name)
    return found


def test_every_reader_has_a_target() -> None:
    covered = {name for target in TARGETS.values() for name in target.reads}
    assert readers() - {"decode"} <= covered  # `cbor.decode` is behind all of them


def test_every_description_has_a_target() -> None:
    parts = set()
    for model in announce.Announcement.__subclasses__():
        for field in model.model_fields.values():
            parts |= set(re.findall(r"\w+", str(field.annotation)))
    whole = {model.__name__ for model in announce.Announcement.__subclasses__()} - parts
    named = {re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() for name in whole}
    assert named <= set(TARGETS)


# -- the checks can fail -----------------------------------------------------------------------------------------------


def made(check) -> Target:
    return Target("made", check, {"made": check}, "cbor", list, 1)


def test_an_error_of_another_kind_is_a_finding() -> None:
    def careless(data: bytes) -> None:
        str(data[0])

    with pytest.raises(IndexError):
        check_cost(made(careless), b"")


@pytest.mark.parametrize(("error", "word"), [(FrameError("range", ""), "range"), (TopicError(""), "topic")])
def test_a_refusal_is_none(error: Exception, word: str) -> None:
    def refuse(data: bytes) -> None:
        raise error

    assert check_cost(made(refuse), b"") == word


@pytest.mark.parametrize("factor", [9, 11])
def test_too_much_memory_is_a_finding(factor: int) -> None:
    data = bytes(BASE_BYTES)

    def greedy(data: bytes) -> None:
        bytes(BASE_BYTES + factor * len(data))

    if factor < 10:
        check_traced(made(greedy), data)
    else:
        with pytest.raises(TooCostlyError, match="bytes of memory"):
            check_traced(made(greedy), data)


def test_growth_that_python_does_not_see_is_a_finding() -> None:
    # What is above the present size by less than the process once had does not make it grow.
    size = resident_bytes() - psutil.Process().memory_info().rss + 16 * BASE_BYTES
    nothing = bytes(BASE_BYTES)

    def greedy(data: bytes) -> None:
        with mmap(-1, size) as memory:
            while memory.tell() + len(nothing) <= size:
                memory.write(nothing)

    with pytest.raises(TooCostlyError, match="grew"):
        check_cost(made(greedy), b"")


def test_a_hang_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter((0.0, 1.01))
    monkeypatch.setattr("time.thread_time", lambda: next(times))
    with pytest.raises(TooCostlyError, match="processor time"):
        check_cost(made(lambda data: None), b"")


def test_what_is_kept_goes_every_way_that_all_go_and_once() -> None:
    target = TARGETS["node-topics"]
    kept = corpus.distil(target, [*target.seeds(), *target.seeds()])
    assert 0 < len(kept) < len(target.seeds())
    assert {target(data) for data in kept} == {target(seed) for seed in target.seeds()}
