"""Device modules of a cell's own, with every kind of connection."""

from __future__ import annotations

from pathlib import Path

SENSOR = '''\
"""{kind}: made for a test."""
from pydantic import BaseModel

from becomingone.devices.contract import (
    CameraAt, Channel, I2cAt, OneWireAt, PinAt, Ports, SerialAt, SoundAt, SpiAt, Wire,
)


class Options(BaseModel, frozen=True, extra="forbid"):
    address: int = 0x76
    chip: int = 0
    id: str = ""
    gpio: int = 4
    port: str = "/dev/serial0"
    number: int = 0
    rate_hz: float = 1.0
{wiring}

class Device:
    {attributes}
    origin = "live"

    def __init__(self, options, ports):
        self.channels = (Channel("x", "", options.rate_hz, "x", 0.1),)
        {opening}

    def read(self):
        return {{"x": 1.0}}

    def close(self):
        pass
'''

PLACES = {
    "climate": 'I2cAt(self.address), "the sensor"',
    "adc": 'SpiAt(self.chip), "the converter"',
    "thermometer": 'OneWireAt(self.id, self.gpio), "the DS18B20"',
    "gps": 'SerialAt(self.port), "the receiver"',
    "eye": 'CameraAt(self.number), "the camera"',
    "servo": 'PinAt(self.gpio, "pwm"), "the servo\'s signal"',
    "far_pin": 'PinAt(self.gpio), "something"',
}


def write_module(
    folder: Path, kind: str, *, wiring: str | None = None, attributes: str = "pass", opening: str = "pass"
) -> None:
    """Write a module; without `wiring` it says nothing of its connections."""
    said = "" if wiring is None else f"\n    def wiring(self):\n        {wiring}\n"
    text = SENSOR.format(kind=kind, wiring=said, attributes=attributes, opening=opening)
    (folder / f"{kind}.py").write_text(text)


def write_all(folder: Path) -> Path:
    """Write one module for each kind of connection into the folder of the cell's own, and give that folder."""
    own = folder / "devices"
    own.mkdir()
    for kind, place in PLACES.items():
        supply = ', Wire("3V3", "VIN"), Wire("GND", "GND")' if kind in ("climate", "adc", "thermometer") else ""
        write_module(own, kind, wiring=f"return [Wire({place}){supply}]")
    write_module(own, "big", attributes="needs_64_bit = True")
    write_module(own, "quiet", opening="self.bus = ports.i2c")
    return own
