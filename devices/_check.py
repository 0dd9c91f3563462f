"""What is wrong with a device module, by the contract, without making a device of it."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel


class Defect(NamedTuple):
    """Something that is wrong.

    Parameters
    ----------
    name : str
        The definition at fault: ``Options``, ``Options.rate_hz``, ``Device.read``; empty for the whole file.
    text : str
        What is wrong and what would be right.
    """

    name: str
    text: str


def defects(module: object) -> list[Defect]:
    """Find everything that keeps a module from being loaded."""
    found: list[Defect] = []
    options = getattr(module, "Options", None)
    device = getattr(module, "Device", None)
    if not (isinstance(options, type) and issubclass(options, BaseModel)):
        found.append(Defect("Options", "a device module needs a class Options, a pydantic BaseModel"))
    elif not options.model_config.get("frozen") or options.model_config.get("extra") != "forbid":
        text = 'Options must be declared as class Options(BaseModel, frozen=True, extra="forbid")'
        found.append(Defect("Options", text))
    elif not callable(getattr(options, "wiring", list)):
        found.append(Defect("Options.wiring", "wiring must be a method that gives a list of Wire, see the contract"))
    if not isinstance(device, type):
        text = "a device module needs a class Device, made as Device(options, ports)"
        found.append(Defect("Device", text))
        return found
    sensor = callable(getattr(device, "read", None)) and callable(getattr(device, "close", None))
    output = callable(getattr(device, "apply", None)) and callable(getattr(device, "rest", None))
    if not sensor and not output:
        text = "Device needs read() and close() as a sensor has, or apply() and rest() as an output has"
        found.append(Defect("Device", text))
    elif sensor and output:
        found.append(Defect("Device", "Device is either a sensor or an output: make two modules of it"))
    return found


def advice(module: object) -> list[Defect]:
    """Find what else is against the contract, though it can be loaded."""
    found: list[Defect] = []
    text = (getattr(module, "__doc__", None) or "").strip()
    if not text:
        found.append(Defect("", "the module has no docstring, whose first line the catalogue shows"))
    options = getattr(module, "Options", None)
    if isinstance(options, type) and issubclass(options, BaseModel):
        found += [
            Defect(f"Options.{name}", f"{name} has no description with its unit and range")
            for name, field in options.model_fields.items()
            if not field.description
        ]
    device = getattr(module, "Device", None)
    if isinstance(device, type):
        found += _signatures(device)
    return found


def _signatures(device: type) -> list[Defect]:
    """Check what the methods take; an output's role is known only when it is made, unless its class has it."""
    found: list[Defect] = []
    takes = {"__init__": 2, "read": 0, "close": 0, "apply": 1, "rest": 0}
    for name, count in takes.items():
        method = getattr(device, name, None)
        if not inspect.isfunction(method):
            continue
        try:
            inspect.signature(method).bind(*range(count + 1))
        except TypeError as error:
            what = "Device is made as Device(options, ports)" if name == "__init__" else f"{name} is called so"
            found.append(Defect(f"Device.{name}", f"{what}, which does not fit: {error}"))
    return found


def lines(file: Path) -> dict[str, int]:
    """Tell on which line each class, and what stands directly in it, is defined.

    Raises
    ------
    SyntaxError, ValueError, OSError
        The file is no Python, or cannot be read.
    """
    found: dict[str, int] = {}
    for node in ast.parse(file.read_bytes(), str(file)).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = node.lineno
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    found[f"{node.name}.{inner.name}"] = inner.lineno
                elif isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                    found[f"{node.name}.{inner.target.id}"] = inner.lineno
    return found
