"""Pins, buses, sound cards and cameras that two devices want, or that a board has not."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.provisioning.inventory.cells import checked, lines, with_devices
from tests.provisioning.inventory.modules import write_all

from becomingone.provisioning.inventory.boards import BOARDS, HEADER, header_pin, header_pins


def test_the_header_has_forty_pins_and_every_gpio_once() -> None:
    assert len(HEADER) == 40
    assert sorted(pin for pin in HEADER if isinstance(pin, int)) == list(range(28))
    assert [HEADER.count(rail) for rail in ("3V3", "5V", "GND")] == [2, 2, 8]
    # Raspberry Pi documentation, "GPIO and the 40-pin header".
    known = {
        2: 3,
        4: 7,
        14: 8,
        15: 10,
        17: 11,
        18: 12,
        27: 13,
        10: 19,
        8: 24,
        7: 26,
        0: 27,
        1: 28,
        12: 32,
        21: 40,
        26: 37,
    }
    assert {gpio: header_pin(gpio) for gpio in known} == known
    assert header_pins("GND", 40) == [6, 9, 14, 20, 25, 30, 34, 39]
    assert header_pins("3V3", 40) == [1, 17]
    assert BOARDS["pi_1_b"].gpios == {2, 3, 4, 7, 8, 9, 10, 11, 14, 15, 17, 18, 22, 23, 24, 25, 27}


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        (
            ["{name: a, kind: button, options: {pin: 17}}", "{name: b, kind: button, options: {pin: 17}}"],
            "nodes.kitchen.inputs[1].options.pin: GPIO 17 (pin 11) is taken by a (line 16) already",
        ),
        (
            ["{name: a, kind: climate}", "{name: b, kind: climate, options: {address: 0x76}}"],
            "nodes.kitchen.inputs[1].options.address: address 0x76 on I²C bus 1 is taken by a (line 16) already",
        ),
        (["{name: a, kind: adc}", "{name: b, kind: adc}"], "inputs[1]: chip select 0 of SPI bus 0 is taken by a"),
        (
            ["{name: a, kind: thermometer, options: {id: 28-1}}", "{name: b, kind: thermometer, options: {id: 28-1}}"],
            "inputs[1].options.id: the 1-Wire device 28-1 is taken by a",
        ),
        (
            ["{name: a, kind: thermometer}", "{name: b, kind: thermometer}"],
            "inputs[1]: the only 1-Wire device on GPIO 4 is taken by a",
        ),
        (["{name: a, kind: gps}", "{name: b, kind: gps}"], "inputs[1]: the serial port /dev/serial0 is taken by a"),
        (["{name: a, kind: microphone}", "{name: b, kind: microphone}"], "the sound input default is taken by a"),
        (
            ["{name: a, kind: microphone, options: {device: U}}", "{name: b, kind: microphone, options: {device: U}}"],
            "inputs[1].options.device: the sound input 'U' is taken by a",
        ),
        (["{name: a, kind: eye}", "{name: b, kind: eye}"], "inputs[1]: camera 0 is taken by a"),
        (["{name: a, kind: button, options: {pin: 1}}"], "GPIO 1 (pin 28) is ID_SC of the HAT's EEPROM; free are"),
        (
            ["{name: a, kind: climate}", "{name: b, kind: button, options: {pin: 2}}"],
            "inputs[1].options.pin: GPIO 2 (pin 3) is SDA of the I²C bus, which a uses; free are GPIO 5, 6, 16",
        ),
        (["{name: a, kind: adc}", "{name: b, kind: button, options: {pin: 9}}"], "GPIO 9 (pin 21) is MISO of the SPI"),
        (["{name: a, kind: gps}", "{name: b, kind: button, options: {pin: 15}}"], "GPIO 15 (pin 10) is RXD of the ser"),
        (
            ["{name: a, kind: thermometer}", "{name: b, kind: button, options: {pin: 4}}"],
            "GPIO 4 (pin 7) is the 1-Wire bus, which a uses",
        ),
        (["{name: a, kind: quiet}", "{name: b, kind: button, options: {pin: 3}}"], "GPIO 3 (pin 5) is SCL of the I²C"),
        (
            ["{name: a, kind: climate}", "{name: b, kind: thermometer, options: {gpio: 3}}"],
            "inputs[1].options.gpio: GPIO 3 (pin 5) is SCL of the I²C bus, which a uses",
        ),
        (["{name: a, kind: climate, options: {address: 3}}"], "options.address: 0x03 is no address on I²C: must be"),
        (["{name: a, kind: adc, options: {chip: 2}}"], "options.chip: SPI bus 0 has the chip selects 0 and 1, not 2"),
        (["{name: a, kind: far_pin, options: {gpio: 40}}"], "the header of a Raspberry Pi Zero 2 W has no GPIO 40"),
        (["{name: a, kind: servo, options: {gpio: 5}}"], "GPIO 5 has no pulse generator (PWM); these have one: 12, 13"),
        (
            ["{name: a, kind: servo, options: {gpio: 12}}", "{name: b, kind: servo, options: {gpio: 18}}"],
            "inputs[1].options.gpio: shares its pulse generator (PWM) with GPIO 12, which a uses",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_told(devices: list[str], said: str, tmp_path: Path) -> None:
    write_all(tmp_path)
    told = lines(tmp_path, with_devices(*devices))
    assert len(told) == 1, told
    assert said in told[0]


@pytest.mark.parametrize(
    "devices",
    [
        ["{name: a, kind: climate}", "{name: b, kind: climate, options: {address: 0x77}}"],
        ["{name: a, kind: adc}", "{name: b, kind: adc, options: {chip: 1}}"],
        ["{name: a, kind: thermometer, options: {id: 28-1}}", "{name: b, kind: thermometer, options: {id: 28-2}}"],
        ["{name: a, kind: gps}", "{name: b, kind: gps, options: {port: /dev/ttyUSB0}}"],
        ["{name: a, kind: gps, options: {port: /dev/ttyUSB0}}", "{name: b, kind: button, options: {pin: 15}}"],
        ["{name: a, kind: microphone}", "{name: b, kind: microphone, options: {device: USB}}"],
        ["{name: a, kind: eye}", "{name: b, kind: eye, options: {number: 1}}"],
        ["{name: a, kind: servo, options: {gpio: 12}}", "{name: b, kind: servo, options: {gpio: 13}}"],
        ["{name: a, kind: button, options: {pin: 2}}", "{name: b, kind: button, options: {pin: 15}}"],
    ],
)
def test_what_can_be_had_is_taken(devices: list[str], tmp_path: Path) -> None:
    write_all(tmp_path)
    assert lines(tmp_path, with_devices(*devices)) == []


@pytest.mark.parametrize(
    ("model", "device", "said"),
    [
        ("pc", "{name: a, kind: button, options: {pin: 5}}", "inputs[0]: button needs a header, and a PC or virtual"),
        ("pc", "{name: a, kind: climate}", "inputs[0]: climate needs a header"),
        ("pc", "{name: a, kind: quiet}", "inputs[0]: quiet needs a header"),
        ("pc", "{name: a, kind: microphone}", ""),
        (
            "pi_1_b",
            "{name: a, kind: button, options: {pin: 26}}",
            "Raspberry Pi 1 Model A or B (26 pins) has no GPIO 26",
        ),
        ("pi_1_b", "{name: a, kind: button, options: {pin: 25}}", ""),
        (
            "zero_w",
            "{name: a, kind: big}",
            "inputs[0].kind: big needs a 64-bit system, and Raspberry Pi Zero W runs armv6",
        ),
        ("pi_2", "{name: a, kind: big}", "runs armv7 here"),
        ("pi_4", "{name: a, kind: big}", ""),
    ],
)
def test_the_board_decides(model: str, device: str, said: str, tmp_path: Path) -> None:
    write_all(tmp_path)
    told = lines(tmp_path, with_devices(device, model=model))
    assert len(told) == bool(said), told
    assert not said or said in told[0]


def test_a_32_bit_system_on_a_64_bit_board_counts_as_what_it_is(tmp_path: Path) -> None:
    write_all(tmp_path)
    text = with_devices("{name: a, kind: big}", model="pi_4").replace(
        "  attic: {model: pi_4}", "  attic: {model: pi_4}\n  kitchen: {model: pi_4, arch: armv7}"
    )
    assert "big needs a 64-bit system, and Raspberry Pi 4 Model B runs armv7 here" in lines(tmp_path, text)[0]


@pytest.mark.parametrize(
    ("model", "sound", "clash"),
    [
        ("pi_4", "", True),
        ("pi_4", "{device: Headphones}", True),
        ("pi_4", "{device: USB}", False),
        ("zero_2_w", "", False),
    ],
)
def test_pulses_and_the_analogue_output_are_one_circuit(model: str, sound: str, clash: bool, tmp_path: Path) -> None:
    write_all(tmp_path)
    text = with_devices("{name: a, kind: servo, options: {gpio: 12}}", model=model)
    speaker = f"    outputs:\n      - {{name: s, kind: speaker, options: {sound or '{}'}}}\n  porch:"
    told = lines(tmp_path, text.replace("  porch:", speaker))
    assert len(told) == clash
    assert not clash or "the pulse generators (PWM) make the sound of s (line 18) at the analogue output" in told[0]


def test_a_pi_5_has_a_generator_for_each_pin(tmp_path: Path) -> None:
    write_all(tmp_path)
    servos = [f"{{name: s{gpio}, kind: servo, options: {{gpio: {gpio}}}}}" for gpio in (12, 13, 18, 19)]
    assert lines(tmp_path, with_devices(*servos, model="pi_5")) == []


def test_what_a_module_does_not_say_is_a_note(tmp_path: Path) -> None:
    write_all(tmp_path)
    found = checked(tmp_path, with_devices("{name: a, kind: quiet}", "{name: e, kind: eye}", model="pi_400"))
    assert found.problems == []
    (note,) = found.notes
    assert "quiet uses i2c and does not say where (Options.wiring)" in note.message
