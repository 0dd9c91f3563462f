"""``config check|diff|schema|example``: what is wrong in a configuration, what another changes, how to begin one."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.resources import files
from pathlib import Path

import yaml

from becomingone.broker.config import BrokerConfig
from becomingone.cli.exits import Exit
from becomingone.cli.scenario import Scenario
from becomingone.config.loader import ConfigProblems, digest, load
from becomingone.config.loader import schema as json_schema
from becomingone.config.marks import without_marks
from becomingone.config.sections import Section
from becomingone.config.tree import Problem, format_keys
from becomingone.errors import ConfigError
from becomingone.hub.config import HubConfig
from becomingone.hub.rules.load import with_file
from becomingone.node.changes import Changes, changes
from becomingone.node.config import NodeConfig
from becomingone.provisioning.inventory.mesh_file import MeshFile, load_mesh

_MODELS: dict[str, type[Section]] = {
    "node": NodeConfig,
    "hub": HubConfig,
    "broker": BrokerConfig,
    "scenario": Scenario,
    "mesh": MeshFile,
}

_RELOADED = frozenset({"node"})
"""What can take another configuration while it runs; for everything else the marks of shared sections mean nothing."""


def check(arguments: argparse.Namespace) -> int:
    """Check a file as what it is, down to each device's options; print its digest."""
    kind = arguments.kind or _kind_of(arguments.file)
    try:
        config = _load(kind, arguments.file, arguments.overrides)
        if isinstance(config, HubConfig):
            with_file(config.dispatch, arguments.file.parent, config.bands)
    except ConfigProblems as refused:
        if not arguments.json:
            raise
        problems = [_as_json(problem) for problem in refused.details]
        print(json.dumps({"file": str(arguments.file), "kind": kind, "sha256": None, "problems": problems}))
        return Exit.BAD_INPUT
    if arguments.json:
        print(json.dumps({"file": str(arguments.file), "kind": kind, "sha256": digest(config), "problems": []}))
    else:
        print(f"{arguments.file}: a {kind} configuration without a fault, SHA-256 {digest(config)}")
    return Exit.DONE


def diff(arguments: argparse.Namespace) -> int:
    """Print the fields that differ, and which of them a running node takes."""
    kind = arguments.kind or _kind_of(arguments.new)
    old, new = (_load(kind, path, ()) for path in (arguments.old, arguments.new))
    found = changes(old, new)
    if kind not in _RELOADED:
        found = Changes(restart=(*found.restart, *found.hot))
    if arguments.json:
        print(json.dumps({"kind": kind, "hot": found.hot, "restart": found.restart}))
        return Exit.DONE
    for path in found.hot:
        print(f"reload   {path}")
    for path in found.restart:
        print(f"restart  {path}")
    if not found:
        print("no difference")
    elif found.hot and found.restart:
        print("A reload takes all or nothing: as it stands, the whole of this needs a restart.")
    return Exit.DONE


def schema(arguments: argparse.Namespace) -> int:
    """Print the JSON Schema of a configuration."""
    made: object = json_schema(_MODELS[arguments.kind])
    json.dump(made if arguments.kind in _RELOADED else without_marks(made), sys.stdout, indent=2)
    print()
    return Exit.DONE


def example(arguments: argparse.Namespace) -> int:
    """Print a commented example."""
    text = files("becomingone.config").joinpath(f"examples/{arguments.kind}.yaml").read_text("utf-8")
    sys.stdout.write(text)
    return Exit.DONE


def _load(kind: str, path: Path, overrides: Sequence[str]) -> Section:
    if kind != "mesh":
        return load(_MODELS[kind], path, overrides=overrides, environ=os.environ)
    if overrides:
        raise ConfigError("--set: a mesh is its file alone, which machines are made from; change the file")
    from becomingone.cli.provision.inventory_kit import kit  # noqa: PLC0415 - it brings the simulation along
    from becomingone.provisioning.inventory.check import check as check_mesh  # noqa: PLC0415

    with redirect_stdout(sys.stderr):  # what a device module prints when it is imported is not our output
        check_mesh(path, kit()).refuse()
    return load_mesh(path)


def _as_json(problem: Problem) -> dict[str, str | int | None]:
    place = problem.place
    field = format_keys(problem.keys) or None
    return {
        "source": place.source,
        "line": place.line,
        "field": field,
        "message": problem.message,
        "text": f"{problem}",
    }


def _kind_of(path: Path) -> str:
    """Tell a node's, the hub's, a broker's, a scenario's and a mesh's file apart by the fields that only one has.

    A file that cannot be read as YAML is taken for a node's, whose loader then says what is wrong with it.
    """
    try:
        top = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return "node"
    if not isinstance(top, yaml.MappingNode):
        return "node"
    fields = {str(key.value) for key, _ in top.value}
    if "nodes" in fields:
        return "mesh" if fields & {"machines", "broker"} else "scenario"
    if "node" in fields:
        return "node"
    others = set(NodeConfig.model_fields) | set(HubConfig.model_fields)
    if fields & (set(BrokerConfig.model_fields) - others):
        return "broker"
    return "hub" if fields & (set(HubConfig.model_fields) - set(NodeConfig.model_fields)) else "node"
