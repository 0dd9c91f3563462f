"""Requests whose replies come late, never, too often or from somebody else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from becomingone.hub.dispatch.operations import GRACE_S, MAX_PENDING, NODE_AT_ONCE, REQUESTS_AT_ONCE
from becomingone.wire.remote import Reply
from becomingone.wire.seal import seal_json
from becomingone.wire.verbs import MAX_VALID_S

from .operated import BOTH, TOPICS, Cell, key
from .parts import about

# In time, or not


@BOTH
def test_a_node_that_does_not_answer_has_not_done_it_for_all_anybody_knows(sealed: bool) -> None:
    cell = Cell(sealed=sealed)
    cell.node.operations._reply = lambda *_: None  # type: ignore[method-assign]
    cell.ask("reload", token="t", timeout_s=3)
    cell.run(3.0 + GRACE_S - 0.1)
    assert cell.outcomes == []
    cell.run(0.2)
    assert cell.results == [("reload", "unanswered")]
    assert cell.hub.operations._pending == {}


def test_a_command_that_comes_too_late_is_not_obeyed_and_the_operator_learns_it() -> None:
    cell = Cell()
    path = cell.bench.broker.network.path(cell.node.link.client_id)
    path.blocks += 1
    cell.ask("restart", token="t", timeout_s=1)
    cell.run(1.5)
    path.blocks -= 1
    cell.run(3.0)
    assert cell.node.obeyed == 0
    (outcome,) = cell.outcomes
    assert outcome.result in ("refused", "unanswered")
    assert outcome.result == "unanswered" or outcome.why.startswith("expired")


def test_a_reply_that_comes_after_all_is_refused_and_changes_nothing() -> None:
    cell = Cell()
    kept: list[Any] = []
    reply = cell.node.operations._reply
    cell.node.operations._reply = lambda *given: kept.append(given)  # type: ignore[method-assign]
    cell.ask("reload", token="t", timeout_s=1)
    cell.run(1.0 + GRACE_S)
    for given in kept * 2:
        reply(*given)
    cell.run(0.1)
    assert cell.results == [("reload", "unanswered")]
    assert cell.hub.refused == {"unknown_reply": 2}


def test_a_hub_that_stops_says_that_it_will_not_know() -> None:
    cell = Cell()
    cell.node.operations._reply = lambda *_: None  # type: ignore[method-assign]
    cell.ask("reload", token="t")
    cell.hub.stop(lambda: None)
    cell.run(1.0)
    assert [(o.result, o.why) for o in cell.outcomes] == [("unanswered", "the hub stops before the node has answered")]


def test_a_hub_that_is_killed_leaves_no_answer_and_the_next_one_takes_none_for_its_own() -> None:
    cell = Cell()
    kept: list[Any] = []
    reply = cell.node.operations._reply
    cell.node.operations._reply = lambda *given: kept.append(given)  # type: ignore[method-assign]
    cell.ask("reload", token="t")
    cell.start_hub()
    cell.run(3.0)
    cell.ask("reload", token="u")
    for given in kept:
        reply(*given)
    cell.run(0.1)
    assert [(o.token, o.result) for o in cell.outcomes] == [("u", "done")]
    assert cell.hub.refused["unknown_reply"] == 1


# Floods


def test_one_node_is_not_asked_too_often() -> None:
    cell = Cell(operate={"per_minute": 60})
    for number in range(20):
        cell.ask("reload", token=f"t{number}")
    done = [result for _, result in cell.results].count("done")
    assert done == NODE_AT_ONCE
    assert cell.hub.refused == {"too_often": 20 - done}
    assert all(why.startswith("too_often: ") for why in cell.whys if why.startswith("too"))
    cell.run(5.0)
    cell.ask("reload", token="later")
    assert cell.results[-1] == ("reload", "done")


def test_who_floods_the_hub_is_not_answered_and_costs_no_memory() -> None:
    cell = Cell()
    for number in range(5000):
        content = {"token": f"t{number}"}
        cell.operator.publish(TOPICS.operate(f"m{number}", "log"), json.dumps(content).encode(), qos=0)
    cell.run(1.0)
    assert REQUESTS_AT_ONCE <= len(cell.outcomes) <= REQUESTS_AT_ONCE + 25
    assert cell.hub.refused["too_often"] == 5000 - len(cell.outcomes)
    held = cell.hub.operations
    assert held._paces == {}
    assert len(held._tokens) == len(cell.outcomes)
    cell.run(61.0)
    cell.ask("log", token="t")
    assert cell.results[-1] == ("log", "done")
    assert len(held._tokens) == 1


def test_there_is_an_end_to_what_is_waited_for() -> None:
    cell = Cell(sealed=False, operate={"per_minute": 600})
    names = [f"m{number}" for number in range(MAX_PENDING + 40)]
    for name in names:
        described = about(name, interval_s=3600.0).model_dump_json().encode()
        cell.operator.publish(TOPICS.about(name), described, qos=1, retain=True)
        cell.operator.publish(TOPICS.state(name), b"ready", qos=1, retain=True)
    cell.run(0.5)
    for number, name in enumerate(names):
        cell.operator.publish(TOPICS.operate(name, "reload"), b'{"token":"t"}', qos=1)
        if number > 90:  # more come at once than in a while
            cell.run(0.05)
        assert len(cell.hub.operations._pending) <= MAX_PENDING
    unanswered = cell.results.count(("reload", "unanswered"))
    assert len(cell.outcomes) - unanswered == cell.hub.refused["too_often"] > 0
    cell.run(MAX_VALID_S + GRACE_S)
    assert cell.hub.operations._pending == {}
    assert len(cell.outcomes) == len(names)


# Forged replies


def forged_reply(cell: Cell, **fields: Any) -> tuple[str, bytes]:
    content = {"boot": 1, "hub_boot": 1, "id": 0, "verb": "restart", "result": "done", "why": "", **fields}
    return TOPICS.reply("n", content["id"]), Reply.model_validate(content).model_dump_json().encode()


def test_nobody_but_the_node_can_say_that_it_was_done() -> None:
    cell = Cell()
    cell.node.operations._reply = lambda *_: None  # type: ignore[method-assign]
    cell.ask("restart", token="t", timeout_s=1)
    topic, plain = forged_reply(cell)
    right = seal_json(key("n"), topic, plain, 1)
    elsewhere = TOPICS.reply("m", 0)
    attempts = [
        (topic, plain, "unsealed"),
        (topic, seal_json(key("m"), topic, plain, 1), "forged"),
        (topic, seal_json(key("n"), elsewhere, plain, 1), "forged"),
        (elsewhere, seal_json(key("m"), elsewhere, plain, 1), "unknown_reply"),  # with a stolen key, of another node
        (topic, right[:-3] + b'0"}' if not right.endswith(b'0"}') else right[:-3] + b'1"}', "forged"),
        (topic, b"{}", "announcement"),
        (topic, b"done", "announcement"),
    ]
    for number, (where, payload, reason) in enumerate(attempts):
        before = cell.hub.refused[reason]
        cell.operator.publish(where, payload, qos=1)
        cell.run(0.01)
        assert cell.hub.refused[reason] == before + 1, number
    assert cell.outcomes == []
    cell.operator.publish(topic, right, qos=1)  # the node's own word
    cell.run(0.01)
    assert cell.results == [("restart", "done")]


@pytest.mark.parametrize("field", ["id", "hub_boot", "verb"])
def test_a_reply_to_something_else_is_no_reply_to_this(field: str) -> None:
    cell = Cell(sealed=False)
    cell.node.operations._reply = lambda *_: None  # type: ignore[method-assign]
    cell.ask("restart", token="t", timeout_s=1)
    topic, payload = forged_reply(cell, **{field: "log" if field == "verb" else 7})
    cell.operator.publish(topic, payload, qos=1)
    cell.run(0.1)
    assert cell.outcomes == []
    assert cell.hub.refused == {"unknown_reply": 1}


def test_a_stored_reply_is_refused() -> None:
    cell = Cell(sealed=False)
    topic, payload = forged_reply(cell)
    cell.operator.publish(topic, payload, qos=1, retain=True)
    cell.start_hub()
    cell.run(1.0)
    assert cell.hub.refused["retained"] == 1
