"""A small cell to try things on, and files that are as it but for one part."""

from __future__ import annotations

from pathlib import Path

from becomingone.cli.provision.inventory_kit import kit
from becomingone.config.loader import ConfigProblems
from becomingone.provisioning.inventory.check import Checked, check
from becomingone.provisioning.inventory.document import refusal

CELL = """\
cell: home
broker:
  machine: attic
  names: [attic.local, 192.0.2.10]
hub:
  machine: attic
  options: {tick_hz: 20}
machines:
  attic: {model: pi_4}
nodes:
  kitchen:
    hardware: pi_zero
    model: zero_2_w
    room: kitchen
    inputs:
      - {name: worktop, kind: button, options: {pin: 27}}
    outputs:
      - {name: light, kind: led, options: {pin: 17}}
  porch:
    hardware: pi_4
    model: pi_4
    inputs:
      - {name: tone, kind: synthetic, options: {frequency_hz: 0.25, rate_hz: 20}}
operators: [anna]
"""

PUBLIC_KEY = "6f" * 8 + "0123456789abcdef" * 3


def write(folder: Path, text: str = CELL) -> Path:
    """Write a mesh.yaml."""
    path = folder / "mesh.yaml"
    path.write_text(text)
    return path


def edited(old: str, new: str, text: str = CELL) -> str:
    """Give the cell with one part replaced, which is in it once."""
    assert text.count(old) == 1, old
    return text.replace(old, new)


def with_devices(*lines: str, model: str = "zero_2_w", part: str = "inputs") -> str:
    """Give the cell with other devices at the kitchen's node."""
    start, end = CELL.index("    inputs:\n      - {name: worktop"), CELL.index("  porch:")
    devices = "".join(f"      - {line}\n" for line in lines)
    return (CELL[:start] + f"    {part}:\n{devices}" + CELL[end:]).replace("model: zero_2_w", f"model: {model}")


def checked(folder: Path, text: str = CELL) -> Checked:
    """Check a text."""
    return check(write(folder, text), kit())


def lines(folder: Path, text: str) -> list[str]:
    """Give what is said of a text, without the folder's name."""
    try:
        found = checked(folder, text)
    except ConfigProblems as refused:
        return [line.replace(f"{folder}/", "") for line in refused.problems]
    return [line.replace(f"{folder}/", "") for line in refusal(found.problems).problems]


def line_of(text: str, part: str) -> int:
    """Give the line on which a part stands, which is in the text once."""
    assert text.count(part) == 1, part
    return text[: text.index(part)].count("\n") + 1
