"""What is connected to which pin of one node, and the sheet that says so in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from becomingone.devices.contract import CameraAt, I2cAt, OneWireAt, PinAt, SerialAt, SoundAt, SpiAt, Wire
from becomingone.provisioning.inventory.boards import BOARDS, HEADER, Board, Rail, header_pin, header_pins
from becomingone.provisioning.inventory.claims import HEADER_SERIAL, ID_PINS
from becomingone.provisioning.inventory.devices_of import Fitted
from becomingone.provisioning.inventory.sections import MeshFile

_I2C: Final = (("SDA", 2), ("SCL", 3))
_SPI: Final = (("SCLK", 11), ("MOSI", 10), ("MISO", 9))
_CHIP_SELECTS: Final = (8, 7)
_SERIAL: Final = (("RX", 14), ("TX", 15))


class Row(NamedTuple):
    """One connection.

    Parameters
    ----------
    device : str
        Whose.
    to : str
        What is connected.
    pin : int or None
        The header's pin, 1..40; None: it is not on the header.
    at : str
        ``GPIO 17``, ``GND``, or what else it is connected to.
    note : str
        What else there is to know.
    """

    device: str
    to: str
    pin: int | None
    at: str
    note: str = ""


class Sheet(NamedTuple):
    """Everything that is connected to one node.

    Parameters
    ----------
    title, board : str
        The node and its room; what its computer is called.
    pins : int
        Pins of its header: 40, 26 or none.
    rows : tuple of Row
        The connections, device by device.
    silent : tuple of str
        Devices whose modules do not say where they are connected.
    """

    title: str
    board: str
    pins: int
    rows: tuple[Row, ...]
    silent: tuple[str, ...]


def sheet_of(mesh: MeshFile, node: str, devices: Sequence[Fitted]) -> Sheet:
    """Give every wire of a node its pin of the header.

    A supply's pins are given out by nearness to the pins that the device has, each once as long as there are any, for
    a pin takes one wire.
    """
    board = BOARDS[mesh.machine_of(node).model]
    rails = _Rails(board)
    rows: list[Row] = []
    for device in devices:
        rows += _rows(device, rails)
    room = mesh.nodes[node].room
    return Sheet(
        title=node if room is None or room == node else f"{node} ({room})",
        board=board.title,
        pins=board.pins,
        rows=tuple(rows),
        silent=tuple(device.name for device in devices if device.silent),
    )


class _Rails:
    """Gives out the pins of the supplies."""

    def __init__(self, board: Board) -> None:
        self._pins = board.pins
        self._taken: set[int] = set()

    def take(self, rail: Rail, near: Sequence[int]) -> int:
        every = header_pins(rail, self._pins)
        free = [pin for pin in every if pin not in self._taken] or every
        chosen = min(free, key=lambda pin: (min((abs(pin - other) for other in near), default=pin), pin))
        self._taken.add(chosen)
        return chosen


def _rows(device: Fitted, rails: _Rails) -> list[Row]:
    rows: list[Row] = []
    for wire in device.wires:
        if not isinstance(wire.at, str):
            pins = [Row(device.name, to, header_pin(gpio), f"GPIO {gpio}", note) for to, gpio, note in _on_header(wire)]
            rows += pins or [Row(device.name, wire.to, None, _elsewhere(wire), wire.note)]
    near = [row.pin for row in rows if row.pin is not None]
    supplies: list[tuple[Wire, Rail]] = [(wire, wire.at) for wire in device.wires if isinstance(wire.at, str)]
    return rows + [Row(device.name, wire.to, rails.take(rail, near), rail, wire.note) for wire, rail in supplies]


def _on_header(wire: Wire) -> list[tuple[str, int, str]]:
    """Give what is connected to which GPIO of the header, and what to note; nothing where it goes elsewhere."""
    match wire.at:
        case PinAt(gpio=gpio):
            return [(wire.to, gpio, wire.note)]
        case I2cAt(address=address, bus=1):
            note = _joined(f"address {address:#04x}; pulled up on the Raspberry Pi's board", wire.note)
            return [(f"{end} of {wire.to}", gpio, note if end == "SDA" else "") for end, gpio in _I2C]
        case SpiAt(chip=chip, bus=0):
            lines = [(f"{end} of {wire.to}", gpio, "") for end, gpio in _SPI]
            return [*lines, (f"chip select of {wire.to}", _CHIP_SELECTS[chip], wire.note)]
        case OneWireAt(id=identifier, gpio=gpio):
            return [(f"data of {wire.to}", gpio, _joined("4.7 kΩ to 3V3, once on the bus", identifier, wire.note))]
        case SerialAt(device=port) if port in HEADER_SERIAL:
            return [(f"{end} of {wire.to}", gpio, wire.note) for end, gpio in _SERIAL]
        case _:
            return []


def _elsewhere(wire: Wire) -> str:
    match wire.at:
        case SoundAt(direction=direction, device=card):
            return f"sound {direction}put, {'the default one' if card is None else repr(card)}"
        case CameraAt(number=number):
            return f"camera connector {number}"
        case SerialAt(device=port):
            return port
        case I2cAt(address=address, bus=bus):
            return f"I²C bus {bus}, address {address:#04x}"
        case SpiAt(chip=chip, bus=bus):
            return f"SPI bus {bus}, chip select {chip}"
        case _:
            return ""


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def markdown(sheet: Sheet) -> str:
    """Write the sheet as Markdown: the table, and what holds for every wiring."""
    lines = [
        f"# Wiring of {sheet.title}",
        "",
        f"{sheet.board}. Made from the cell's inventory; changes here are lost.",
        "",
    ]
    if not sheet.rows:
        lines += ["Nothing is connected to it." if not sheet.silent else "", ""]
    else:
        lines += ["| device | connect | to | pin | note |", "| --- | --- | --- | --- | --- |"]
        lines += [
            f"| {row.device} | {_cell(row.to)} | {_cell(row.at)} | {row.pin or ''} | {_cell(row.note)} |"
            for row in sheet.rows
        ]
        lines.append("")
    if sheet.silent:
        names = ", ".join(sheet.silent)
        lines += [f"Not known here, because its module does not say it: {names}. See the module's own description.", ""]
    if any(row.pin is not None for row in sheet.rows):
        lines += [
            "![The header](wiring.svg)",
            "",
            "- Switch the power off before you connect anything. Pin 1 has a square solder pad below the board and is",
            "  nearest to the board's corner; odd numbers are the inner row, even ones the row along the edge.",
            "- A GPIO takes and gives 3.3 V. Never connect 5 V to one: it destroys the chip.",
            "- A GPIO gives at most 16 mA, all together 50 mA.",
            f"- GPIO {' and '.join(map(str, ID_PINS))} (pins 27 and 28) stay free: they are for the EEPROM of a HAT.",
            *_shared(sheet),
            "",
        ]
    return "\n".join(line for line in lines).rstrip("\n") + "\n"


def _shared(sheet: Sheet) -> list[str]:
    """Say which pins more than one wire goes to."""
    found: list[str] = []
    for number in range(1, len(HEADER) + 1):
        owners = list(dict.fromkeys(row.device for row in sheet.rows if row.pin == number))
        if len(owners) > 1:
            found.append(f"- Pin {number} is for {', '.join(owners)} together: join their wires on a terminal.")
    return found


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
