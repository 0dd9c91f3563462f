"""Commands: to an output, to a node; each obeyed once, in order, before it expires. See also test_messages.py."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from becomingone.errors import FrameError
from becomingone.wire.command import (
    MAX_VALUES,
    RANGES,
    Freshness,
    NodeCommand,
    OutputCommand,
    decode_command,
    decode_node_command,
    encode_command,
)

from .golden import REASONS, item, refusal, typed

USUAL: dict[int, Any] = {1: 3, 2: 120, 3: 1_767_225_601_000_000, 4: {"hue": 120.0, "brightness": 0.75}}


def reason(content: dict[Any, Any], role: str = "display") -> str | None:
    return refusal(decode_command, item(content), role)


# -- to an output ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "name", "least", "most"),
    [(role, name, *bounds) for role, ranges in RANGES.items() for name, bounds in ranges.items()],
)
def test_each_value_is_taken_within_its_range_only(role: str, name: str, least: float, most: float) -> None:
    for value in (least, most, (least + most) / 2):
        assert decode_command(item({**USUAL, 4: {name: value}}), role).values == {name: value}
    for value in (math.nextafter(least, -math.inf), math.nextafter(most, math.inf)):
        assert reason({**USUAL, 4: {name: value}}, role) == "range"
    for value in (math.inf, -math.inf):
        assert reason({**USUAL, 4: {name: value}}, role) == "not_finite"


def test_whole_numbers_become_floats() -> None:
    values = decode_command(item({**USUAL, 4: {"hue": 359, "brightness": 1}}), "display").values
    assert values == {"hue": 359.0, "brightness": 1.0}
    assert {type(value) for value in values.values()} == {float}


OTHERS: list[tuple[dict[Any, Any], str]] = [
    ({1: 1 << 32}, "range"),
    ({1: -1}, "range"),
    ({1: 3.0}, "type"),
    ({2: -1}, "range"),
    ({2: None}, "type"),
    ({3: 1 << 63}, "range"),
    ({3: "soon"}, "type"),
    ({4: None}, "type"),
    ({4: {}}, "type"),
    ({4: [1.0]}, "type"),
    ({4: 1.0}, "type"),
    ({4: {1: 1.0}}, "type"),
    ({4: {"Hue": 1.0}}, "type"),
    ({4: {"hue ": 1.0}}, "type"),
    ({4: {"": 1.0}}, "type"),
    ({4: {"h" * 64: 1.0}}, "type"),
    ({4: {"hue": "red"}}, "type"),
    ({4: {"hue": True}}, "type"),
    ({4: {"hue": None}}, "type"),
    ({4: {"hue": {"x": 1}}}, "type"),
    ({4: {"hue": typed(0)}}, "type"),
    ({4: {"volume": 0.5}}, "range"),
    ({4: {"hue": 1.0, "volume": 0.5}}, "range"),
    ({4: {f"n{number}": 0.0 for number in range(MAX_VALUES)}}, "range"),
    ({4: {f"n{number}": 0.0 for number in range(MAX_VALUES + 1)}}, "type"),
]


@pytest.mark.parametrize(("changes", "expected"), OTHERS, ids=str)
def test_other_commands_are_refused(changes: dict[Any, Any], expected: str) -> None:
    assert reason({**USUAL, **changes}) == expected


@pytest.mark.parametrize("key", USUAL)
def test_every_key_of_a_command_is_required(key: int) -> None:
    assert reason({other: value for other, value in USUAL.items() if other != key}) == "missing"


def test_unknown_keys_of_a_command_are_ignored() -> None:
    assert decode_command(item({**USUAL, 5: b"of a later version"}), "display").id == USUAL[2]


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e39])
def test_a_value_that_is_not_finite_is_never_sent(value: float) -> None:
    command = OutputCommand(boot=0, id=0, expires_us=0, values={"hue": value})
    assert refusal(encode_command, command) == "not_finite"


@given(
    boot=st.integers(0, 2**32 - 1),
    number=st.integers(0, 2**64 - 1),
    expires_us=st.integers(0, 2**63 - 1),
    values=st.dictionaries(
        st.sampled_from(["velocity", "rotation"]), st.floats(-1.0, 1.0, width=32), min_size=1, max_size=2
    ),
)
def test_every_command_survives_the_wire(boot: int, number: int, expires_us: int, values: dict[str, float]) -> None:
    command = OutputCommand(boot=boot, id=number, expires_us=expires_us, values=values)
    payload = encode_command(command)
    assert decode_command(payload, "motor") == command
    reordered = OutputCommand(boot=boot, id=number, expires_us=expires_us, values=dict(reversed(values.items())))
    assert encode_command(reordered) == payload == item({1: boot, 2: number, 3: expires_us, 4: values})


@given(st.binary(max_size=60), st.sampled_from(sorted(RANGES)))
def test_random_bytes_are_no_command(payload: bytes, role: str) -> None:
    assert refusal(decode_command, payload, role) in REASONS
    assert refusal(decode_command, b"\xa4" + payload, role) in {None, *REASONS}


# -- to a node ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({1: 1 << 32}, "range"), ({1: "3"}, "type"), ({2: 1.5}, "type"), ({2: -1}, "range"), ({3: 1 << 63}, "range")],
    ids=str,
)
def test_other_node_commands_are_refused(changes: dict[int, Any], expected: str) -> None:
    assert refusal(decode_node_command, item({1: 3, 2: 4, 3: 5, **changes})) == expected


@pytest.mark.parametrize("key", [1, 2, 3])
def test_every_key_of_a_node_command_is_required(key: int) -> None:
    assert refusal(decode_node_command, item({other: 0 for other in (1, 2, 3) if other != key})) == "missing"


def test_unknown_keys_of_a_node_command_are_ignored() -> None:
    assert decode_node_command(item({1: 3, 2: 4, 3: 5, 5: {"level": 1}})) == NodeCommand(3, 4, 5)


# -- freshness ---------------------------------------------------------------------------------------------------------

# One receiver's life: (boot, id, expires_us, now_us, what happens), in order.
LIFE = [
    (1, 0, 100, 50, None),
    (1, 0, 100, 50, "replayed"),
    (1, 1, 100, 100, None),
    (1, 2, 100, 101, "expired"),
    (1, 2, 200, 101, None),
    (1, 1, 200, 101, "replayed"),
    (1, 9, 200, 101, None),
    (1, 8, 200, 101, "replayed"),
    (2, 0, 200, 101, None),
    (1, 10, 200, 101, "replayed"),
    (2, 1, 200, 300, "expired"),
    (2, 0, 200, 300, "expired"),
    (2, 1, 400, 300, None),
]


def test_each_command_is_let_through_once_in_order_before_it_expires() -> None:
    freshness = Freshness()
    happened = [
        refusal(freshness.check, NodeCommand(boot, number, expires_us), now_us)
        for boot, number, expires_us, now_us, _ in LIFE
    ]
    assert happened == [expected for *_, expected in LIFE]


def test_the_very_first_command_is_let_through() -> None:
    assert refusal(Freshness().check, OutputCommand(boot=0, id=0, expires_us=0, values={}), 0) is None


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_what_is_let_through_only_grows_and_has_not_expired(commands: list[tuple[int, int, int, int]]) -> None:
    freshness = Freshness()
    passed: list[tuple[int, int]] = []
    for boot, number, expires_us, now_us in commands:
        why = refusal(freshness.check, NodeCommand(boot, number, expires_us), now_us)
        assert (why == "expired") == (expires_us < now_us)
        if why is None:
            passed.append((boot, number))
    assert passed == sorted(set(passed))


def test_an_expired_command_does_not_make_an_older_one_replayed() -> None:
    freshness = Freshness()
    with pytest.raises(FrameError, match=r"^expired: "):
        freshness.check(NodeCommand(1, 5, 10), 11)
    assert refusal(freshness.check, NodeCommand(1, 4, 20), 11) is None
