"""Commands to a node as a whole: each verb obeyed and answered once, everything else refused and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.hub.operated import TOPICS, key

from becomingone.node.operations import Answer, Later, Operations
from becomingone.wire import cbor
from becomingone.wire.seal import seal
from becomingone.wire.verbs import MAX_COMMAND, MAX_LINES, Value, Verb

from .command_rig import BOTH, TARGET, Rig

# Obeyed


@BOTH
@pytest.mark.parametrize("verb", list(Verb))
def test_each_verb_is_obeyed_and_answered(verb: Verb, sealed: bool) -> None:
    rig = Rig(sealed=sealed)
    rig.give(verb, rig.command(verb))
    (reply,) = rig.replies
    assert (reply.boot, reply.hub_boot, reply.id, reply.verb, reply.result) == (1, 1, 0, verb, "done")
    assert rig.node.operations.refused == {}
    assert rig.node.obeyed == 1
    node = rig.node
    done: dict[Verb, object] = {
        Verb.REBIRTH: node.rebirths == 1,
        Verb.REALIGN: node.realigned == [TARGET],
        Verb.IDENTIFY: node.screens["light"].shown and reply.why == "look for light",
        Verb.RELOAD: reply.why == "changed: frames_per_s; with the next start only: hardware",
        Verb.LOGLEVEL: node.host.calls == [("log_level", "debug")],
        Verb.LOG: reply.log == ("line 298", "line 299"),
        Verb.RESTART: node.host.calls == [("restart", "a command")],
    }
    assert done[verb]


def test_the_log_has_at_most_256_lines() -> None:
    rig = Rig()
    rig.give("log", rig.command(Verb.LOG, {}))
    assert rig.replies[0].log == tuple(f"line {n}" for n in range(300 - MAX_LINES, 300))


def test_the_reply_to_a_restart_goes_before_the_goodbye() -> None:
    rig = Rig()
    rig.node.host.on_restart = lambda: rig.node.presence.leave(lambda: None)
    rig.give("restart", rig.command(Verb.RESTART))
    rig.run(1.0)
    said = [e.topic.rsplit("/", 2)[1:] for e in rig.bench.broker.trace if "/reply/" in e.topic or "/state" in e.topic]
    assert said == [["n", "state"], ["reply", "0"], ["n", "state"]]
    assert rig.bench.broker.retained[TOPICS.state("n")] == b"disconnected"


def test_what_the_node_declines_is_answered_with_the_reason_and_counted() -> None:
    rig = Rig()
    rig.node.host.problem = "node.yaml:3: hardware: must be one of pi_zero, pi_4"
    rig.give("reload", rig.command(Verb.RELOAD))
    del rig.node.screens["light"]
    rig.give("identify", rig.command(Verb.IDENTIFY))
    assert [(reply.result, reply.why) for reply in rig.replies] == [
        ("refused", "node.yaml:3: hardware: must be one of pi_zero, pi_4"),
        ("refused", "it has no display, no speaker and no light of its own to show itself with"),
    ]
    assert rig.node.operations.refused == {"declined": 2}


def other(rig: Rig, verbs: Mapping[Verb, Callable[[Mapping[str, Value]], Answer | Later]]) -> Operations:
    """What the same node would be with other handlers."""
    node = rig.node
    node.operations = Operations(
        "n", link=node.link, topics=TOPICS, trust=node.trust, clock=node.clock, boot=rig.boot, verbs=verbs
    )
    node.operations._started_ns = 0
    return node.operations


def test_a_bug_in_a_handler_is_answered_counted_and_told_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()

    def broken(_: Mapping[str, Value]) -> Answer:
        raise ZeroDivisionError("by zero")

    found = other(rig, {Verb.RELOAD: broken, Verb.LOG: lambda _: Answer(done=True)})
    rig.give("reload", rig.command(Verb.RELOAD))
    rig.give("log", rig.command(Verb.LOG))
    assert [(r.result, r.why) for r in rig.replies] == [("refused", "failed: ZeroDivisionError: by zero"), ("done", "")]
    assert found.refused == {"failed": 1}
    assert "Traceback" in caplog.text


def test_an_answer_may_take_turns_and_is_given_once() -> None:
    rig = Rig()
    later, restarted = Later(), []
    other(rig, {Verb.RELOAD: lambda _: later})
    rig.give("reload", rig.command(Verb.RELOAD))
    rig.run(1.0)
    assert rig.replies == []
    later.settle(Answer(done=True, why="at last", then=lambda: restarted.append(len(rig.bench.broker.trace))))
    later.settle(Answer(done=False))
    rig.run(0.1)
    assert [(reply.result, reply.why) for reply in rig.replies] == [("done", "at last")]
    assert len(restarted) == 1


def test_an_answer_that_was_settled_before_anybody_asked_is_given() -> None:
    later, given = Later(), []
    later.settle(Answer(done=True))
    later.when_settled(given.append)
    assert given == [Answer(done=True)]


# Refused

Bad = Callable[[Rig], tuple[str, bytes]]


def without_keys(rig: Rig, fields: Mapping[int, Any], verb: str = "restart") -> tuple[str, bytes]:
    return verb, rig.sealed_for(TOPICS.command("n", verb), cbor.encode(fields))


def now(rig: Rig, **more: Any) -> dict[int, Any]:
    return {1: 1, 2: 7, 3: rig.node.clock.now_us() + 5_000_000, **({4: more} if more else {})}


ANSWERED: list[tuple[str, str, Bad]] = [
    ("expired", "expired", lambda rig: ("restart", rig.command(Verb.RESTART, holds_s=-0.001))),
    ("a verb that nobody has", "unknown_verb", lambda rig: without_keys(rig, now(rig), "dance")),
    ("an argument that it does not take", "range", lambda rig: without_keys(rig, now(rig, force=1))),
    ("an argument missing", "missing", lambda rig: without_keys(rig, now(rig), "loglevel")),
    ("an argument of another type", "type", lambda rig: without_keys(rig, now(rig, lines="all"), "log")),
    ("an argument out of its range", "range", lambda rig: without_keys(rig, now(rig, lines=257), "log")),
    ("a level that is none", "range", lambda rig: without_keys(rig, now(rig, level="all"), "loglevel")),
    ("NaN", "not_finite", lambda rig: without_keys(rig, now(rig, seconds=float("nan")), "identify")),
    ("no expiry", "missing", lambda rig: without_keys(rig, {1: 1, 2: 7})),
    ("arguments that are no map", "type", lambda rig: without_keys(rig, {**now(rig), 4: 1})),
]
UNANSWERED: list[tuple[str, str, Bad]] = [
    ("nothing", "unsealed", lambda _: ("restart", b"")),
    ("no seal", "unsealed", lambda rig: ("restart", cbor.encode(now(rig)))),
    ("sealed for another verb", "forged", lambda rig: ("restart", rig.command(Verb.RELOAD))),
    ("with another key", "forged", lambda rig: ("restart", foreign(rig))),
    ("a bit flipped", "forged", lambda rig: ("restart", flipped(rig.command(Verb.RESTART)))),
    ("sealed for an earlier life", "wrong_epoch", lambda rig: ("restart", rig.command(Verb.RESTART, boot=0))),
    ("sealed for a later life", "forged", lambda rig: ("restart", rig.command(Verb.RESTART, boot=2))),
    ("no number", "missing", lambda rig: without_keys(rig, {1: 1, 3: 1})),
    ("a boot id of 33 bits", "range", lambda rig: without_keys(rig, {**now(rig), 1: 1 << 32})),
    ("more than a command has", "oversize", lambda rig: ("restart", rig.command(Verb.RESTART) + bytes(MAX_COMMAND))),
    ("a level that is no name", "topic", lambda rig: ("Restart", rig.command(Verb.RESTART))),
    ("a level too many", "topic", lambda rig: ("restart/now", rig.command(Verb.RESTART))),
]
MALFORMED: list[tuple[str, str, Bad]] = [
    ("nothing", "type", lambda _: ("restart", b"")),
    ("a text", "type", lambda _: ("restart", b"\x66please")),
    ("half a command", "truncated", lambda rig: ("restart", rig.command(Verb.RESTART)[:-1])),
    ("bytes after it", "trailing", lambda rig: ("restart", rig.command(Verb.RESTART) + b"\0")),
    ("an indefinite map", "indefinite", lambda _: ("restart", b"\xbf\xff")),
    ("a key twice", "duplicate_key", lambda _: ("restart", b"\xa2\x01\x01\x01\x01")),
    ("too long a hold", "future", lambda rig: ("restart", rig.command(Verb.RESTART, holds_s=11.01))),
]


def foreign(rig: Rig) -> bytes:
    return seal(key("m"), TOPICS.command("n", "restart"), cbor.encode(now(rig)), rig.boot)


def flipped(payload: bytes) -> bytes:
    return payload[:5] + bytes([payload[5] ^ 1]) + payload[6:]


def check_refused(rig: Rig, reason: str, make: Bad, *, answered: bool) -> None:
    verb, payload = make(rig)
    rig.give(verb, payload)
    assert rig.node.operations.refused == {reason: 1}
    assert rig.node.obeyed == 0
    assert [reply.result for reply in rig.replies] == ["refused"] * answered
    assert all(reply.why.startswith(f"{reason}: ") and reply.verb == verb for reply in rig.replies)
    rig.number += 10
    rig.give("restart", rig.command(Verb.RESTART))  # it does nobody any harm
    assert rig.node.host.calls == [("restart", "a command")]


@BOTH
@pytest.mark.parametrize(("reason", "make"), [case[1:] for case in ANSWERED], ids=[case[0] for case in ANSWERED])
def test_what_the_hub_got_wrong_is_refused_counted_and_answered(reason: str, make: Bad, sealed: bool) -> None:
    check_refused(Rig(sealed=sealed), reason, make, answered=True)


@pytest.mark.parametrize(("reason", "make"), [case[1:] for case in UNANSWERED], ids=[case[0] for case in UNANSWERED])
def test_what_is_not_the_hub_s_is_refused_counted_and_not_answered(reason: str, make: Bad) -> None:
    check_refused(Rig(), reason, make, answered=False)


@pytest.mark.parametrize(("reason", "make"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_what_is_malformed_is_refused_without_keys_too(reason: str, make: Bad) -> None:
    check_refused(Rig(sealed=False), reason, make, answered=reason == "future")


@BOTH
def test_a_retained_command_is_refused_though_it_be_right(sealed: bool) -> None:
    rig = Rig(sealed=sealed)
    rig.give("restart", rig.command(Verb.RESTART), retained=True)
    assert rig.node.operations.refused == {"retained": 1}
    assert rig.replies == []
    assert rig.node.obeyed == 0


@BOTH
def test_a_retained_command_waits_in_vain_for_the_next_life(sealed: bool) -> None:
    """Through a broker: whoever may write may also store."""
    rig = Rig(sealed=sealed)
    somebody = rig.bench.client("somebody")
    somebody.start()
    rig.run(0.1)
    somebody.publish(TOPICS.command("n", "restart"), rig.command(Verb.RESTART, boot=2), qos=1, retain=True)
    rig.run(0.1)
    assert rig.node.obeyed == (not sealed)  # it came as a live one, and was sealed for the next life
    rig.start()
    rig.run(5.0)
    assert rig.node.operations.refused == {"retained": 1}
    assert rig.node.obeyed == 0


@BOTH
def test_a_command_is_answered_once_however_often_it_comes(sealed: bool) -> None:
    rig = Rig(sealed=sealed)
    right = rig.command(Verb.RESTART)
    wrong = rig.command(Verb.RESTART, holds_s=-1.0)
    older = rig.command(Verb.RESTART, number=0)
    for payload in (right, right, wrong, wrong, right, older):
        rig.give("restart", payload)
    assert [reply.result for reply in rig.replies] == ["done", "refused"]
    assert rig.node.operations.refused == {"replayed": 4, "expired": 1}
    assert rig.node.obeyed == 1


def test_a_new_life_of_the_hub_counts_anew_and_the_one_before_is_over() -> None:
    rig = Rig()
    rig.give("reload", rig.command(Verb.RELOAD, number=1000))
    late = rig.command(Verb.RELOAD, number=1001)
    rig.give("reload", rig.command(Verb.RELOAD, hub_boot=2, number=0))
    rig.give("reload", late)
    assert rig.node.obeyed == 2
    assert rig.node.operations.refused == {"replayed": 1}
