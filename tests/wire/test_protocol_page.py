"""The page on the protocol is true: its tables say what the code does."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from typing import Any

import pytest
from pydantic import BaseModel

from becomingone.hub.showing.events import KINDS
from becomingone.wire import announce, operate, remote
from becomingone.wire.announce import State
from becomingone.wire.command import RANGES
from becomingone.wire.frame import PROTOCOL, Flags
from becomingone.wire.topics import CELL_FIGURES, Topics
from becomingone.wire.verbs import ARGUMENTS

from .golden import DOCS, FRAMES, LENIENT, REASONS, REFUSED, REFUSED_OTHERS, ROOT, item
from .messages import BY_NAME, MESSAGES, Message

PAGE = (DOCS / "protocol.md").read_text()
CDDL = (DOCS / "protocol.cddl").read_text()
PROSE = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
SECTIONS: dict[str, str] = dict(re.findall(r"^#+ ([^\n]+)\n(.*?)(?=^#|\Z)", PROSE, re.MULTILINE | re.DOTALL))


def cells(section: str, columns: int) -> list[list[str]]:
    """The rows of a section's tables that have so many columns, without the heads."""
    rows = [line.strip("|").split("|") for line in SECTIONS[section].splitlines() if line.startswith("|")]
    stripped = [[cell.strip() for cell in row] for row in rows if len(row) == columns]
    rules = {number for number, row in enumerate(stripped) if set(row[0]) == {"-"}}
    heads = {number - 1 for number in rules}
    return [row for number, row in enumerate(stripped) if number not in rules | heads]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def source(path: str) -> str:
    return (ROOT / path).read_text()


# -- the tables --------------------------------------------------------------------------------------------------------


def test_the_page_is_of_this_version() -> None:
    assert f"version {PROTOCOL}" in PAGE.split("\n\n")[1]


def test_the_topics_are_those_of_the_code() -> None:
    topics = Topics("r", "c")
    node, device, band, channel, kind = "<node>", "<device>", "<band>", "<channel>", "<kind>"
    built = [
        topics.state(node),
        topics.about(node),
        topics.health(node),
        topics.phase(node, band, channel),
        topics.kept(node),
        topics.oscillator(node, band),
        topics.output_set(node, device),
        topics.output_state(node, device),
        topics.command(node, "<verb>"),
        topics.node(node, "reply", "<id>"),
        topics.desired(node),
        topics.request(node, device),
        topics.operate(node, "<verb>"),
        topics.answer(node, "<token>"),
        topics.sync(band),
        topics.ack(node),
        topics.clock_ping(node),
        topics.clock_pong(node),
        topics.aggregate("<child>"),
        topics.hub_state,
        topics.hub_about,
        topics.hub_health,
        topics.figure("emerged"),
        topics.figure("emerged", band),
        topics.audit("<name>", "state"),
        topics.audit("<name>", "report"),
        topics.audit("<name>", "event/<kind>"),
        *(topics.figure(name) for name in CELL_FIGURES),
        topics.figure("coherence", band),
        topics.snapshot,
        topics.event(kind),
        topics.event(kind) + "/last",
        topics.witness("<layer>"),
    ]
    documented = [topic for row in cells("Topics", 5) for topic in quoted(row[0])]
    assert [topic for topic in documented if topic not in CELL_FIGURES[1:]] == [
        topic.removeprefix("r/c/") for topic in built if topic.removeprefix("r/c/") not in CELL_FIGURES[1:]
    ]


BUILDERS = {
    "node/<node>/oscillator/<band>": "oscillator",
    "node/<node>/reply/<id>": "reply",
    "node/<node>/desired": "desired",
    "request/<node>/<device>": "request",
    "sync/<band>": "sync",
    "ack/<node>": "ack",
    "node/<node>/kept": "kept",
    "clock/ping/<node>": "clock_ping",
    "cell/<child>/aggregate": "aggregate",
}
"""The method of `Topics` that nothing of ours calls as long as the page marks the topic as not used yet."""


@pytest.mark.parametrize("topic", BUILDERS)
def test_what_is_marked_as_not_used_yet_is_used_nowhere_and_the_rest_is(topic: str) -> None:
    code = "".join(file.read_text() for room in ("node", "hub") for file in sorted((ROOT / room).rglob("*.py")))
    (row,) = [row for row in cells("Topics", 5) if quoted(row[0])[0] == topic]
    used = re.search(rf"topics\.{BUILDERS[topic]}\(", code) is not None
    assert used != row[1].endswith("*")


def test_the_states_are_those_of_the_code() -> None:
    assert [quoted(row[0])[0] for row in cells("States", 2)] == [str(state) for state in State]


def test_the_keys_of_the_frame_are_those_of_the_vectors_and_of_the_cddl() -> None:
    rows = cells("The phase frame", 5)
    keys = {int(row[0]): quoted(row[1])[0] for row in rows}
    assert list(keys) == list(range(1, 15))
    assert set(keys.values()) == set(FRAMES[0]["fields"])
    frame = CDDL.split("\nlater-key")[0]
    commented = re.findall(r"^  (?:\? )?(\d+): .*; (\w+)", frame, re.MULTILINE)
    assert {int(number): name for number, name in commented} == keys
    assert [quoted(row[1])[0] for row in rows if row[3] != "yes"] == ["spacing_us", "resonance"]


