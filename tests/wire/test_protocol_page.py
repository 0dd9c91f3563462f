"""The page on the protocol is true: its program runs, and its tables say what the code does."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel
from pytest_mock import MockerFixture

from becomingone.wire import announce
from becomingone.wire.announce import State
from becomingone.wire.command import RANGES
from becomingone.wire.frame import PROTOCOL, Flags
from becomingone.wire.topics import CELL_FIGURES, Topics

from .golden import COMMANDS, DOCS, FRAMES, LENIENT, NODE_COMMANDS, REASONS, REFUSED, ROOT

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


# -- the program -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program() -> dict[str, Any]:
    """What the page's only program defines."""
    (text,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert "becomingone" not in {line.split()[1] for line in text.splitlines() if re.match(r"import |from ", line)}
    namespace: dict[str, Any] = {"__name__": "phases"}
    exec(compile(text, "phases.py", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("vector", FRAMES + LENIENT, ids=lambda vector: vector["description"])
def test_the_program_decodes_the_vectors(program: dict[str, Any], vector: dict[str, Any]) -> None:
    frame = program["decode"](bytes.fromhex(vector["hex"]))
    frame["phasors"] = [[sample.real, sample.imag] for sample in frame["phasors"]]
    if frame["resonance"] is not None:
        frame["resonance"] = [frame["resonance"].real, frame["resonance"].imag]
    assert frame == vector["fields"]


def test_the_program_subscribes_and_prints(
    program: dict[str, Any], mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    client = mocker.patch("paho.mqtt.client.Client").return_value
    program["main"]("broker.local", "1884", "becomingone/lab")
    client.connect.assert_called_once_with("broker.local", 1884)
    client.loop_forever.assert_called_once_with()
    client.on_connect(client, None, None, 0, None)
    client.subscribe.assert_called_once_with("becomingone/lab/node/+/phase/+/+")
    topic = Topics("becomingone", "lab").phase("leg", "stride", "thigh_x")
    block = next(vector for vector in FRAMES if len(vector["fields"]["phasors"]) == 2)
    for vector in (FRAMES[0], FRAMES[2], block):
        client.on_message(client, None, SimpleNamespace(topic=topic, payload=bytes.fromhex(vector["hex"])))
    assert capsys.readouterr().out.splitlines() == [
        "1767225600.000 leg thigh_x in stride: +0.500 rad, coherence 0.93, p 0.0023",
        "0.000 leg thigh_x in stride: no phase, coherence 0.00, p 1",
        "1767225600.010 leg thigh_x in stride: +0.063 rad, coherence 0.93, p 0.0023",
    ]


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
        topics.output_set(node, device),
        topics.output_state(node, device),
        topics.command(node, "<verb>"),
        topics.hub_state,
        *(topics.figure(name) for name in CELL_FIGURES),
        topics.figure("coherence", band),
        topics.snapshot,
        topics.event(kind),
        topics.event(kind) + "/last",
    ]
    documented = [topic for row in cells("Topics", 5) for topic in quoted(row[0])]
    assert [topic for topic in documented if topic not in CELL_FIGURES[1:]] == [
        topic.removeprefix("r/c/") for topic in built if topic.removeprefix("r/c/") not in CELL_FIGURES[1:]
    ]


def test_what_is_reserved_is_not_in_the_table() -> None:
    reserved = {topic for topic in quoted(SECTIONS["Reserved"]) if "/" in topic and not topic.endswith("/")}
    assert len(reserved) == 9
    assert not reserved & {topic for row in cells("Topics", 5) for topic in quoted(row[0])}


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
]


@pytest.mark.parametrize(("model", "section"), MODELS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_field_of_an_announcement_is_on_the_page(model: type[BaseModel], section: str) -> None:
    documented = [quoted(row[0])[0] for row in cells(section, 3)]
    fields = list(model.model_fields)
    assert any(documented[start : start + len(fields)] == fields for start in range(len(documented)))


@pytest.mark.parametrize("model", [announce.DeviceAbout, announce.OutputAbout])
def test_each_field_of_a_device_and_an_output_is_on_the_page(model: type[BaseModel]) -> None:
    assert set(model.model_fields) <= set(quoted(SECTIONS["About"].rsplit("\n\n", 2)[1]))


def keys_of(function: ast.FunctionDef) -> set[str]:
    """The literal keys of all dicts in a function."""
    dicts = [node for node in ast.walk(function) if isinstance(node, ast.Dict)]
    constants = [key.value for node in dicts for key in node.keys if isinstance(key, ast.Constant)]
    return {value for value in constants if isinstance(value, str)}


def test_each_field_of_the_snapshot_is_on_the_page_and_no_other() -> None:
    functions = [node for node in ast.parse(source("hub/snapshot.py")).body if isinstance(node, ast.FunctionDef)]
    written = set[str]().union(*map(keys_of, functions))
    sentence = next(line for line in SECTIONS["The snapshot"].splitlines() if line.startswith("A channel has"))
    documented = {name for row in cells("The snapshot", 3) for name in quoted(row[0])}
    assert documented | set(quoted(sentence)) == written


def test_the_events_are_those_of_the_hub() -> None:
    kinds = [quoted(row[0])[0] for row in cells("Events", 3)]
    code = source("hub/service.py")
    assert set(re.findall(r'_event\(\s*"(\w+)"', code)) <= set(kinds)
    assert all(f'"{kind}"' in code for kind in kinds)
    fields = set(quoted(SECTIONS["Events"]))
    content = code.split("def _collapse_changed")[1].split("def ")[0]
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
    files = [*(ROOT / "src" / "becomingone" / "wire").glob("*.py"), *(ROOT / "hub").glob("*.py")]
    raised = {word for file in files for word in re.findall(r'FrameError\(\s*"(\w+)"', file.read_text())}
    counted = set(re.findall(r'refused\["(\w+)"\]', source("hub/service.py") + source("node/outputs.py")))
    assert documented == raised | counted
    assert documented >= REASONS


def test_the_links_of_the_page_lead_somewhere() -> None:
    anchors = {title.lower().replace(" ", "-") for title in SECTIONS}
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        file, _, anchor = target.partition("#")
        assert not file or (DOCS / file).exists()
        assert not anchor or anchor in anchors
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


def test_the_cddl_agrees_with_the_vectors() -> None:
    cddl = pytest.importorskip("cddl_verifier", reason="pip install cddl-verifier")
    validator = cddl.Validator(CDDL)
    taken = [(FRAMES + LENIENT, "phase-frame"), (COMMANDS, "output-command"), (NODE_COMMANDS, "node-command")]
    for vectors, rule in taken:
        for vector in vectors:
            result = validator.validate(bytes.fromhex(vector["hex"]), rule)
            assert result.valid, (vector["description"], result.errors)
    for vector in REFUSED:
        refused = not validator.validate(bytes.fromhex(vector["hex"]), "phase-frame").valid
        assert refused or vector["reason"] in BEYOND_CDDL, vector["description"]
