"""``config check|schema|example``: what is wrong in a configuration, what may stand in one, how to begin one."""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.resources import files
from pathlib import Path

import yaml

from becomingone.broker.config import BrokerConfig
from becomingone.cli.exits import Exit
from becomingone.cli.scenario import Scenario
from becomingone.config.loader import digest, load
from becomingone.config.loader import schema as json_schema
from becomingone.config.sections import Section
from becomingone.hub.config import HubConfig
from becomingone.node.config import NodeConfig

_MODELS: dict[str, type[Section]] = {"node": NodeConfig, "hub": HubConfig, "broker": BrokerConfig, "scenario": Scenario}


def check(arguments: argparse.Namespace) -> int:
    """Check a file as what it is, down to each device's options; print its digest."""
    kind = arguments.kind or _kind_of(arguments.file)
    config = load(_MODELS[kind], arguments.file, overrides=arguments.overrides, environ=os.environ)
    print(f"{arguments.file}: a {kind} configuration without a fault, SHA-256 {digest(config)}")
    return Exit.DONE


def schema(arguments: argparse.Namespace) -> int:
    """Print the JSON Schema of a configuration."""
    json.dump(json_schema(_MODELS[arguments.kind]), sys.stdout, indent=2)
    print()
    return Exit.DONE


def example(arguments: argparse.Namespace) -> int:
    """Print a commented example."""
    text = files("becomingone.config").joinpath(f"examples/{arguments.kind}.yaml").read_text("utf-8")
    sys.stdout.write(text)
    return Exit.DONE


def _kind_of(path: Path) -> str:
    """Tell a node's, the hub's, a broker's and a scenario's file apart by the fields that only one of them has.

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
        return "scenario"
    if "node" in fields:
        return "node"
    others = set(NodeConfig.model_fields) | set(HubConfig.model_fields)
    if fields & (set(BrokerConfig.model_fields) - others):
        return "broker"
    return "hub" if fields & (set(HubConfig.model_fields) - set(NodeConfig.model_fields)) else "node"
