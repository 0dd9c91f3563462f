"""Everything that is made from ``mesh.yaml``: what each file holds, and writing it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from pydantic import BaseModel

from becomingone.config.loader import digest, read_layers, validated
from becomingone.config.tree import Node
from becomingone.errors import ConfigError, ProvisioningError
from becomingone.provisioning.inventory.check import Checked
from becomingone.provisioning.inventory.devices_of import Fitted
from becomingone.provisioning.inventory.document import stand_ins
from becomingone.provisioning.inventory.drawing import svg
from becomingone.provisioning.inventory.hosts import inventory
from becomingone.provisioning.inventory.kit import Kit
from becomingone.provisioning.inventory.members import broker_draft, hub_draft, node_draft
from becomingone.provisioning.inventory.parts import secrets_in
from becomingone.provisioning.inventory.sections import MeshFile
from becomingone.provisioning.inventory.sheet import markdown, sheet_of
from becomingone.provisioning.inventory.text import text_of, values

_MADE: Final = "Made from {name} by: becomingone provision render. What is changed here is lost."
_OURS: Final = re.compile(rb"# Made from .* by: becomingone provision render\.")
_OF_NODE: Final = ("node.yaml", "wiring.md", "wiring.svg")
_OWNER: Final = stat.S_IRWXU


class Written(NamedTuple):
    """What was done to the folder.

    Parameters
    ----------
    written, unchanged, removed : tuple of str
        Paths below it.
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


def rendered(checked: Checked, kit: Kit, *, out: Path, cell_dir: Path, hub_public_key: str | None) -> dict[str, str]:
    """Make every file: path below the folder, and text.

    Parameters
    ----------
    checked : Checked
        A file without a fault.
    kit : Kit
        The models that will read it: each text is read back, and is what was meant.
    out, cell_dir : Path
        Where the files will be, and where the cell is kept; absolute.
    hub_public_key : str or None
        Of the cell's signing key, 64 hexadecimal digits; None: the cell has no keys, and its messages no seals.

    Raises
    ------
    ConfigError
        Something is wrong with the file after all.
    """
    checked.refuse()
    mesh = checked.mesh
    if mesh is None:  # pragma: no cover - there is a problem then, which has been raised
        raise ConfigError(f"{checked.path}: cannot be read")
    head = _MADE.format(name=checked.path.name)
    by_node: dict[str, Sequence[Fitted]] = {
        node: [device for device in checked.devices if device.node == node] for node in mesh.nodes
    }
    files: dict[str, str] = {}
    desired: dict[str, str] = {}
    for node, devices in by_node.items():
        draft, _ = node_draft(
            checked.root, mesh, node, own_modules=checked.own_modules(node), hub_public_key=hub_public_key
        )
        files[f"nodes/{node}/node.yaml"] = text = text_of(head, values(draft.root))
        desired[node] = _digest(kit.node, text, draft.root, {"device_faults": "all"})
        sheet = sheet_of(mesh, node, devices)
        files[f"nodes/{node}/wiring.md"] = markdown(sheet)
        files[f"nodes/{node}/wiring.svg"] = svg(sheet)
    draft, _, _ = hub_draft(checked.root, mesh, checked.path.parent, desired=desired, keys=hub_public_key is not None)
    files["hub/hub.yaml"] = text = text_of(head, values(draft.root))
    _digest(kit.hub, text, draft.root)
    draft, _ = broker_draft(checked.root, mesh)
    files["broker/broker.yaml"] = text = text_of(head, values(draft.root))
    _digest(kit.broker, text, draft.root)
    files["hosts.yml"] = text_of(head, _inventory(checked, mesh, by_node, cell_dir, out))
    return files


def _digest(model: type[BaseModel], text: str, root: Node, context: Mapping[str, object] | None = None) -> str:
    """Read a text back as the program will that it is for, and give the digest that `config check` prints of it."""
    layers = read_layers(Path("rendered.yaml"), raw=text.encode(), environ=stand_ins(secrets_in(root)))
    return digest(validated(model, layers, context=context))


def _inventory(
    checked: Checked, mesh: MeshFile, devices: Mapping[str, Sequence[Fitted]], cell_dir: Path, out: Path
) -> dict[str, object]:
    own = (
        {}
        if checked.drop_in is None
        else {node: checked.drop_in.absolute() for node in mesh.nodes if checked.own_modules(node)}
    )
    return inventory(mesh, devices=devices, own_modules=own, cell_dir=cell_dir, out=out)


def write(out: Path, files: Mapping[str, str]) -> Written:
    """Have a folder hold these files and no others of their kind.

    The folder is for its owner alone. A file that is there with the same content is not touched; one of a node that is
    gone is removed; each is replaced as a whole.

    Raises
    ------
    ConfigError
        One of the files is there already and was made by somebody else; nothing has been touched.
    ProvisioningError
        The disk refuses; which files are there already is then of no importance, for the next attempt goes on.
    """
    try:
        for path in (out / name for name in files if name.endswith((".yaml", ".yml"))):
            if path.exists() and not _is_ours(path):
                raise ConfigError(f"{path} was not made by provision render, and is left alone; give another --out")
        return _write(out, files)
    except OSError as error:
        msg = f"{error.filename or out}: {error.strerror or error}; what is missing comes with the next attempt"
        raise ProvisioningError(msg) from error


def _write(out: Path, files: Mapping[str, str]) -> Written:
    out.mkdir(mode=_OWNER, parents=True, exist_ok=True)
    if stat.S_IMODE(out.stat().st_mode) != _OWNER:
        out.chmod(_OWNER)
    written: list[str] = []
    unchanged: list[str] = []
    for name, text in files.items():
        path = out / name
        for folder in reversed(PurePosixPath(name).parents[:-1]):
            (out / folder).mkdir(mode=_OWNER, exist_ok=True)
        data = text.encode()
        if path.is_file() and path.read_bytes() == data:
            unchanged.append(name)
        else:
            _replace(path, data)
            written.append(name)
    return Written(tuple(written), tuple(unchanged), tuple(_sweep(out, files)))


def _replace(path: Path, data: bytes) -> None:
    """Replace a file as a whole; `becomingone.config.atomic` is for ASCII."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    return path.is_file() and _OURS.match(path.read_bytes()) is not None


def _sweep(out: Path, files: Mapping[str, str]) -> list[str]:
    """Remove what an earlier rendering has made of nodes that are gone, and nothing else."""
    removed: list[str] = []
    for folder in sorted((out / "nodes").iterdir()):
        if f"nodes/{folder.name}/node.yaml" in files or not _is_ours(folder / "node.yaml"):
            continue
        for name in reversed(_OF_NODE):  # the one that shows whose the folder is, last
            if (folder / name).exists():
                (folder / name).unlink()
                removed.append(f"nodes/{folder.name}/{name}")
        if not any(folder.iterdir()):
            folder.rmdir()
    return sorted(removed)
