"""Which memory a command is about: the hub's configuration says where it is, or the command line does."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from becomingone.config.loader import load
from becomingone.errors import ConfigError
from becomingone.hub.memory.reader import MemoryReader
from becomingone.hub.memory.tier_entries import as_written
from becomingone.hub.memory.tiers import Tiers
from becomingone.kairos.bands import Band


def database(arguments: argparse.Namespace) -> tuple[Path, str]:
    """Give the database's file, and the cell's name; empty where it is not known.

    Raises
    ------
    ConfigError
        Neither is given, both are, or the configuration has a fault.
    """
    from becomingone.hub.config import HubConfig  # noqa: PLC0415 - with --database none of it is needed

    if (arguments.config is None) == (arguments.database is None):
        msg = "give either CONFIG, the hub's hub.yaml, or --database FILE, its state_dir/<cell>/hub/memory.db"
        raise ConfigError(msg)
    if arguments.database is not None:
        return arguments.database, ""
    config = load(HubConfig, arguments.config, overrides=arguments.overrides, environ=os.environ)
    return config.state_dir / config.cell / "hub" / "memory.db", config.cell


def tiers_of(path: Path, band: str | None) -> tuple[Sequence[Band], Mapping[str, Tiers], Sequence[str]]:
    """Read the tiers of one band, or of all; and what could not be used.

    Raises
    ------
    ConfigError
        There is no such band.
    """
    with closing(MemoryReader(path)) as past:
        bands, tiers, problems = as_written(past)
    if band is not None:
        bands = [one for one in bands if one.name == band]
        if not bands:
            msg = (
                f"--band {band}: the memory has {', '.join(tiers) or 'no bands yet: no hub has written its plan here'}"
            )
            raise ConfigError(msg)
    return bands, tiers, problems
