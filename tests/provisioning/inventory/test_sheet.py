"""The wiring sheet: the right pin for every wire, and a drawing in which nothing lies on anything."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest
from tests.provisioning.inventory.cells import checked, with_devices
from tests.provisioning.inventory.modules import write_all

from becomingone.cli.provision.inventory_kit import kit
from becomingone.devices.button import Options as Button
from becomingone.devices.contract import PinAt, Wire
from becomingone.devices.led import Options as Led
from becomingone.devices.motor import Options as Motor
from becomingone.provisioning.inventory.check import Checked, check
from becomingone.provisioning.inventory.drawing import svg
from becomingone.provisioning.inventory.sheet import Sheet, markdown, sheet_of

EXAMPLE = Path(__file__).parents[3] / "docs/examples/mesh.yaml"
SVG = "{http://www.w3.org/2000/svg}"
ASCENT, DESCENT, ADVANCE = 0.76, 0.24, 0.65  # DejaVu Sans, parts of its size; the last is the mean of long texts
BOLD = 1.1


def sheet(found: Checked, node: str) -> Sheet:
    assert found.problems == []
    assert found.mesh is not None
    return sheet_of(found.mesh, node, [one for one in found.devices if one.node == node])


def everything(folder: Path, model: str = "pi_4") -> Sheet:
    write_all(folder)
    text = with_devices(
        "{name: climate, kind: climate}",
        "{name: second-climate, kind: climate, options: {address: 0x77}}",
        "{name: adc, kind: adc, options: {chip: 1}}",
        "{name: thermometer, kind: thermometer, options: {id: 28-0123}}",
        "{name: gps, kind: gps}",
        "{name: eye, kind: eye}",
        "{name: quiet, kind: quiet}",
        "{name: servo, kind: servo, options: {gpio: 12}}",
        "{name: ears, kind: microphone, options: {device: USB <1> & 2}}",
        "{name: press, kind: button, options: {pin: 26, pull: none}}",
        model=model,
    )
    return sheet(checked(folder, text), "kitchen")


def test_a_led_says_what_its_pins_and_its_shared_side_are_for() -> None:
    assert [(wire.at, wire.to) for wire in Led(pin=17).wiring()] == [
        (PinAt(17), "330 Ω, then the LED's anode"),
        ("GND", "the LED's cathode"),
    ]
    rgb = Led(red=17, green=22, blue=23, common_anode=True).wiring()
    assert [(wire.at, wire.to) for wire in rgb] == [
        (PinAt(17), "330 Ω, then the red LED's cathode"),
        (PinAt(22), "330 Ω, then the green LED's cathode"),
        (PinAt(23), "330 Ω, then the blue LED's cathode"),
        ("3V3", "the common anode"),
    ]


@pytest.mark.parametrize(
    ("pull", "rails"), [("up", ["GND"]), ("down", ["3V3"]), ("none", ["3V3", "GND"])]
)  # fmt: skip
def test_a_button_s_other_side_goes_where_its_pull_is_not(pull: str, rails: list[str]) -> None:
    wires = Button.model_validate({"pin": 27, "pull": pull}).wiring()
    assert wires[0].at == PinAt(27, "input")
    assert [wire.at for wire in wires[1:]] == rails


def test_a_motor_s_supply_is_not_the_raspberry_pi_s() -> None:
    motor = Motor.model_validate(
        {
            "left": {"forward": 20, "backward": 21},
            "right": {"speed": 12, "direction": 16},
            "arm_pin": 26,
            "enable_pin": 19,
        }
    )
    wires = motor.wiring()
    assert {wire.at.gpio for wire in wires if isinstance(wire.at, PinAt)} == {20, 21, 12, 16, 26, 19}
    assert {wire.at for wire in wires if isinstance(wire.at, str)} == {"GND"}
    assert "never 3V3 or 5V of the Raspberry Pi" in wires[-1].note
    assert "EN (PWM) of the right motor's H-bridge" in [wire.to for wire in wires]


def test_every_wire_gets_its_pin(tmp_path: Path) -> None:
    rows = {(row.device, row.to): (row.pin, row.at) for row in everything(tmp_path).rows}
    assert rows["climate", "SDA of the sensor"] == (3, "GPIO 2")
    assert rows["climate", "SCL of the sensor"] == (5, "GPIO 3")
    assert rows["climate", "VIN"] == (1, "3V3")
    assert rows["second-climate", "VIN"] == (17, "3V3")
    assert rows["adc", "chip select of the converter"] == (26, "GPIO 7")
    assert rows["adc", "MISO of the converter"] == (21, "GPIO 9")
    assert rows["thermometer", "data of the DS18B20"] == (7, "GPIO 4")
    assert rows["gps", "RX of the receiver"] == (8, "GPIO 14")
    assert rows["eye", "the camera"] == (None, "camera connector 0")
    assert rows["press", "one side of the contact"] == (37, "GPIO 26")


def test_a_ground_is_given_once_as_long_as_there_are_any(tmp_path: Path) -> None:
    grounds = [row.pin for row in everything(tmp_path).rows if row.at == "GND"]
    assert len(grounds) == len(set(grounds))


def test_supplies_that_have_to_be_shared_are_told(tmp_path: Path) -> None:
    text = markdown(everything(tmp_path))
    assert "- Pin 1 is for climate, thermometer together: join their wires on a terminal." in text
    assert "- Pin 3 is for climate, second-climate together" in text
    assert "Not known here, because its module does not say it: quiet." in text


def test_the_table_of_the_example_is_this() -> None:
    found = check(EXAMPLE, kit())
    text = markdown(sheet(found, "kitchen"))
    assert text.startswith("# Wiring of kitchen\n\nRaspberry Pi Zero 2 W. ")
    assert (
        "| light | 330 Ω, then the red LED's anode | GPIO 17 | 11 | at most 16 mA a pin, 50 mA all together |" in text
    )
    assert "| worktop | the other side of the contact | GND | 14 |  |" in text
    assert "Nothing is connected to it." in markdown(sheet(found, "furnace"))


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float
    what: str

    def meets(self, other: Box) -> bool:
        apart = self.right <= other.left or other.right <= self.left
        return not (apart or self.bottom <= other.top or other.bottom <= self.top)


def boxes(root: ET.Element) -> list[Box]:
    found: list[Box] = []
    for element in root.iter(f"{SVG}text"):
        text, size = element.text or "", float(element.get("font-size", root.get("font-size", "11")))
        x, y, width = float(element.get("x", "0")), float(element.get("y", "0")), ADVANCE * size * len(text)
        width *= BOLD if element.get("font-weight") == "bold" else 1.0
        left = {"start": x, "middle": x - width / 2, "end": x - width}[element.get("text-anchor", "start")]
        found.append(Box(left, y - ASCENT * size, left + width, y + DESCENT * size, text))
    return found


def circles(root: ET.Element) -> list[Box]:
    return [
        Box(x - r, y - r, x + r, y + r, "circle")
        for one in root.iter(f"{SVG}circle")
        for x, y, r in [tuple(float(one.get(name, "0")) for name in ("cx", "cy", "r"))]
    ]


@pytest.mark.parametrize("model", ["pi_4", "pi_1_b"])
def test_in_the_drawing_nothing_lies_on_anything(model: str, tmp_path: Path) -> None:
    sheets = [everything(tmp_path)] if model == "pi_4" else []
    found = check(EXAMPLE, kit())
    sheets += [sheet(found, node) for node in (found.mesh.nodes if found.mesh is not None else ())]
    if model == "pi_1_b":
        sheets = [one._replace(pins=26, rows=tuple(row for row in one.rows if (row.pin or 0) <= 26)) for one in sheets]
    for one in sheets:
        root = ET.fromstring(svg(one))
        texts = boxes(root)
        width, height = float(root.get("width", "0")), float(root.get("height", "0"))
        assert all(box.left >= 0 and box.right <= width and box.top >= 0 and box.bottom <= height for box in texts), one
        for first, second in itertools.combinations(texts, 2):
            assert not first.meets(second), (one.title, first, second)
        labels = [box for box in texts if not box.what.isdecimal()]
        for label, circle in itertools.product(labels, circles(root)):
            assert not label.meets(circle), (one.title, label, circle)


def test_every_pin_is_drawn_once_and_those_in_use_are_named(tmp_path: Path) -> None:
    made = everything(tmp_path)
    root = ET.fromstring(svg(made))
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert sorted(int(text) for text in texts if text.isdecimal()) == list(range(1, 41))
    for row in made.rows:
        assert any(row.device in text for text in texts), row
    assert "kitchen: Raspberry Pi 4 Model B" in texts
    assert any("USB <1> & 2" in text for text in texts)


def test_a_long_name_is_cut_and_the_drawing_stays_whole(tmp_path: Path) -> None:
    write_all(tmp_path)
    name = "a" * 63
    found = checked(tmp_path, with_devices(f"{{name: {name}, kind: climate}}"))
    root = ET.fromstring(svg(sheet(found, "kitchen")))
    width = float(root.get("width", "0"))
    assert all(box.left >= 0 and box.right <= width for box in boxes(root))


def test_wires_are_values() -> None:
    assert Wire(PinAt(17), "x") == Wire(PinAt(17, "output"), "x", "")
