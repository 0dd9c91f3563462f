"""Reads ``mesh.yaml``: one readable file that describes a whole cell."""

from __future__ import annotations

from pathlib import Path

from becomingone.config.loader import validated
from becomingone.provisioning.inventory.document import at, read_tree, refusal
from becomingone.provisioning.inventory.sections import Machine, MeshFile
from becomingone.provisioning.inventory.structure import structural_faults

__all__ = ["Machine", "MeshFile", "load_mesh"]


def load_mesh(path: Path) -> MeshFile:
    """Read a cell's inventory.

    What is taken here fits together: every machine that is named is there, every name can be one. What the devices'
    own options, the hub's rules and the pins have to say, `becomingone provision check` tells.

    Parameters
    ----------
    path : Path
        ``mesh.yaml``.

    Returns
    -------
    MeshFile
        Secrets in ``options`` are references by name: `becomingone.provisioning.inventory.document.Reference`.

    Raises
    ------
    ConfigError
        With one line, that names file, line and field, for everything that is wrong.
    """
    layers = read_tree(path)
    mesh = validated(MeshFile, layers)
    faults = structural_faults(mesh)
    if faults:
        raise refusal([at(layers.root, fault.keys, fault.message) for fault in faults])
    return mesh
