"""What `provision check` says of whole cells: devices, rules, bands, and what the real loaders refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.provisioning.inventory.cells import CELL, checked, edited, line_of, lines, with_devices
from tests.provisioning.inventory.modules import write_module

from becomingone.cli.provision.inventory_kit import kit
from becomingone.provisioning.inventory.check import check

EXAMPLE = Path(__file__).parents[3] / "docs/examples/mesh.yaml"

RULES = "{tick_hz: 20, dispatch: {rules: [{name: a, %s}]}}"


def rule(text: str) -> str:
    return edited("{tick_hz: 20}", RULES % text)


def test_the_example_and_the_small_cell_have_no_fault(tmp_path: Path) -> None:
    for found in (check(EXAMPLE, kit()), checked(tmp_path)):
        assert found.problems == []
        assert found.notes == []
        assert found.mesh is not None
    assert len(check(EXAMPLE, kit()).devices) == 11


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        (
            edited("hardware: pi_zero", "hardware: pi_9"),
            "hardware: pi_9",
            "nodes.kitchen.hardware: must be 'pi_zero', 'pi_4', 'pi_2', 'mac_mini' or 'cloud' (got 'pi_9'); did you me",
        ),
        (
            edited("kind: led", "kind: lde"),
            "kind: lde",
            "nodes.kitchen.outputs[0].kind: there is no kind of device 'lde': did you mean led? known kinds are",
        ),
        (
            edited("{pin: 27}", "{pin: 27, pul: up}"),
            "pul: up",
            "nodes.kitchen.inputs[0].options.pul: unknown field; did you mean 'pull'?",
        ),
        (edited("{pin: 27}", "{pin: 28}"), "pin: 28", "kitchen.inputs[0].options.pin: must be at most 27 (got 28)"),
        (edited("{pin: 27}", "{}"), "kind: button", "nodes.kitchen.inputs[0].options.pin: is missing"),
        (
            edited("kind: led, options: {pin: 17}", "kind: button, options: {pin: 17}"),
            "name: light",
            "nodes.kitchen.outputs[0].kind: button is a sensor; must stand in inputs",
        ),
        (
            edited("name: light", "name: worktop"),
            "name: worktop, kind: led",
            "nodes.kitchen.outputs[0].name: two devices are named worktop",
        ),
        (edited("{tick_hz: 20}", "{tick_hz: 2000}"), "2000", "hub.options.tick_hz: must be at most 200 (got 2000)"),
        (edited("{tick_hz: 20}", "{cell: x}"), "cell: x", "hub.options.cell: is made from the rest of this file"),
        (
            edited("    room: kitchen", "    options: {health_s: 0, node: x}"),
            "health_s: 0",
            "nodes.kitchen.options.health_s: must be at least 1 (got 0)",
        ),
        (
            edited("names: [attic.local, 192.0.2.10]", "names: [attic.local]\n  options: {limits: {connections: 0}}"),
            "connections: 0",
            "broker.options.limits.connections: must be at least 1 (got 0)",
        ),
        (
            edited("names: [attic.local, 192.0.2.10]", "names: [attic.local]\n  options: {listeners: [{port: 70000}]}"),
            "70000",
            "broker.options.listeners[0].port: must be at most 65535 (got 70000)",
        ),
        (
            edited("names: [attic.local, 192.0.2.10]", "names: [attic.local]\n  options: {kind: embedded}"),
            "kind: embedded",
            "broker.options.kind: the embedded broker serves its own machine alone; use mosquitto",
        ),
        (
            edited("{tick_hz: 20}", "{http: {port: 8883}}"),
            "8883",
            "hub.options.http.port: 8883 is the broker's port on the same machine already",
        ),
        (
            rule("outputs: kitchen/lamp"),
            "kitchen/lamp",
            "hub.options.dispatch.rules[0].outputs[0]: there is no output kitchen/lamp; did you mean kitchen/light?",
        ),
        (rule("outputs: motor"), "outputs: motor", "rules[0].outputs[0]: no output has the role motor"),
        (rule("outputs: porch/*"), "porch/*", "rules[0].outputs[0]: there is no output porch/*; there are kitchen/"),
        (
            rule("outputs: display, when: node('prch').coherence > 0.5"),
            "prch",
            "hub.options.dispatch.rules[0].when: there is no node prch; did you mean porch?",
        ),
        (
            rule("outputs: display, set: {brightness: node('attic').coherence}"),
            "attic').",
            "hub.options.dispatch.rules[0].set.brightness: there is no node attic",
        ),
        (rule("outputs: display, when: coherense > 0.5"), "coherense", "hub.options.dispatch.rules[0].when: "),
        (rule("outputs: display, band: nono"), "nono", "the plan has no band nono"),
        (
            edited("cell: home\n", "cell: home\nbands:\n  q: {frequency_hz: 99, tau_s: 0.1}\n"),
            "q: {",
            "bands.q: no sensor here can carry q: 99 Hz take 396 samples a second, and the fastest that could gives 50",
        ),
        (
            edited("cell: home\n", "cell: home\nbands:\n  age: {frequency_hz: 0.000001, tau_s: 99999}\n"),
            "age: {",
            "bands.age: no sensor here can carry age, whose τ is 99999 s: no hardware class reaches that",
        ),
        (
            edited("rate_hz: 20}}", "rate_hz: 20}, bands: [fast]}"),
            "bands: [fast]",
            "nodes.porch.inputs[0].bands[0]: no sensor here can carry fast, whose τ is 0.1 s: pi_zero or mac_mini",
        ),
        (edited("rate_hz: 20}}", "rate_hz: 20}, bands: [no]}"), "[no]", "inputs[0].bands: the plan has no band no"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_with_file_line_and_field(text: str, where: str, said: str, tmp_path: Path) -> None:
    line = next(number for number, one in enumerate(text.splitlines(), start=1) if where in one)
    told = lines(tmp_path, text)
    assert any(one.startswith(f"mesh.yaml:{line}: ") and said in one for one in told), told


def test_everything_is_said_in_one_go(tmp_path: Path) -> None:
    text = CELL
    for old, new in (
        ("zero_2_w", "zero_3"),
        ("{pin: 27}", "{pin: 17, x: 1}"),
        ("[anna]", "[anna, anna]"),
        ("tick_hz: 20", "tick_hz: 0"),
        ("rate_hz: 20", "rate_hz: x"),
        ("kind: led", "kind: lde"),
        ("room: kitchen", "rooom: 1"),
    ):
        text = edited(old, new, text)
    told = lines(tmp_path, text)
    fields = [one.split(": ")[1] for one in told]
    assert fields == [
        "hub.options.tick_hz",
        "nodes.kitchen.model",
        "nodes.kitchen.rooom",
        "nodes.kitchen.inputs[0].options.x",
        "nodes.kitchen.outputs[0].kind",
        "nodes.porch.inputs[0].options.rate_hz",
        "operators[1]",
    ]


def test_a_node_that_is_wrong_as_a_whole_does_not_hide_the_others(tmp_path: Path) -> None:
    told = lines(tmp_path, edited("  porch:\n", "  Porch:\n", edited("kind: led", "kind: lde")))
    assert [one.split(": ")[1] for one in told] == ["nodes.kitchen.outputs[0].kind", "nodes.Porch"]


def test_without_a_broker_the_devices_are_looked_at_all_the_same(tmp_path: Path) -> None:
    text = edited(
        "broker:\n  machine: attic\n  names: [attic.local, 192.0.2.10]\n", "", edited("kind: led", "kind: lde")
    )
    assert [one.split(": ")[1] for one in lines(tmp_path, text)] == ["broker", "nodes.kitchen.outputs[0].kind"]


def test_a_motor_needs_more_than_the_embedded_broker(tmp_path: Path) -> None:
    text = with_devices("{name: m, kind: motor, options: {left: {forward: 20, backward: 21}}}", part="outputs")
    told = lines(tmp_path, edited("names: [attic", "options: {kind: embedded}\n  names: [attic", text))
    assert len(told) == 1
    assert (
        "broker.options.kind: the embedded broker serves its own machine alone, and takes no motor such as kitch"
        in told[0]
    )


def test_rules_of_a_file_are_checked_with_the_file_s_own_lines(tmp_path: Path) -> None:
    rules = "rules:\n  - {name: a, outputs: display}\n  - name: b\n    outputs: kitchen/lamp\n"
    (tmp_path / "rules.yaml").write_text(rules)
    text = edited("{tick_hz: 20}", "{dispatch: {rules_file: rules.yaml}}")
    assert lines(tmp_path, text) == [
        "rules.yaml:4: rules[1].outputs[0]: there is no output kitchen/lamp; did you mean kitchen/light?"
    ]
    (tmp_path / "rules.yaml").write_text("rules: 5\n")
    assert lines(tmp_path, text) == ["rules.yaml:1: rules: the file must hold a list of rules, and nothing else"]
    (tmp_path / "rules.yaml").unlink()
    assert lines(tmp_path, text) == ["rules.yaml: there is no such file"]


def test_modules_of_the_cell_s_own_are_found_and_their_faults_told(tmp_path: Path) -> None:
    (tmp_path / "devices").mkdir()
    text = with_devices("{name: a, kind: mine}")
    assert "there is no kind of device 'mine'" in lines(tmp_path, text)[0]
    write_module(tmp_path / "devices", "mine")
    assert lines(tmp_path, text) == []
    write_module(tmp_path / "devices", "mine", wiring="return 1 / 0")
    assert "wiring() of mine fails: ZeroDivisionError: division by zero" in lines(tmp_path, text)[0]
    write_module(tmp_path / "devices", "mine", wiring="return ['GND']")
    assert "wiring() of mine must give a list of Wire" in lines(tmp_path, text)[0]
    (tmp_path / "devices/mine.py").write_text("x = 1 / 0\n")
    assert "mine.py, line 1: ZeroDivisionError" in lines(tmp_path, text)[0]


def test_a_folder_of_modules_that_is_not_there_is_told(tmp_path: Path) -> None:
    text = edited("cell: home", "cell: home\ndrop_in: drivers")
    assert lines(tmp_path, text) == [f"mesh.yaml:2: drop_in: {'drivers'}: there is no such folder"]
    assert line_of(text, "drop_in") == 2


def test_a_secret_in_the_file_is_not_asked_for_and_not_told(tmp_path: Path) -> None:
    text = edited("{tick_hz: 20}", "{tick_hz: !secret pace}")
    told = lines(tmp_path, text)
    assert len(told) == 1
    assert "hub.options.tick_hz" in told[0]
    assert "no secret" not in told[0]
