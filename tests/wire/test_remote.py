"""Requests, replies, outcomes and the desired configuration: JSON, checked as a whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becomingone.wire.announce import MAX_TEXT, Announcement, parse_announcement
from becomingone.wire.cbor import MAX_PAYLOAD
from becomingone.wire.command import MAX_VALUES, RANGES, read_values
from becomingone.wire.operate import Operation, Outcome
from becomingone.wire.remote import MAX_HOLD_S, Answer, Desired, Reply, Request
from becomingone.wire.verbs import ARGUMENTS, MAX_LINES, Verb

from .golden import REMOTE, refusal

MODELS: dict[str, type[Announcement]] = {
    "reply": Reply,
    "desired": Desired,
    "request": Request,
    "answer": Answer,
    "operation": Operation,
    "outcome": Outcome,
}
TAKEN = [vector for vector in REMOTE if vector["reason"] is None]

REPLY: dict[str, Any] = {"boot": 7, "hub_boot": 3, "id": 8, "verb": "log", "result": "done", "why": "", "log": []}


def parsed(model: type[Announcement], message: object) -> Any:
    return parse_announcement(model, json.dumps(message).encode())


@pytest.mark.parametrize("vector", REMOTE, ids=lambda vector: f"{vector['message']}: {vector['description']}")
def test_a_message_is_taken_or_refused_as_its_vector_says(vector: dict[str, Any]) -> None:
    assert refusal(parse_announcement, MODELS[vector["message"]], vector["payload"].encode()) == vector["reason"]


@pytest.mark.parametrize("vector", TAKEN, ids=lambda vector: f"{vector['message']}: {vector['description']}")
def test_a_message_survives_the_wire(vector: dict[str, Any]) -> None:
    model = MODELS[vector["message"]]
    message = parse_announcement(model, vector["payload"].encode())
    assert parse_announcement(model, message.model_dump_json().encode()) == message
    dumped = json.loads(message.model_dump_json())
    assert dumped == {**dumped, **json.loads(vector["payload"])}


@pytest.mark.parametrize("vector", TAKEN, ids=lambda vector: f"{vector['message']}: {vector['description']}")
def test_what_it_does_not_know_is_ignored_and_what_it_needs_is_required(vector: dict[str, Any]) -> None:
    model, message = MODELS[vector["message"]], json.loads(vector["payload"])
    more = {**message, "mac": "00" * 16, "later": [1]}
    if model is Operation:  # who mistypes an argument must not get the default
        assert refusal(parsed, model, more) == "announcement"
    else:
        assert parsed(model, more) == parsed(model, message)
    for name, field in model.model_fields.items():
        without = {other: value for other, value in message.items() if other != name}
        assert refusal(parsed, model, without) == ("announcement" if field.is_required() else None)


@pytest.mark.parametrize("vector", TAKEN, ids=lambda vector: f"{vector['message']}: {vector['description']}")
def test_a_message_cut_anywhere_is_refused(vector: dict[str, Any]) -> None:
    payload = vector["payload"].encode()
    reasons = {refusal(parse_announcement, MODELS[vector["message"]], payload[:cut]) for cut in range(len(payload))}
    assert reasons == {"announcement"}


@given(st.sampled_from(TAKEN), st.data())
@settings(max_examples=200)
def test_a_message_with_a_piece_replaced_is_taken_or_refused(vector: dict[str, Any], data: st.DataObject) -> None:
    payload = vector["payload"].encode()
    first = data.draw(st.integers(0, len(payload)))
    last = data.draw(st.integers(first, len(payload)))
    changed = payload[:first] + data.draw(st.binary(max_size=12)) + payload[last:]
    assert refusal(parse_announcement, MODELS[vector["message"]], changed) in {None, "announcement"}


# -- requests ----------------------------------------------------------------------------------------------------------


def test_the_values_of_a_request_are_held_to_the_outputs_role() -> None:
    request = parsed(Request, {"values": {"hue": 120, "brightness": 0.5}})
    assert read_values(request.values, "display") == {"hue": 120.0, "brightness": 0.5}
    assert refusal(read_values, request.values, "motor") == "range"
    assert refusal(read_values, parsed(Request, {"values": {"hue": 361}}).values, "display") == "range"


def test_a_request_holds_for_ten_seconds_unless_it_says_otherwise() -> None:
    assert parsed(Request, {"values": {"hue": 1}}).hold_s == 10.0
    assert parsed(Request, {"values": {"hue": 1}, "hold_s": MAX_HOLD_S}).hold_s == MAX_HOLD_S
    for wrong in (0, -1, MAX_HOLD_S + 1, None, "10"):
        assert refusal(parsed, Request, {"values": {"hue": 1}, "hold_s": wrong}) == "announcement"


@pytest.mark.parametrize("count", [0, MAX_VALUES + 1, 257, 50_000])
def test_a_request_names_1_to_32_values(count: int) -> None:
    assert refusal(parsed, Request, {"values": {f"v{n}": 1.0 for n in range(count)}}) == "announcement"


@pytest.mark.parametrize("name", ["Hue", "", "a/b", "a" * 64])
def test_the_values_have_names(name: str) -> None:
    assert refusal(parsed, Request, {"values": {name: 1.0}}) == "announcement"
    assert all(parsed(Request, {"values": dict.fromkeys(ranges, 0.0)}) for ranges in RANGES.values())


# -- replies -----------------------------------------------------------------------------------------------------------


def test_the_oldest_lines_of_a_long_log_are_cut_off_on_both_sides() -> None:
    lines = [f"line {n}" for n in range(MAX_LINES + 10)]
    assert list(Reply(**{**REPLY, "log": lines}).log) == lines[10:]
    assert list(parsed(Reply, {**REPLY, "log": lines}).log) == lines[10:]


def test_the_longest_reply_fits() -> None:
    worst = Reply(**{**REPLY, "log": ["\x01" * 2 * MAX_TEXT] * MAX_LINES, "why": "\x01" * 2 * MAX_TEXT})
    payload = worst.model_dump_json().encode()
    assert len(payload) < MAX_PAYLOAD
    assert parse_announcement(Reply, payload) == worst


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("boot", 1 << 32),
        ("boot", -1),
        ("hub_boot", 1.5),
        ("id", 1 << 64),
        ("verb", "Log"),
        ("result", "DONE"),
        ("why", None),
        ("log", "line"),
        ("log", [1]),
        ("log", None),
    ],
)
def test_a_reply_with_a_wrong_field_is_refused(field: str, wrong: Any) -> None:
    assert refusal(parsed, Reply, REPLY) is None
    assert refusal(parsed, Reply, {**REPLY, field: wrong}) == "announcement"


def test_a_reply_may_be_to_any_number_that_a_command_has() -> None:
    assert parsed(Reply, {**REPLY, "id": (1 << 64) - 1}).id == (1 << 64) - 1


def test_a_refused_verb_may_be_one_that_the_node_does_not_know() -> None:
    assert parsed(Reply, {**REPLY, "verb": "dance", "result": "refused"}).verb == "dance"


def test_each_verb_is_a_name_and_has_its_arguments() -> None:
    assert set(ARGUMENTS) == set(Verb)
    assert all(parsed(Reply, {**REPLY, "verb": str(verb)}).verb == verb for verb in Verb)
