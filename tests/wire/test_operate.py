"""What operators ask of nodes: read as a whole, checked against the verb."""

from __future__ import annotations

import pytest

from becomingone.errors import FrameError
from becomingone.wire.command import NodeCommand, encode_node_command
from becomingone.wire.fields import INT63, OMEGA, PHASE, UINT32, UINT64
from becomingone.wire.operate import Operation, Outcome, parse_operation
from becomingone.wire.seal import seal
from becomingone.wire.topics import Topics
from becomingone.wire.verbs import ARGUMENTS, MAX_COMMAND, OPERATORS, Value, Verb, read_arguments, verb_of


def test_an_empty_payload_asks_for_no_more_than_the_topic_says() -> None:
    assert parse_operation(b"") == parse_operation(b"{}") == Operation(arguments={})


@pytest.mark.parametrize("payload", [b" ", b"null", b"[]", b"PRESS", b'{"token":1}', b'{"arguments":{"A":1}}'])
def test_what_is_none_is_refused(payload: bytes) -> None:
    with pytest.raises(FrameError) as refused:
        parse_operation(payload)
    assert refused.value.reason == "announcement"


def test_numbers_of_json_are_the_arguments_of_commands() -> None:
    operation = parse_operation(b'{"arguments":{"seconds":5}}')
    assert read_arguments(Verb.IDENTIFY, operation.arguments) == {"seconds": 5.0}
    operation = parse_operation(b'{"arguments":{"lines":5}}')
    assert read_arguments(Verb.LOG, operation.arguments) == {"lines": 5}


@pytest.mark.parametrize("lines", [0, 257, -1, 1 << 70])
def test_a_whole_number_is_told_its_range(lines: int) -> None:
    with pytest.raises(FrameError) as refused:
        read_arguments(Verb.LOG, {"lines": lines})
    assert refused.value.reason == "range"


def test_an_outcome_survives_the_wire() -> None:
    outcome = Outcome(node="n", verb="log", token=None, time_us=1, result="done", why="", log=("a", "b"))
    assert Outcome.model_validate_json(outcome.model_dump_json()) == outcome


def test_each_verb_is_found_by_its_name_and_no_other() -> None:
    assert [verb_of(str(verb)) for verb in Verb] == list(Verb)
    for name in ("", "Log", "log ", "dance"):
        with pytest.raises(FrameError) as refused:
            verb_of(name)
        assert refused.value.reason == "unknown_verb"
    assert all(verb in ARGUMENTS for verb in OPERATORS)


def test_the_longest_command_fits() -> None:
    longest: dict[Verb, dict[str, Value]] = {
        Verb.REALIGN: {"band": "b" * 63, "phase": -PHASE, "omega": OMEGA / 3, "time_us": INT63},
        Verb.IDENTIFY: {"seconds": 1.1},
        Verb.LOGLEVEL: {"level": "warning"},
        Verb.LOG: {"lines": 256},
    }
    for verb in Verb:
        payload = encode_node_command(NodeCommand(UINT32, UINT64, INT63, longest.get(verb, {})), verb)
        sealed = seal(bytes(32), Topics("r", "c").command("n", verb), payload, 1)
        assert len(sealed) <= MAX_COMMAND // 3