def test_the_flags_are_those_of_the_code() -> None:
    assert {int(row[0]): quoted(row[1])[0] for row in cells("The phase frame", 3)} == {int(f): f.name for f in Flags}


MODELS: list[tuple[type[BaseModel], str]] = [
    (announce.About, "About"),
    (announce.BandAbout, "About"),
    (announce.ChannelAbout, "About"),
    (announce.Health, "Health"),
    (announce.OutputState, "The state of an output"),
    (remote.Request, "Remote operation"),
    (operate.Operation, "Remote operation"),
    (operate.Outcome, "Remote operation"),
    (remote.Reply, "Remote operation"),
    (remote.Desired, "Remote operation"),
    (remote.Answer, "Remote operation"),
]


@pytest.mark.parametrize(("model", "section"), MODELS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_field_of_an_announcement_is_on_the_page(model: type[BaseModel], section: str) -> None:
    documented = [quoted(row[0])[0] for row in cells(section, 3)]
    fields = list(model.model_fields)
    assert any(documented[start : start + len(fields)] == fields for start in range(len(documented)))


SECTION_OF = {
    "oscillator": "The oscillator frame",
    "sync": "The sync frame",
    "clock-ping": "The clock exchange",
    "clock-pong": "The clock exchange",
    "ack": "The acknowledgement",
    "kept": "The oldest kept",
    "aggregate": "The aggregate",
}


@pytest.mark.parametrize(("name", "section"), SECTION_OF.items())
def test_the_keys_of_a_message_are_those_of_the_vectors_and_of_the_cddl(name: str, section: str) -> None:
    message = BY_NAME[name]
    columns = 5 if section == "The clock exchange" else 4
    rows = [row for row in cells(section, columns) if columns == 4 or name == "clock-pong" or row[2] == "both"]
    documented = {int(row[0]): quoted(row[1])[0] for row in rows}
    assert list(documented) == list(range(1, message.required + 1))
    assert list(documented.values()) == list(message.vectors[0]["fields"])
    block = re.search(rf"^{message.rule} = {{\n(.*?)^}}", CDDL, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert documented == {int(key): word for key, word in re.findall(r"^  (\d+): .*; (\w+)", block[1], re.MULTILINE)}


def test_the_sums_are_those_of_the_vectors_and_of_the_cddl() -> None:
    rows = cells("The aggregate", 3)
    documented = [name for row in rows for name in quoted(row[1])]
    assert documented == list(BY_NAME["aggregate"].vectors[0]["fields"]["bands"]["stride"])
    assert [int(place) for row in rows for place in row[0].split(",")] == list(range(9))
    block = CDDL.split("\nsums = [")[1].split("\n]")[0]
    assert re.findall(r"^  (\w+):", block, re.MULTILINE) == documented


def test_the_verbs_and_their_arguments_are_those_of_the_code() -> None:
    documented: dict[str, set[str]] = {}
    verb = ""
    for first, argument, _type, _meaning in cells("Commands to a node", 4):
        verb = quoted(first)[0] if first else verb
        documented.setdefault(verb, set()).update(quoted(argument))
    assert documented == {str(verb): set(arguments) for verb, arguments in ARGUMENTS.items()}
    optional = {quoted(row[1])[0] for row in cells("Commands to a node", 4) if "may be missing" in row[2]}
    found = {name for arguments in ARGUMENTS.values() for name, given in arguments.items() if not given.required}
    assert optional == found


@pytest.mark.parametrize("model", [announce.DeviceAbout, announce.OutputAbout])
def test_each_field_of_a_device_and_an_output_is_on_the_page(model: type[BaseModel]) -> None:
    assert set(model.model_fields) <= set(quoted(SECTIONS["About"].rsplit("\n\n", 2)[1]))


def keys_of(function: ast.FunctionDef) -> set[str]:
    """The literal keys of all dicts in a function."""
    dicts = [node for node in ast.walk(function) if isinstance(node, ast.Dict)]
    constants = [key.value for node in dicts for key in node.keys if isinstance(key, ast.Constant)]
    return {value for value in constants if isinstance(value, str)}


def test_each_field_of_the_snapshot_is_on_the_page_and_no_other() -> None:
    code = [ast.parse(source(f"hub/showing/{name}.py")) for name in ("snapshot", "nodes", "channels")]
    functions = [node for tree in code for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    written = set[str]().union(*map(keys_of, functions))
    sentence = next(line for line in SECTIONS["The snapshot"].splitlines() if line.startswith("A channel has"))
    documented = {name for row in cells("The snapshot", 3) for name in quoted(row[0])}
    assert documented | set(quoted(sentence)) == written


def test_the_events_are_those_of_the_hub() -> None:
    documented = {kind for row in cells("Events", 3) for kind in quoted(row[0])}
    assert documented == set(KINDS) - {"disagreement", "agreement", "unfounded"}  # a witness hub's have a page
    fields = set(quoted(SECTIONS["Events"]))
    content = source("hub/mesh/collapse.py").split("def _changed")[1]
    assert set(re.findall(r'^ +"(\w+)": ', content, re.MULTILINE)) <= fields


def test_the_values_of_each_role_are_those_of_the_code() -> None:
    documented: dict[str, set[str]] = {}
    role = ""
    for first, value, _range in cells("Commands", 3):
        role = quoted(first)[0] if first else role
        documented.setdefault(role, set()).update(quoted(value))
    assert documented == {name: set(ranges) for name, ranges in RANGES.items()}


def test_the_reasons_are_those_of_the_code() -> None:
    documented = {quoted(row[0])[0] for row in cells("Refusals", 2)}
    files = [*(ROOT / "src" / "becomingone" / "wire").glob("*.py"), *(ROOT / "hub").rglob("*.py")]
    raised = {word for file in files for word in re.findall(r'FrameError\(\s*"(\w+)"', file.read_text())}
    counting = "".join(map(source, ("hub/service.py", "node/driver.py", "node/operations.py")))
    counted = set(re.findall(r'refused\["(\w+)"\]', counting))
    assert documented == raised | counted
    assert documented >= REASONS


def test_the_links_of_the_page_lead_somewhere() -> None:
    anchors = {title.lower().replace(" ", "-") for title in SECTIONS}
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        file, _, anchor = target.partition("#")
        assert not file or (DOCS / file).exists()
        assert not anchor or file or anchor in anchors  # other pages' headings: tests/docs
    for name in re.findall(r"`([\w-]+\.json)`", PAGE):
        assert (DOCS / "vectors" / name).exists()


def test_the_columns_of_each_table_are_even() -> None:
    lines = PAGE.splitlines()
    for above, below in pairwise(lines):
        if above.startswith("|") and below.startswith("|"):
            assert above.count("|") == below.count("|"), below


# -- the definition ----------------------------------------------------------------------------------------------------

BEYOND_CDDL = {"depth", "indefinite", "too_long", "not_finite", "range", "type", "tag"}
"""Reasons that a definition of the data cannot express, at least in part: the rest it must refuse as well."""

NOT_IN_CDDL = {
    "it went before the ping came",
    "129 streams",
    "a field longer than 1",
    "more resonance than coherence",
    "more coherence than weight",
    "more order than weight",
    "squares that no single weight of 1 has",
    "65 bands",
    "rates of other bands",
    "the same cell twice",
    "cells that do not rise",
}
"""What is refused although the definition allows it: how two numbers stand to each other, and how many there are."""


@pytest.fixture(scope="module")
def validator() -> Any:
    cddl = pytest.importorskip("cddl_verifier", reason="pip install cddl-verifier")
    return cddl.Validator(CDDL)


def test_the_cddl_agrees_with_the_vectors_of_frames(validator: Any) -> None:
    for vector in LENIENT:
        result = validator.validate(bytes.fromhex(vector["hex"]), "phase-frame")
        assert result.valid, (vector["description"], result.errors)
    for vector in REFUSED:
        refused = not validator.validate(bytes.fromhex(vector["hex"]), "phase-frame").valid
        assert refused or vector["reason"] in BEYOND_CDDL, vector["description"]


@pytest.mark.parametrize("message", MESSAGES, ids=str)
def test_the_cddl_takes_every_vector_sealed_or_not(validator: Any, message: Message) -> None:
    right, wrong = (64, 16) if message.name == "sync" else (16, 64)
    for vector in message.vectors:
        content = message.content(vector["fields"])
        for payload in (bytes.fromhex(vector["hex"]), item({**content, 23: bytes(right)}), item({**content, 24: None})):
            result = validator.validate(payload, message.rule)
            assert result.valid, (vector["description"], result.errors)
            assert message.kind is None or validator.validate(payload, message.rule_of_all).valid
        assert not validator.validate(item({**content, 23: bytes(wrong)}), message.rule).valid


@pytest.mark.parametrize("vector", REFUSED_OTHERS, ids=lambda vector: f"{vector['message']}: {vector['description']}")
def test_the_cddl_refuses_what_is_refused(validator: Any, vector: dict[str, Any]) -> None:
    name = f"{vector['message']}-{vector['verb']}" if "verb" in vector else vector["message"]
    result = validator.validate(bytes.fromhex(vector["hex"]), BY_NAME[name].rule)
    assert result.valid == (vector["description"] in NOT_IN_CDDL)


@pytest.mark.parametrize("message", MESSAGES, ids=str)
def test_the_cddl_refuses_a_message_that_lacks_a_key(validator: Any, message: Message) -> None:
    content = message.content(message.vectors[0]["fields"])
    for key in set(content) - {23}:
        lacking = item({other: value for other, value in content.items() if other != key})
        optional = (message.name == "phase-frame" and key == 12) or key > message.required
        assert validator.validate(lacking, message.rule).valid == optional
