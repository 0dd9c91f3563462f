"""Announcements: what a node says of itself as retained text or JSON."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from becomingone.errors import FrameError
from becomingone.wire.announce import (
    LARGEST,
    MAX_ELEMENTS,
    MAX_ENTRIES,
    MAX_TEXT,
    About,
    Health,
    OutputState,
    State,
    parse_announcement,
    parse_state,
)
from becomingone.wire.cbor import MAX_PAYLOAD

from .golden import refusal

CHANNEL: dict[str, Any] = {
    "name": "thigh_x",
    "device": "imu",
    "kind": "accelerometer",
    "unit": "m/s²",
    "quantity": "acceleration",
    "rate_hz": 100.0,
    "floor": 0.02,
    "origin": "live",
    "speed": 1.0,
    "bands": ["fast", "stride"],
    "interval_s": 0.1,
    "keep": True,
}
ABOUT: dict[str, Any] = {
    "protocol": 1,
    "node": "leg",
    "hardware": "pi_zero",
    "tau_s": [0.01, 1.0],
    "capability": 1.0,
    "interval_s": 0.1,
    "bands": {"fast": {"frequency_hz": 10.0, "tau_s": 0.1, "lag_s": 0.7, "coherence_tau_s": 4.0}},
    "channels": [CHANNEL],
    "devices": [{"name": "imu", "kind": "accelerometer", "available": False, "reason": "no such device"}],
    "outputs": [{"name": "lamp", "kind": "terminal", "role": "display"}],
    "software": "becomingone 0.1.0",
    "config_sha256": "ab" * 32,
    "boot": 7,
    "pid": 4242,
    "host": "attic",
    "mode": "last_good",
    "mode_why": "node.yaml:3: node: must be a name",
    "desired_sha256": "cd" * 32,
}
HEALTH: dict[str, Any] = {
    "uptime_s": 12.5,
    "frames": 1200,
    "dropped": 3,
    "dropped_reasons": {"link down": 3},
    "rss_bytes": 52_428_800,
    "cpu_s": 1.25,
    "clock_sigma_s": 0.01,
    "refused_commands": {"expired": 1},
    "clock_source": "hub",
    "clock_offset_s": -0.25,
    "temperature_c": 48.5,
    "waiting": 2,
    "kept": 100,
    "kept_bytes": 9_600,
    "kept_lost": 1,
    "kept_fault": "No space left on device",
}
LATER = {"mode", "mode_why", "desired_sha256", "clock_source", "clock_offset_s", "temperature_c", "waiting"}
LATER |= {"kept", "kept_bytes", "kept_lost", "kept_fault"}
LATER |= {"hub_boot", "id", "host"}
OUTPUT: dict[str, Any] = {
    "doing": "command",
    "why": "the hub's command",
    "values": {"hue": 120.0},
    "hub_boot": 3,
    "id": 17,
}

MESSAGES: list[tuple[type[About | Health | OutputState], dict[str, Any]]] = [
    (About, ABOUT),
    (Health, HEALTH),
    (OutputState, OUTPUT),
]
every = pytest.mark.parametrize(("model", "message"), MESSAGES, ids=lambda value: getattr(value, "__name__", ""))


def parsed(model: type[About | Health | OutputState], message: object) -> Any:
    return parse_announcement(model, json.dumps(message).encode())


def reason(model: type[About | Health | OutputState], message: object) -> str | None:
    return refusal(parsed, model, message)


@every
def test_an_announcement_survives_the_wire(model: Any, message: dict[str, Any]) -> None:
    announcement = parsed(model, message)
    assert json.loads(announcement.model_dump_json()) == message
    assert parse_announcement(model, announcement.model_dump_json().encode()) == announcement


@every
def test_every_field_of_the_first_version_is_required(model: Any, message: dict[str, Any]) -> None:
    assert set(message) == set(model.model_fields)
    for field in set(message) - LATER:
        with pytest.raises(FrameError, match=f"^announcement: {field}: Field required$"):
            parsed(model, {name: value for name, value in message.items() if name != field})


@every
def test_fields_of_a_later_version_are_ignored(model: Any, message: dict[str, Any]) -> None:
    assert parsed(model, {**message, "later": {"x": [1, None]}}) == parsed(model, message)


def test_fields_of_a_later_version_are_ignored_inside_too() -> None:
    later = copy.deepcopy(ABOUT)
    for part in (later["channels"][0], later["devices"][0], later["outputs"][0], later["bands"]["fast"]):
        part["later"] = True
    assert parsed(About, later) == parsed(About, ABOUT)


@every
@pytest.mark.parametrize(
    "wrong", [b"", b"{", b"\xff", b"null", b"[]", b'"ready"', b"1", b"{}", b"NaN", b'{"a":Infinity}']
)
def test_what_is_no_such_json_is_refused(model: Any, message: dict[str, Any], wrong: bytes) -> None:
    assert refusal(parse_announcement, model, wrong) == "announcement"
    assert reason(model, message) is None


@every
@pytest.mark.parametrize("wrong", [None, True, "x", "1", -1, 1.5, [], {}, [None], {"x": None}], ids=repr)
def test_a_field_of_a_wrong_kind_is_refused(model: Any, message: dict[str, Any], wrong: Any) -> None:
    right = (
        {"capability", "interval_s", "uptime_s", "cpu_s", "clock_sigma_s", "temperature_c"}
        if wrong == 1.5
        else set[str]()
    )
    right |= {"clock_offset_s"} if wrong == 1.5 else set()
    right |= {"clock_offset_s", "temperature_c"} if wrong == -1 else set()
    right |= {"mode_why", "desired_sha256", "kept_fault", "host"} if isinstance(wrong, str) else set()
    right |= {"hardware", "software", "config_sha256", "why", "node"} if isinstance(wrong, str) else set()
    right |= {"channels", "devices", "outputs"} if wrong == [] else set()
    right |= {"bands", "dropped_reasons", "refused_commands", "values"} if wrong == {} else set()
    right |= {"rss_bytes", "temperature_c", "hub_boot", "id"} if wrong is None else set()
    taken = {field for field in message if reason(model, {**message, field: wrong}) is None}
    assert taken == right & set(message)


def about(**changes: Any) -> dict[str, Any]:
    return {**ABOUT, **changes}


def channel(**changes: Any) -> dict[str, Any]:
    return about(channels=[{**CHANNEL, **changes}])


def band(**changes: Any) -> dict[str, Any]:
    return about(bands={"fast": {**ABOUT["bands"]["fast"], **changes}})


WRONG: list[tuple[Any, dict[str, Any]]] = [
    (About, about(protocol=0)),
    (About, about(node="Leg")),
    (About, about(node="leg\n")),
    (About, about(node="")),
    (About, about(node="a" * 64)),
    (About, about(tau_s=[1.0])),
    (About, about(tau_s=[0.0, 1.0])),
    (About, about(tau_s=[1.0, 2.0, 3.0])),
    (About, about(capability=-0.1)),
    (About, about(capability=1001)),
    (About, about(interval_s=0)),
    (About, about(interval_s=3601)),
    (About, about(boot=1 << 32)),
    (About, about(boot=-1)),
    (About, about(pid=1 << 63)),
    (About, about(bands={"Fast": ABOUT["bands"]["fast"]})),
    (About, band(frequency_hz=0)),
    (About, band(tau_s=-1)),
    (About, band(lag_s=1.1 * LARGEST)),
    (About, band(coherence_tau_s="4")),
    (About, channel(name="thigh/x")),
    (About, channel(rate_hz=0)),
    (About, channel(rate_hz=1e300)),
    (About, channel(floor=-1)),
    (About, channel(origin="dreamt")),
    (About, channel(speed=0)),
    (About, channel(speed=None)),
    (About, channel(bands=["FAST"])),
    (About, channel(bands="fast")),
    (About, channel(interval_s=0)),
    (About, about(channels=[CHANNEL, None])),
    (About, about(channels=[{**CHANNEL, "bands": []}] * (MAX_ELEMENTS + 1))),
    (About, about(devices=[{"name": "imu", "kind": "x", "available": "yes"}])),
    (About, about(devices=[{"name": "imu", "kind": "x", "available": 1}])),
    (About, about(outputs=[{"name": "lamp", "kind": "x", "role": "heater"}])),
    (Health, {**HEALTH, "uptime_s": -1}),
    (Health, {**HEALTH, "frames": 1.0}),
    (Health, {**HEALTH, "frames": 1 << 63}),
    (Health, {**HEALTH, "dropped_reasons": {"full": -1}}),
    (Health, {**HEALTH, "refused_commands": {f"r{number}": 1 for number in range(MAX_ENTRIES + 1)}}),
    (OutputState, {**OUTPUT, "doing": "dance"}),
    (OutputState, {**OUTPUT, "values": {"hue": "red"}}),
    (OutputState, {**OUTPUT, "values": {"hue": 10**400}}),
    (OutputState, {**OUTPUT, "values": {f"v{number}": 1.0 for number in range(MAX_ENTRIES + 1)}}),
]


@pytest.mark.parametrize(("model", "message"), WRONG)
def test_a_wrong_value_is_refused(model: Any, message: dict[str, Any]) -> None:
    assert reason(model, message) == "announcement"


def test_the_refusal_names_the_place() -> None:
    with pytest.raises(FrameError, match=r"^announcement: channels\.0\.rate_hz: Input should be greater than 0$"):
        parsed(About, channel(rate_hz=0))


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_a_figure_that_is_not_finite_is_refused(literal: str) -> None:
    payload = json.dumps(OUTPUT).replace("120.0", literal).encode()
    assert refusal(parse_announcement, OutputState, payload) == "announcement"


def test_nan_is_not_json_even_where_it_is_ignored() -> None:
    assert reason(OutputState, {**OUTPUT, "later": float("nan")}) == "announcement"


def test_the_limits_themselves_are_taken() -> None:
    parsed(About, about(capability=1000, interval_s=3600, boot=(1 << 32) - 1, pid=(1 << 63) - 1))
    parsed(About, channel(rate_hz=LARGEST, floor=0))
    parsed(About, about(channels=[{**CHANNEL, "bands": []}] * 64, devices=[], outputs=[], bands={}))
    parsed(Health, {**HEALTH, "dropped_reasons": {f"r{number}": 1 for number in range(MAX_ENTRIES)}})
    assert parsed(About, about(node="a" * 63)).node == "a" * 63


def test_what_a_later_version_added_may_be_left_out() -> None:
    older = parsed(About, {name: value for name, value in ABOUT.items() if name not in LATER})
    assert (older.mode, older.mode_why, older.desired_sha256) == ("normal", "", "")
    health = parsed(Health, {name: value for name, value in HEALTH.items() if name not in LATER})
    assert (health.clock_source, health.clock_offset_s, health.temperature_c) == ("system", 0.0, None)
    assert (health.waiting, health.kept, health.kept_bytes, health.kept_lost) == (0, 0, 0, 0)
    assert health.kept_fault == ""
    channel_ = {name: value for name, value in CHANNEL.items() if name != "keep"}
    assert parsed(About, about(channels=[channel_])).channels[0].keep is False


def test_a_speed_may_be_left_out() -> None:
    older = {name: value for name, value in CHANNEL.items() if name != "speed"}
    assert parsed(About, about(channels=[older])).channels[0].speed == 1.0


def test_a_reason_may_be_left_out() -> None:
    devices = parsed(About, about(devices=[{"name": "imu", "kind": "x", "available": True}])).devices
    assert devices[0].reason == ""


def test_a_long_text_is_cut_on_both_sides_and_costs_nothing_else() -> None:
    long = OutputState(doing="rest", why="é" * 10_000, values={})
    assert long.why == "é" * MAX_TEXT
    assert parsed(OutputState, {**OUTPUT, "why": "é" * 10_000}).why == "é" * MAX_TEXT


def test_a_text_with_undecodable_bytes_of_the_system_can_still_be_announced() -> None:
    state = OutputState(doing="rest", why="no /dev/\udcff", values={})
    assert parse_announcement(OutputState, state.model_dump_json().encode()).why == "no /dev/?"


def test_a_payload_that_is_too_long_is_refused_unread() -> None:
    payload = json.dumps(OUTPUT).encode()
    padded = payload + b" " * (MAX_PAYLOAD - len(payload))
    assert parse_announcement(OutputState, padded) == parse_announcement(OutputState, payload)
    assert refusal(parse_announcement, OutputState, padded + b" ") == "oversize"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"channels":[' + b"{}," * 340_000 + b"{}]}",
        b'{"channels":[' + b"{}," * 4_000 + b"{}]}",
        b'{"devices":[' + b"{}," * 4_000 + b"{}]}",
        b'{"outputs":[' + b"0," * 4_000 + b"0]}",
        b'{"bands":{' + b",".join(b'"%d":0' % number for number in range(90_000)) + b"}}",
        json.dumps(channel(bands=[0] * 4_000)).encode(),
        b'{"later":' + b"[" * 500_000,
        b'{"boot":' + b"9" * 1_000_000 + b"}",
    ],
    ids=lambda payload: payload[:20].decode(),
)
def test_a_payload_full_of_mistakes_makes_few_errors(payload: bytes) -> None:
    """Their number is what reading costs: a mebibyte of mistakes, each reported, took 24 s."""
    with pytest.raises(FrameError) as refused:
        parse_announcement(About, payload)
    assert refused.value.reason == "announcement"
    cause = refused.value.__cause__
    assert not isinstance(cause, ValidationError) or cause.error_count() < 40


@given(st.binary(max_size=100))
def test_random_bytes_are_refused(payload: bytes) -> None:
    for model, _ in MESSAGES:
        assert refusal(parse_announcement, model, payload) == "announcement"


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


@given(st.sampled_from(MESSAGES), st.data())
def test_a_message_with_a_field_replaced_is_taken_or_refused(message: Any, data: st.DataObject) -> None:
    model, fields = message
    changed = {**fields, data.draw(st.sampled_from(sorted(fields))): data.draw(json_values)}
    why = reason(model, changed)
    assert why in {None, "announcement"}
    if why is None:
        assert parsed(model, json.loads(parsed(model, changed).model_dump_json())) == parsed(model, changed)


# -- state -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["init", "ready", "sleeping", "disconnected", "lost"])
def test_a_state_survives_the_wire(word: str) -> None:
    state = parse_state(word.encode())
    assert state == word
    assert state.encode() == word.encode()
    assert parse_state(state.encode()) is State(word)


@pytest.mark.parametrize(
    "payload", [b"", b"READY", b"ready\n", b" ready", b"alert", b"\xff", "früh".encode(), b"r" * 99]
)
def test_another_word_is_no_state(payload: bytes) -> None:
    with pytest.raises(FrameError, match=r"^state: .* one of init, ready, sleeping, disconnected, lost$"):
        parse_state(payload)


@given(st.binary(max_size=12))
def test_random_bytes_are_no_state(payload: bytes) -> None:
    assert refusal(parse_state, payload) == (None if payload.decode("latin-1") in set(State) else "state")
