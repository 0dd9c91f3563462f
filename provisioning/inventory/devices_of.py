"""The devices of a ``mesh.yaml``, each held against its own module, and what they are connected to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel

from becomingone.config.loader import ConfigProblems, Layers, validated
from becomingone.config.secret import Secrets
from becomingone.config.shape import child
from becomingone.config.tree import Keys, Node, Problem
from becomingone.devices.contract import Module, Wire, Wired
from becomingone.devices.registry import is_kind, load
from becomingone.errors import DeviceError, MissingLibraryError

Part = Literal["inputs", "outputs"]
HardwareOf = Callable[[Iterable[Module]], set[str]]
"""Names the hardware that modules ask for: audio, gpio, i2c, spi, serial, camera."""

IMPORT_S: Final = 5.0
"""Seconds after which a device module whose import has not returned counts as broken."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A device whose options its module takes.

    Parameters
    ----------
    node, name : str
        Whose, and what it is called there.
    part : str
        ``"inputs"`` or ``"outputs"``.
    keys : Keys
        Where it stands.
    entry : Node
        Its part of the tree.
    module : Module
        Its kind.
    options : BaseModel
        What it is made with.
    wires : tuple of Wire
        What it is connected to.
    needs : frozenset of str
        Hardware that its module asks for.
    silent : bool
        Its module asks for hardware, and does not say where it is connected.
    """

    node: str
    name: str
    part: Part
    keys: Keys
    entry: Node
    module: Module
    options: BaseModel
    wires: tuple[Wire, ...]
    needs: frozenset[str]
    silent: bool

    @property
    def line(self) -> int:
        """Where it stands in the file."""
        return self.entry.place.line or 0


def fit(root: Node, drop_in: Path | None, hardware_of: HardwareOf) -> tuple[list[Fitted], list[Problem]]:
    """Hold every device against its module.

    Parameters
    ----------
    root : Node
        The tree of the file.
    drop_in : Path or None
        The folder of the cell's own modules.
    hardware_of : callable
        See `HardwareOf`.

    Returns
    -------
    fitted : list of Fitted
        Those that fit.
    problems : list of Problem
        Everything that is wrong with the others, as far as it is about their kind and options.
    """
    fitted: list[Fitted] = []
    problems: list[Problem] = []
    modules = _Modules(drop_in, hardware_of)
    for node, entry in _mapping(child(root, "nodes")).items():
        parts: tuple[Part, ...] = ("inputs", "outputs")
        for part in parts:
            devices = child(entry, part)
            for number, device in enumerate(devices.value if devices and isinstance(devices.value, list) else []):
                keys: Keys = ("nodes", node, part, number)
                try:
                    fitted += _fit(node, part, keys, device, modules)
                except ConfigProblems as refused:
                    problems += refused.details
    return fitted, problems


class _Modules:
    """The modules, each loaded and looked through once, however many devices there are of it."""

    def __init__(self, drop_in: Path | None, hardware_of: HardwareOf) -> None:
        self._drop_in = drop_in
        self._hardware_of = hardware_of
        self._loaded: dict[str, tuple[Module, frozenset[str]] | str] = {}

    def load(self, kind: str) -> tuple[Module, frozenset[str]] | str:
        """Give a module and the hardware that it asks for, or what is wrong with it."""
        if kind not in self._loaded:
            try:
                module = load(kind, drop_in=self._drop_in, patience_s=IMPORT_S)
                self._loaded[kind] = (module, frozenset(self._hardware_of([module])))
            except (DeviceError, MissingLibraryError) as error:
                self._loaded[kind] = " ".join(str(error).split())
        return self._loaded[kind]


def _fit(node: str, part: Part, keys: Keys, entry: Node, modules: _Modules) -> list[Fitted]:
    kind = child(entry, "kind")
    if kind is None or not isinstance(kind.value, str):
        return []  # the node's own model says so
    loaded = modules.load(kind.value)
    if isinstance(loaded, str):
        raise _refused(kind, (*keys, "kind"), loaded)
    module, needs = loaded
    given = child(entry, "options") or Node(entry.place, {})
    if not isinstance(given.value, dict):
        return []
    options = _options(module, given, (*keys, "options"))
    _check_part(module, part, kind, keys)
    name = child(entry, "name")
    wires = _wires(module, options, kind, keys)
    return [
        Fitted(
            node=node,
            name=str(name.value) if name else module.kind,
            part=part,
            keys=keys,
            entry=entry,
            module=module,
            options=options,
            wires=wires or (),
            needs=needs,
            silent=wires is None and bool(needs),
        )
    ]


def _options(module: Module, given: Node, keys: Keys) -> BaseModel:
    layers = Layers(given, Secrets(Path(), {}))
    try:
        made: BaseModel = validated(module.options, layers)
    except ConfigProblems as refused:
        details = [Problem(one.place, (*keys, *one.keys), one.message) for one in refused.details]
        raise ConfigProblems([str(one) for one in details], details) from None
    return made


def _check_part(module: Module, part: Part, at: Node, keys: Keys) -> None:
    sensor = callable(getattr(module.device, "read", None))
    if sensor != (part == "inputs"):
        what, belongs = ("a sensor", "inputs") if sensor else ("an output", "outputs")
        raise _refused(at, (*keys, "kind"), f"{module.kind} is {what}; must stand in {belongs}")


def _wires(module: Module, options: BaseModel, at: Node, keys: Keys) -> tuple[Wire, ...] | None:
    if not isinstance(options, Wired):
        return None
    try:
        wires: tuple[Any, ...] = tuple(options.wiring())
    except Exception as error:  # a module of the user's own may raise anything
        said = " ".join(str(error).split())
        raise _refused(
            at, (*keys, "kind"), f"wiring() of {module.kind} fails: {type(error).__name__}: {said}"
        ) from error
    if not all(isinstance(wire, Wire) for wire in wires):
        raise _refused(at, (*keys, "kind"), f"wiring() of {module.kind} must give a list of Wire and nothing else")
    return wires


def _refused(at: Node, keys: Keys, message: str) -> ConfigProblems:
    problem = Problem(at.place, keys, message)
    return ConfigProblems([str(problem)], [problem])


def _mapping(node: Node | None) -> Mapping[str, Node]:
    return node.value if node is not None and isinstance(node.value, dict) else {}


def own_kinds(root: Node, node: str, drop_in: Path | None) -> set[str]:
    """Name the kinds of a node's devices that are files of the folder `drop_in`."""
    if drop_in is None:
        return set()
    entry = child(child(root, "nodes"), node)
    devices = [child(entry, part) for part in ("inputs", "outputs")]
    kinds = [
        child(device, "kind") for part in devices if part and isinstance(part.value, list) for device in part.value
    ]
    named = {str(kind.value) for kind in kinds if kind is not None}
    return {kind for kind in named if is_kind(kind) and (drop_in / f"{kind}.py").is_file()}
