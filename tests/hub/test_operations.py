"""What operators ask of nodes: sent on where it may be, and the outcome told as it is."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from becomingone.errors import FrameError
from becomingone.hub.config import OperatorVerb
from becomingone.hub.dispatch.tokens import MAX_TOKENS, Tokens
from becomingone.wire.command import decode_node_command
from becomingone.wire.operate import MAX_OPERATION
from becomingone.wire.verbs import FORGET, MAX_LINES, OPERATORS, Verb

from .operated import BOTH, TOPICS, Cell
from .parts import about

GIVEN: dict[str, dict[str, Any]] = {"identify": {"seconds": 5}, "loglevel": {"level": "debug"}, "log": {"lines": 3}}


# Done


def test_operators_may_be_given_the_verbs_that_are_theirs() -> None:
    assert set(get_args(OperatorVerb)) == {str(verb) for verb in OPERATORS} | {FORGET}
    assert set(OPERATORS) | {Verb.REBIRTH, Verb.REALIGN} == set(Verb)


@BOTH
def test_each_verb_is_asked_for_obeyed_and_answered(sealed: bool) -> None:
    cell = Cell(sealed=sealed).run(1.0)
    for number, verb in enumerate(OPERATORS):
        cell.ask(verb, GIVEN.get(verb), token=f"t{number}", why="a test")
    assert cell.results == [(verb, "done") for verb in OPERATORS]
    assert [outcome.token for outcome in cell.outcomes] == ["t0", "t1", "t2", "t3", "t4"]
    assert all(outcome.node == "n" for outcome in cell.outcomes)
    calls = [("reload", ""), ("log_level", "debug"), ("log_lines", "3"), ("restart", "a command")]
    assert cell.node.host.calls == calls
    assert cell.node.screens["light"].shown[0][0]["brightness"] == 1.0
    assert cell.outcomes[3].log == ("line 297", "line 298", "line 299")
    assert cell.hub.refused == {}
    assert [(e["node"], e["verb"], e["token"], e["result"]) for e in cell.events()] == [
        ("n", verb, f"t{number}", "done") for number, verb in enumerate(OPERATORS)
    ]
    assert all("log" not in event for event in cell.events())  # for those who asked alone


def test_the_whole_log_comes_through() -> None:
    cell = Cell()
    cell.node.host.lines = tuple("\x01" * 600 for _ in range(300))
    cell.ask("log", token="t")
    assert cell.outcomes[0].log == ("\x01" * 512,) * MAX_LINES


def test_what_the_node_declines_is_told_with_its_reason() -> None:
    cell = Cell()
    cell.node.host.problem = "node.yaml:3: hardware: must be one of pi_zero, pi_4"
    cell.ask("reload", token="t")
    assert [(o.result, o.why) for o in cell.outcomes] == [
        ("refused", "node.yaml:3: hardware: must be one of pi_zero, pi_4")
    ]


def test_without_a_token_only_the_event_tells() -> None:
    """A button of a home automation sends the same text each time."""
    cell = Cell()
    cell.operator.publish(TOPICS.operate("n", "identify"), b"", qos=1)
    cell.run(0.05)
    cell.ask("identify")
    assert [(event["token"], event["result"]) for event in cell.events()] == [(None, "done")] * 2
    assert cell.outcomes == []
    assert json.loads(cell.bench.broker.retained[TOPICS.event("operation") + "/last"])["verb"] == "identify"


def test_all_commands_to_a_node_are_numbered_together() -> None:
    """A node obeys only what has a greater number than all before, whatever the verb."""
    cell = Cell()
    for number in range(3):
        cell.hub._intake._rebirths.ask("n", None, now_ns=number * 10**10, now_us=cell.node.clock.now_us())
        cell.ask("reload", token=f"t{number}")
    assert (cell.node.rebirths, len(cell.node.host.calls)) == (3, 3)
    assert cell.node.operations.refused == {}
    ids = [decode_node_command(p, Verb(t.rsplit("/", 1)[1])).id for t, p in cell.sent("/cmd/") if "/request/" not in t]
    assert ids == list(range(6))


# Refused at once


def refused_at_once(cell: Cell, reason: str) -> None:
    (outcome,) = cell.outcomes
    assert outcome.result == "refused"
    assert outcome.why.startswith(f"{reason}: ")
    assert cell.hub.refused == {reason: 1}
    assert cell.sent("/node/n/cmd/") == []
    assert cell.node.obeyed == 0


@pytest.mark.parametrize(
    ("verb", "arguments", "reason"),
    [
        ("rebirth", None, "not_allowed"),
        ("realign", {"band": "a", "phase": 0, "omega": 1, "time_us": 1}, "not_allowed"),
        ("dance", None, "unknown_verb"),
        ("restart", {"now": 1}, "range"),
        ("loglevel", None, "missing"),
        ("loglevel", {"level": "all"}, "range"),
        ("log", {"lines": 2.5}, "type"),
        ("log", {"lines": 257}, "range"),
        ("identify", {"seconds": "5"}, "type"),
        ("identify", {"seconds": 61}, "range"),
    ],
)
def test_what_no_operator_may_is_refused_at_once(verb: str, arguments: object, reason: str) -> None:
    cell = Cell()
    cell.ask(verb, arguments, token="t")
    refused_at_once(cell, reason)


def test_the_configuration_says_which_verbs_operators_have() -> None:
    cell = Cell(operate={"verbs": ["identify", "log"]})
    cell.ask("restart", token="t")
    refused_at_once(cell, "not_allowed")
    cell.ask("log", token="u")
    assert cell.results[1] == ("log", "done")


@BOTH
@pytest.mark.parametrize("word", ["lost", "disconnected", "sleeping"])
def test_nothing_is_done_in_a_node_that_is_not_there(word: str, sealed: bool) -> None:
    cell = Cell(sealed=sealed)
    cell.bench.broker.kill(cell.node.link.client_id)
    cell.run(0.1)
    cell.operator.publish(TOPICS.state("n"), word.encode(), qos=1, retain=True)
    cell.run(0.1)
    cell.ask("restart", token="t")
    refused_at_once(cell, "offline")
    assert f"n is {word}" in cell.outcomes[0].why


@BOTH
def test_nor_in_one_that_nobody_has_heard_of(sealed: bool) -> None:
    cell = Cell(sealed=sealed)
    cell.ask("restart", node="m", token="t")
    refused_at_once(cell, "unknown_node")
    assert cell.outcomes[0].node == "m"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"now", "announcement"),
        (b"[]", "announcement"),
        (b'{"token":"T"}', "announcement"),
        (b'{"argument":{"lines":1}}', "announcement"),
        (b'{"token":"t","arguments":{"a":true}}', "announcement"),
        (b'{"token":"t","arguments":[]}', "announcement"),
        (b'{"token":"t","timeout_s":11}', "announcement"),
        (b'{"token":"t","timeout_s":0.5}', "announcement"),
        (b'{"token":"t","timeout_s":NaN}', "announcement"),
        (b'{"why":"' + bytes(MAX_OPERATION) + b'"}', "oversize"),
        (b"\xff", "announcement"),
    ],
)
def test_what_cannot_be_read_is_counted_and_has_no_answer(payload: bytes, reason: str) -> None:
    cell = Cell()
    cell.operator.publish(TOPICS.operate("n", "log"), payload, qos=1)
    cell.run(0.1)
    assert cell.hub.refused == {reason: 1}
    assert cell.outcomes == []
    assert cell.events() == []


@pytest.mark.parametrize("topic", ["request/N/cmd/log", "request/n/cmd/Log", "request//cmd/log"])
def test_a_topic_that_names_nobody_is_refused(topic: str) -> None:
    cell = Cell()
    cell.operator.publish(f"{TOPICS.base}/{topic}", b'{"token":"t"}', qos=1)
    cell.run(0.1)
    assert cell.hub.refused == {"topic": 1}
    assert cell.outcomes == []


def test_a_request_that_somebody_stored_is_not_obeyed_at_each_start_of_the_hub() -> None:
    cell = Cell()
    cell.ask("restart", token="t", retain=True)
    assert len(cell.node.host.calls) == 1  # it came as a live one
    for _ in range(3):
        cell.start_hub()
        cell.run(3.0)
        assert cell.hub.refused["retained"] == 1
    assert len(cell.node.host.calls) == 1


def test_a_request_that_comes_twice_is_one() -> None:
    cell = Cell()
    cell.ask("reload", token="t")
    cell.ask("reload", token="t")
    assert cell.results == [("reload", "done")]
    assert cell.hub.refused == {"replayed": 1}
    cell.run(60.0)
    cell.ask("reload", token="t")
    assert len(cell.outcomes) == 2


def test_tokens_are_forgotten_and_have_an_end() -> None:
    tokens = Tokens()
    for number in range(MAX_TOKENS):
        tokens.take("n", f"t{number}", number)
    with pytest.raises(FrameError, match="too_often"):
        tokens.take("n", "t", MAX_TOKENS)
    with pytest.raises(FrameError, match="replayed"):
        tokens.take("n", "t0", MAX_TOKENS)
    tokens.take("m", "t0", 60 * 10**9)  # the first has gone
    assert len(tokens) == MAX_TOKENS
    tokens.take("n", "t0", 200 * 10**9)
    assert len(tokens) == 1


# The hub's own


@BOTH
def test_realign_reaches_the_node_s_oscillator(sealed: bool) -> None:
    cell = Cell(sealed=sealed).run(1.0)
    now_us = cell.node.clock.now_us()
    assert cell.hub.operations.realign("n", "stride", phase=0.5, omega=4.5, time_us=now_us)
    cell.run(0.1)
    assert cell.node.realigned == [{"band": "stride", "phase": 0.5, "omega": 4.5, "time_us": now_us}]
    assert cell.outcomes == []
    assert cell.hub.refused == {}  # its reply is nobody's business


def test_realign_of_who_is_not_there_or_to_nonsense() -> None:
    cell = Cell()
    realign = cell.hub.operations.realign
    assert not realign("m", "stride", phase=0.5, omega=4.5, time_us=1)
    for wrong in ({"phase": 4.0}, {"omega": float("nan")}, {"time_us": -1}, {"band": "Stride"}):
        given: dict[str, Any] = {"band": "stride", "phase": 0.5, "omega": 4.5, "time_us": 1, **wrong}
        with pytest.raises(FrameError):
            realign("n", given.pop("band"), **given)
    cell.bench.broker.kill(cell.node.link.client_id)
    cell.run(0.1)
    assert not realign("n", "stride", phase=0.5, omega=4.5, time_us=1)
    assert cell.sent("/cmd/realign") == []


def test_a_node_that_has_proved_no_life_is_sent_nothing() -> None:
    cell = Cell(node=False)
    cell.operator.publish(TOPICS.about("n"), about("n").model_dump_json().encode(), qos=1, retain=True)
    cell.operator.publish(TOPICS.state("n"), b"ready", qos=1, retain=True)
    cell.run(1.0)
    cell.ask("restart", token="t")
    assert [why.split(":")[0] for why in cell.whys] == ["unknown_node"]
    assert cell.sent("/node/n/cmd/") == []


def test_a_node_that_will_not_come_back_is_forgotten_and_one_that_is_there_is_not() -> None:
    cell = Cell().run(1.0)
    cell.ask(FORGET, token="t0")
    assert cell.results[-1] == (FORGET, "refused")
    assert "stop it first" in cell.whys[-1]
    cell.bench.broker.kill(cell.node.link.client_id)
    cell.run(1.0)
    cell.ask(FORGET, token="t1")
    cell.run(1.0)
    assert cell.results[-1] == (FORGET, "done")
    assert not [topic for topic, payload in cell.bench.broker.retained.items() if "/node/n/" in topic and payload]
