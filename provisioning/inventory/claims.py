"""What of a machine each device takes for itself, and where two want the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from becomingone.config.tree import Keys, Node, Problem, walk
from becomingone.devices.contract import CameraAt, I2cAt, OneWireAt, PinAt, SerialAt, SoundAt, SpiAt, Wire
from becomingone.provisioning.inventory.boards import BOARDS, Board, header_pin
from becomingone.provisioning.inventory.devices_of import Fitted

I2C_PINS: Final = {1: {2: "SDA of the I²C bus", 3: "SCL of the I²C bus"}, 0: {0: "SDA of I²C 0", 1: "SCL of I²C 0"}}
SPI_PINS: Final = {
    7: "CE1 of the SPI bus",
    8: "CE0 of the SPI bus",
    9: "MISO of the SPI bus",
    10: "MOSI of the SPI bus",
    11: "SCLK of the SPI bus",
}
SERIAL_PINS: Final = {14: "TXD of the serial port", 15: "RXD of the serial port"}
HEADER_SERIAL: Final = ("/dev/serial0", "/dev/ttyAMA0", "/dev/ttyS0")
"""Linux's names of the serial port on the header."""

ID_PINS: Final = {0: "ID_SD of the HAT's EEPROM", 1: "ID_SC of the HAT's EEPROM"}
GENERATORS: Final = {12: 0, 13: 1, 18: 0, 19: 1}
"""The pulse generator (PWM channel) behind each of these GPIO; a Pi 5 has one for each."""

_I2C_FIRST: Final = 0x08
_I2C_LAST: Final = 0x77
_OFFERED: Final = 6
_ON_HEADER: Final = frozenset({"gpio", "i2c", "spi"})
_JACKS: Final = ("headphones", "bcm2835")


class Claim(NamedTuple):
    """Something that one device has to itself."""

    key: tuple[object, ...]
    what: str
    device: Fitted
    keys: Keys
    at: Node


def clashes(devices: Sequence[Fitted], model: str, arch: str) -> list[Problem]:
    """Find what the devices of one machine cannot have.

    Parameters
    ----------
    devices : sequence of Fitted
        All that are connected to it, of whichever node.
    model : str
        Its board, a key of `BOARDS`.
    arch : str
        What its programs are built for.
    """
    board = BOARDS[model]
    found = [*_twice(devices), *_on_board(devices, board), *_pulses(devices, board)]
    found += [
        Problem(
            one.entry.place,
            (*one.keys, "kind"),
            f"{one.module.kind} needs a 64-bit system, and {board.title} runs {arch} here; put it on another machine",
        )
        for one in devices
        if getattr(one.module.device, "needs_64_bit", False) and arch in ("armv6", "armv7")
    ]
    return found


def _twice(devices: Sequence[Fitted]) -> Iterator[Problem]:
    taken: dict[tuple[object, ...], Claim] = {}
    for claim in (claim for device in devices for claim in _claims(device)):
        before = taken.setdefault(claim.key, claim)
        if before is not claim:
            other = before.device
            whose = other.name if other.node == claim.device.node else f"{other.node}'s {other.name}"
            yield Problem(
                claim.at.place, claim.keys, f"{claim.what} is taken by {whose} (line {before.at.place.line}) already"
            )


def _claims(device: Fitted) -> Iterator[Claim]:
    for wire in device.wires:
        place = wire.at
        match place:
            case PinAt(gpio=gpio):
                yield _claim(device, ("gpio", gpio), _pin(gpio), gpio)
            case I2cAt(address=address, bus=bus):
                yield _claim(device, ("i2c", bus, address), f"address {address:#04x} on I²C bus {bus}", address)
            case SpiAt(chip=chip, bus=bus):
                yield _claim(device, ("spi", bus, chip), f"chip select {chip} of SPI bus {bus}", chip)
            case OneWireAt(id=name, gpio=gpio):
                what = f"the 1-Wire device {name}" if name else f"the only 1-Wire device on GPIO {gpio}"
                yield _claim(device, ("1-wire", name or gpio), what, name)
            case SerialAt(device=port):
                yield _claim(device, ("serial", port), f"the serial port {port}", port)
            case SoundAt(direction=direction, device=card):
                which = "default" if card is None else f"'{card}'"
                yield _claim(device, ("sound", direction, card), f"the sound {direction}put {which}", card)
            case CameraAt(number=number):
                yield _claim(device, ("camera", number), f"camera {number}", number)
            case _:
                pass


def _claim(device: Fitted, key: tuple[object, ...], what: str, value: object) -> Claim:
    keys, at = option_of(device, value)
    return Claim(key, what, device, keys, at)


def option_of(device: Fitted, value: object) -> tuple[Keys, Node]:
    """Find where in the file an option has this value: the one there is, or the likeliest; else the device itself."""
    options = [
        (keys, node)
        for keys, node in walk(device.entry)
        if keys[:1] == ("options",)
        and not isinstance(node.value, dict | list | bool)
        and node.value == value
        and value is not None
        and not str(keys[-1]).endswith(("_hz", "_s"))
    ]
    if not options:
        return device.keys, device.entry
    keys, node = options[0]
    return (*device.keys, *keys), node


def _pin(gpio: int) -> str:
    return f"GPIO {gpio} (pin {header_pin(gpio)})" if gpio in range(28) else f"GPIO {gpio}"


