"""``devices list|show``: which device modules there are, and what options each takes."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout

from becomingone.cli.exits import Exit
from becomingone.config.loader import schema
from becomingone.devices.contract import Module
from becomingone.devices.registry import catalogue, load
from becomingone.errors import DeviceError, MissingLibraryError

IMPORT_S = 5.0
"""Seconds after which a module whose import has not returned counts as broken."""


def list_kinds(arguments: argparse.Namespace) -> int:
    """Print every kind with its one line, broken drop-ins with what is wrong with them."""
    kinds: dict[str, str] = {}
    for kind in catalogue(arguments.drop_in):
        try:
            with redirect_stdout(sys.stderr):  # what a drop-in prints when it is imported is not our output
                kinds[kind] = load(kind, drop_in=arguments.drop_in, patience_s=IMPORT_S).summary
        except DeviceError as error:
            kinds[kind] = f"broken: {error}"
        except MissingLibraryError as error:
            kinds[kind] = f"unavailable: {error}"
    if arguments.json:
        print(json.dumps(kinds))
    else:
        width = max(map(len, kinds), default=0)
        for kind, summary in kinds.items():
            print(f"{kind:<{width}}  {summary}")
    return Exit.DONE


def show(arguments: argparse.Namespace) -> int:
    """Print a kind's options."""
    with redirect_stdout(sys.stderr):
        module = load(arguments.kind, drop_in=arguments.drop_in, patience_s=IMPORT_S)
    if arguments.json:
        print(json.dumps(schema(module.options)))
        return Exit.DONE
    print(f"{module.kind}: {module.summary}")
    for line in _options(module):
        print(f"  {line}")
    return Exit.DONE


def _options(module: Module) -> list[str]:
    lines: list[str] = []
    for name, field in module.options.model_fields.items():
        default = "required" if field.is_required() else f"default {field.get_default(call_default_factory=True)!r}"
        lines.append(f"{name}: {field.description or ''} ({default})")
    return lines
