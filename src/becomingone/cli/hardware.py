"""Which hardware a node's device modules need, read from their source, and what a service must be allowed for it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from becomingone.devices.contract import Module


@dataclass(frozen=True, slots=True)
class Hardware:
    """One kind of hardware, as Debian and Raspberry Pi OS give it to programs.

    Parameters
    ----------
    group : str
        Who may use it.
    devices : tuple of str
        For ``DeviceAllow=``, see systemd.resource-control(5).
    ports : tuple of str
        Fields of `becomingone.devices.contract.Ports` that lead to it.
    libraries : tuple of str
        Packages that reach it without a port.
    executable_memory : bool
        Its library makes code while it runs.
    """

    group: str
    devices: tuple[str, ...]
    ports: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    executable_memory: bool = False


HARDWARE: Final = {
    # PortAudio calls back through libffi, which on some machines makes that code while it runs.
    "audio": Hardware("audio", ("char-alsa",), ("audio",), ("sounddevice", "pyaudio"), executable_memory=True),
    "gpio": Hardware(
        "gpio", ("char-gpiochip", "/dev/gpiomem"), ("pins",), ("gpiozero", "lgpio", "gpiod", "RPi"), False
    ),
    "i2c": Hardware("i2c", ("char-i2c",), ("i2c",), ("smbus", "smbus2")),
    "spi": Hardware("spi", ("char-spi",), ("spi",), ("spidev",)),
    "serial": Hardware("dialout", ("char-ttyAMA", "char-ttyS", "char-ttyUSB", "char-ttyACM"), ("serial",), ("serial",)),
    "camera": Hardware(
        "video",
        ("char-video4linux", "char-media", "char-dma_heap"),
        ("camera",),
        ("picamera2", "cv2"),
        executable_memory=True,
    ),
}


def hardware_of(modules: Iterable[Module]) -> set[str]:
    """Name the hardware that device modules ask for: through a port, or with a library of its own.

    A module whose source cannot be read, or that reaches hardware in another way, shows nothing.
    """
    found: set[str] = set()
    for module in modules:
        file = getattr(sys.modules.get(module.device.__module__), "__file__", None)
        if isinstance(file, str) and file.endswith(".py"):
            found |= _needs(Path(file).read_text("utf-8", "replace"))
    return found


def _needs(source: str) -> set[str]:
    ports, libraries = _uses(ast.parse(source))
    return {
        name
        for name, hardware in HARDWARE.items()
        if ports.intersection(hardware.ports) or libraries.intersection(hardware.libraries)
    }


def _uses(tree: ast.AST) -> tuple[set[str], set[str]]:
    ports: set[str] = set()
    libraries: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name) if (
                owner.strip("_") == "ports"
            ):
                ports.add(name)
            case ast.Import(names=names):
                libraries |= {alias.name.split(".")[0] for alias in names}
            case ast.ImportFrom(module=str(name), level=0):
                libraries.add(name.split(".")[0])
            case _:
                pass
    return ports, libraries