def reserved(devices: Sequence[Fitted]) -> dict[int, str]:
    """Say which GPIO are no free ones on a machine with these devices, and what they are instead."""
    buses = {
        wire.at.gpio: f"the 1-Wire bus, which {device.name} uses"
        for device in devices
        for wire in device.wires
        if isinstance(wire.at, OneWireAt)
    }
    return buses | _fixed(devices)


def _fixed(devices: Sequence[Fitted]) -> dict[int, str]:
    """Say it of those whose place nobody can choose."""
    found: dict[int, str] = dict(ID_PINS)
    needs = {need for device in devices if device.silent for need in device.needs}
    places = [(wire.at, device) for device in devices for wire in device.wires]
    if "i2c" in needs:
        found |= I2C_PINS[1]
    if "spi" in needs:
        found |= SPI_PINS
    if "serial" in needs:
        found |= SERIAL_PINS
    for place, device in places:
        match place:
            case I2cAt(bus=bus):
                found |= {gpio: f"{what}, which {device.name} uses" for gpio, what in I2C_PINS.get(bus, {}).items()}
            case SpiAt(bus=0):
                found |= {gpio: f"{what}, which {device.name} uses" for gpio, what in SPI_PINS.items()}
            case SerialAt(device=port) if port in HEADER_SERIAL:
                found |= {gpio: f"{what}, which {device.name} uses" for gpio, what in SERIAL_PINS.items()}
            case _:
                pass
    return found


def _on_board(devices: Sequence[Fitted], board: Board) -> Iterator[Problem]:
    kept = reserved(devices)
    used = {wire.at.gpio for device in devices for wire in device.wires if isinstance(wire.at, PinAt)}
    special = {*I2C_PINS[1], *SPI_PINS, *SERIAL_PINS, *GENERATORS, 4}
    free = sorted(board.gpios - used - kept.keys(), key=lambda gpio: (gpio in special, gpio))
    offer = f"; free are GPIO {', '.join(map(str, free[:_OFFERED]))}" if free else ""
    for device in devices:
        if board.pins:
            for wire in device.wires:
                yield from _of_wire(device, wire, board, kept, offer)
            continue
        needed = device.needs & _ON_HEADER if device.silent else {wire.at for wire in device.wires if _is_pin(wire)}
        if needed:
            yield _problem(device, None, f"{device.module.kind} needs a header, and a {board.title} has none")


def _is_pin(wire: Wire) -> bool:
    return isinstance(wire.at, PinAt | I2cAt | SpiAt | OneWireAt | str)


def _of_wire(device: Fitted, wire: Wire, board: Board, kept: dict[int, str], offer: str) -> Iterator[Problem]:
    match wire.at:
        case PinAt(gpio=gpio) | OneWireAt(gpio=gpio) if gpio not in board.gpios:
            yield _problem(device, gpio, f"the header of a {board.title} has no GPIO {gpio}{offer}")
        case PinAt(gpio=gpio) if gpio in kept:
            yield _problem(device, gpio, f"{_pin(gpio)} is {kept[gpio]}{offer}")
        case OneWireAt(gpio=gpio) if "1-Wire" not in kept[gpio]:
            yield _problem(device, gpio, f"{_pin(gpio)} is {kept[gpio]}{offer}")
        case I2cAt(address=address) if not _I2C_FIRST <= address <= _I2C_LAST:
            yield _problem(
                device, address, f"{address:#04x} is no address on I²C: must be {_I2C_FIRST:#04x}..{_I2C_LAST:#04x}"
            )
        case SpiAt(chip=chip, bus=0) if chip not in (0, 1):
            yield _problem(device, chip, f"SPI bus 0 has the chip selects 0 and 1, not {chip}")
        case _:
            pass


def _pulses(devices: Sequence[Fitted], board: Board) -> Iterator[Problem]:
    made: dict[int, tuple[int, Fitted]] = {}
    jack = next((device for device in devices if board.jack and _plays_on_jack(device)), None)
    for device in devices:
        for wire in device.wires:
            if not isinstance(wire.at, PinAt) or wire.at.use != "pwm" or not board.pins:
                continue
            gpio = wire.at.gpio
            if gpio not in GENERATORS:
                able = ", ".join(map(str, GENERATORS))
                yield _problem(device, gpio, f"GPIO {gpio} has no pulse generator (PWM); these have one: {able}")
                continue
            if jack is not None:
                yield _problem(
                    device,
                    gpio,
                    f"the pulse generators (PWM) make the sound of {jack.name} (line {jack.line}) at the analogue "
                    "output; use a USB sound card, or pulses made by program",
                )
            channel = gpio if board.generators > len(set(GENERATORS.values())) else GENERATORS[gpio]
            other, before = made.setdefault(channel, (gpio, device))
            if other != gpio:
                yield _problem(
                    device, gpio, f"shares its pulse generator (PWM) with GPIO {other}, which {before.name} uses"
                )


def _plays_on_jack(device: Fitted) -> bool:
    return any(
        isinstance(wire.at, SoundAt)
        and wire.at.direction == "out"
        and (wire.at.device is None or any(name in wire.at.device.lower() for name in _JACKS))
        for wire in device.wires
    )


def _problem(device: Fitted, value: object, message: str) -> Problem:
    keys, at = option_of(device, value)
    return Problem(at.place, keys, message)
