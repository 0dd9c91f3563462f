"""``provision check|render``: what is wrong with a cell, and everything that is made from it."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

from becomingone.cli.exits import Exit
from becomingone.cli.provision.inventory_kit import kit
from becomingone.config.tree import Problem, format_keys
from becomingone.errors import ConfigError
from becomingone.provisioning.identities.cell_secrets import CellSecrets
from becomingone.provisioning.inventory.check import Checked
from becomingone.provisioning.inventory.check import check as check_mesh
from becomingone.provisioning.inventory.document import refusal
from becomingone.provisioning.inventory.render import rendered, write


def check(arguments: argparse.Namespace) -> int:
    """Say everything that is wrong."""
    found = _checked(arguments)
    problems = refusal(found.problems).details
    if arguments.json:
        content = {
            "file": str(found.path),
            "problems": [as_json(problem) for problem in problems],
            "notes": [as_json(note) for note in refusal(found.notes).details],
        }
        print(json.dumps(content))
        return Exit.BAD_INPUT if problems else Exit.DONE
    _tell_notes(found)
    found.refuse()
    if found.mesh is not None:
        count = len(found.mesh.nodes)
        devices = len(found.devices)
        print(
            f"{found.path}: a cell of {count} node{'s' * (count != 1)} with {devices} device{'s' * (devices != 1)} "
            "without a fault"
        )
    return Exit.DONE


def render(arguments: argparse.Namespace) -> int:
    """Write everything that is made from the file."""
    found = _checked(arguments)
    if not arguments.json:
        _tell_notes(found)
    cell_dir = (arguments.cell_dir or arguments.mesh.parent).absolute()
    out = (arguments.out or cell_dir / "out").absolute()
    if out == cell_dir or out in cell_dir.parents:
        raise ConfigError(f"--out {out}: must be a folder of its own, such as {cell_dir / 'out'}")
    found.refuse()
    key = _hub_public_key(cell_dir)
    done = write(out, rendered(found, kit(), out=out, cell_dir=cell_dir, hub_public_key=key))
    if arguments.json:
        print(json.dumps({"out": str(out), **done._asdict(), "notes": [as_json(note) for note in found.notes]}))
        return Exit.DONE
    for name in done.written:
        print(f"written  {name}")
    for name in done.removed:
        print(f"removed  {name}")
    print(f"{out}: {len(done.written)} files written, {len(done.unchanged)} as they were, {len(done.removed)} removed")
    return Exit.DONE


def as_json(problem: Problem) -> dict[str, str | int | None]:
    """Give a problem in its parts."""
    return {
        "source": problem.place.source,
        "line": problem.place.line,
        "field": format_keys(problem.keys) or None,
        "message": problem.message,
        "text": f"{problem}",
    }


def _checked(arguments: argparse.Namespace) -> Checked:
    drop_in: Path | None = arguments.drop_in
    with redirect_stdout(sys.stderr):  # what a module prints when it is imported is not our output
        return check_mesh(arguments.mesh, kit(), drop_in=drop_in)


def _tell_notes(found: Checked) -> None:
    for note in refusal(found.notes).problems:
        print(f"note: {note}", file=sys.stderr)


def _hub_public_key(cell_dir: Path) -> str:
    path = cell_dir / "secrets" / "cell.yaml"
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file; begin the cell there with: becomingone provision ca")
    return CellSecrets.open(path).hub_public_key.hex()
